//! Shows a user and everything that they hold.

use askama::Template;
use axum::response::Response;

use super::jobs::names;
use crate::app::access;
use crate::app::jobs::{self, Summary};
use crate::app::users::{self, Names, StatusFilter, UserFilter, UserWithRecords};
use crate::contract::{RequestType, UserId};
use crate::http::api::dispatch::problem;
use crate::http::console::answer::{Frame, Section};
use crate::http::console::page::Page;
use crate::http::console::texts;
use crate::http::console::visit::Visit;
use crate::http::problem::{Problem, Result};
use crate::plan::AccessQuery;
use crate::store::ledger::job_filter::JobFilter;

/// Jobs of the user that the page lists.
const JOBS: u64 = 10;

/// A user and everything that they hold.
#[derive(Template)]
#[template(path = "user.html")]
struct UserPage {
    frame: Frame,
    found: UserWithRecords,
    is_active: bool,
    refused: Option<String>,
    jobs: Vec<Summary>,
    names: Names,
}

pub fn pages() -> Vec<Page> {
    vec![Page::get("/users/{user}", |visit| Box::pin(show(visit)))]
}

async fn show(visit: Visit) -> Result<Response> {
    let id = visit.user()?;
    let _turn = visit.console.api.budget.read().await?;
    let found = find(&visit, &id).await?;
    let filter = JobFilter { user: Some(id.to_string()), org: Some(visit.org()?.to_owned()), ..JobFilter::default() };
    let (jobs, _) = jobs::page(&visit.context().store, &filter, JOBS).await.map_err(problem)?;
    visit.page(&UserPage {
        frame: visit.frame(Section::Users, &found.user.name),
        is_active: found.user.status == "active",
        refused: refused(&visit, RequestType::Deactivate, &id).await?,
        names: names(&visit, &jobs).await?,
        jobs,
        found,
    })
}

/// Returns a user of the visitor's organization, with the records that they own by kind.
pub async fn find(visit: &Visit, id: &UserId) -> Result<UserWithRecords> {
    let org = Some(visit.org()?.to_owned()).filter(|org| !org.is_empty());
    let filter = UserFilter { status: StatusFilter::All, org, text: None, id: Some(id.clone()) };
    let catalog = (*visit.context().catalogs.current()).clone();
    let store = &visit.context().store;
    let mut pages = users::UserPages::open(store, catalog, filter, 1, 0).await.map_err(problem)?;
    let found = pages.next().await.map_err(problem)?.pop();
    found.ok_or_else(|| Problem::not_found(texts::NO_SUCH_USER))
}

/// Returns why the visitor may not ask for this; nothing if they may.
pub async fn refused(visit: &Visit, kind: RequestType, about: &UserId) -> Result<Option<String>> {
    let person = visit.person()?;
    let query = AccessQuery { kind, org: &person.org, requester: &person.user, about: Some(about) };
    let reasons = access::check(visit.context(), query).await.map_err(problem)?;
    Ok(reasons.into_iter().next().map(|reason| reason.message))
}
