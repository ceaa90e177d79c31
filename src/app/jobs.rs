//! Reads jobs: the list, one job's status, its details and its certificate.

mod details;
mod offered;
mod progress;
mod summary;

pub use self::details::{Command, Details, FailedAttempt, FailedChunk, JournalTotal, Skipped, details};
pub use self::offered::{Offer, offers};
pub use self::progress::{Progress, Status, progress, progress_of, status};
pub use self::summary::{Cursor, Summary, list, page};

use uuid::Uuid;

use super::error::{Error, Result};
use crate::contract::{Certificate, Reason, Request};
use crate::store::Store;
use crate::store::ledger::jobs::{self, Job};
use crate::store::ledger::requests;

/// Returns a job.
pub async fn find(store: &Store, id: Uuid) -> Result<Option<Job>> {
    Ok(jobs::get(&store.reader(), id).await?)
}

/// Returns a finished job's certificate.
pub fn certificate(job: &Job) -> Result<Option<Certificate>> {
    let certificate = job.certificate.clone().map(serde_json::from_value);
    certificate.transpose().map_err(Error::json("a job's certificate"))
}

/// Returns the reasons why a job was rejected or needs attention.
pub fn reasons(job: &Job) -> Result<Vec<Reason>> {
    let reasons = job.reasons.clone().map(serde_json::from_value);
    Ok(reasons.transpose().map_err(Error::json("a job's reasons"))?.unwrap_or_default())
}

/// Returns true if the ledger knows the request's id with another body. Such a request is never done.
pub async fn is_request_id_taken(store: &Store, request: &Request) -> Result<bool> {
    let head = request.header();
    let known = requests::get(&store.reader(), head.org(), head.request_id.as_str()).await?;
    Ok(known.is_some_and(|known| known.body_hash != request.body_hash()))
}
