//! Failed chunks: each is tried again, split, or given up. And jobs that stop because they cannot go on.

use std::time::Duration;

use time::OffsetDateTime;

use crate::contract::{JobId, Reason};
use crate::job::{State, Step, Transition, next, reason};
use crate::metrics::{self, Observation};
use crate::stages::changes::leave_tickets;
use crate::stages::context::{Context, now};
use crate::stages::handover::chunk::{FailureAction, is_unbounded, pause_after_failures, range_of};
use crate::stages::handover::{bisect, resize};
use crate::stages::lifecycle::{JobChange, audit_entry};
use crate::stages::retry::pause_before_next;
use crate::store::ledger::chunks::{self, Chunk};
use crate::store::ledger::jobs::Job;
use crate::store::ledger::{audit, jobs, references};
use crate::store::{Error, Result, Session};

/// The transaction that records a chunk's failure, puts a step or a request off, or stops a job.
pub const GIVE_UP: &str = "give_up";

/// The most failures that a job's reasons report one by one.
const MOST_REPORTED: u64 = 20;

/// Records that a chunk failed. It comes again after a pause, by a ticket of its own.
///
/// After the last attempt, a chunk that the database refuses is bisected down to the row to blame. What cannot be bisected is
/// given up, and the job needs attention once everything else is done.
pub async fn record_failure(context: &Context, id: JobId, failed: &Chunk, error: &Error) -> Result<()> {
    let now = now();
    let session = context.store.begin(GIVE_UP).await?;
    let number = failed.number;
    let Some(mut chunk) = chunks::lock(&session, id.0, number).await? else { return Ok(()) };
    let Some(job) = jobs::get(&session, id.0).await? else { return Ok(()) };
    if chunk != *failed {
        // Another worker took it meanwhile and recorded its own failure: ours may be about rows that it no longer holds.
        return leave_ticket(session, &job, now).await;
    }
    chunk.attempts += 1;
    let attempt = chunk.attempts;
    chunk.error = Some(error.to_string());
    session.observe(Observation::ChunkFailed { number });
    let mut due = now;
    match action_after(&session, context, &job, &mut chunk, error, now).await? {
        FailureAction::Retry => {
            // The line about the chunk's end has the number of attempts.
            tracing::debug!(job = %id, org = job.org, request = job.request_id, chunk = number, attempts = chunk.attempts, %error, "chunk failed; it will be retried");
            due = now + pause_after_failures(chunk.attempts);
            chunk.not_before = Some(due);
        }
        FailureAction::Split => {}
        FailureAction::GiveUp => {
            tracing::error!(job = %id, org = job.org, request = job.request_id, chunk = number, attempts = chunk.attempts, %error, "chunk given up");
            chunk.state = chunks::ChunkState::Failed;
        }
    }
    audit_attempt(&session, &job, number, attempt, error).await?;
    chunks::update(&session, chunk).await?;
    leave_ticket(session, &job, due).await
}

async fn leave_ticket(session: Session, job: &Job, due: OffsetDateTime) -> Result<()> {
    leave_tickets(&session, 1, job, due).await?;
    session.commit().await
}

/// Decides what is done about a chunk that failed, and splits it if that is the decision.
async fn action_after(
    session: &Session,
    context: &Context,
    job: &Job,
    chunk: &mut Chunk,
    error: &Error,
    now: OffsetDateTime,
) -> Result<FailureAction> {
    if error.is_out_of_time() {
        return resize::after_timeout(session, context, job, chunk, error, now).await;
    }
    // Every chunk without bounds would pick the refused row again, so that row must be isolated first.
    let spreads = error.is_refused() && !job.undoes() && is_unbounded(chunk);
    if !spreads && chunk.attempts < context.limits.chunk_attempts {
        return Ok(FailureAction::Retry);
    }
    match error.is_refused() && !job.undoes() && bisect::halve(session, context, job, chunk).await? {
        true => Ok(FailureAction::Split),
        false => Ok(FailureAction::GiveUp),
    }
}

/// Appends a failed attempt to the audit trail: the chunk itself loses it once it is closed.
async fn audit_attempt(session: &Session, job: &Job, chunk: i32, attempt: i32, error: &Error) -> Result<()> {
    let detail = serde_json::json!([{
        "code": "attempt_failed", "message": error.to_string(), "hint": "", "chunk": chunk, "attempt": attempt,
    }]);
    let more = format!("{} attempts have failed; later ones are recorded with their chunks only", audit::MOST_FAILED);
    let more = serde_json::json!([{ "code": "more_attempts_failed", "message": more, "hint": "" }]);
    let action = audit::CHUNK_FAILED.into();
    let entry = audit::Entry { actor: "handover".into(), action, ..audit_entry(job) };
    audit::append_failed(session, audit::Entry { detail: Some(detail), ..entry }, more).await
}

/// Returns why a job needs attention whose other chunks are done: each row that was refused, and chunks that failed whole.
pub async fn reasons_of_failed(session: &Session, job: &Job, failed: u64) -> Result<Vec<Reason>> {
    let progress = references::of_jobs(session, &[job.id]).await?;
    let mut reasons = Vec::new();
    for chunk in chunks::first_failed(session, job.id, MOST_REPORTED).await? {
        let of_chunk = progress.iter().find(|progress| progress.position == chunk.position as usize);
        let kind = of_chunk.map_or("", |progress| &progress.kind);
        let error = chunk.error.as_deref().unwrap_or("unknown");
        reasons.push(match range_of(&chunk) {
            Ok((first, last)) if first == last => reason::row_refused(kind, &first.join(","), error),
            _ => reason::chunk_failed(kind, chunk.number, error),
        });
    }
    if failed > MOST_REPORTED {
        reasons.push(reason::more_failed(failed, MOST_REPORTED));
    }
    Ok(reasons)
}

/// Records that a step failed after its attempts at once: it is put off, or the job stops.
pub async fn record_failed_step(context: &Context, step: Step, error: &Error) -> Result<()> {
    let (id, name) = (step.job_id, step.step.name());
    match pause_before_next(error.class(), step.deferrals, &context.limits) {
        Some(pause) => {
            let pause_ms = pause.as_millis() as u64;
            metrics::retried("a blocked step");
            tracing::warn!(job = %id, step = name, deferrals = step.deferrals, pause_ms, %error, "step put off");
            defer(context, step, pause).await
        }
        None => {
            tracing::error!(job = %id, step = name, %error, "step failed; its job needs attention");
            let reason = reason::step_failed(step.step.routing_key(), &error.to_string());
            let session = context.store.begin(GIVE_UP).await?;
            stop_in(session, id, vec![reason], now()).await
        }
    }
}

/// Leaves a step for later, and so gives the mover back.
async fn defer(context: &Context, step: Step, pause: Duration) -> Result<()> {
    let session = context.store.begin(GIVE_UP).await?;
    let Some(mut change) = JobChange::lock(&session, step.job_id.0).await? else { return Ok(()) };
    change.defer(step, now() + pause, context.limits)?;
    change.write(&session).await?;
    session.commit().await
}

/// Stops a job in a transaction that has begun, and commits it. A person decides; what was moved stays moved. A paused job stays
/// paused, and reports the reasons.
pub async fn stop_in(session: Session, id: JobId, reasons: Vec<Reason>, now: OffsetDateTime) -> Result<()> {
    let Some(mut change) = JobChange::lock(&session, id.0).await? else { return Ok(()) };
    if change.state() == State::Paused && change.job.started_at.is_none() {
        change.stay_paused(reasons, None, now)?;
    } else if next(change.state(), Transition::NeedsAttention).is_ok() {
        change.mark_needs_attention(reasons, now)?;
    } else {
        return Ok(());
    }
    change.write(&session).await?;
    session.commit().await
}
