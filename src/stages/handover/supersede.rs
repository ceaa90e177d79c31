//! A lock-out takes the place of the user's open job, if that job has changed nothing yet.

use time::OffsetDateTime;

use crate::contract::{HandoverRequest, JobId};
use crate::job::reason;
use crate::plan::Decision;
use crate::stages::changes::LedgerChanges;
use crate::stages::lifecycle::JobChange;
use crate::stages::undo::begin::has_begun;
use crate::store::{Error, Result, Session};

/// Cancels the job whose place a request takes, if there is one, in the name of the request's requester.
///
/// Locks: that job. The caller has locked the user, as everybody who starts such a job does.
pub async fn supersede(
    session: &Session,
    changes: &mut LedgerChanges,
    request: &HandoverRequest,
    decision: &Decision,
    now: OffsetDateTime,
) -> Result<()> {
    let superseded = match decision {
        Decision::Accepted(plan) | Decision::LockedOut(plan, _) => plan.supersedes,
        Decision::Rejected(_) => None,
    };
    let Some(JobId(superseded)) = superseded else { return Ok(()) };
    let Some(change) = JobChange::lock(session, superseded).await? else { return Ok(()) };
    if has_begun(session, &change.job).await? || change.state().is_final() {
        // It has changed since the guards looked: look again.
        return Err(Error::superseded("replacing a job by a lock-out"));
    }
    let mut change = change.by(request.requested_by.as_str());
    change.cancel(vec![reason::superseded(request.job_id())], now)?;
    change.save(changes);
    Ok(())
}
