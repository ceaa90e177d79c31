//! Shows certificates, to print and as JSON; and reverts.

use askama::Template;
use axum::Json;
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use super::job::find;
use crate::app::jobs;
use crate::app::preview::{self, LicensePreview, RevertPreview};
use crate::app::submit::JobCommand;
use crate::app::users::{self, Names};
use crate::contract::{Certificate, RequestType};
use crate::http::api::dispatch::problem;
use crate::http::console::answer::{Frame, Section};
use crate::http::console::page::Page;
use crate::http::console::texts;
use crate::http::console::visit::Visit;
use crate::http::problem::{Problem, Result};
use crate::store::ledger::jobs::Job;

/// A certificate.
#[derive(Template)]
#[template(path = "certificate.html")]
struct CertificatePage {
    frame: Frame,
    certificate: Certificate,
    reason: Option<String>,
    names: Names,
}

/// The preview of a revert.
#[derive(Template)]
#[template(path = "revert.html")]
struct RevertPage {
    frame: Frame,
    job: Uuid,
    user: String,
    preview: RevertPreview,
    version: i64,
    request_id: Uuid,
}

pub fn pages() -> Vec<Page> {
    vec![
        Page::get("/jobs/{job}/certificate", |visit| Box::pin(show(visit))),
        Page::get("/jobs/{job}/certificate.json", |visit| Box::pin(json(visit))),
        Page::get("/jobs/{job}/revert", |visit| Box::pin(revert(visit))),
    ]
}

async fn read(visit: &Visit) -> Result<(Job, Certificate)> {
    let job = find(visit).await?;
    let certificate = jobs::certificate(&job).map_err(problem)?;
    Ok((job, certificate.ok_or_else(|| Problem::not_found(texts::NO_CERTIFICATE))?))
}

async fn show(visit: Visit) -> Result<Response> {
    let _turn = visit.console.api.budget.read().await?;
    let (job, certificate) = read(&visit).await?;
    let named = certificate.references.iter().flat_map(|reference| reference.successors.keys());
    let named = named.chain([&certificate.user_id, &certificate.requested_by]).map(String::as_str);
    let names = users::names(visit.context(), &job.org, named).await.map_err(problem)?;
    let title = format!("{}: {}", texts::CERTIFICATE, names.of(&certificate.user_id));
    let frame = visit.frame(Section::Jobs, title);
    visit.page(&CertificatePage { frame, certificate, reason: job.reason, names })
}

async fn json(visit: Visit) -> Result<Response> {
    let _turn = visit.console.api.budget.read().await?;
    Ok(Json(read(&visit).await?.1).into_response())
}

/// Shows what a revert would bring back. Changes nothing.
async fn revert(visit: Visit) -> Result<Response> {
    let _turn = visit.console.api.budget.read().await?;
    let job = find(&visit).await?;
    let request_id = Uuid::new_v4();
    let command = JobCommand {
        kind: RequestType::Revert,
        requested_by: visit.person()?.user.to_string(),
        reason: None,
        request_id: Some(request_id.to_string()),
        catalog: None,
        reassign: None,
    };
    let request = command.about(&job).map_err(problem)?;
    let previewed = preview::preview_revert(visit.context(), &request).await.map_err(problem)?;
    let preview = previewed.ok_or_else(|| Problem::not_found(texts::NO_SUCH_JOB))?;
    let names = users::names(visit.context(), &job.org, [job.user_id.as_str()]).await.map_err(problem)?;
    let user = names.of(&job.user_id).to_owned();
    visit.page(&RevertPage {
        frame: visit.frame(Section::Jobs, format!("{}: {user}", texts::REVERT)),
        job: job.id,
        user,
        preview,
        version: job.sequence,
        request_id,
    })
}

impl RevertPage {
    fn license(&self) -> &'static str {
        match self.preview.license {
            LicensePreview::NotNeeded => texts::LICENSE_NOT_NEEDED,
            LicensePreview::Free => texts::LICENSE_FREE,
            LicensePreview::NoneFree => texts::LICENSE_NONE_FREE,
        }
    }
}
