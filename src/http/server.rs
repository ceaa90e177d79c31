//! Listens, and serves connections within bounds: their number, the time for a TLS handshake and for a request's head, and the time to
//! drain.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::middleware;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::ends::Ends;
use super::hosts::{self, Hosts};
use super::tls::Tls;

/// Connections at the same time. A further one waits until another ends.
const MOST_CONNECTIONS: usize = 4_096;

/// The time within which a TLS handshake must end.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The time within which the head of a request must arrive. Idle connections are closed after it too.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// The maximum size of a request's head, in bytes.
const MOST_HEAD: usize = 32 * 1024;

/// The time for which a stopped server finishes requests.
const GRACE: Duration = Duration::from_secs(5);

/// The pause after a connection could not be accepted: the process has too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A bound address that serves nothing yet.
pub struct Listener {
    socket: TcpListener,
    hosts: Hosts,
    tls: Option<Arc<Tls>>,
}

impl Listener {
    /// Binds the address; port 0 is any free port. `hosts`: the names for which it answers, besides its addresses.
    pub async fn bind(address: SocketAddr, hosts: &[String]) -> io::Result<Listener> {
        Ok(Listener { socket: TcpListener::bind(address).await?, hosts: hosts.into(), tls: None })
    }

    /// Returns the same listener, which takes TLS connections only.
    pub fn with_tls(mut self, tls: Tls) -> Listener {
        self.tls = Some(Arc::new(tls));
        self
    }

    /// Returns the bound address.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Starts to serve.
    pub fn serve(self, router: Router) -> Serving {
        let router = router.layer(middleware::from_fn_with_state(self.hosts, hosts::check));
        let stop = CancellationToken::new();
        let task = tokio::spawn(accept(self.socket, self.tls, router, stop.clone()));
        Serving { stop, task: Some(task) }
    }
}

/// The running server. Dropping it stops the server at once.
pub struct Serving {
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
}

impl Serving {
    /// Takes no more requests, and waits a while for those under way.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if let Some(task) = self.task.take() {
            let _ = task.await;
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Accepts connections until the server stops, and then waits for them.
async fn accept(socket: TcpListener, tls: Option<Arc<Tls>>, router: Router, stop: CancellationToken) {
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let mut connections = JoinSet::new();
    while let Some(accepted) = stop.run_until_cancelled(next(&socket, &room)).await {
        let Ok((permit, stream, ends)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (tls, router, stop) = (tls.clone(), router.clone(), stop.clone());
        connections.spawn(async move {
            connect(stream, ends, tls, router, stop).await;
            drop(permit);
        });
        while connections.try_join_next().is_some() {}
    }
    drop(socket);
    let _ = tokio::time::timeout(GRACE, async { while connections.join_next().await.is_some() {} }).await;
}

async fn next(socket: &TcpListener, room: &Arc<Semaphore>) -> io::Result<(OwnedSemaphorePermit, TcpStream, Ends)> {
    let permit = room.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = socket.accept().await?;
    let local = stream.local_addr()?;
    Ok((permit, stream, Ends { peer, local, has_tls: false }))
}

/// Makes the TLS handshake, if the listener has TLS, and serves the connection to its end. Its errors concern nobody else.
async fn connect(stream: TcpStream, ends: Ends, tls: Option<Arc<Tls>>, router: Router, stop: CancellationToken) {
    // Answers are written whole: waiting to fill packets would only delay them.
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else { return serve(stream, ends, router, stop).await };
    let handshake = tokio::time::timeout(HANDSHAKE_TIMEOUT, async { tls.acceptor().await.accept(stream).await });
    match stop.run_until_cancelled(handshake).await {
        Some(Ok(Ok(stream))) => serve(stream, Ends { has_tls: true, ..ends }, router, stop).await,
        Some(Ok(Err(error))) => tracing::debug!(%error, "TLS handshake failed"),
        Some(Err(_)) => tracing::debug!("TLS handshake took too long"),
        None => {}
    }
}

async fn serve<S>(stream: S, ends: Ends, router: Router, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ends);
        TowerToHyperService::new(router.clone()).call(request)
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(MOST_HEAD);
    let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}
