//! Names successors for a job that waits for them or has not begun.

use askama::Template;
use axum::response::Response;
use uuid::Uuid;

use super::draft::Draft;
use super::form::{Kind, kind};
use crate::app::jobs;
use crate::app::preview::PreviewedReference;
use crate::app::submit::{self, JobCommand, Taken};
use crate::contract::{Reason, RequestType};
use crate::http::api::dispatch::problem;
use crate::http::console::answer::{Frame, Section, see};
use crate::http::console::pages::job::{failed, find};
use crate::http::console::pages::user;
use crate::http::console::texts;
use crate::http::console::visit::Visit;
use crate::http::problem::{Problem, Result};
use crate::store::ledger::jobs::Job;

/// The form that names successors.
#[derive(Template)]
#[template(path = "amend.html")]
struct AmendPage {
    frame: Frame,
    job: Uuid,
    kinds: Vec<Kind>,
    problems: Vec<Reason>,
    version: i64,
    request_id: Uuid,
}

/// Shows the form, with the reasons why the job waits.
pub async fn open(visit: Visit) -> Result<Response> {
    let turn = visit.console.api.budget.read().await?;
    let job = find(&visit).await?;
    drop(turn);
    let reasons = jobs::reasons(&job).map_err(problem)?;
    show(&visit, &job, &Draft::default(), reasons).await
}

/// Names the successors. The job goes on if nothing else is missing.
pub async fn send(visit: Visit) -> Result<Response> {
    let turn = visit.console.api.budget.read().await?;
    let job = find(&visit).await?;
    drop(turn);
    let draft = Draft::read(&visit.form)?;
    let version = visit.form.get("version").map(str::parse::<i64>).transpose();
    let version = version.map_err(|fault| Problem::parameter("version", fault))?;
    let command = JobCommand {
        kind: RequestType::Amend,
        requested_by: visit.person()?.user.to_string(),
        reason: draft.reason.clone(),
        request_id: visit.form.get("request_id").map(str::to_owned),
        catalog: None,
        reassign: Some(draft.reassign().to_string()),
    };
    let request = command.about(&job).map_err(problem)?;
    let turn = visit.console.api.budget.write().await?;
    let taken = submit::take(visit.context(), &visit.person()?.principal(), request, None, version).await;
    drop(turn);
    match taken.map_err(problem)? {
        Taken::Accepted(_) => see(&format!("/jobs/{}", job.id)),
        Taken::Rejected(_, reasons) => show(&visit, &job, &draft, reasons).await,
        other @ (Taken::Conflict { .. } | Taken::Invalid(_) | Taken::Outdated | Taken::Busy | Taken::Failed) => {
            Err(failed(other))
        }
    }
}

async fn show(visit: &Visit, job: &Job, draft: &Draft, problems: Vec<Reason>) -> Result<Response> {
    let leaver = job.user().map_err(|error| problem(error.into()))?;
    let turn = visit.console.api.budget.read().await?;
    let found = user::find(visit, &leaver).await?;
    drop(turn);
    let mut kinds = Vec::new();
    for (name, records) in found.owns {
        let reference = PreviewedReference::counted(name, records);
        kinds.extend(kind(visit, &leaver, draft, &reference, &problems).await?);
    }
    visit.page(&AmendPage {
        frame: visit.frame(Section::Jobs, format!("{}: {}", texts::NAME_SUCCESSORS, found.user.name)),
        job: job.id,
        kinds,
        problems,
        version: job.sequence,
        request_id: Uuid::new_v4(),
    })
}
