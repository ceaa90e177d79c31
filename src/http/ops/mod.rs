//! The HTTP server for operators: `/metrics`, `/livez`, `/readyz`, `/version`.
//!
//! Read-only. Database and broker state is queried on demand and cached for a few seconds.

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

use self::observe::Observer;
pub use self::parts::Parts;
use self::ready::Readiness;

/// A bound address that serves nothing yet.
pub struct Listener(TcpListener);

impl Listener {
    /// Binds the address; port 0 is any free port.
    pub async fn bind(address: SocketAddr) -> io::Result<Listener> {
        TcpListener::bind(address).await.map(Listener)
    }

    /// Starts to serve, until the returned value is dropped.
    pub fn serve(self, parts: Parts) -> Serving {
        if let Ok(address) = self.0.local_addr() {
            tracing::info!(%address, "serving metrics and health");
        }
        let state = Arc::new(OpsState { observer: Observer::new(parts.clone()), readiness: Readiness::new(parts) });
        let router = Router::new()
            .route("/metrics", get(metrics))
            .route("/livez", get(async || Json(json!({ "alive": true }))))
            .route("/readyz", get(readiness))
            .route("/version", get(async || Json(json!({ "version": env!("CARGO_PKG_VERSION") }))))
            .with_state(state);
        Serving(tokio::spawn(async move {
            // Never ends by itself: errors concern single connections only.
            let _ = axum::serve(self.0, router).await;
        }))
    }
}

/// The running server. Dropping it stops the server.
pub struct Serving(JoinHandle<()>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct OpsState {
    observer: Observer,
    readiness: Readiness,
}

async fn metrics(State(state): State<Arc<OpsState>>) -> impl IntoResponse {
    tokio::join!(state.observer.observe(), state.readiness.check());
    ([(header::CONTENT_TYPE, crate::metrics::CONTENT_TYPE)], crate::metrics::render())
}

async fn readiness(State(state): State<Arc<OpsState>>) -> impl IntoResponse {
    let readiness = state.readiness.check().await;
    let status = if readiness.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness.to_json()))
}
