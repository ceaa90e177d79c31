//! Pausing a job.

use crate::contract::{JobId, Reason, RequestType};
use crate::job::{Transition, next, reason};
use crate::stages::commands::context::CommandContext;
use crate::stages::lifecycle::JobChange;
use crate::store::Result;
use crate::store::ledger::jobs::Job;
use crate::store::ledger::requests;

/// Pauses a job that is scheduled or under way. A pause stops records from moving, and not the end of access: a scheduled lock-out
/// is looked at again when it is due.
pub async fn pause(command: &mut CommandContext<'_>, mut target: JobChange) -> Result<Vec<Reason>> {
    let state = target.state();
    if next(state, Transition::Paused).is_err() {
        let hint = "a job can be paused that is scheduled or under way";
        return Ok(vec![reason::wrong_state(JobId(target.job.id), state.name(), "paused", hint)]);
    }
    let wake_at = match target.job.effective_at {
        Some(due) if locks_out_later(command, &target.job).await? => {
            Some(due.max(command.now) + command.context.limits.stalled_after)
        }
        Some(_) | None => None,
    };
    target.pause(wake_at, command.now)?;
    command.save(target);
    Ok(Vec::new())
}

/// True if a job is a lock-out that has not ended its user's access yet.
async fn locks_out_later(command: &CommandContext<'_>, job: &Job) -> Result<bool> {
    if job.kind != RequestType::Deactivate || job.access_ended_at.is_some() {
        return Ok(false);
    }
    Ok(requests::of_job(command.session, job).await?.lock_out)
}
