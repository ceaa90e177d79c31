//! Uploads a file with one leaver per row, shows a verdict for each, submits the rows that are acceptable, and follows them.

use std::collections::BTreeMap;

use askama::Template;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use crate::app::bulk::{RowOutcome, RowResult, report};
use crate::app::uploads::{self, Judged, NewUpload};
use crate::http::api::call::internal;
use crate::http::api::dispatch::problem;
use crate::http::console::answer::{Frame, Section, see};
use crate::http::console::page::Page;
use crate::http::console::texts;
use crate::http::console::visit::Visit;
use crate::http::problem::{Problem, Result};

/// Rows of a page.
const PAGE: usize = 100;

/// The form that takes a file.
#[derive(Template)]
#[template(path = "bulk.html")]
struct BulkPage {
    frame: Frame,
}

/// The rows of a file.
#[derive(Template)]
#[template(path = "upload.html")]
struct UploadPage {
    frame: Frame,
    id: Uuid,
    name: String,
    sheet: Option<String>,
    notes: Vec<String>,
    /// The number of rows by outcome.
    counts: BTreeMap<&'static str, u64>,
    /// The number of rows that can be submitted.
    acceptable: usize,
    rows: Vec<RowResult>,
    first: Option<String>,
    next: Option<String>,
    /// True if more happens by itself.
    is_moving: bool,
}

pub fn pages() -> Vec<Page> {
    vec![
        Page::get("/bulk", |visit| Box::pin(open(visit))),
        Page::upload("/bulk", |visit| Box::pin(upload(visit))),
        Page::get("/bulk/{id}", |visit| Box::pin(show(visit))),
        Page::post("/bulk/{id}", |visit| Box::pin(submit(visit))),
        Page::get("/bulk/{id}/report.csv", |visit| Box::pin(download(visit))),
    ]
}

async fn open(visit: Visit) -> Result<Response> {
    visit.page(&BulkPage { frame: visit.frame(Section::Bulk, texts::BULK) })
}

/// Keeps a file. Sends nothing.
async fn upload(mut visit: Visit) -> Result<Response> {
    let file = visit.file.take().ok_or_else(|| Problem::parameter("file", texts::NO_FILE))?;
    let time_zone = visit.form.get("time_zone").map(str::parse).transpose();
    let new = NewUpload {
        name: file.name,
        sheet: visit.form.get("sheet").map(str::to_owned),
        ignore_columns: Vec::new(),
        time_zone: time_zone.map_err(|fault: String| Problem::parameter("time_zone", fault))?,
        content: file.content,
    };
    let _turn = visit.console.api.budget.judging().await?;
    let judged = uploads::create(visit.context(), &visit.person()?.principal(), new).await.map_err(problem)?;
    see(&format!("/bulk/{}", judged.id))
}

async fn show(visit: Visit) -> Result<Response> {
    let judged = judged(&visit).await?;
    let after = visit.query.get("after").map(str::parse::<u64>).transpose();
    let after = after.map_err(|fault| Problem::parameter("after", fault))?;
    let counts = judged.counts();
    let acceptable = judged.rows.iter().filter(|row| row.outcome == RowOutcome::Ok).count();
    let is_moving = judged.rows.iter().any(|row| is_moving(row.outcome));
    let mut rows: Vec<RowResult> =
        judged.rows.into_iter().filter(|row| after.is_none_or(|after| row.row > after)).collect();
    let follows = rows.len() > PAGE;
    rows.truncate(PAGE);
    let next = rows.last().filter(|_| follows).map(|last| visit.query.query_with(&[("after", &last.row.to_string())]));
    visit.page(&UploadPage {
        frame: visit.frame(Section::Bulk, format!("{}: {}", texts::BULK, judged.name)),
        id: judged.id,
        name: judged.name,
        sheet: judged.sheet,
        notes: judged.notes,
        counts,
        acceptable,
        rows,
        first: after.map(|_| visit.query.query_with(&[("after", "")])),
        next,
        is_moving,
    })
}

fn is_moving(outcome: RowOutcome) -> bool {
    match outcome {
        RowOutcome::Sending | RowOutcome::Sent => true,
        RowOutcome::Job(state) => !state.is_final() && !state.is_held(),
        RowOutcome::Ok | RowOutcome::Skipped | RowOutcome::SentBefore | RowOutcome::Rejected | RowOutcome::Failed => {
            false
        }
    }
}

/// Returns the upload in the path, with its rows as they are judged now.
async fn judged(visit: &Visit) -> Result<Judged> {
    let id = id(visit)?;
    let _turn = visit.console.api.budget.judging().await?;
    let found = uploads::read(visit.context(), &visit.person()?.principal(), id).await.map_err(problem)?;
    found.ok_or_else(unknown)
}

fn id(visit: &Visit) -> Result<Uuid> {
    visit.in_path("id").parse().map_err(|_| unknown())
}

fn unknown() -> Problem {
    Problem::not_found(texts::NO_SUCH_UPLOAD)
}

/// Submits the rows that are acceptable now. A second click sends nothing again.
async fn submit(visit: Visit) -> Result<Response> {
    let id = id(&visit)?;
    let _turn = visit.console.api.budget.judging().await?;
    let found = uploads::submit(visit.context(), &visit.person()?.principal(), id, None).await.map_err(problem)?;
    found.ok_or_else(unknown)?;
    see(&format!("/bulk/{id}"))
}

/// Answers with the report: the rows as a CSV file.
async fn download(visit: Visit) -> Result<Response> {
    let judged = judged(&visit).await?;
    let submits = judged.rows.iter().any(|row| matches!(row.outcome, RowOutcome::Sent | RowOutcome::Job(_)));
    let mut writer = csv::Writer::from_writer(report::MARK_OF_UTF_8.to_vec());
    writer.write_record(report::head(submits)).map_err(|error| internal(&error))?;
    for row in &judged.rows {
        let line = report::ReportLine { file: &judged.name, sheet: judged.sheet.as_deref(), row };
        writer.write_record(line.cells()).map_err(|error| internal(&error))?;
    }
    let content = writer.into_inner().map_err(|error| internal(&error))?;
    let headers =
        [(CONTENT_TYPE, "text/csv; charset=utf-8"), (CONTENT_DISPOSITION, "attachment; filename=\"report.csv\"")];
    Ok((headers, content).into_response())
}

impl UploadPage {
    /// Returns the job of a row, if there is one by now: that of an acceptable row does not exist yet.
    fn job_of(&self, row: &RowResult) -> Option<Uuid> {
        row.job_id.filter(|_| matches!(row.outcome, RowOutcome::Job(_) | RowOutcome::SentBefore)).map(|job| job.0)
    }
}
