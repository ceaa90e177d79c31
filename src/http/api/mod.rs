//! The HTTP API, version 1. It is thin: each handler calls the application layer, as the commands do.
//!
//! `routes` is the one table of routes: the router and the OpenAPI document are made from it. `dispatch` does what all routes share:
//! who asks, how often, with which scope, and how long a body may be.

pub(super) mod budget;
pub(super) mod call;
mod credentials;
pub(super) mod dispatch;
mod openapi;
mod rates;
pub mod route;
mod routes;
mod state;
mod watcher;

use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::on;

use self::budget::Budget;
pub use self::budget::FEWEST_CONNECTIONS;
pub(super) use self::budget::Purpose;
use self::credentials::Credentials;
pub(super) use self::dispatch::{bearer, client, read as read_body};
pub use self::openapi::document;
use self::rates::Rates;
pub(super) use self::state::Api;
pub use self::state::{Parts, Surroundings};
use self::watcher::Watcher;
use super::problem::Problem;

/// Returns the state that the API, SCIM and the console share.
pub(super) fn state(parts: Parts) -> Arc<Api> {
    let watcher = Watcher::new(parts.context.store.clone());
    let credentials = Credentials::new(parts.context.clone());
    let budget = Budget::of(parts.connections);
    Arc::new(Api { budget, rates: Rates::default(), watcher, credentials, document: document(), parts })
}

/// Returns the routes of the API.
pub(super) fn router(api: &Arc<Api>) -> Router {
    let mut router = Router::new();
    for route in routes::all() {
        let (api, route) = (api.clone(), Arc::new(route));
        let (filter, path) = (route.method.filter(), route.path);
        router = router.route(path, on(filter, move |request| dispatch::answer(api, route, request)));
    }
    router.method_not_allowed_fallback(wrong_method)
}

/// Answers a path that does not exist.
pub(super) async fn unknown(uri: Uri) -> Response {
    let hint = match uri.path().ends_with('/') {
        true => "leave out the slash at the end; `/v1/openapi.json` lists every path",
        false => "`/v1/openapi.json` lists every path",
    };
    Problem::not_found("there is no such path").hint(hint).into_response()
}

async fn wrong_method() -> Response {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "the path has no such method")
        .hint("`/v1/openapi.json` lists the methods of every path")
        .into_response()
}
