//! The beginning of an undo: may it begin, the user's access, and the job that is undone.
//!
//! Restores the license and the status at once, since they are small and must not wait. The stages do the rest.

use time::OffsetDateTime;
use uuid::Uuid;

use crate::catalog::Catalog;
use crate::contract::{JobId, Reason, RequestType};
use crate::job::{State, reason};
use crate::plan::{Deal, Facts, UserFacts, UserStatus};
use crate::stages::changes::LedgerChanges;
use crate::stages::context::Context;
use crate::stages::license::give_licenses_back;
use crate::stages::lifecycle::JobChange;
use crate::stages::refusal::refusal;
use crate::stages::undo::cut::{JOURNALED, RETURNING};
use crate::store::ledger::jobs::{self, Job};
use crate::store::ledger::references::ReferenceProgress;
use crate::store::{Locking, Result, Session, host};

/// Returns why a job cannot be reverted; else the scheduled return that the revert replaces, if there is one.
pub async fn check_revert(
    session: &Session,
    target: &Job,
    locking: Locking,
) -> Result<std::result::Result<Option<Job>, Reason>> {
    if target.is_forgotten() {
        return Ok(Err(reason::forgotten(JobId(target.id))));
    }
    if State::OPEN.contains(&target.state) {
        let id = JobId(target.id);
        let hint = format!("a job that has not ended is cancelled: `handover cancel {id}` undoes what it did");
        return Ok(Err(reason::wrong_state(id, target.state.name(), "reverted", &hint)));
    }
    if let Some(reason) = refusal(target, &[State::Completed], "reverted") {
        return Ok(Err(reason));
    }
    if target.kind != RequestType::Deactivate && target.kind != RequestType::Reassign {
        let hint = "only a deactivation or a reassignment can be reverted";
        return Ok(Err(reason::wrong_state(JobId(target.id), target.kind.name(), "reverted", hint)));
    }
    if let Some(last) = jobs::last_handover(session, &target.org, &target.user_id, locking).await?
        && last.id != target.id
    {
        return Ok(Err(reason::later_job(JobId(target.id), JobId(last.id))));
    }
    match jobs::open(session, &target.org, &target.user_id, locking).await? {
        Some(open) if open.target != Some(target.id) || open.state != State::Scheduled => {
            Ok(Err(reason::job_under_way(&target.user_id, JobId(open.id))))
        }
        open => Ok(Ok(open)),
    }
}

/// Returns the leaver of a job if its undo gives them access again, or why it cannot. While another job locks them out, they stay
/// out.
pub fn user_to_let_in<'f>(
    target: &Job,
    facts: &'f Facts,
) -> Result<std::result::Result<Option<&'f UserFacts>, Reason>> {
    let user = target.user()?;
    let Some(found) = facts.users.get(user.as_str()) else { return Ok(Err(reason::unknown_user(user.as_str()))) };
    if target.kind != RequestType::Deactivate || found.is_locked_out_by_another(JobId(target.id)) {
        return Ok(Ok(None));
    }
    Ok(match found.status {
        UserStatus::Active => Ok(None),
        UserStatus::Inactive => Ok(Some(found)),
        UserStatus::Invited | UserStatus::Other(_) => Err(reason::invited(user.as_str())),
    })
}

/// Gives the leaver of a job access again, by its undo, with the licenses that the job has freed. Does nothing if the job did not
/// end their access, or if they are active already. Returns the reason if that is impossible.
pub async fn let_in(
    session: &Session,
    catalog: &Catalog,
    target: &Job,
    facts: &Facts,
    by: Uuid,
) -> Result<std::result::Result<(), Reason>> {
    let found = match user_to_let_in(target, facts)? {
        Err(reason) => return Ok(Err(reason)),
        Ok(None) => return Ok(Ok(())),
        Ok(Some(found)) => found,
    };
    let user = &found.id;
    if let Err(reason) = give_licenses_back(session, catalog, found, (target.id, by)).await? {
        return Ok(Err(reason));
    }
    host::set_status(session, catalog, user, UserStatus::Inactive, UserStatus::Active).await?;
    jobs::end_recounts(session, &target.org, user.as_str()).await?;
    Ok(Ok(()))
}

/// True if a job has changed something. An undo that waits for another job has given access back already.
pub async fn has_begun(session: &Session, job: &Job) -> Result<bool> {
    let target = match job.target {
        Some(target) => jobs::get(session, target).await?,
        None => None,
    };
    let is_undoing = target.is_some_and(|target| target.state == State::Reverting);
    Ok(job.started_at.is_some() || job.access_ended_at.is_some() || is_undoing)
}

/// Opens a job that undoes others: leaves its first step, and returns what it has to go through.
pub fn open(undo: &mut JobChange, context: &Context, now: OffsetDateTime) -> Result<Vec<ReferenceProgress>> {
    undo.open_undo(context.limits, now)?;
    let progress = |position: usize, kind: &str, cut: bool| ReferenceProgress {
        job: undo.job.id,
        position,
        kind: kind.into(),
        deal: Deal::Nobody,
        named: Default::default(),
        transfers: false,
        cut,
        cursor: None,
        next_rank: 0,
    };
    Ok(vec![progress(JOURNALED, "journaled", undo.job.target.is_none()), progress(RETURNING, "returning", false)])
}

/// Lets an undo wait for another job of the user to end.
pub fn wait_behind(undo: &mut JobChange, context: &Context, other: JobId, now: OffsetDateTime) -> Result<()> {
    let due = now + context.limits.stalled_after;
    (undo.job.started_at, undo.job.completed_at) = (None, None);
    undo.job.wait_for = Some(other.0);
    undo.job.wake_at = Some(due + context.limits.stalled_after);
    undo.schedule(due, Vec::new(), now)
}

/// Starts a scheduled undo: of a leave on the day of return, or one that has waited for another job of the user.
pub async fn start_undo(session: &Session, context: &Context, job: Job, now: OffsetDateTime) -> Result<()> {
    let user = job.user()?;
    host::lock_users(session, &[(&job.org, &user)], &[]).await?;
    let Some(mut undo) = JobChange::lock(session, job.id).await? else { return Ok(()) };
    let (State::Scheduled, Some(target)) = (undo.state(), undo.job.target) else { return Ok(()) };
    if undo.job.effective_at.is_some_and(|at| at > now) {
        return Ok(());
    }
    let Some(mut target) = JobChange::lock(session, target).await? else { return Ok(()) };
    let catalog = context.enter(session, &undo.job).await?;
    let users = host::read_users(session, &catalog, [&user]).await?;
    let facts = Facts { users, ..Facts::default() };
    let mut changes = LedgerChanges::default();
    if target.state() == State::Reverting {
        // The access is back already.
        let found = facts.users.get(user.as_str());
        match found.and_then(|user| user.job_before(JobId(undo.job.id))) {
            Some(other) => undo.job.wait_for = Some(other.id.0),
            None => changes.progress(open(&mut undo, context, now)?),
        }
    } else if let Some(reason) = refusal(&target.job, &[State::Completed], "reverted") {
        undo.mark_needs_attention(vec![reason], now)?;
    } else if let Err(reason) = let_in(session, &catalog, &target.job, &facts, undo.job.id).await? {
        undo.mark_needs_attention(vec![reason], now)?;
    } else {
        target.begin_undo()?;
        target.save(&mut changes);
        changes.progress(open(&mut undo, context, now)?);
    }
    undo.save(&mut changes);
    changes.write(session).await
}
