//! A gate before a server. A shut gate ends every connection and accepts none.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::server::{address_of, at};

/// The gate, which stops when dropped.
pub struct Gate {
    address: SocketAddr,
    is_open: watch::Sender<bool>,
    _tasks: JoinSet<()>,
}

impl Gate {
    /// Opens a gate before the server of a URL.
    pub async fn before(url: &str) -> Gate {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (is_open, watched) = watch::channel(true);
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, address_of(url), watched));
        Gate { address, is_open, _tasks: tasks }
    }

    /// Returns the same URL through the gate.
    pub fn through(&self, url: &str) -> String {
        at(self.address, url)
    }

    pub fn shut(&self) {
        self.is_open.send_replace(false);
    }

    pub fn open(&self) {
        self.is_open.send_replace(true);
    }
}

async fn accept(listener: TcpListener, server: (String, u16), mut is_open: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((mut client, _)) = listener.accept() => {
                // The server may be full or gone. The client then sees its connection end.
                let Ok(mut server) = TcpStream::connect((server.0.as_str(), server.1)).await else { continue };
                if *is_open.borrow() {
                    connections.spawn(async move {
                        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                    });
                }
            }
            Ok(()) = is_open.changed() => {
                if !*is_open.borrow_and_update() {
                    connections.shutdown().await;
                }
            }
            else => return,
        }
    }
}
