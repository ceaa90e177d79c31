//! Resizing: chunks that take too long are cut smaller, before they are worked on if that can be expected, and after a timeout.
//! While the host is active, all chunks are smaller.
//!
//! Each part keeps the ranks of its rows, so the successor of each record does not change. The chunk and its new parts are open
//! at once, in a transaction that holds the job's lock, under which chunks are numbered. A chunk of an undo is cut into slices
//! of its keys, if it has any.

use time::OffsetDateTime;

use crate::catalog::Reference;
use crate::stages::changes::leave_tickets;
use crate::stages::context::Context;
use crate::stages::handover::bisect;
use crate::stages::handover::chunk::{FailureAction, is_unbounded, pause_after_failures, range_of, throughput_key};
use crate::stages::undo::cut::can_be_cut;
use crate::store::host::LockRun;
use crate::store::ledger::chunks::{self, Chunk};
use crate::store::ledger::jobs::Job;
use crate::store::ledger::references::ReferenceProgress;
use crate::store::ledger::{jobs, references};
use crate::store::{Error, Result, Session, host};

/// The number of parts of a chunk whose statement took too long. A few rounds find the row to blame.
const PARTS: u64 = 8;

/// Cuts a chunk that has more rows than it should have now. Returns false if nothing was cut.
pub async fn shrink_to_fit(
    session: &Session,
    context: &Context,
    job: &Job,
    chunk: &Chunk,
    now: OffsetDateTime,
) -> Result<bool> {
    let limits = &context.limits;
    let rows = context.throughput.rows_of_a_chunk(&throughput_key(job), chunk.position as usize, limits);
    // Cutting reads the keys once more, which does not pay for less than half as many rows again.
    let Some(rows) = rows.filter(|rows| rows.saturating_add(rows / 2) < chunk.records.max(0) as u64) else {
        return Ok(false);
    };
    let has_keys = match job.undoes() {
        true => can_be_cut(session, context, job, chunk).await?,
        false => !is_unbounded(chunk),
    };
    if !has_keys {
        return Ok(false);
    }
    let Some(next_number) = lock(session, job).await? else { return Ok(false) };
    let open = chunks::open_up_to(session, job.id, limits.window).await?;
    let mut first = chunk.clone();
    let parts = cut(session, context, job, &mut first, next_number, |_| rows).await?;
    if parts.is_empty() {
        return Ok(false);
    }
    tracing::debug!(job = %job.id, chunk = chunk.number, parts = parts.len() + 1, "chunk cut to fit");
    // One chunk has one ticket; its parts may be worked on in parallel.
    let tickets = limits.window.saturating_sub(open).min(parts.len() as u64);
    chunks::update(session, first).await?;
    chunks::insert(session, parts).await?;
    leave_tickets(session, tickets, job, now).await?;
    Ok(true)
}

/// Decides what is done about a chunk that timed out. If it took too long itself, it is cut down to the row that does. If it
/// waited for a lock, the locked rows are left for later, and all others go on without them.
pub async fn after_timeout(
    session: &Session,
    context: &Context,
    job: &Job,
    chunk: &mut Chunk,
    error: &Error,
    now: OffsetDateTime,
) -> Result<FailureAction> {
    let may_retry = chunk.attempts < context.limits.chunk_attempts;
    let Some(next_number) = lock(session, job).await? else { return Ok(FailureAction::Retry) };
    if !error.waited_for_a_lock() {
        let parts = cut(session, context, job, chunk, next_number, |rows| rows.div_ceil(PARTS)).await?;
        return match parts.is_empty() {
            true if may_retry => Ok(FailureAction::Retry),
            true => cut_down(session, context, job, chunk).await,
            false => {
                chunks::insert(session, parts).await?;
                Ok(FailureAction::Split)
            }
        };
    }
    let runs = runs(session, context, job, chunk).await?;
    let (is_any_locked, are_all_locked) = match &runs {
        Some(runs) => (runs.iter().any(|run| run.is_locked), runs.iter().all(|run| run.is_locked)),
        None => (true, true),
    };
    match runs {
        // Something that every row needs is locked: only waiting helps.
        Some(_) if !is_any_locked => Ok(FailureAction::Retry),
        Some(runs) if !are_all_locked => {
            let due = now + pause_after_failures(chunk.attempts);
            let parts = split_locked(chunk, runs, next_number, due);
            tracing::info!(job = %job.id, chunk = chunk.number, parts = parts.len() + 1, "locked rows left for later");
            chunks::insert(session, parts).await?;
            leave_tickets(session, 1, job, due).await?;
            Ok(FailureAction::Split)
        }
        _ if may_retry => Ok(FailureAction::Retry),
        _ => cut_down(session, context, job, chunk).await,
    }
}

/// Halves a chunk that has no attempts left. Its halves have one attempt each; a single row is given up.
async fn cut_down(session: &Session, context: &Context, job: &Job, chunk: &mut Chunk) -> Result<FailureAction> {
    Ok(match !job.undoes() && bisect::halve(session, context, job, chunk).await? {
        true => FailureAction::Split,
        false => FailureAction::GiveUp,
    })
}

/// Locks the job, under which chunks are numbered. Returns the next number, if the job exists.
async fn lock(session: &Session, job: &Job) -> Result<Option<i32>> {
    match jobs::lock(session, job.id).await? {
        Some(_) => chunks::next_number(session, job.id).await.map(Some),
        None => Ok(None),
    }
}

/// Cuts a chunk into parts of the rows that it holds now. It keeps the first part; the result is the others, or none if it
/// cannot be cut. Rows without keys are cut only by the cutter and by bisection.
async fn cut(
    session: &Session,
    context: &Context,
    job: &Job,
    chunk: &mut Chunk,
    next_number: i32,
    rows: impl FnOnce(u64) -> u64,
) -> Result<Vec<Chunk>> {
    if job.undoes() {
        return Ok(match can_be_cut(session, context, job, chunk).await? {
            true => slices(chunk, next_number, rows(chunk.records.max(0) as u64)),
            false => Vec::new(),
        });
    }
    let catalog = context.enter(session, job).await?;
    let Some((reference, progress)) = reference_of(session, &catalog.references, job, chunk).await? else {
        return Ok(Vec::new());
    };
    let ranges = bisect::ranges_of(session, reference, job, &progress, chunk, rows).await?;
    Ok(bisect::share_out(chunk, ranges, next_number))
}

/// Cuts a chunk of an undo into slices of its keys. It keeps the first slice; the result is the others.
fn slices(chunk: &mut Chunk, next_number: i32, rows: u64) -> Vec<Chunk> {
    let (whole, rows) = (chunk.clone(), i64::try_from(rows.max(1)).unwrap_or(i64::MAX));
    chunk.records = whole.records.min(rows);
    let mut others = Vec::new();
    let mut begins = chunk.records;
    while begins < whole.records {
        let number = next_number + others.len() as i32;
        let records = (whole.records - begins).min(rows);
        others.push(Chunk { number, first_rank: whole.first_rank + begins, records, ..whole.clone() });
        begins += records;
    }
    others
}

/// Returns a chunk's rows in runs that are locked or not. Returns nothing if that cannot be determined.
async fn runs(session: &Session, context: &Context, job: &Job, chunk: &Chunk) -> Result<Option<Vec<LockRun>>> {
    let catalog = context.enter(session, job).await?;
    let found = reference_of(session, &catalog.references, job, chunk).await?;
    let Some((reference, progress)) = found.filter(|_| !chunk.named) else { return Ok(None) };
    let (first, last) = range_of(chunk)?;
    let except: Vec<String> = progress.named.keys().cloned().collect();
    // A role that may only delete rows may not lock them, and an error would end the transaction.
    session.savepoint().await?;
    match host::lock_runs(session, reference, &job.user_id, (&first, &last), &except).await {
        Ok(runs) => session.forget_savepoint().await.map(|()| Some(runs)),
        Err(error) if error.is_forbidden() => session.back_to_savepoint().await.map(|()| None),
        // The whole table is locked: no row of it is to blame.
        Err(error) if error.waited_for_a_lock() => session.back_to_savepoint().await.map(|()| Some(Vec::new())),
        Err(error) => Err(error),
    }
}

/// Returns the reference that a chunk belongs to, and its progress. Returns nothing if its rows have no keys.
async fn reference_of<'c>(
    session: &Session,
    references: &'c [Reference],
    job: &Job,
    chunk: &Chunk,
) -> Result<Option<(&'c Reference, ReferenceProgress)>> {
    let position = chunk.position as usize;
    let all = references::of_jobs(session, &[job.id]).await?;
    let progress = all.into_iter().find(|progress| progress.position == position);
    Ok(references.get(position).filter(|reference| !reference.keyless).zip(progress))
}

/// Cuts a chunk into its runs. Locked runs pause with the attempts that they had; the others start with none.
fn split_locked(chunk: &mut Chunk, runs: Vec<LockRun>, next_number: i32, due: OffsetDateTime) -> Vec<Chunk> {
    let attempts = chunk.attempts;
    let locked: Vec<bool> = runs.iter().map(|run| run.is_locked).collect();
    let mut parts = bisect::share_out(chunk, runs.into_iter().map(|run| run.range).collect(), next_number);
    for (part, is_locked) in std::iter::once(chunk).chain(&mut parts).zip(locked) {
        part.attempts = if is_locked { attempts } else { 0 };
        part.not_before = is_locked.then_some(due);
    }
    parts
}
