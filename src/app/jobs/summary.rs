//! Lists jobs.

use schemars::JsonSchema;
use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::app::error::Result;
use crate::contract::RequestType;
use crate::job::State;
use crate::store::Store;
use crate::store::ledger::job_filter::JobFilter;
use crate::store::ledger::jobs::Job;

/// A job in a list.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Summary {
    /// The job.
    pub job_id: Uuid,
    /// The type of its request.
    #[serde(rename = "type")]
    pub kind: RequestType,
    /// Its state.
    pub state: State,
    /// The organization; empty if the host has none.
    pub org_id: String,
    /// The leaver.
    pub user_id: String,
    /// The idempotency key of the request.
    pub request_id: String,
    /// The user who asked.
    pub requested_by: String,
    /// The time of the request.
    #[serde(with = "time::serde::rfc3339")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub requested_at: OffsetDateTime,
    /// The job that a command is about.
    pub about_job: Option<Uuid>,
    /// The time at which it is to start, if that is later than its request.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schemars(with = "Option<String>")]
    pub effective_at: Option<OffsetDateTime>,
    /// The time of its automatic undo.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schemars(with = "Option<String>")]
    pub return_at: Option<OffsetDateTime>,
    /// The time at which the job ended.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schemars(with = "Option<String>")]
    pub completed_at: Option<OffsetDateTime>,
}

/// Returns jobs that pass a filter, newest first, and the number of all that pass.
pub async fn list(store: &Store, filter: &JobFilter, limit: u64, skip: u64) -> Result<(Vec<Summary>, u64)> {
    let session = store.snapshot().await?;
    let jobs = filter.list(&session, limit, skip).await?;
    Ok((jobs.iter().map(Summary::of).collect(), filter.count(&session).await?))
}

/// The place of a job in the list: what follows it is the next page.
pub type Cursor = (OffsetDateTime, Uuid);

/// Returns a page of the jobs that pass a filter, newest first, and the place of its last job if more follow.
pub async fn page(store: &Store, filter: &JobFilter, limit: u64) -> Result<(Vec<Summary>, Option<Cursor>)> {
    let mut jobs = filter.list(&store.reader(), limit.saturating_add(1), 0).await?;
    let follows = jobs.len() as u64 > limit;
    jobs.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let cursor = jobs.last().filter(|_| follows).map(|last| (last.requested_at, last.id));
    Ok((jobs.iter().map(Summary::of).collect(), cursor))
}

impl Summary {
    /// Returns the summary of a job.
    pub fn of(job: &Job) -> Summary {
        Summary {
            job_id: job.id,
            kind: job.kind,
            state: job.state,
            org_id: job.org.clone(),
            user_id: job.user_id.clone(),
            request_id: job.request_id.clone(),
            requested_by: job.requested_by.clone(),
            requested_at: job.requested_at,
            about_job: job.target,
            effective_at: job.effective_at,
            return_at: job.return_at,
            completed_at: job.completed_at,
        }
    }
}
