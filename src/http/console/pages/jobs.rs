//! Lists jobs.

use askama::Template;
use axum::response::Response;

use crate::app::jobs::{self, Summary};
use crate::app::users::{self, Names};
use crate::contract::State;
use crate::http::api::call::{cursor, written};
use crate::http::api::dispatch::problem;
use crate::http::console::answer::{Choice, Frame, Section};
use crate::http::console::page::Page;
use crate::http::console::texts;
use crate::http::console::visit::Visit;
use crate::http::problem::{Problem, Result};
use crate::store::ledger::job_filter::JobFilter;

/// Jobs of a page.
const PAGE: u64 = 50;

/// The list of jobs.
#[derive(Template)]
#[template(path = "jobs.html")]
struct JobsPage<'p> {
    frame: Frame,
    states: Vec<Choice>,
    user: &'p str,
    jobs: Vec<Summary>,
    names: Names,
    first: Option<String>,
    next: Option<String>,
}

pub fn pages() -> Vec<Page> {
    vec![Page::get("/jobs", |visit| Box::pin(list(visit)))]
}

async fn list(visit: Visit) -> Result<Response> {
    let state = visit.query.get("state").map(str::parse::<State>).transpose();
    let state = state.map_err(|fault| Problem::parameter("state", fault))?;
    let (user, after) = (visit.query.get("user"), visit.query.get("after"));
    let filter = JobFilter {
        states: state.into_iter().collect(),
        user: user.map(str::to_owned),
        org: Some(visit.org()?.to_owned()),
        before: after.map(cursor).transpose()?,
        ..JobFilter::default()
    };
    let turn = visit.console.api.budget.read().await?;
    let (jobs, next) = jobs::page(&visit.context().store, &filter, PAGE).await.map_err(problem)?;
    let names = names(&visit, &jobs).await?;
    drop(turn);
    let choice = |known: State| Choice {
        value: known.name(),
        label: texts::words(known.name()),
        is_chosen: state == Some(known),
    };
    visit.page(&JobsPage {
        frame: visit.frame(Section::Jobs, texts::JOBS),
        states: State::ALL.into_iter().map(choice).collect(),
        user: user.unwrap_or_default(),
        jobs,
        names,
        first: after.map(|_| visit.query.query_with(&[("after", "")])),
        next: next.map(|next| visit.query.query_with(&[("after", &written(next))])),
    })
}

/// Returns the names of the people in a list of jobs.
pub async fn names<'j>(visit: &Visit, jobs: impl IntoIterator<Item = &'j Summary>) -> Result<Names> {
    let people = jobs.into_iter().flat_map(|job| [job.user_id.as_str(), &job.requested_by]);
    users::names(visit.context(), visit.org()?, people).await.map_err(problem)
}
