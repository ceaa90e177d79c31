//! Lists users.

use askama::Template;
use axum::response::Response;

use crate::app::users::{self, StatusFilter, UserFilter};
use crate::contract::UserId;
use crate::http::api::dispatch::problem;
use crate::http::console::answer::{Choice, Frame, Section};
use crate::http::console::page::Page;
use crate::http::console::texts;
use crate::http::console::visit::Visit;
use crate::http::problem::{Problem, Result};
use crate::store::host::UserListing;

/// Users of a page.
const PAGE: u64 = 50;

/// The list of users.
#[derive(Template)]
#[template(path = "users.html")]
struct UsersPage<'p> {
    frame: Frame,
    statuses: Vec<Choice>,
    text: &'p str,
    users: Vec<UserListing>,
    first: Option<String>,
    next: Option<String>,
}

pub fn pages() -> Vec<Page> {
    vec![Page::get("/users", |visit| Box::pin(list(visit)))]
}

async fn list(visit: Visit) -> Result<Response> {
    let name = visit.query.get("status").unwrap_or("active-or-invited");
    let status = StatusFilter::named(name).ok_or_else(|| Problem::parameter("status", texts::NO_SUCH_STATUS))?;
    let text = visit.query.get("q");
    let filter = UserFilter {
        status,
        org: Some(visit.org()?.to_owned()).filter(|org| !org.is_empty()),
        text: text.map(str::to_owned),
        id: None,
    };
    let after = visit.query.get("after").map(|after| UserId::try_from(after.to_owned())).transpose();
    let after = after.map_err(|fault| Problem::parameter("after", fault))?;
    let turn = visit.console.api.budget.read().await?;
    let mut found = users::page(visit.context(), filter, after.as_ref(), PAGE + 1).await.map_err(problem)?;
    drop(turn);
    let follows = found.len() as u64 > PAGE;
    found.truncate(PAGE as usize);
    let next = found.last().filter(|_| follows).map(|last| visit.query.query_with(&[("after", &last.id)]));
    let choice = |(value, _)| Choice { value, label: texts::status_filter(value).to_owned(), is_chosen: value == name };
    visit.page(&UsersPage {
        frame: visit.frame(Section::Users, texts::USERS),
        statuses: StatusFilter::ALL.into_iter().map(choice).collect(),
        text: text.unwrap_or_default(),
        users: found,
        first: after.map(|_| visit.query.query_with(&[("after", "")])),
        next,
    })
}
