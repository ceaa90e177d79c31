//! The mover: takes any open chunk of a job, moves its records, journals them and closes it, in one transaction.
//!
//! Once everything is cut a ticket may be good for several chunks, one after the other, each in a transaction of its own: until
//! it is acknowledged it comes again, so none has to be left for the chunks behind.
//!
//! The lock on the chunk's row and its state are the fence: a worker that was thought dead finds its session gone, or its
//! chunk closed. Run twice, it takes another chunk or finds none; killed, nothing of it happened.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use time::OffsetDateTime;

use crate::catalog::{Catalog, Disposition};
use crate::contract::{JobId, Reason, UserId};
use crate::job::{State, StepKind, Transition, next, reason};
use crate::metrics::Observation;
use crate::stages::handover::finalizer::mark_needs_attention;
use crate::stages::handover::resize::{self, FailureAction};
use crate::stages::handover::start::transition;
use crate::stages::handover::{bisect, cutter};
use crate::stages::undo::work;
use crate::stages::{Context, messages, now};
use crate::store::host::{Assignment, RowRange, WorkItem};
use crate::store::ledger::chunks::{self, Chunk, ClaimedChunk};
use crate::store::ledger::jobs::Job;
use crate::store::ledger::references::ReferenceProgress;
use crate::store::ledger::{audit, jobs, outbox};
use crate::store::{Error, Result, Session, host};

/// The transaction of a chunk.
pub const MOVE: &str = "move";
/// The transaction that notes a chunk's failure.
pub const GIVE_UP: &str = "give_up";

/// How long a chunk rests after its first failure; then twice as long each time.
const FIRST_REST: Duration = Duration::from_secs(1);

/// What waits for somebody's lock may fail often, and is looked after every half minute then.
const MOST_DOUBLINGS: i32 = 6;

/// Redeems a ticket for one chunk. A chunk that fails for a reason of its own is put aside for a while and tried again, a
/// bounded number of times; other chunks go on.
pub async fn run_ticket(context: &Context, id: JobId) -> Result<()> {
    run_ticket_while(context, id, |_| AfterChunk::default()).await
}

/// What is to come behind a chunk.
#[derive(Debug, Clone, Copy, Default)]
pub struct AfterChunk {
    /// Whether the ticket is good for another one.
    pub goes_on: bool,
    /// For how long to rest, before that or before the ticket is given back.
    pub rest: Duration,
}

/// Redeems a ticket for one chunk, and for as many more as there are while `after_chunk`, which is told how long each one took,
/// lets it.
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
    put_aside(context, id, failure).await
}

/// What becomes of a chunk that failed.
async fn put_aside(context: &Context, id: JobId, failure: Failure) -> Result<()> {
    match failure {
        Failure { error, chunk: Some(chunk), by_its_rows: true } if error.is_out_of_time() => {
            give_up(context, id, &chunk, &error).await
        }
        Failure { error, .. } if error.is_transient() || error.is_superseded() => Err(error),
        Failure { error, chunk: None, .. } => Err(error),
        Failure { error, chunk: Some(chunk), .. } => give_up(context, id, &chunk, &error).await,
    }
}

/// An error, and the chunk that was worked on.
struct Failure {
    error: Error,
    chunk: Option<Box<Chunk>>,
    /// Whether it was the host's rows that were worked on just then.
    by_its_rows: bool,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure { error, chunk: None, by_its_rows: false }
    }
}

/// Works on a chunk, or finds that there is none; a chunk that is too large it cuts, and goes on with its parts.
async fn move_one(
    context: &Context,
    id: JobId,
    after_chunk: &mut (impl FnMut(Duration) -> AfterChunk + Send),
) -> std::result::Result<AfterChunk, Failure> {
    let began = Instant::now();
    let now = now();
    let session = context.store.begin(MOVE).await?;
    let asked = Instant::now();
    let Some(taken) = chunks::claim(&session, id.0, now).await? else {
        end_of_chunks(session, id, now).await?;
        return Ok(AfterChunk::default());
    };
    let answer = asked.elapsed();
    let job = &taken.job;
    let with_chunk = |error| Failure { error, chunk: Some(Box::new(taken.chunk.clone())), by_its_rows: false };
    if !matches!(job.state()?, State::Cutting | State::Moving) {
        return Ok(AfterChunk::default());
    }
    // Who holds the host's rows up holds up their count, too.
    let by_its_rows = |error: Error| match error.is_out_of_time() {
        true => Failure { error, chunk: Some(Box::new(taken.chunk.clone())), by_its_rows: true },
        false => Failure::from(error),
    };
    if resize::fit(&session, context, job, &taken.chunk, now).await.map_err(by_its_rows)? {
        session.commit().await?;
        return Ok(AfterChunk { goes_on: true, rest: Duration::ZERO });
    }
    if job.undoes() {
        undo_chunk(&session, context, &taken, Clock { began, answer, now }).await?;
    } else {
        let gone = move_chunk(&session, context, &taken, Clock { began, answer, now }).await?;
        if !gone.is_empty() {
            // In this transaction: whoever names other successors waits for it, and is not stopped for the old ones.
            stop_within(session, id, gone, now).await?;
            return Ok(AfterChunk::default());
        }
    }
    // Not while the job is still cut: movers must not outrun the cutter, whose step waits on the queue that tickets wait on,
    // or a host whose records keep coming would never let it end.
    let AfterChunk { goes_on, rest } = after_chunk(began.elapsed());
    if job.state()? == State::Moving && goes_on {
        session.commit().await.map_err(with_chunk)?;
        return Ok(AfterChunk { goes_on, rest });
    }
    match chunks::any_open(&session, job.id).await? {
        true => {
            outbox::insert(&session, vec![messages::step(StepKind::Ticket, job, now)]).await?;
            session.commit().await.map_err(with_chunk)?;
        }
        false => end_of_chunks(session, id, now).await.map_err(with_chunk)?,
    }
    Ok(AfterChunk { goes_on: false, rest })
}

/// The times of a chunk's transaction.
#[derive(Clone, Copy)]
struct Clock {
    began: Instant,
    /// What the database took to answer a statement that is about no rows to speak of.
    answer: Duration,
    now: OffsetDateTime,
}

/// Moves the records of a chunk and closes it; or tells which successors are gone, and does nothing.
async fn move_chunk(
    session: &Session,
    context: &Context,
    taken: &ClaimedChunk,
    clock: Clock,
) -> std::result::Result<Vec<Reason>, Failure> {
    let Clock { began, answer, now } = clock;
    let ClaimedChunk { chunk, job, course } = taken;
    let with_chunk = |error| Failure { error, chunk: Some(Box::new(chunk.clone())), by_its_rows: true };
    let catalog = context.enter(session, job).await?;
    let position = chunk.position as usize;
    let course = course.as_ref().ok_or_else(|| {
        Error::unexpected("moving a chunk", format!("the job {} has no reference {position}", job.id))
    })?;
    let item = item_of(session, &catalog, job, course, chunk, now).await?;
    let gone = gone_successors(session, &catalog, course, &item).await?;
    if !gone.is_empty() {
        return Ok(gone);
    }
    let reference = &catalog.references[position];
    let asked = Instant::now();
    let done = host::apply(session, &catalog, reference, std::slice::from_ref(&item)).await.map_err(with_chunk)?;
    let done = done.first().map_or(0, |done| done.rows);
    // Without the way there and back, which is the same for any number of rows.
    context.throughput.note(&resize::way(job), position, done, asked.elapsed().saturating_sub(answer));
    let dealt_to_nobody = match &item.assignment {
        Assignment::Dealt { successors, .. } => {
            successors.iter().filter(|successor| successor.is_none()).count() as i64
        }
        _ => 0,
    };
    close(session, chunk.clone(), Counts { done, dealt_to_nobody }, began, now).await?;
    Ok(Vec::new())
}

/// Undoes what a chunk is of, and closes it.
async fn undo_chunk(
    session: &Session,
    context: &Context,
    taken: &ClaimedChunk,
    clock: Clock,
) -> std::result::Result<(), Failure> {
    let Clock { began, answer, now } = clock;
    let ClaimedChunk { chunk, job, .. } = taken;
    // Who waits for a lock on the way back goes on waiting: a row that somebody holds is nothing to be skipped.
    let failure = |error: Error| {
        let by_its_rows = !error.waited_for_a_lock();
        Failure { error, chunk: Some(Box::new(chunk.clone())), by_its_rows }
    };
    let asked = Instant::now();
    let work::Worked { restored, by_keys } = work::work(session, context, job, chunk, now).await.map_err(failure)?;
    if by_keys {
        let took = asked.elapsed().saturating_sub(answer);
        context.throughput.note(&resize::way(job), chunk.position as usize, restored, took);
    }
    // What did not come back is told by the journal.
    let counts = Counts { done: restored, dealt_to_nobody: chunk.records - restored as i64 };
    Ok(close(session, chunk.clone(), counts, began, now).await?)
}

/// What became of a chunk's records.
struct Counts {
    done: u64,
    dealt_to_nobody: i64,
}

async fn item_of(
    session: &Session,
    catalog: &Catalog,
    job: &Job,
    course: &ReferenceProgress,
    chunk: &Chunk,
    now: OffsetDateTime,
) -> Result<WorkItem> {
    let leaver = UserId::try_from(job.user_id.clone()).map_err(|what| Error::unexpected("reading a chunk", what))?;
    let range = match catalog.references[course.position].keyless {
        true => bisect::unbounded(session, chunk).await?,
        false => {
            let (first, last) = bisect::range_of(chunk)?;
            RowRange::Keys { first, last }
        }
    };
    let assignment = assignment_of(catalog, course, chunk, &range);
    let range = if chunk.named { RowRange::Whole } else { range };
    Ok(WorkItem { job: job.id, chunk: Some(chunk.number), leaver, range, assignment, at: now })
}

fn assignment_of(catalog: &Catalog, course: &ReferenceProgress, chunk: &Chunk, range: &RowRange) -> Assignment {
    let moves = matches!(
        catalog.references[course.position].disposition,
        Disposition::Transfer { .. } | Disposition::Block { .. }
    );
    if !moves {
        return Assignment::None;
    }
    if let (true, RowRange::Keys { first, last }) = (chunk.named, range) {
        return Assignment::Named(cutter::named_slice(course, &first.concat(), &last.concat()));
    }
    if let Some(successor) = course.deal.sole()
        && course.named.is_empty()
    {
        return Assignment::Sole(successor.clone());
    }
    let ranks = chunk.first_rank as u64..(chunk.first_rank + chunk.records) as u64;
    Assignment::Dealt {
        successors: ranks.map(|rank| course.deal.successor(rank).cloned()).collect(),
        except: course.named.keys().cloned().collect(),
    }
}

/// Successors of these records who are not active any more: nobody receives records after they have left.
pub async fn gone_successors(
    session: &Session,
    catalog: &Catalog,
    course: &ReferenceProgress,
    item: &WorkItem,
) -> Result<Vec<Reason>> {
    let successors: BTreeSet<&UserId> = match &item.assignment {
        Assignment::None => return Ok(Vec::new()),
        Assignment::Sole(successor) => BTreeSet::from([successor]),
        Assignment::Dealt { successors, .. } => successors.iter().flatten().collect(),
        Assignment::Named(named) => named.values().collect(),
    };
    let successors: Vec<&UserId> = successors.into_iter().collect();
    let gone = host::inactive_among(session, catalog, &successors).await?;
    Ok(gone.iter().map(|user| reason::successor_gone(&course.kind, user.as_str())).collect())
}

async fn close(session: &Session, mut chunk: Chunk, counts: Counts, began: Instant, now: OffsetDateTime) -> Result<()> {
    chunk.state = chunks::CLOSED.into();
    chunk.done = counts.done as i64;
    chunk.changed = (chunk.records - counts.dealt_to_nobody - chunk.done).max(0);
    chunk.error = None;
    chunk.closed_at = Some(now);
    let took = began.elapsed();
    chunk.duration_ms = i32::try_from(took.as_millis()).ok();
    session.observe(Observation::ChunkClosed { number: chunk.number, records: counts.done, took });
    chunks::update(session, chunk).await
}

/// No open chunk is left that this transaction could see. Under the job's lock, and so behind every cut that was
/// committed, it looks again: whoever closes the last chunk of a job that is cut hands it to the finalizer. Of two who
/// close the last two chunks at once, the second waits for the first here, or finds its own to be the last.
async fn end_of_chunks(session: Session, id: JobId, now: OffsetDateTime) -> Result<()> {
    let Some(mut job) = jobs::lock(&session, id.0).await? else { return Ok(()) };
    let standing = chunks::counts_of_job(&session, job.id).await?;
    let mut left = Vec::new();
    let from = job.state()?;
    if from == State::Moving && standing.open == 0 {
        if standing.failed > 0 {
            let reasons = bisect::reasons(&session, &job, standing.failed).await?;
            left = mark_needs_attention(&mut job, reasons, now)?;
            audit::append(&session, vec![crate::stages::changes::audit_entry(&job)]).await?;
        } else {
            job.state = transition(&job, Transition::MovedAll)?;
            left.push(messages::step(StepKind::Finalize, &job, now));
        }
        jobs::update(&session, from, job).await?;
    } else if standing.open > 0 && matches!(from, State::Cutting | State::Moving) {
        // Somebody cut on meanwhile. Or others hold what is open, or it rests: they, or its own ticket, will see to it.
        if chunks::claim(&session, job.id, now).await?.is_some() {
            left.push(messages::step(StepKind::Ticket, &job, now));
        }
    }
    outbox::insert(&session, left).await?;
    session.commit().await
}

/// Notes that a chunk failed. It rests, and comes again by a ticket of its own. After the last attempt a chunk that the
/// database refuses is halved, down to the row to blame; what cannot be halved is given up, and the job will need
/// attention when everything else is done.
async fn give_up(context: &Context, id: JobId, failed: &Chunk, error: &Error) -> Result<()> {
    let now = now();
    let session = context.store.begin(GIVE_UP).await?;
    let number = failed.number;
    let Some(mut chunk) = chunks::lock(&session, id.0, number).await? else { return Ok(()) };
    let Some(job) = jobs::get(&session, id.0).await? else { return Ok(()) };
    if chunk != *failed {
        // Somebody else took it meanwhile, and has noted their failure: ours may be about rows that it holds no more.
        outbox::insert(&session, vec![messages::step(StepKind::Ticket, &job, now)]).await?;
        return session.commit().await;
    }
    chunk.attempts += 1;
    let attempt = chunk.attempts;
    chunk.error = Some(error.to_string());
    session.observe(Observation::ChunkFailed { number });
    let mut due = now;
    match fate(&session, context, &job, &mut chunk, error, now).await? {
        FailureAction::Retry => {
            tracing::warn!(job = %id, chunk = number, attempts = chunk.attempts, %error, "a chunk failed and will be tried again");
            due = now + rest_after(chunk.attempts);
            chunk.not_before = Some(due);
        }
        FailureAction::Split => {}
        FailureAction::GiveUp => {
            tracing::error!(job = %id, chunk = number, attempts = chunk.attempts, %error, "a chunk is given up");
            chunk.state = chunks::FAILED.into();
        }
    }
    append_failed(&session, &job, number, attempt, error).await?;
    chunks::update(&session, chunk).await?;
    outbox::insert(&session, vec![messages::step(StepKind::Ticket, &job, due)]).await?;
    session.commit().await
}

/// What becomes of a chunk that failed.
async fn fate(
    session: &Session,
    context: &Context,
    job: &Job,
    chunk: &mut Chunk,
    error: &Error,
    now: OffsetDateTime,
) -> Result<FailureAction> {
    if error.is_out_of_time() {
        return resize::out_of_time(session, context, job, chunk, error, now).await;
    }
    // Rows without bounds, one of which is refused, would be picked by every chunk: it is to be set aside first.
    let spreads = error.is_refused() && !job.undoes() && bisect::is_unbounded(chunk);
    if !spreads && chunk.attempts < context.limits.chunk_attempts {
        return Ok(FailureAction::Retry);
    }
    match error.is_refused() && !job.undoes() && bisect::halve(session, context, job, chunk).await? {
        true => Ok(FailureAction::Split),
        false => Ok(FailureAction::GiveUp),
    }
}

/// How long a chunk rests after so many failures.
pub fn rest_after(attempts: i32) -> Duration {
    FIRST_REST * 2u32.pow(attempts.clamp(1, MOST_DOUBLINGS) as u32 - 1)
}

/// What the audit trail keeps of a failed attempt: the chunk itself forgets it once it is closed.
async fn append_failed(session: &Session, job: &Job, chunk: i32, attempt: i32, error: &Error) -> Result<()> {
    let told = serde_json::json!([{
        "code": "attempt_failed", "message": error.to_string(), "hint": "", "chunk": chunk, "attempt": attempt,
    }]);
    let more = format!("{} attempts have failed: more are told by their chunks only", audit::MOST_FAILED);
    let more = serde_json::json!([{ "code": "more_attempts_failed", "message": more, "hint": "" }]);
    let action = audit::CHUNK_FAILED.into();
    let entry = audit::Entry { actor: "handover".into(), action, ..crate::stages::changes::audit_entry(job) };
    audit::append_failed(session, audit::Entry { detail: Some(told), ..entry }, more).await
}

/// Stops a job that cannot go on, such as one whose successors are gone: what was moved stays moved, and a person decides.
pub async fn stop(context: &Context, id: JobId, reasons: Vec<Reason>) -> Result<()> {
    let session = context.store.begin(GIVE_UP).await?;
    stop_within(session, id, reasons, now()).await
}

async fn stop_within(session: Session, id: JobId, reasons: Vec<Reason>, now: OffsetDateTime) -> Result<()> {
    let Some(mut job) = jobs::lock(&session, id.0).await? else { return Ok(()) };
    let from = job.state()?;
    if next(from, Transition::NeedsAttention).is_err() {
        return Ok(());
    }
    let left = mark_needs_attention(&mut job, reasons, now)?;
    audit::append(&session, vec![crate::stages::changes::audit_entry(&job)]).await?;
    outbox::insert(&session, left).await?;
    jobs::update(&session, from, job).await?;
    session.commit().await
}
