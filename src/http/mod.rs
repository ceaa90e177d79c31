//! The HTTP servers. [`ops`] serves metrics and health of a worker, [`api`] the HTTP API. On the same address are SCIM for identity
//! providers and `console`, the pages for people. All listen by [`Listener`], which bounds connections and times, and checks the `Host` of
//! every request.

pub mod api;
mod console;
mod ends;
mod hosts;
pub mod ops;
mod problem;
mod scim;
mod server;
mod settings;
mod tls;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::header::ACCEPT;
use axum::response::Response;

pub use self::server::{Listener, Serving};
pub use self::settings::{ApiSettings, PublicUrl, Settings, is_host_name, listed};
pub use self::tls::{Tls, TlsFault, TlsFiles};

/// Returns the routes of the API and of SCIM and, if the server has a public URL, those of the console.
pub fn router(parts: api::Parts) -> Router {
    let api = api::state(parts);
    let routes = api::router(&api).merge(scim::router(api.clone()));
    match api.parts.public_url.clone() {
        Some(public) => {
            routes.merge(console::router(&console::Console { api, public: Arc::new(public) })).fallback(unknown)
        }
        None => routes.fallback(api::unknown),
    }
}

/// Answers a path that does not exist: browsers get a page, programs a problem.
async fn unknown(request: Request) -> Response {
    let accept = request.headers().get(ACCEPT).and_then(|types| types.to_str().ok()).unwrap_or_default();
    match accept.contains("text/html") {
        true => console::unknown(),
        false => api::unknown(request.uri().clone()).await,
    }
}
