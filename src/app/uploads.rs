//! Uploads: files with one leaver per row that a principal sends, looks at again, and submits.
//!
//! [`bulk`](super::bulk) reads and judges the rows, as on the command line, anew at each look. An upload is kept for seven days. Only
//! its uploader reads and submits it; for others it does not exist.

mod judge;
mod new_upload;

use std::collections::BTreeMap;

use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use self::judge::judge;
pub use self::new_upload::NewUpload;
use self::new_upload::owner;
use super::access::Principal;
use super::bulk::{EvaluatedRow, RowResult, accepted, result_of_sent};
use super::error::{Error, Result};
use super::submit;
use crate::contract::{JobId, Request};
use crate::stages::{Context, now};
use crate::store::ledger::jobs::of_ids;
use crate::store::ledger::outbox;
use crate::store::ledger::uploads::{self, Upload};

/// The transaction that keeps an upload.
const KEEP: &str = "keep_upload";
/// The transaction that submits the rows of one.
const SUBMIT: &str = "submit_upload";

/// The most uploads of a principal that are kept.
const MOST_KEPT: usize = 50;

/// An upload with its rows as they are judged now, or as their jobs are by now.
#[derive(Debug)]
pub struct Judged {
    /// The id of the upload.
    pub id: Uuid,
    /// The name of the file.
    pub name: String,
    /// The sheet that is read, if the file is a workbook.
    pub sheet: Option<String>,
    /// Parts of the file that are not read.
    pub notes: Vec<String>,
    /// The time when it was uploaded.
    pub uploaded_at: OffsetDateTime,
    /// The time when it is deleted.
    pub expires_at: OffsetDateTime,
    /// The rows, in the order of the file.
    pub rows: Vec<RowResult>,
}

impl Judged {
    /// Counts the rows by outcome.
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        let mut counts = BTreeMap::new();
        for row in &self.rows {
            *counts.entry(row.outcome.name()).or_default() += 1;
        }
        counts
    }
}

/// The jobs of the rows that were sent, by the number of the row.
type Sent = BTreeMap<u64, JobId>;

/// Judges a file, and keeps it unless it cannot be read. The same file of the same uploader is one upload.
pub async fn create(context: &Context, principal: &Principal, new: NewUpload) -> Result<Judged> {
    let upload = new_upload::upload(principal, new, now())?;
    let (file, rows) = judge(context, principal, &upload).await?;
    let session = context.store.begin(KEEP).await?;
    uploads::purge(&session, upload.uploaded_at).await?;
    let mut others = uploads::of_owner(&session, upload.owner_kind, &upload.org, &upload.owner).await?;
    others.retain(|id| *id != upload.id);
    if others.len() >= MOST_KEPT {
        return Err(Error::TooManyUploads(MOST_KEPT));
    }
    let id = upload.id;
    uploads::add(&session, upload.clone()).await?;
    session.commit().await?;
    let kept = uploads::get(&context.store.reader(), id, now()).await?.unwrap_or(upload);
    judged(context, kept, file, &rows).await
}

/// Returns an upload of the principal, judged anew.
pub async fn read(context: &Context, principal: &Principal, id: Uuid) -> Result<Option<Judged>> {
    let Some(upload) = find(context, principal, id).await? else { return Ok(None) };
    let (file, rows) = judge(context, principal, &upload).await?;
    judged(context, upload, file, &rows).await.map(Some)
}

/// Sends the requests of the rows of an upload that are acceptable now and were not sent before. They leave by the outbox, so that a
/// broker that is down only delays them.
pub async fn submit(
    context: &Context,
    principal: &Principal,
    id: Uuid,
    traceparent: Option<&str>,
) -> Result<Option<Judged>> {
    let Some(mut upload) = find(context, principal, id).await? else { return Ok(None) };
    let (file, rows) = judge(context, principal, &upload).await?;
    let session = context.store.begin(SUBMIT).await?;
    let Some(earlier) = uploads::lock(&session, id).await? else { return Ok(None) };
    upload.sent = earlier;
    let mut sent = sent_of(&upload)?;
    let new: Vec<(u64, &Request)> = rows
        .iter()
        .filter(|row| !sent.contains_key(&row.number))
        .filter_map(|row| Some((row.number, accepted(row)?)))
        .collect();
    if !new.is_empty() {
        let at = now();
        let messages = new.iter().map(|(_, request)| {
            let mut message = submit::message(request);
            traceparent.iter().for_each(|context| message.set_trace_context((*context).to_owned()));
            message.to_outbox_message(at)
        });
        outbox::insert(&session, messages.collect()).await?;
        sent.extend(new.iter().map(|(row, request)| (*row, request.job_id())));
        upload.sent = json!(sent);
        uploads::note_sent(&session, id, &upload.sent).await?;
    }
    session.commit().await?;
    judged(context, upload, file, &rows).await.map(Some)
}

/// Returns an upload if it is of the principal and has not expired.
async fn find(context: &Context, principal: &Principal, id: Uuid) -> Result<Option<Upload>> {
    let found = uploads::get(&context.store.reader(), id, now()).await?;
    let (kind, org, owner) = owner(principal);
    Ok(found.filter(|upload| (upload.owner_kind, upload.org.as_str(), upload.owner.as_str()) == (kind, org, owner)))
}

fn sent_of(upload: &Upload) -> Result<Sent> {
    serde_json::from_value(upload.sent.clone()).map_err(Error::json("the rows of an upload"))
}

/// Returns the rows with the outcomes of those that were sent.
async fn judged(context: &Context, upload: Upload, file: judge::Facts, rows: &[EvaluatedRow]) -> Result<Judged> {
    let sent = sent_of(&upload)?;
    let ids: Vec<Uuid> = sent.values().map(|job| job.0).collect();
    let jobs = if ids.is_empty() { Vec::new() } else { of_ids(&context.store.reader(), &ids).await? };
    let jobs: BTreeMap<Uuid, _> = jobs.into_iter().map(|job| (job.id, job)).collect();
    let result = |row: &EvaluatedRow| match sent.get(&row.number) {
        Some(job) => result_of_sent(row, *job, jobs.get(&job.0)),
        None => Ok(row.result()),
    };
    let Upload { id, name, uploaded_at, expires_at, .. } = upload;
    let judge::Facts { sheet, notes } = file;
    let rows = rows.iter().map(result).collect::<Result<_>>()?;
    Ok(Judged { id, name, sheet, notes, uploaded_at, expires_at, rows })
}
