//! A proxy between a worker and its servers that applies a fault to the connection or the worker at a given point.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use crate::acknowledgements::Requests;
use crate::wire::{Broker, From, Scanner};
use crate::worker::Slot;

/// The fault at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConnectionFault {
    /// The worker is killed, and its data is not delivered.
    Kill,
    /// The data is delivered, and the worker is killed.
    KillAfter,
    /// The worker is stopped for longer than every timeout.
    Stop,
    /// The connection is cut, and the data is not delivered.
    Cut,
    /// The data is delivered, and the connection is cut.
    CutAfter,
    /// Nothing is delivered in this direction any more, while the connection stays open.
    Mute,
    /// This direction of the connection is closed; the other stays open.
    HalfClose,
    /// The data is delivered late.
    Delay,
}

/// The time that a worker is stopped or a connection is mute: longer than every timeout.
pub const LONG: Duration = Duration::from_secs(13);

/// The server of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    Database,
    Broker,
}

/// Opens a proxy to a server for one worker and returns its port.
pub async fn open(slot: Arc<Slot>, wire: Wire, server: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        loop {
            // If the server is down, the proxy closes the worker's connection too.
            let Ok((client, _)) = listener.accept().await else { continue };
            let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else { continue };
            let _ = (client.set_nodelay(true), server.set_nodelay(true));
            tokio::spawn(carry(slot.clone(), wire, client, server));
        }
    });
    port
}

async fn carry(slot: Arc<Slot>, wire: Wire, client: TcpStream, server: TcpStream) {
    let requests = Requests::default();
    let scanner = |from| match wire {
        Wire::Database => Scanner::Database(from),
        Wire::Broker => Scanner::Broker(Broker::new(from, &requests)),
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = pump(&slot, from_client, to_server, scanner(From::Worker)) => {}
        () = pump(&slot, from_server, to_client, scanner(From::Server)) => {}
    }
}

/// Forwards one direction until the connection ends.
async fn pump(slot: &Arc<Slot>, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut scanner: Scanner) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).await.unwrap_or(0);
        if read == 0 {
            return;
        }
        let bytes = &buffer[..read];
        let reached = scanner.scan(bytes);
        if !reached.requests.is_empty() {
            slot.check_outcomes(&reached.requests).await;
        }
        let fault = reached.points.into_iter().find_map(|point| slot.trigger(point));
        if let Some(ConnectionFault::KillAfter | ConnectionFault::CutAfter) | None = fault
            && to.write_all(bytes).await.is_err()
        {
            return;
        }
        match fault {
            None => {}
            Some(ConnectionFault::Delay) => {
                tokio::time::sleep(Duration::from_millis(2_500)).await;
                if to.write_all(bytes).await.is_err() {
                    return;
                }
            }
            Some(ConnectionFault::Stop) => {
                slot.freeze(LONG);
                if to.write_all(bytes).await.is_err() {
                    return;
                }
            }
            Some(ConnectionFault::Kill | ConnectionFault::KillAfter) => {
                slot.kill();
                return;
            }
            Some(ConnectionFault::Cut | ConnectionFault::CutAfter) => return,
            Some(ConnectionFault::Mute) => return tokio::time::sleep(LONG).await,
            Some(ConnectionFault::HalfClose) => {
                let _ = to.shutdown().await;
                return tokio::time::sleep(LONG).await;
            }
        }
    }
}
