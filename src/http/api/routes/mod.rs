//! The table of routes. The router and the OpenAPI document are made from it.

mod audit;
mod bulk;
mod catalog;
mod dead_letters;
mod document;
mod events;
mod groups;
mod jobs;
mod previews;
mod requests;
mod users;

use super::route::Route;

/// Returns every route.
pub fn all() -> Vec<Route> {
    let groups = [
        document::routes(),
        requests::routes(),
        previews::routes(),
        bulk::routes(),
        jobs::routes(),
        events::routes(),
        users::routes(),
        groups::routes(),
        audit::routes(),
        catalog::routes(),
        dead_letters::routes(),
    ];
    groups.into_iter().flatten().collect()
}
