//! The mover: takes any open chunk of a job, moves its records, journals them and closes it, in one transaction.
//!
//! Once everything is cut, one ticket may serve several chunks, one after the other, each in a transaction of its own. The
//! ticket is delivered again until it is acknowledged, so no further ticket is needed.
//!
//! The lock on the chunk's row and its state are the fence: a worker that was taken for dead finds its session gone, or its
//! chunk closed. Run twice, the mover takes another chunk or finds none. A crash leaves nothing.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use time::OffsetDateTime;

use crate::catalog::Catalog;
use crate::contract::{JobId, Reason};
use crate::job::{State, StepKind, Transition};
use crate::metrics::Observation;
use crate::stages::changes::leave_tickets;
use crate::stages::context::{Context, now};
use crate::stages::handover::chunk::{gone_successors, named_slice, range_of, rows_without_keys, throughput_key};
use crate::stages::handover::failure::{reasons_of_failed, record_failure, stop_in};
use crate::stages::handover::resize;
use crate::stages::lifecycle::JobChange;
use crate::stages::undo::work;
use crate::store::host::{Assignment, RowRange, WorkItem};
use crate::store::ledger::chunks::{self, Chunk, ClaimedChunk, WAITING};
use crate::store::ledger::jobs::Job;
use crate::store::ledger::references::ReferenceProgress;
use crate::store::{Error, Result, Session, host};

/// The pause before an undo looks again for rows that other chunks may have restored.
const PAUSE_FOR_OTHERS: Duration = Duration::from_millis(200);

/// The transaction of a chunk.
pub const MOVE: &str = "move";

/// Works on one chunk of a job. A chunk that fails for a reason of its own is tried again later, a bounded number of times;
/// other chunks go on.
pub async fn run_ticket(context: &Context, id: JobId) -> Result<()> {
    run_ticket_while(context, id, |_| AfterChunk::default()).await
}

/// The next action of a ticket after a chunk.
#[derive(Debug, Clone, Copy, Default)]
pub struct AfterChunk {
    /// True if the ticket takes another chunk.
    pub goes_on: bool,
    /// The pause before that, or before the ticket is acknowledged.
    pub rest: Duration,
}

/// Works on chunks of a job as long as there are any and `after_chunk` continues. It gets the time that each chunk took.
pub async fn run_ticket_while(
    context: &Context,
    id: JobId,
    mut after_chunk: impl FnMut(Duration) -> AfterChunk + Send,
) -> Result<()> {
    let failure = loop {
        match move_one(context, id, &mut after_chunk).await {
            Ok(AfterChunk { goes_on, rest }) => {
                tokio::time::sleep(rest).await;
                if !goes_on {
                    return Ok(());
                }
            }
            Err(failure) => break failure,
        }
    };
    handle_failure(context, id, failure).await
}

/// Records the failure of a chunk, or returns an error that is not about the chunk.
async fn handle_failure(context: &Context, id: JobId, failure: Failure) -> Result<()> {
    match failure {
        Failure { error, chunk: Some(chunk), in_host_rows: true } if error.is_out_of_time() => {
            record_failure(context, id, &chunk, &error).await
        }
        Failure { error, .. } if error.is_transient() || error.is_superseded() => Err(error),
        Failure { error, chunk: None, .. } => Err(error),
        Failure { error, chunk: Some(chunk), .. } => record_failure(context, id, &chunk, &error).await,
    }
}

/// An error, and the chunk that was worked on.
struct Failure {
    error: Error,
    chunk: Option<Box<Chunk>>,
    /// True if the host's rows were being changed.
    in_host_rows: bool,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure { error, chunk: None, in_host_rows: false }
    }
}

/// Works on a chunk, or finds that there is none. A chunk that is too large is cut, and its parts come next.
async fn move_one(
    context: &Context,
    id: JobId,
    after_chunk: &mut (impl FnMut(Duration) -> AfterChunk + Send),
) -> std::result::Result<AfterChunk, Failure> {
    let began = Instant::now();
    let now = now();
    let session = context.store.begin(MOVE).await?;
    let asked = Instant::now();
    let Some(claimed) = chunks::claim(&session, id.0, now).await? else {
        end_of_chunks(session, id, now).await?;
        return Ok(AfterChunk::default());
    };
    let answer = asked.elapsed();
    let job = &claimed.job;
    let with_chunk = |error| Failure { error, chunk: Some(Box::new(claimed.chunk.clone())), in_host_rows: false };
    if !matches!(job.state, State::Cutting | State::Moving) {
        return Ok(AfterChunk::default());
    }
    // A lock on the host's rows delays counting them, too.
    let in_host_rows = |error: Error| match error.is_out_of_time() {
        true => Failure { error, chunk: Some(Box::new(claimed.chunk.clone())), in_host_rows: true },
        false => Failure::from(error),
    };
    if resize::shrink_to_fit(&session, context, job, &claimed.chunk, now).await.map_err(in_host_rows)? {
        session.commit().await?;
        return Ok(AfterChunk { goes_on: true, rest: Duration::ZERO });
    }
    if job.undoes() {
        undo_chunk(&session, context, &claimed, Clock { began, answer, now }).await?;
    } else {
        let gone = move_chunk(&session, context, &claimed, Clock { began, answer, now }).await?;
        if !gone.is_empty() {
            // In this transaction: an amendment with other successors waits for it, and is not stopped for the old ones.
            stop_in(session, id, gone, now).await?;
            return Ok(AfterChunk::default());
        }
    }
    // Not while the job is still being cut: the cutter's step waits on the same queue as the tickets. Movers that outran it
    // would never end with an application that keeps adding records.
    let AfterChunk { goes_on, rest } = after_chunk(began.elapsed());
    if job.state == State::Moving && goes_on {
        session.commit().await.map_err(with_chunk)?;
        return Ok(AfterChunk { goes_on, rest });
    }
    match chunks::any_open(&session, job.id).await? {
        true => leave_ticket(session, job, now).await.map_err(with_chunk)?,
        false => end_of_chunks(session, id, now).await.map_err(with_chunk)?,
    }
    Ok(AfterChunk { goes_on: false, rest })
}

async fn leave_ticket(session: Session, job: &Job, now: OffsetDateTime) -> Result<()> {
    leave_tickets(&session, 1, job, now).await?;
    session.commit().await
}

/// The times of a chunk's transaction.
#[derive(Clone, Copy)]
struct Clock {
    began: Instant,
    /// The time of a statement that hardly touches any rows.
    answer: Duration,
    now: OffsetDateTime,
}

/// Moves the records of a chunk and closes it. If successors are gone, returns them and does nothing.
async fn move_chunk(
    session: &Session,
    context: &Context,
    claimed: &ClaimedChunk,
    clock: Clock,
) -> std::result::Result<Vec<Reason>, Failure> {
    let Clock { began, answer, now } = clock;
    let ClaimedChunk { chunk, job, progress } = claimed;
    let with_chunk = |error| Failure { error, chunk: Some(Box::new(chunk.clone())), in_host_rows: true };
    let catalog = context.enter(session, job).await?;
    let position = chunk.position as usize;
    let progress = progress.as_ref().ok_or_else(|| {
        Error::unexpected("moving a chunk", format!("the job {} has no reference {position}", job.id))
    })?;
    let item = item_of(session, &catalog, job, progress, chunk, now).await?;
    let gone = gone_successors(session, &catalog, job, progress, &item).await?;
    if !gone.is_empty() {
        return Ok(gone);
    }
    let reference = &catalog.references[position];
    if catalog.shares_rows(reference) {
        host::lock_shared_rows(session, &BTreeSet::from([job.org.as_str()])).await?;
    }
    let asked = Instant::now();
    let done = host::apply(session, &catalog, reference, std::slice::from_ref(&item)).await.map_err(with_chunk)?;
    let done = done.first().map_or(0, |done| done.rows);
    // Without the round trip, which does not depend on the number of rows.
    context.throughput.note(&throughput_key(job), position, done, asked.elapsed().saturating_sub(answer));
    let dealt_to_nobody = match &item.assignment {
        Assignment::Dealt { successors, .. } => {
            successors.iter().filter(|successor| successor.is_none()).count() as i64
        }
        Assignment::None | Assignment::Sole(_) | Assignment::Named(_) => 0,
    };
    close(session, chunk.clone(), Counts { done, dealt_to_nobody }, began, now).await?;
    Ok(Vec::new())
}

/// Undoes the journal row or the snapshots of a chunk, and closes it.
async fn undo_chunk(
    session: &Session,
    context: &Context,
    claimed: &ClaimedChunk,
    clock: Clock,
) -> std::result::Result<(), Failure> {
    let Clock { began, answer, now } = clock;
    let ClaimedChunk { chunk, job, .. } = claimed;
    // An undo that waits for a lock goes on waiting: a locked row is not skipped.
    let failure = |error: Error| {
        let in_host_rows = !error.waited_for_a_lock();
        Failure { error, chunk: Some(Box::new(chunk.clone())), in_host_rows }
    };
    let asked = Instant::now();
    let work::Worked { restored, by_keys, waits } =
        work::work(session, context, job, chunk, now).await.map_err(failure)?;
    if by_keys {
        let took = asked.elapsed().saturating_sub(answer);
        context.throughput.note(&throughput_key(job), chunk.position as usize, restored, took);
    }
    if let Some(rounds) = waits {
        let due = now + PAUSE_FOR_OTHERS;
        let error = Some(format!("{WAITING}{rounds}"));
        let chunk = Chunk { done: chunk.done + restored as i64, not_before: Some(due), error, ..chunk.clone() };
        chunks::update(session, chunk).await?;
        return Ok(leave_tickets(session, 1, job, due).await?);
    }
    let restored = restored + chunk.done.max(0) as u64;
    // The journal lists what did not come back.
    let counts = Counts { done: restored, dealt_to_nobody: chunk.records - restored as i64 };
    Ok(close(session, chunk.clone(), counts, began, now).await?)
}

/// The counts of a chunk's records.
struct Counts {
    done: u64,
    dealt_to_nobody: i64,
}

async fn item_of(
    session: &Session,
    catalog: &Catalog,
    job: &Job,
    progress: &ReferenceProgress,
    chunk: &Chunk,
    now: OffsetDateTime,
) -> Result<WorkItem> {
    let leaver = job.user()?;
    let range = match catalog.references[progress.position].keyless {
        true => rows_without_keys(session, chunk).await?,
        false => {
            let (first, last) = range_of(chunk)?;
            RowRange::Keys { first, last }
        }
    };
    let assignment = assignment_of(catalog, progress, chunk, &range);
    let range = if chunk.named { RowRange::Whole } else { range };
    Ok(WorkItem { job: job.id, chunk: Some(chunk.number), leaver, range, assignment, at: now })
}

fn assignment_of(catalog: &Catalog, progress: &ReferenceProgress, chunk: &Chunk, range: &RowRange) -> Assignment {
    if !catalog.references[progress.position].disposition.moves() {
        return Assignment::None;
    }
    if let (true, RowRange::Keys { first, last }) = (chunk.named, range) {
        return Assignment::Named(named_slice(progress, &first.concat(), &last.concat()));
    }
    if let Some(successor) = progress.deal.sole()
        && progress.named.is_empty()
    {
        return Assignment::Sole(successor.clone());
    }
    let ranks = chunk.first_rank as u64..(chunk.first_rank + chunk.records) as u64;
    Assignment::Dealt {
        successors: ranks.map(|rank| progress.deal.successor(rank).cloned()).collect(),
        except: progress.named.keys().cloned().collect(),
    }
}

async fn close(session: &Session, mut chunk: Chunk, counts: Counts, began: Instant, now: OffsetDateTime) -> Result<()> {
    chunk.state = chunks::ChunkState::Closed;
    chunk.done = counts.done as i64;
    chunk.changed = (chunk.records - counts.dealt_to_nobody - chunk.done).max(0);
    let error = chunk.error.take();
    // Half of a refused chunk has attempts, too, but was not tried again itself.
    let retried = error.filter(|_| chunk.not_before.is_some()).map(|error| (chunk.attempts, error));
    chunk.closed_at = Some(now);
    let took = began.elapsed();
    chunk.duration_ms = i32::try_from(took.as_millis()).ok();
    session.observe(Observation::ChunkClosed { number: chunk.number, records: counts.done, took, retried });
    chunks::update(session, chunk).await
}

/// Ends a ticket that found no open chunk.
///
/// Under the job's lock, and so after every committed cut, it looks again: the transaction that closes the last chunk of a job
/// which is cut hands it to the finalizer. If two close the last two chunks at once, the second one waits here for the first, or
/// finds that its own is the last.
async fn end_of_chunks(session: Session, id: JobId, now: OffsetDateTime) -> Result<()> {
    let Some(mut change) = JobChange::lock(&session, id.0).await? else { return Ok(()) };
    let counts = chunks::counts_of_job(&session, id.0).await?;
    let state = change.state();
    if state == State::Moving && counts.open == 0 {
        if counts.failed > 0 {
            let reasons = reasons_of_failed(&session, &change.job, counts.failed).await?;
            change.mark_needs_attention(reasons, now)?;
        } else {
            change.transition(Transition::MovedAll)?;
            change.step(StepKind::Finalize, now)?;
        }
        change.write(&session).await?;
    } else if counts.open > 0 && matches!(state, State::Cutting | State::Moving) {
        // More was cut meanwhile. Or the open chunks are locked or pause: their holders, or their own tickets, come back to them.
        if chunks::claim(&session, id.0, now).await?.is_some() {
            leave_tickets(&session, 1, &change.job, now).await?;
        }
    }
    session.commit().await
}
