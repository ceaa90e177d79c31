//! Lists jobs.

use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::app::error::Result;
use crate::job::State;
use crate::store::Store;
use crate::store::ledger::jobs::{self, Job};

/// A job in a list.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// The job.
    pub job_id: Uuid,
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
    pub requested_at: OffsetDateTime,
    /// The time at which the job ended.
    #[serde(with = "time::serde::rfc3339::option")]
    pub completed_at: Option<OffsetDateTime>,
}

/// Lists jobs, newest first. No state means every state.
pub async fn list(store: &Store, states: &[State], limit: u64) -> Result<Vec<Summary>> {
    let jobs = jobs::list(&store.reader(), states, limit).await?;
    Ok(jobs.iter().map(Summary::of).collect())
}

impl Summary {
    pub(super) fn of(job: &Job) -> Summary {
        Summary {
            job_id: job.id,
            state: job.state,
            org_id: job.org.clone(),
            user_id: job.user_id.clone(),
            request_id: job.request_id.clone(),
            requested_by: job.requested_by.clone(),
            requested_at: job.requested_at,
            completed_at: job.completed_at,
        }
    }
}
