//! Chunks that take too long are cut smaller: those expected to, before they are worked on, and those that ran out of time.
//! While the host is at work, all of them are.
//!
//! Each part keeps the ranks of its rows, so who receives which record does not change. The part that stays the chunk's
//! own and the new ones are open at once, in a transaction that holds the job's lock, under which chunks' numbers are given.
//! A chunk of an undo is cut into slices of its keys, where it has any.

use std::borrow::Cow;

use time::OffsetDateTime;

use crate::catalog::Reference;
use crate::job::StepKind;
use crate::stages::handover::bisect;
use crate::stages::handover::mover::rest_after;
use crate::stages::undo::work;
use crate::stages::{Context, messages};
use crate::store::host::LockRun;
use crate::store::ledger::chunks::{self, Chunk};
use crate::store::ledger::jobs::Job;
use crate::store::ledger::references::ReferenceProgress;
use crate::store::ledger::{jobs, outbox, references};
use crate::store::{Error, Result, Session, host};

/// Parts that a chunk is cut into whose statement took too long: a row to blame is found in a few rounds.
const PARTS: u64 = 8;

/// What becomes of a chunk that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureAction {
    /// It is tried again, after a rest.
    Retry,
    /// Smaller ones stand in its place.
    Split,
    /// It is given up.
    GiveUp,
}

/// Cuts a chunk of more rows than it should have just now; whether it did.
pub async fn fit(session: &Session, context: &Context, job: &Job, chunk: &Chunk, now: OffsetDateTime) -> Result<bool> {
    let limits = &context.limits;
    let rows = context.throughput.rows_of_a_chunk(&way(job), chunk.position as usize, limits);
    // For less than half as much again the cutting, which reads the keys once more, is not worth it.
    let Some(rows) = rows.filter(|rows| rows.saturating_add(rows / 2) < chunk.records.max(0) as u64) else {
        return Ok(false);
    };
    let can_be_cut = match job.undoes() {
        true => work::can_be_cut(session, context, job, chunk).await?,
        false => !bisect::is_unbounded(chunk),
    };
    if !can_be_cut {
        return Ok(false);
    }
    let Some(next_number) = lock(session, job).await? else { return Ok(false) };
    let open = chunks::open_up_to(session, job.id, limits.window).await?;
    let mut first = chunk.clone();
    let parts = cut(session, context, job, &mut first, next_number, |_| rows).await?;
    if parts.is_empty() {
        return Ok(false);
    }
    tracing::debug!(job = %job.id, chunk = chunk.number, parts = parts.len() + 1, "a chunk is too large just now: it is cut");
    // Of one chunk there is one ticket, and its parts may be worked on side by side.
    let tickets = limits.window.saturating_sub(open).min(parts.len() as u64);
    let tickets = (0..tickets).map(|_| messages::step(StepKind::Ticket, job, now)).collect();
    chunks::update(session, first).await?;
    chunks::insert(session, parts).await?;
    outbox::insert(session, tickets).await?;
    Ok(true)
}

/// Under which name rows' throughput are kept: back they may take another time than they took out.
pub fn way(job: &Job) -> Cow<'_, str> {
    match job.undoes() {
        true => format!("{} back", job.catalog_hash).into(),
        false => job.catalog_hash.as_str().into(),
    }
}

/// What becomes of a chunk that ran out of time. Where it took too long itself, it is cut down to the row that does. Where
/// it waited for a lock, the rows that somebody holds are left for later, and all others go on without them.
pub async fn out_of_time(
    session: &Session,
    context: &Context,
    job: &Job,
    chunk: &mut Chunk,
    error: &Error,
    now: OffsetDateTime,
) -> Result<FailureAction> {
    let may_rest = chunk.attempts < context.limits.chunk_attempts;
    let Some(next_number) = lock(session, job).await? else { return Ok(FailureAction::Retry) };
    if !error.waited_for_a_lock() {
        let parts = cut(session, context, job, chunk, next_number, |rows| rows.div_ceil(PARTS)).await?;
        return match parts.is_empty() {
            true if may_rest => Ok(FailureAction::Retry),
            true => cut_down(session, context, job, chunk).await,
            false => {
                chunks::insert(session, parts).await?;
                Ok(FailureAction::Split)
            }
        };
    }
    let runs = runs(session, context, job, chunk).await?;
    let (is_any_held, are_all_held) = match &runs {
        Some(runs) => (runs.iter().any(|run| run.is_locked), runs.iter().all(|run| run.is_locked)),
        None => (true, true),
    };
    match runs {
        // Something else is locked, that every row needs: to wait is all that helps.
        Some(_) if !is_any_held => Ok(FailureAction::Retry),
        Some(runs) if !are_all_held => {
            let due = now + rest_after(chunk.attempts);
            let parts = set_apart(chunk, runs, next_number, due);
            tracing::info!(job = %job.id, chunk = chunk.number, parts = parts.len() + 1, "rows that somebody holds are left for later");
            chunks::insert(session, parts).await?;
            outbox::insert(session, vec![messages::step(StepKind::Ticket, job, due)]).await?;
            Ok(FailureAction::Split)
        }
        _ if may_rest => Ok(FailureAction::Retry),
        _ => cut_down(session, context, job, chunk).await,
    }
}

/// The last resort of a chunk whose attempts are over: its halves have one each, and a single row is given up.
async fn cut_down(session: &Session, context: &Context, job: &Job, chunk: &mut Chunk) -> Result<FailureAction> {
    Ok(match !job.undoes() && bisect::halve(session, context, job, chunk).await? {
        true => FailureAction::Split,
        false => FailureAction::GiveUp,
    })
}

/// Locks the job, under which chunks are numbered; the next number, where there is such a job.
async fn lock(session: &Session, job: &Job) -> Result<Option<i32>> {
    match jobs::lock(session, job.id).await? {
        Some(_) => chunks::next_number(session, job.id).await.map(Some),
        None => Ok(None),
    }
}

/// Cuts a chunk into parts of so many of the rows that it holds now: it keeps the first, and these are the others; none
/// where it cannot be cut. Rows without keys are cut by the cutter, and by whoever finds the row to blame.
async fn cut(
    session: &Session,
    context: &Context,
    job: &Job,
    chunk: &mut Chunk,
    next_number: i32,
    rows: impl FnOnce(u64) -> u64,
) -> Result<Vec<Chunk>> {
    if job.undoes() {
        return Ok(match work::can_be_cut(session, context, job, chunk).await? {
            true => slices(chunk, next_number, rows(chunk.records.max(0) as u64)),
            false => Vec::new(),
        });
    }
    let catalog = context.enter(session, job).await?;
    let Some((reference, course)) = what_of(session, &catalog.references, job, chunk).await? else {
        return Ok(Vec::new());
    };
    let ranges = bisect::ranges_of(session, reference, job, &course, chunk, rows).await?;
    Ok(bisect::share_out(chunk, ranges, next_number))
}

/// Cuts a chunk of an undo into slices of so many keys: it keeps the first, and these are the others.
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

/// A chunk's rows by whether somebody holds them just now; nothing where that cannot be seen.
async fn runs(session: &Session, context: &Context, job: &Job, chunk: &Chunk) -> Result<Option<Vec<LockRun>>> {
    let catalog = context.enter(session, job).await?;
    let found = what_of(session, &catalog.references, job, chunk).await?;
    let Some((reference, course)) = found.filter(|_| !chunk.named) else { return Ok(None) };
    let (first, last) = bisect::range_of(chunk)?;
    let except: Vec<String> = course.named.keys().cloned().collect();
    // A role that may only delete rows may not lock them, and an error would end the transaction.
    session.savepoint().await?;
    match host::lock_runs(session, reference, &job.user_id, (&first, &last), &except).await {
        Ok(runs) => session.forget_savepoint().await.map(|()| Some(runs)),
        Err(error) if error.is_forbidden() => session.back_to_savepoint().await.map(|()| None),
        // The whole table is held: no row of it is to blame.
        Err(error) if error.waited_for_a_lock() => session.back_to_savepoint().await.map(|()| Some(Vec::new())),
        Err(error) => Err(error),
    }
}

/// The reference that a chunk is of, and what the job does with it; nothing where its rows have no keys.
async fn what_of<'c>(
    session: &Session,
    references: &'c [Reference],
    job: &Job,
    chunk: &Chunk,
) -> Result<Option<(&'c Reference, ReferenceProgress)>> {
    let position = chunk.position as usize;
    let courses = references::of_jobs(session, &[job.id]).await?;
    let course = courses.into_iter().find(|course| course.position == position);
    Ok(references.get(position).filter(|reference| !reference.keyless).zip(course))
}

/// Cuts a chunk into its runs. Those that are held rest until then, with the attempts that they have had; the others begin anew.
fn set_apart(chunk: &mut Chunk, runs: Vec<LockRun>, next_number: i32, due: OffsetDateTime) -> Vec<Chunk> {
    let attempts = chunk.attempts;
    let held: Vec<bool> = runs.iter().map(|run| run.is_locked).collect();
    let mut parts = bisect::share_out(chunk, runs.into_iter().map(|run| run.range).collect(), next_number);
    for (part, is_locked) in std::iter::once(chunk).chain(&mut parts).zip(held) {
        part.attempts = if is_locked { attempts } else { 0 };
        part.not_before = is_locked.then_some(due);
    }
    parts
}
