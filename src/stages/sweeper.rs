//! The sweeper: time. Finds jobs that should be moving and are not, scheduled jobs that are due, certificates to recount,
//! and copies past their keeping. It only leaves messages; the stages look for themselves.

use time::OffsetDateTime;

use crate::broker::Channel;
use crate::job::{State, StepKind};
use crate::stages::handover::finalizer;
use crate::stages::{Context, messages, now, pause_after};
use crate::store::ledger::jobs::Job;
use crate::store::ledger::outbox::OutboxMessage;
use crate::store::ledger::{chunks, jobs, outbox, references, row_snapshots};
use crate::store::{Result, Session};

/// The transaction of a look at the jobs.
pub const SWEEP: &str = "sweep";
/// The transaction of a purge.
pub const PURGE: &str = "purge";

/// Jobs of one look, and rows of one purge, at most.
const BATCH: u64 = 500;

/// Looks once; how many jobs it dispatched again.
pub async fn sweep(context: &Context) -> Result<usize> {
    let now = now();
    let session = context.store.begin(SWEEP).await?;
    let mut dispatched = 0;
    for mut job in jobs::lock_due(&session, now, BATCH).await? {
        let state = job.state()?;
        let left = look_at(&session, context, &mut job, state, now).await?;
        dispatched += usize::from(!left.is_empty());
        outbox::insert(&session, left).await?;
        jobs::update(&session, state, job).await?;
    }
    for mut job in jobs::lock_recounts(&session, now, BATCH).await? {
        job.redispatches += 1;
        job.recount_at = finalizer::next_count(&job, context.limits, now);
        outbox::insert(&session, vec![messages::step(StepKind::Recount, &job, now)]).await?;
        jobs::update(&session, State::Completed, job).await?;
    }
    session.commit().await?;
    Ok(dispatched)
}

/// A job that has come on since the last look is left alone: a healthy backlog is never multiplied. One that has not is
/// dispatched again, with a growing pause.
async fn look_at(
    session: &Session,
    context: &Context,
    job: &mut Job,
    state: State,
    now: OffsetDateTime,
) -> Result<Vec<OutboxMessage>> {
    let standing = chunks::counts_of_job(session, job.id).await?;
    let courses = references::of_jobs(session, &[job.id]).await?;
    let cut: u64 = courses.iter().map(|course| course.next_rank).sum();
    let progress = (standing.closed + standing.failed + cut) as i64;
    if progress != job.progress && state != State::Scheduled {
        job.progress = progress;
        job.redispatches = 0;
        job.wake_at = Some(now + context.limits.stalled_after);
        return Ok(Vec::new());
    }
    job.wake_at = Some(now + pause_after(context.limits.stalled_after, job.redispatches));
    job.redispatches += 1;
    let window = context.limits.window.min(standing.open.max(1));
    let tickets = || (0..window).map(|_| messages::step(StepKind::Ticket, job, now)).collect::<Vec<_>>();
    let left = match state {
        State::Scheduled => vec![messages::step(StepKind::Start, job, now)],
        State::Cutting => [vec![messages::step(StepKind::Cut, job, now)], tickets()].concat(),
        State::Moving => tickets(),
        State::Finalizing => vec![messages::step(StepKind::Finalize, job, now)],
        State::Completed
        | State::Rejected
        | State::NeedsAttention
        | State::Paused
        | State::Reverting
        | State::Reverted
        | State::Cancelled => {
            job.wake_at = None;
            Vec::new()
        }
    };
    if !left.is_empty() {
        tracing::info!(job = %job.id, state = %state, redispatches = job.redispatches, "a job stood still and is dispatched again");
    }
    Ok(left)
}

/// Deletes what is past its keeping, a batch at a time: copies of removed rows and, where no broker takes the events
/// away, old events.
pub async fn purge(context: &Context, keeps_events: bool) -> Result<u64> {
    let now = now();
    let session = context.store.begin(PURGE).await?;
    let mut purged = row_snapshots::purge(&session, now, BATCH).await?;
    if keeps_events {
        purged += outbox::delete_older(&session, Channel::Events.name(), now - context.limits.keep_events).await?;
    }
    session.commit().await?;
    Ok(purged)
}
