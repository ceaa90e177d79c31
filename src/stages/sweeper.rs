//! The sweeper: finds jobs that have stalled, scheduled jobs that are due, certificates to recount, and snapshots past their
//! retention. It only leaves messages; the stages look for themselves.

use time::OffsetDateTime;

use crate::broker::Channel;
use crate::job::{State, StepKind};
use crate::stages::changes::LedgerChanges;
use crate::stages::context::{Context, now, pause_after};
use crate::stages::lifecycle::{JobChange, next_count};
use crate::store::ledger::{chunks, jobs, outbox, references, row_snapshots, scim, sign_ins, tokens, uploads};
use crate::store::{Result, Session};

/// The transaction that looks at the jobs.
pub const SWEEP: &str = "sweep";
/// The transaction of a purge.
pub const PURGE: &str = "purge";

/// The most jobs of one look, and rows of one purge.
const BATCH: u64 = 500;

/// Looks once, and returns how many jobs it dispatched again.
pub async fn sweep(context: &Context) -> Result<usize> {
    let now = now();
    let session = context.store.begin(SWEEP).await?;
    let mut changes = LedgerChanges::default();
    let mut dispatched = 0;
    for job in jobs::lock_due(&session, now, BATCH).await? {
        let mut change = JobChange::of(job);
        look_at(&session, context, &mut change, now).await?;
        dispatched += usize::from(change.has_messages());
        change.save(&mut changes);
    }
    // Of those that are due for both, the second look must see the first.
    changes.write(&session).await?;
    let mut changes = LedgerChanges::default();
    for mut job in jobs::lock_recounts(&session, now, BATCH).await? {
        job.redispatches += 1;
        job.recount_at = next_count(&job, context.limits, now);
        let mut change = JobChange::of(job);
        change.step(StepKind::Recount, now)?;
        change.save(&mut changes);
    }
    changes.write(&session).await?;
    session.commit().await?;
    Ok(dispatched)
}

/// Dispatches a job again if it has made no progress since the last look, with a growing pause. A job that has made progress
/// is left alone: a healthy backlog is never multiplied.
async fn look_at(session: &Session, context: &Context, change: &mut JobChange, now: OffsetDateTime) -> Result<()> {
    let (id, state, stalled_after) = (change.job.id, change.state(), context.limits.stalled_after);
    let counts = chunks::counts_of_job(session, id).await?;
    let all = references::of_jobs(session, &[id]).await?;
    let cut: u64 = all.iter().map(|progress| progress.next_rank).sum();
    let progress = (counts.closed + counts.failed + cut) as i64;
    if progress != change.job.progress && state != State::Scheduled {
        change.job.progress = progress;
        change.job.redispatches = 0;
        change.job.wake_at = Some(now + stalled_after);
        return Ok(());
    }
    change.job.wake_at = Some(now + pause_after(stalled_after, change.job.redispatches));
    change.job.redispatches += 1;
    let tickets = context.limits.window.min(counts.open.max(1));
    match state {
        State::Scheduled => change.step(StepKind::Start, now)?,
        State::Cutting => {
            change.step(StepKind::Cut, now)?;
            change.tickets(tickets, now)?;
        }
        State::Moving => change.tickets(tickets, now)?,
        State::Finalizing => change.step(StepKind::Finalize, now)?,
        // A pause does not delay an end of access.
        State::Paused if change.job.started_at.is_none() => change.step(StepKind::Start, now)?,
        State::Completed
        | State::Rejected
        | State::NeedsAttention
        | State::Paused
        | State::Reverting
        | State::Reverted
        | State::Cancelled => change.job.wake_at = None,
    }
    if change.has_messages() {
        let redispatches = change.job.redispatches;
        tracing::info!(job = %id, org = change.job.org, request = change.job.request_id, state = %state, redispatches, "stalled job dispatched again");
    }
    Ok(())
}

/// Deletes one batch of what is past its retention, and returns the number of rows: snapshots of removed rows, tokens and sessions
/// that nobody can use, uploads, old deprovisionings and, if no broker takes the events away, old events.
pub async fn purge(context: &Context, keeps_events: bool) -> Result<u64> {
    let now = now();
    let session = context.store.begin(PURGE).await?;
    let mut purged = row_snapshots::purge(&session, now, BATCH).await?;
    purged += tokens::purge(&session, now).await?;
    purged += uploads::purge(&session, now).await?;
    purged += sign_ins::purge(&session, now).await?;
    purged += scim::purge(&session, now, BATCH).await?;
    if keeps_events {
        purged += outbox::delete_older(&session, Channel::Events, now - context.limits.keep_events).await?;
    }
    session.commit().await?;
    Ok(purged)
}
