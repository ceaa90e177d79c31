//! Lists what waits for a person: jobs that stopped, held waves of deprovisionings, and what is due later.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use time::OffsetDateTime;

use super::jobs::names;
use crate::app::access;
use crate::app::jobs::{self, Summary};
use crate::app::overview::{self, Waiting};
use crate::app::scim::{breaker, connections};
use crate::app::users::Names;
use crate::contract::{RequestType, State};
use crate::http::api::dispatch::problem;
use crate::http::console::answer::{Frame, Section, see};
use crate::http::console::page::Page;
use crate::http::console::texts;
use crate::http::console::visit::Visit;
use crate::http::problem::{Problem, Result};
use crate::plan::AccessQuery;
use crate::store::ledger::job_filter::JobFilter;

/// Jobs of each list, at most.
const MOST: u64 = 50;

/// The jobs and waves that wait for a person, and what is due later.
#[derive(Template)]
#[template(path = "inbox.html")]
struct InboxPage {
    frame: Frame,
    held: Vec<Waiting>,
    waves: Vec<Wave>,
    /// Why the visitor may not release a wave.
    refused: Option<String>,
    scheduled: Vec<Summary>,
    names: Names,
}

/// A wave of deprovisionings that a breaker holds.
struct Wave {
    connection: String,
    since: OffsetDateTime,
    waiting: usize,
}

pub fn pages() -> Vec<Page> {
    vec![
        Page::get("/inbox", |visit| Box::pin(show(visit))),
        Page::post("/inbox/release", |visit| Box::pin(release(visit))),
    ]
}

async fn show(visit: Visit) -> Result<Response> {
    let _turn = visit.console.api.budget.read().await?;
    let (store, org) = (&visit.context().store, visit.org()?);
    let held = overview::waiting(store, org, MOST).await.map_err(problem)?;
    let mut waves = Vec::new();
    for connection in connections::list(store).await.map_err(problem)?.into_iter().filter(|found| found.org_id == org) {
        let Some(since) = connection.held_since else { continue };
        let wave = breaker::wave(store, org, &connection.name).await.map_err(problem)?;
        waves.push(Wave { connection: connection.name, since, waiting: wave.waiting() });
    }
    let filter = JobFilter { states: vec![State::Scheduled], org: Some(org.to_owned()), ..JobFilter::default() };
    let (mut scheduled, _) = jobs::page(store, &filter, MOST).await.map_err(problem)?;
    scheduled.sort_by_key(|job| job.effective_at);
    let people: Vec<&Summary> = held.iter().map(|held| &held.job).chain(&scheduled).collect();
    let names = names(&visit, people).await?;
    let refused = may_not_release(&visit).await?;
    let frame = visit.frame(Section::Inbox, texts::INBOX);
    visit.page(&InboxPage { frame, held, waves, refused, scheduled, names })
}

/// Returns why the visitor may not let deprovisionings go on: the right is the one to deactivate.
async fn may_not_release(visit: &Visit) -> Result<Option<String>> {
    let person = visit.person()?;
    let query = AccessQuery { kind: RequestType::Deactivate, org: &person.org, requester: &person.user, about: None };
    let reasons = access::check(visit.context(), query).await.map_err(problem)?;
    Ok(reasons.into_iter().next().map(|reason| reason.message))
}

/// Lets the deprovisionings go on that the breaker of a connection holds.
async fn release(visit: Visit) -> Result<Response> {
    let turn = visit.console.api.budget.read().await?;
    if let Some(why) = may_not_release(&visit).await? {
        return Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", texts::sentence(&why)));
    }
    drop(turn);
    let name =
        visit.form.get("connection").ok_or_else(|| Problem::parameter("connection", texts::NO_SUCH_CONNECTION))?;
    let _turn = visit.console.api.budget.write().await?;
    let person = visit.person()?;
    breaker::release(visit.context(), &person.org, name, person.user.as_str()).await.map_err(problem)?;
    see("/inbox")
}
