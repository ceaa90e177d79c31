//! Resizes chunks. A chunk that is expected to take too long is cut before work starts; one that timed out is cut afterwards.
//! While the host is active, chunks are smaller, except chunks of snapshots.
//!
//! Each part keeps its rows' ranks, so their successors do not change. One transaction shrinks the chunk and inserts the parts;
//! it holds the job's lock, which also protects chunk numbers. A chunk of an undo is cut into slices of its keys, if it has
//! any.

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

/// The most parts that a timed-out chunk is cut into. A few rounds find the row to blame.
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
    // Cutting reads the keys again. That pays only if the chunk has more than 1.5 times the target size.
    let Some(target_rows) = rows.filter(|rows| rows.saturating_add(rows / 2) < chunk.records.max(0) as u64) else {
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
    let open = chunks::count_open(session, job.id, limits.window).await?;
    let mut first = chunk.clone();
    let parts = cut(session, context, job, &mut first, next_number, |_| target_rows).await?;
    if parts.is_empty() {
        return Ok(false);
    }
    tracing::debug!(job = %job.id, org = job.org, request = job.request_id, chunk = chunk.number, parts = parts.len() + 1, "chunk cut to fit");
    // One chunk has one ticket; its parts may be worked on in parallel.
    let tickets = limits.window.saturating_sub(open).min(parts.len() as u64);
    chunks::update(session, first).await?;
    chunks::insert(session, parts).await?;
    leave_tickets(session, tickets, job, now).await?;
    Ok(true)
}

/// Handles a chunk that timed out. If its own statement was slow, the chunk is cut into smaller ones. If some of its rows are
/// locked, those are split off and postponed. Otherwise the chunk is retried or given up.
pub async fn after_timeout(
    session: &Session,
    context: &Context,
    job: &Job,
    chunk: &mut Chunk,
    error: &Error,
    now: OffsetDateTime,
) -> Result<FailureAction> {
    let Some(next_number) = lock(session, job).await? else { return Ok(FailureAction::Retry) };
    if !error.waited_for_a_lock() {
        let parts = cut(session, context, job, chunk, next_number, |rows| rows.div_ceil(PARTS)).await?;
        if !parts.is_empty() {
            chunks::insert(session, parts).await?;
            return Ok(FailureAction::Split);
        }
        return retry_or_cut_down(session, context, job, chunk).await;
    }
    match locks(session, context, job, chunk).await? {
        // The table is locked, or the lock was released: waiting helps.
        Locks::OnNoRow => Ok(FailureAction::Retry),
        Locks::OnSomeRows(runs) => {
            let due = now + pause_after_failures(chunk.attempts);
            let parts = split_locked(chunk, runs, next_number, due);
            tracing::info!(job = %job.id, org = job.org, request = job.request_id, chunk = chunk.number, parts = parts.len() + 1, "locked rows left for later");
            chunks::insert(session, parts).await?;
            leave_tickets(session, 1, job, due).await?;
            Ok(FailureAction::Split)
        }
        Locks::OnEveryRow | Locks::Unknown => retry_or_cut_down(session, context, job, chunk).await,
    }
}

/// Retries a chunk while it has attempts left; then halves it. A single row, and a chunk of an undo, is given up.
async fn retry_or_cut_down(
    session: &Session,
    context: &Context,
    job: &Job,
    chunk: &mut Chunk,
) -> Result<FailureAction> {
    if chunk.attempts < context.limits.chunk_attempts {
        return Ok(FailureAction::Retry);
    }
    if !job.undoes() && bisect::halve(session, context, job, chunk).await? {
        return Ok(FailureAction::Split);
    }
    Ok(FailureAction::GiveUp)
}

/// Locks the job, under which chunks are numbered. Returns the next number, if the job exists.
async fn lock(session: &Session, job: &Job) -> Result<Option<i32>> {
    match jobs::lock(session, job.id).await? {
        Some(_) => chunks::next_number(session, job.id).await.map(Some),
        None => Ok(None),
    }
}

/// Cuts a chunk into parts of the rows that it holds now. `chunk` keeps the first part; the others are returned, or none if it
/// cannot be cut. `part_size` returns the rows of a part, given all rows. Rows without keys are cut only by the cutter and by bisection.
async fn cut(
    session: &Session,
    context: &Context,
    job: &Job,
    chunk: &mut Chunk,
    next_number: i32,
    part_size: impl FnOnce(u64) -> u64,
) -> Result<Vec<Chunk>> {
    if job.undoes() {
        if !can_be_cut(session, context, job, chunk).await? {
            return Ok(Vec::new());
        }
        return Ok(slices(chunk, next_number, part_size(chunk.records.max(0) as u64)));
    }
    let catalog = context.enter(session, job).await?;
    let Some((reference, progress)) = reference_of(session, &catalog.references, job, chunk).await? else {
        return Ok(Vec::new());
    };
    let ranges = bisect::ranges_of(session, reference, job, &progress, chunk, part_size).await?;
    Ok(bisect::share_out(chunk, ranges, next_number))
}

/// Cuts a chunk of an undo into slices of its keys. `chunk` keeps the first slice; the others are returned.
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

/// The locks of other transactions on a chunk's rows.
enum Locks {
    /// No row is locked now.
    OnNoRow,
    /// Some rows are locked: the chunk's rows in runs that are locked or not.
    OnSomeRows(Vec<LockRun>),
    /// Every row is locked.
    OnEveryRow,
    /// Not known: the rows have no keys, are named one by one, belong to an undo, or may not be locked by this role.
    Unknown,
}

/// Finds the rows of a chunk that other transactions hold locked.
async fn locks(session: &Session, context: &Context, job: &Job, chunk: &Chunk) -> Result<Locks> {
    // The position of an undo's chunk is not one in the catalog, and the records that a request names have no range.
    if job.undoes() || chunk.named {
        return Ok(Locks::Unknown);
    }
    let catalog = context.enter(session, job).await?;
    let found = reference_of(session, &catalog.references, job, chunk).await?;
    let Some((reference, progress)) = found else { return Ok(Locks::Unknown) };
    let (first, last) = range_of(chunk)?;
    let except: Vec<String> = progress.named.keys().cloned().collect();
    // A role that may only delete rows may not lock them, and an error would end the transaction.
    session.savepoint().await?;
    match host::lock_runs(session, reference, &job.user_id, (&first, &last), &except).await {
        Ok(runs) => session.forget_savepoint().await.map(|()| locks_of(runs)),
        Err(error) if error.is_forbidden() => session.back_to_savepoint().await.map(|()| Locks::Unknown),
        // The whole table is locked: no row of it is to blame.
        Err(error) if error.waited_for_a_lock() => session.back_to_savepoint().await.map(|()| Locks::OnNoRow),
        Err(error) => Err(error),
    }
}

fn locks_of(runs: Vec<LockRun>) -> Locks {
    if runs.iter().all(|run| !run.is_locked) {
        Locks::OnNoRow
    } else if runs.iter().all(|run| run.is_locked) {
        Locks::OnEveryRow
    } else {
        Locks::OnSomeRows(runs)
    }
}

/// Returns the reference of a chunk of a handover, and its progress. Returns `None` if its rows have no keys, or if there is no
/// progress.
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

/// Cuts a chunk into its runs. Locked parts are postponed and keep their failed attempts; the others start at zero.
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
