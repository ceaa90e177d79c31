//! Reverting a completed job, and cancelling one that has not ended.

use crate::contract::{JobId, Reason};
use crate::job::{State, reason};
use crate::stages::commands::context::CommandContext;
use crate::stages::lifecycle::JobChange;
use crate::stages::refusal::refusal;
use crate::stages::undo::begin::{check_revert, has_begun, let_in, open, wait_behind};
use crate::store::{Locking, Result};

/// Reverts a completed job: records that are still where the job put them go back, and the user is active again.
pub async fn revert(command: &mut CommandContext<'_>, target: JobChange) -> Result<Vec<Reason>> {
    match check_revert(command.session, &target.job, Locking::Locked).await? {
        Err(reason) => return Ok(vec![reason]),
        Ok(None) => {}
        // A scheduled return is this same undo at a later date.
        Ok(Some(later)) => {
            let mut later = JobChange::of(later);
            later.cancel(Vec::new(), command.now)?;
            command.save(later);
        }
    }
    begin_undo(command, target).await
}

/// Cancels a job before its end. If it has begun, what it did is undone.
pub async fn cancel(command: &mut CommandContext<'_>, mut target: JobChange) -> Result<Vec<Reason>> {
    if let Some(reason) = refusal(&target.job, &State::OPEN, "cancelled") {
        return Ok(vec![reason]);
    }
    if target.job.undoes() && has_begun(command.session, &target.job).await? {
        let hint = "an undo that has begun goes on to its end";
        return Ok(vec![reason::wrong_state(JobId(target.job.id), target.job.state.name(), "cancelled", hint)]);
    }
    if target.job.started_at.is_some() || target.job.access_ended_at.is_some() {
        return begin_undo(command, target).await;
    }
    target.cancel(Vec::new(), command.now)?;
    command.save(target);
    Ok(Vec::new())
}

/// Begins to undo a job by the command's own.
async fn begin_undo(command: &mut CommandContext<'_>, mut target: JobChange) -> Result<Vec<Reason>> {
    let catalog = command.context.enter(command.session, &target.job).await?;
    if let Err(reason) = let_in(command.session, &catalog, &target.job, &command.facts, command.own.job.id).await? {
        return Ok(vec![reason]);
    }
    target.begin_undo()?;
    let own = &mut command.own;
    own.job.catalog_hash.clone_from(&target.job.catalog_hash);
    own.job.license_exempt = target.job.license_exempt;
    own.job.target = Some(target.job.id);
    let user = command.facts.users.get(target.job.user_id.as_str());
    let before = user.and_then(|user| user.job_before(JobId(target.job.id)));
    command.save(target);
    // A job that has not begun is a scheduled return, which this undo replaces.
    match before.filter(|before| before.has_begun) {
        // One job of a user runs at a time. The access is back; the rest follows when the other job has ended.
        Some(other) => wait_behind(&mut command.own, command.context, other.id, command.now)?,
        None => {
            let progress = open(&mut command.own, command.context, command.now)?;
            command.changes.progress(progress);
        }
    }
    Ok(Vec::new())
}
