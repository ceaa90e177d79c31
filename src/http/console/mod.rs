//! The web console: pages for people, made of plain links and forms. Each page calls the application layer, as the API does.
//!
//! `pages` is the one table of pages. `dispatch` does what all pages share: who is signed in, where a form comes from, how long it may
//! be, and the headers of an answer. A page is a template that the compiler checks; all its texts are in `texts`.

mod answer;
mod assets;
mod cookie;
mod dispatch;
mod fields;
mod origin;
mod page;
mod pages;
mod state;
mod texts;
mod upload;
mod visit;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::{get, on};

use self::answer::failure;
pub use self::state::Console;
use super::problem::Problem;

/// Returns the routes of the console.
pub fn router(console: &Console) -> Router {
    let mut router = Router::new().route("/assets/{hash}/{name}", get(assets::serve));
    for page in pages::all() {
        let (console, page) = (console.clone(), Arc::new(page));
        let (filter, path) = (page.method.filter(), page.path);
        router = router.route(path, on(filter, move |request: Request| dispatch::answer(console, page, request)));
    }
    router.method_not_allowed_fallback(async || failure(None, Problem::not_found(texts::NO_SUCH_PAGE)))
}

/// Answers a path that does not exist.
pub fn unknown() -> Response {
    failure(None, Problem::not_found(texts::NO_SUCH_PAGE))
}
