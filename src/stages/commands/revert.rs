//! Reverting a completed job, and cancelling one that has not ended.

use crate::contract::{JobId, Reason};
use crate::job::{State, reason};
use crate::stages::commands::context::CommandContext;
use crate::stages::lifecycle::JobChange;
use crate::stages::refusal::refusal;
use crate::stages::undo::begin::{check_revert, let_in, open, wait_behind};
use crate::store::ledger::jobs::{self, Job};
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
    if target.job.undoes() && undo_has_begun(command, &target.job).await? {
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

/// True if an undo has begun. One that waits for another job has given access back already.
async fn undo_has_begun(command: &CommandContext<'_>, undo: &Job) -> Result<bool> {
    let target = match undo.target {
        Some(target) => jobs::get(command.session, target).await?,
        None => None,
    };
    let is_being_undone = target.is_some_and(|target| target.state == State::Reverting);
    Ok(undo.started_at.is_some() || is_being_undone)
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
    let other = user.and_then(|user| user.running_job).filter(|open| open.id != JobId(target.job.id));
    command.save(target);
    match other {
        // A user has one job at a time. The access is back; the rest follows when the other job has ended.
        Some(other) => wait_behind(&mut command.own, command.context, other.id, command.now)?,
        None => {
            let progress = open(&mut command.own, command.context, command.now)?;
            command.changes.progress(progress);
        }
    }
    Ok(Vec::new())
}
