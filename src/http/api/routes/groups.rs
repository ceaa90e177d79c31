//! Reads round-robin groups.

use axum::response::Response;

use crate::app::groups::{self, Group};
use crate::contract::TokenScope;
use crate::http::api::call::{Call, Page};
use crate::http::api::dispatch::problem;
use crate::http::api::route::{Method, Route, in_query, json};
use crate::http::problem::Result;

const PATH: &str = "/v1/groups";

pub fn routes() -> Vec<Route> {
    vec![Route {
        method: Method::Get,
        path: PATH,
        scopes: &[TokenScope::UsersRead],
        summary: "List round-robin groups, and whose turn it is",
        parameters: vec![
            in_query::<u64>("limit", "Entries of a page: 1 to 200, or 50."),
            in_query::<String>("after", "The `next` of the page before."),
        ],
        body: None,
        answers: vec![json::<Page<Group>>(200, "A page of groups, by name.")],
        handler: |call| Box::pin(list(call)),
    }]
}

async fn list(call: Call) -> Result<Response> {
    let limit = call.limit()?;
    let after = call.query.get("after").map(String::as_str);
    let _turn = call.api.budget.read().await?;
    let found = groups::page(&call.api.parts.context, call.org()?, after, limit + 1).await;
    let mut items = found.map_err(problem)?;
    let follows = items.len() as u64 > limit;
    items.truncate(limit as usize);
    let next = items.last().filter(|_| follows).map(|last| last.name.clone());
    Ok(Page { items, next }.answer(&call, PATH))
}
