//! Stands between a worker and RabbitMQ, and ends its connections as a broker or a network does.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;

use super::broker::amqp_url;

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The broker closes it, as when an operator tells it to (320, CONNECTION_FORCED).
    Forced,
    /// The line is cut.
    Cut,
}

/// The proxy; it ends when it is dropped.
pub struct Proxy {
    address: SocketAddr,
    ends: broadcast::Sender<End>,
    accepted: watch::Receiver<usize>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    pub async fn start() -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (ends, _) = broadcast::channel(8);
        let (count, accepted) = watch::channel(0);
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, ends.clone(), count));
        Proxy { address, ends, accepted, _tasks: tasks }
    }

    /// The broker's address, through the proxy.
    pub fn url(&self) -> String {
        let mut url = url::Url::parse(&amqp_url()).expect("a URL");
        url.set_ip_host(self.address.ip()).expect("a host");
        url.set_port(Some(self.address.port())).expect("a port");
        url.to_string()
    }

    /// How many connections there have been.
    pub fn accepted(&self) -> usize {
        *self.accepted.borrow()
    }

    /// Ends every connection that there is.
    pub fn end(&self, how: End) {
        // Nobody listens if there is none.
        let _ = self.ends.send(how);
    }
}

async fn accept(listener: TcpListener, ends: broadcast::Sender<End>, count: watch::Sender<usize>) {
    let broker = url::Url::parse(&amqp_url()).expect("a URL");
    let (host, port) = (broker.host_str().expect("a host").to_owned(), broker.port().unwrap_or(5672));
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        count.send_modify(|count| *count += 1);
        let server = TcpStream::connect((host.as_str(), port)).await.expect("RabbitMQ");
        connections.spawn(carry(client, server, ends.subscribe()));
    }
}

async fn carry(client: TcpStream, server: TcpStream, mut ends: broadcast::Receiver<End>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let outwards = async { tokio::io::copy(&mut from_client, &mut to_server).await.map(drop) };
    tokio::select! {
        _ = outwards => {}
        _ = inwards(&mut from_server, &mut to_client, &mut ends) => {}
    }
}

/// Carries what the server says, frame by frame, so that a word of ours can stand between two of its own.
async fn inwards(
    server: &mut OwnedReadHalf,
    client: &mut OwnedWriteHalf,
    ends: &mut broadcast::Receiver<End>,
) -> std::io::Result<()> {
    let mut read = Vec::new();
    loop {
        while let Some(length) = whole_frame(&read) {
            client.write_all(&read[..length]).await?;
            read.drain(..length);
        }
        let end = tokio::select! {
            end = ends.recv() => end,
            bytes = server.read_buf(&mut read) => match bytes? {
                0 => return Ok(()),
                _ => continue,
            },
        };
        if end == Ok(End::Forced) {
            client.write_all(&forced_close()).await?;
            client.shutdown().await?;
        }
        return Ok(());
    }
}

/// The length of the first frame, once all of it is here: type, channel, size, as many bytes, and an end mark.
fn whole_frame(bytes: &[u8]) -> Option<usize> {
    let size: [u8; 4] = bytes.get(3..7)?.try_into().ok()?;
    let length = 7 + u32::from_be_bytes(size) as usize + 1;
    (bytes.len() >= length).then_some(length)
}

/// `connection.close`, as RabbitMQ sends it.
fn forced_close() -> Vec<u8> {
    let text = b"CONNECTION_FORCED - ended by a test";
    let mut method = vec![0, 10, 0, 50, 1, 64, text.len() as u8];
    method.extend_from_slice(text);
    method.extend_from_slice(&[0, 0, 0, 0]);
    let mut frame = vec![1, 0, 0];
    frame.extend_from_slice(&(method.len() as u32).to_be_bytes());
    frame.extend_from_slice(&method);
    frame.push(0xce);
    frame
}
