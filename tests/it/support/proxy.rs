//! A proxy between a worker and RabbitMQ that ends connections like a broker or a network.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;

use super::broker::amqp_url;

/// The way in which a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The broker closes it, as if an operator asked for it (320, CONNECTION_FORCED).
    Forced,
    /// The connection is cut.
    Cut,
}

/// The proxy, which stops when dropped.
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

    /// Returns the broker's address through the proxy.
    pub fn url(&self) -> String {
        let mut url = url::Url::parse(&amqp_url()).expect("a URL");
        url.set_ip_host(self.address.ip()).expect("a host");
        url.set_port(Some(self.address.port())).expect("a port");
        url.to_string()
    }

    /// Counts all connections so far.
    pub fn accepted(&self) -> usize {
        *self.accepted.borrow()
    }

    /// Ends every open connection.
    pub fn end(&self, how: End) {
        // There is no receiver without a connection.
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

/// Forwards the server's frames one by one, so that a frame of ours can be inserted between two.
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

/// Returns the length of the first complete frame: type, channel, size, payload, and end mark.
fn whole_frame(bytes: &[u8]) -> Option<usize> {
    let size: [u8; 4] = bytes.get(3..7)?.try_into().ok()?;
    let length = 7 + u32::from_be_bytes(size) as usize + 1;
    (bytes.len() >= length).then_some(length)
}

/// Returns `connection.close` as RabbitMQ sends it.
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
