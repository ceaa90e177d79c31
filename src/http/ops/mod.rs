//! The HTTP server for operators: `/metrics`, `/livez`, `/readyz`, `/version`.
//!
//! Read-only. Database and broker state is queried on demand and cached for a few seconds.

mod observe;
mod parts;
mod ready;

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use self::observe::Observer;
pub use self::parts::Parts;
use self::ready::Readiness;

/// Returns the routes that report on a worker.
pub fn router(parts: Parts) -> Router {
    let state = Arc::new(OpsState { observer: Observer::new(parts.clone()), readiness: Readiness::new(parts) });
    Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(async || Json(json!({ "alive": true }))))
        .route("/readyz", get(readiness))
        .route("/version", get(async || Json(json!({ "version": env!("CARGO_PKG_VERSION") }))))
        .with_state(state)
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
