//! Shows how far a job is, and takes commands about it.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use uuid::Uuid;

use crate::app::jobs::{self, Offer, Summary};
use crate::app::submit::{self, JobCommand, Taken};
use crate::app::users;
use crate::contract::{JobId, Reason, Request, RequestType};
use crate::http::api::budget::busy;
use crate::http::api::dispatch::problem;
use crate::http::console::answer::{Frame, Section, see};
use crate::http::console::page::Page;
use crate::http::console::texts;
use crate::http::console::visit::Visit;
use crate::http::problem::{Problem, Result};
use crate::store::ledger::chunks::ChunkCounts;
use crate::store::ledger::jobs::Job;

/// The state of a job.
#[derive(Template)]
#[template(path = "job.html")]
struct JobPage {
    frame: Frame,
    job: Summary,
    reason: Option<String>,
    user: String,
    requester: String,
    bars: Vec<Bar>,
    reasons: Vec<Reason>,
    commands: Vec<Button>,
    version: i64,
    request_id: Uuid,
    has_certificate: bool,
    /// True if more happens by itself.
    is_moving: bool,
}

/// The progress of one kind.
struct Bar {
    kind: String,
    done: u64,
    records: u64,
    failed: u64,
}

/// A command that the state of the job allows.
struct Button {
    kind: RequestType,
    label: &'static str,
    refused: Option<String>,
}

pub fn pages() -> Vec<Page> {
    vec![
        Page::get("/jobs/{job}", |visit| Box::pin(show(visit))),
        Page::post("/jobs/{job}", |visit| Box::pin(command(visit))),
    ]
}

/// Returns the job in the path. To other organizations it does not exist.
pub async fn find(visit: &Visit) -> Result<Job> {
    let unknown = || Problem::not_found(texts::NO_SUCH_JOB);
    let id: Uuid = visit.in_path("job").parse().map_err(|_| unknown())?;
    let org = visit.org()?;
    let job = jobs::find(&visit.context().store, id).await.map_err(problem)?;
    job.filter(|job| job.org == org).ok_or_else(unknown)
}

async fn show(visit: Visit) -> Result<Response> {
    let _turn = visit.console.api.budget.read().await?;
    let job = find(&visit).await?;
    let context = visit.context();
    let progress = jobs::progress(&context.store, job.id).await.map_err(problem)?;
    let offers = jobs::offers(context, &job, &visit.person()?.user).await.map_err(problem)?;
    let names = users::names(context, &job.org, [job.user_id.as_str(), &job.requested_by]).await.map_err(problem)?;
    let user = names.of(&job.user_id).to_owned();
    visit.page(&JobPage {
        frame: visit.frame(Section::Jobs, format!("{}: {user}", texts::words(job.kind.name()))),
        requester: names.of(&job.requested_by).to_owned(),
        user,
        bars: progress.into_iter().map(bar).collect(),
        reasons: jobs::reasons(&job).map_err(problem)?,
        commands: offers.into_iter().map(button).collect(),
        version: job.sequence,
        request_id: Uuid::new_v4(),
        has_certificate: job.certificate.is_some(),
        is_moving: !job.state.is_final() && !job.state.is_held(),
        reason: job.reason.clone(),
        job: Summary::of(&job),
    })
}

fn bar((kind, counts): (String, ChunkCounts)) -> Bar {
    Bar { kind, done: counts.done, records: counts.records, failed: counts.failed }
}

fn button(offer: Offer) -> Button {
    let refused = offer.refused.into_iter().next().map(|reason| reason.message);
    Button { kind: offer.kind, label: texts::command(offer.kind), refused }
}

/// Takes a command. Does nothing if the state of the job is not the one that the page has shown.
async fn command(visit: Visit) -> Result<Response> {
    let turn = visit.console.api.budget.read().await?;
    let job = find(&visit).await?;
    drop(turn);
    let kind = visit.form.get("do").and_then(|kind| kind.parse::<RequestType>().ok());
    let kind = kind.ok_or_else(|| Problem::parameter("do", texts::NO_SUCH_COMMAND))?;
    let version = visit.form.get("version").map(str::parse::<i64>).transpose();
    let version = version.map_err(|fault| Problem::parameter("version", fault))?;
    let command = JobCommand {
        kind,
        requested_by: visit.person()?.user.to_string(),
        reason: None,
        request_id: visit.form.get("request_id").map(str::to_owned),
        catalog: None,
        reassign: None,
    };
    let request = command.about(&job).map_err(problem)?;
    let made = take(&visit, request, version).await?;
    // A revert is a job of its own.
    let shown = if kind == RequestType::Revert { made.0 } else { job.id };
    see(&format!("/jobs/{shown}"))
}

/// Takes a request, and returns its job.
pub async fn take(visit: &Visit, request: Request, version: Option<i64>) -> Result<JobId> {
    let turn = visit.console.api.budget.write().await?;
    let taken = submit::take(visit.context(), &visit.person()?.principal(), request, None, version).await;
    drop(turn);
    match taken.map_err(problem)? {
        Taken::Accepted(job) => Ok(job),
        other @ (Taken::Rejected(..)
        | Taken::Conflict { .. }
        | Taken::Invalid(_)
        | Taken::Outdated
        | Taken::Busy
        | Taken::Failed) => Err(failed(other)),
    }
}

/// Returns the problem of a request that was not accepted.
pub fn failed(taken: Taken) -> Problem {
    match taken {
        Taken::Rejected(_, reasons) => {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "rejected", texts::REJECTED).because(&reasons)
        }
        Taken::Invalid(invalid) => Problem::invalid(&invalid),
        Taken::Conflict { .. } => Problem::new(StatusCode::CONFLICT, "conflict", texts::CONFLICT),
        Taken::Outdated => {
            Problem::new(StatusCode::PRECONDITION_FAILED, "outdated", texts::OUTDATED).hint(texts::OUTDATED_HINT)
        }
        Taken::Accepted(_) | Taken::Busy => busy(texts::BUSY),
        Taken::Failed => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", texts::FAILED),
    }
}
