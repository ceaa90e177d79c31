//! Stands between a worker and its two servers, and does to the line, or to the worker, what it was told to do at a point.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use crate::wire::{Broker, From, Scanner};
use crate::witness::Requests;
use crate::worker::Slot;

/// What happens at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Act {
    /// The worker is killed, and what it said is not heard.
    Kill,
    /// It is heard, and the worker is killed.
    KillBehind,
    /// The worker stands still for longer than every time-out.
    Stop,
    /// The line is cut; what was said is not heard.
    Cut,
    /// It is heard, and the line is cut.
    CutBehind,
    /// Nothing is heard any more in this direction, while the line seems to stand.
    Mute,
    /// This direction of the line is closed; the other one stays.
    HalfClose,
    /// It takes long.
    Delay,
}

/// How long a worker stands still, or a line is mute: longer than every time-out.
pub const LONG: Duration = Duration::from_secs(13);

/// Which server a line leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    Database,
    Broker,
}

/// Opens a port that leads to a server's, for one worker; its number.
pub async fn open(slot: Arc<Slot>, wire: Wire, server: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        loop {
            // A server that is away refuses the worker, too.
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

/// Carries what one side says, until the connection is to end.
async fn pump(slot: &Arc<Slot>, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut scanner: Scanner) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).await.unwrap_or(0);
        if read == 0 {
            return;
        }
        let bytes = &buffer[..read];
        let reached = scanner.hear(bytes);
        if !reached.requests.is_empty() {
            slot.look_at(&reached.requests).await;
        }
        let act = reached.points.into_iter().find_map(|point| slot.spring(point));
        if let Some(Act::KillBehind | Act::CutBehind) | None = act
            && to.write_all(bytes).await.is_err()
        {
            return;
        }
        match act {
            None => {}
            Some(Act::Delay) => {
                tokio::time::sleep(Duration::from_millis(2_500)).await;
                if to.write_all(bytes).await.is_err() {
                    return;
                }
            }
            Some(Act::Stop) => {
                slot.stand_still(LONG);
                if to.write_all(bytes).await.is_err() {
                    return;
                }
            }
            Some(Act::Kill | Act::KillBehind) => {
                slot.kill();
                return;
            }
            Some(Act::Cut | Act::CutBehind) => return,
            Some(Act::Mute) => return tokio::time::sleep(LONG).await,
            Some(Act::HalfClose) => {
                let _ = to.shutdown().await;
                return tokio::time::sleep(LONG).await;
            }
        }
    }
}
