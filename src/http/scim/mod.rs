//! SCIM 2.0 for identity providers, under `/scim/v2`. Every answer is one of SCIM, errors too.
//!
//! `dispatch` does what all endpoints share: which connection asks, how often, and how long a body may be. `endpoint` reads paths,
//! `users` and `discovery` answer.

mod call;
mod discovery;
mod dispatch;
mod endpoint;
mod users;

use std::sync::Arc;

use axum::Router;
use axum::routing::any;

use self::dispatch::ROOT;
use super::api::Api;

/// Returns the routes.
pub fn router(api: Arc<Api>) -> Router {
    let mut router = Router::new();
    for path in [ROOT, "/scim/v2/", "/scim/v2/{*path}"] {
        let api = api.clone();
        router = router.route(path, any(move |request| dispatch::answer(api, request)));
    }
    router
}
