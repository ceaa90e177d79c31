//! The job of a new request.

use time::OffsetDateTime;
use uuid::Uuid;

use crate::catalog::Catalog;
use crate::contract::{RequestHeader, RequestType};
use crate::job::State;
use crate::store::ledger::jobs::Job;

/// The state of a new job until its first transition. A job that begins at once continues from it.
pub const BEGINNING: State = State::Cutting;

/// The dates that a request names for its job.
#[derive(Debug, Clone, Copy, Default)]
pub struct Dates {
    /// The start, if it is not now.
    pub effective_at: Option<OffsetDateTime>,
    /// The day on which the user returns.
    pub return_at: Option<OffsetDateTime>,
}

/// Creates the job of a request about a user, before anything is done for it.
pub fn new_job(
    catalog: &Catalog,
    header: RequestHeader<'_>,
    user: &str,
    dates: Dates,
    traceparent: Option<&str>,
    now: OffsetDateTime,
) -> Job {
    Job {
        id: header.job_id().0,
        kind: header.kind,
        org: header.org().into(),
        user_id: user.into(),
        request_id: header.request_id.to_string(),
        requested_by: header.requested_by.to_string(),
        reason: header.reason.map(str::to_owned),
        state: BEGINNING,
        catalog_hash: catalog.hash.clone(),
        license_exempt: false,
        sequence: 0,
        reasons: None,
        certificate: None,
        wait_for: None,
        target: None,
        late_passes: 0,
        traceparent: traceparent.map(str::to_owned),
        effective_at: dates.effective_at,
        return_at: dates.return_at,
        requested_at: now,
        started_at: None,
        access_ended_at: None,
        completed_at: None,
        wake_at: None,
        redispatches: 0,
        progress: 0,
        recount_at: None,
        recount_until: None,
    }
}

/// Creates the job that undoes a leave at a time.
pub fn return_job(job: &Job, at: OffsetDateTime, wake_at: OffsetDateTime, now: OffsetDateTime) -> Job {
    Job {
        id: Uuid::new_v5(&job.id, b"return"),
        kind: RequestType::Revert,
        target: Some(job.id),
        sequence: 0,
        reasons: None,
        certificate: None,
        wait_for: None,
        late_passes: 0,
        effective_at: Some(at),
        return_at: None,
        requested_at: now,
        started_at: None,
        access_ended_at: None,
        completed_at: None,
        wake_at: Some(wake_at),
        redispatches: 0,
        progress: 0,
        recount_at: None,
        recount_until: None,
        ..job.clone()
    }
}
