//! A proxy between a worker and PostgreSQL that swallows the server's answers while the connections stay open.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::server::{address_of, at};

/// The proxy, which stops when dropped.
pub struct Silence {
    address: SocketAddr,
    falls: watch::Sender<()>,
    _tasks: JoinSet<()>,
}

impl Silence {
    /// Opens a proxy to the server of a URL.
    pub async fn before(url: &str) -> Silence {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (falls, fallen) = watch::channel(());
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, address_of(url), fallen));
        Silence { address, falls, _tasks: tasks }
    }

    /// Returns the same URL through the proxy.
    pub fn through(&self, url: &str) -> String {
        at(self.address, url)
    }

    /// Silences all open connections. New ones work.
    pub fn fall(&self) {
        self.falls.send_replace(());
    }
}

async fn accept(listener: TcpListener, server: (String, u16), fallen: watch::Receiver<()>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        // The server may be full or gone. The client then sees its connection end.
        let Ok(server) = TcpStream::connect((server.0.as_str(), server.1)).await else { continue };
        let mut fallen = fallen.clone();
        fallen.mark_unchanged();
        connections.spawn(carry(client, server, fallen));
    }
}

async fn carry(client: TcpStream, server: TcpStream, fallen: watch::Receiver<()>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let outwards = async { tokio::io::copy(&mut from_client, &mut to_server).await.map(drop) };
    tokio::select! {
        _ = outwards => {}
        _ = inwards(&mut from_server, &mut to_client, fallen) => {}
    }
}

async fn inwards(
    server: &mut OwnedReadHalf,
    client: &mut OwnedWriteHalf,
    fallen: watch::Receiver<()>,
) -> std::io::Result<()> {
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let read = server.read(&mut bytes).await?;
        let is_silent = fallen.has_changed().unwrap_or(true);
        match read {
            // Even the end of the connection is swallowed.
            0 if is_silent => std::future::pending().await,
            0 => return Ok(()),
            _ if is_silent => {}
            _ => client.write_all(&bytes[..read]).await?,
        }
    }
}
