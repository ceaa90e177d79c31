//! The HTTP listener for those who operate a worker: `/metrics`, `/livez`, `/readyz`, `/version`.
//!
//! It only tells. What it tells of database and broker it asks them for when it is asked itself, and not again for some
//! seconds, however often it is asked.

mod observe;
mod parts;
mod ready;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::metrics;
use observe::Observer;
pub use parts::Parts;
use ready::Readiness;

/// An address that is ours, on which nothing is answered yet.
pub struct Listener(TcpListener);

impl Listener {
    /// Takes the address; port 0 is any free one.
    pub async fn bind(address: SocketAddr) -> io::Result<Listener> {
        TcpListener::bind(address).await.map(Listener)
    }

    /// Answers from now on, until what this returns is dropped.
    pub fn serve(self, parts: Parts) -> Serving {
        if let Ok(address) = self.0.local_addr() {
            tracing::info!(%address, "metrics and health are served");
        }
        let desk = Arc::new(Desk { observer: Observer::new(parts.clone()), readiness: Readiness::new(parts) });
        let router = Router::new()
            .route("/metrics", get(tell_metrics))
            .route("/livez", get(async || Json(json!({ "alive": true }))))
            .route("/readyz", get(tell_readiness))
            .route("/version", get(async || Json(json!({ "version": env!("CARGO_PKG_VERSION") }))))
            .with_state(desk);
        Serving(tokio::spawn(async move {
            // It goes on after every error of a single connection, and so never ends by itself.
            let _ = axum::serve(self.0, router).await;
        }))
    }
}

/// The listener as long as it answers.
pub struct Serving(JoinHandle<()>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Desk {
    observer: Observer,
    readiness: Readiness,
}

async fn tell_metrics(State(desk): State<Arc<Desk>>) -> impl IntoResponse {
    tokio::join!(desk.observer.observe(), desk.readiness.look());
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics::render())
}

async fn tell_readiness(State(desk): State<Arc<Desk>>) -> impl IntoResponse {
    let found = desk.readiness.look().await;
    let status = if found.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(found.to_json()))
}
