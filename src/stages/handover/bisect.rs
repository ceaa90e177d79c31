//! Bisection: a chunk that the database refuses is halved until one row is left that fails alone. Everything around it moves.

use crate::catalog::Reference;
use crate::stages::context::Context;
use crate::stages::handover::chunk::{is_unbounded, named_slice, range_of};
use crate::store::host::KeyRange;
use crate::store::ledger::chunks::{self, Chunk};
use crate::store::ledger::jobs::Job;
use crate::store::ledger::references::ReferenceProgress;
use crate::store::ledger::{jobs, references};
use crate::store::{Result, Session, host};

/// The most failures of a job up to which chunks are halved. If more rows are refused, the cause is not in the rows, and each
/// would cost transactions of its own.
const MOST_ISOLATED: u64 = 1000;

/// Halves a refused chunk: it keeps the first half of its rows, and a new chunk gets the second half, with the ranks that
/// follow. Rows with keys have one attempt left, so that the next refusal halves at once. Returns false if the chunk cannot be halved; the
/// range of a single row is then narrowed to that row.
///
/// Locks: the job, as the cutter does, so that each chunk number is given once.
pub async fn halve(session: &Session, context: &Context, job: &Job, chunk: &mut Chunk) -> Result<bool> {
    if jobs::lock(session, job.id).await?.is_none() {
        return Ok(false);
    }
    let counts = chunks::counts_of_job(session, job.id).await?;
    if counts.failed >= MOST_ISOLATED {
        return Ok(false);
    }
    let catalog = context.enter(session, job).await?;
    let all = references::of_jobs(session, &[job.id]).await?;
    let position = chunk.position as usize;
    let Some(progress) = all.into_iter().find(|progress| progress.position == position) else { return Ok(false) };
    if catalog.references[position].keyless {
        return halve_unbounded(session, &catalog.references[position], job, chunk, counts.next_number).await;
    }
    let half = |rows: u64| rows.div_ceil(2);
    let halves = ranges_of(session, &catalog.references[position], job, &progress, chunk, half).await?;
    let mut others = share_out(chunk, halves, counts.next_number);
    let [other] = others.as_mut_slice() else { return Ok(false) };
    for half in [chunk, other] {
        half.attempts = context.limits.chunk_attempts.max(1) - 1;
        half.not_before = None;
    }
    tracing::debug!(job = %job.id, org = job.org, request = job.request_id, chunk = other.number, records = other.records, "refused chunk halved");
    chunks::insert(session, others).await?;
    Ok(true)
}

/// Distributes a chunk's records and their ranks to the ranges that it is cut into. It keeps the first range; the result is the
/// chunks of the others. Records that are in no range any more count as the last one's.
pub fn share_out(chunk: &mut Chunk, ranges: Vec<KeyRange>, next_number: i32) -> Vec<Chunk> {
    let (mut left, mut rank) = (chunk.records, chunk.first_rank);
    let last = ranges.len().saturating_sub(1);
    let mut others = Vec::with_capacity(last);
    for (place, range) in ranges.into_iter().enumerate() {
        let mut part = chunk.clone();
        (part.first_key, part.last_key) = (Some(range.first.into()), Some(range.last.into()));
        part.first_rank = rank;
        part.records = if place == last { left } else { left.min(range.records as i64) };
        (left, rank) = (left - part.records, rank + part.records);
        match place {
            0 => *chunk = part,
            _ => others.push(Chunk { number: next_number + place as i32 - 1, ..part }),
        }
    }
    others
}

/// Halves a chunk without bounds: each half takes a number of the next rows.
///
/// A single row is not known yet, so the next one is isolated by its content: this chunk tries that row only, and all others
/// skip rows of that content. If another row was to blame, it is isolated later.
async fn halve_unbounded(
    session: &Session,
    reference: &Reference,
    job: &Job,
    chunk: &mut Chunk,
    next_number: i32,
) -> Result<bool> {
    if !is_unbounded(chunk) {
        return Ok(false);
    }
    chunk.attempts = 0;
    chunk.not_before = None;
    if chunk.records <= 1 {
        let isolated = chunks::isolated_rows(session, job.id, chunk.position).await?;
        let image = host::image_of_next(session, reference, &job.user_id, &isolated).await?;
        let image = image.map(|image| serde_json::Value::from(vec![image]));
        (chunk.first_key, chunk.last_key) = (image.clone(), image);
        return Ok(true);
    }
    let mut other = chunk.clone();
    chunk.records = (chunk.records + 1) / 2;
    other.records -= chunk.records;
    other.first_rank += chunk.records;
    other.number = next_number;
    tracing::debug!(job = %job.id, org = job.org, request = job.request_id, chunk = other.number, records = other.records, "refused chunk halved");
    chunks::insert(session, vec![other]).await?;
    Ok(true)
}

/// Returns the rows that a chunk holds now, in ranges. `rows` returns the size of a range from the number of all rows.
pub async fn ranges_of(
    session: &Session,
    reference: &Reference,
    job: &Job,
    progress: &ReferenceProgress,
    chunk: &Chunk,
    rows: impl FnOnce(u64) -> u64,
) -> Result<Vec<KeyRange>> {
    let (first, last) = range_of(chunk)?;
    if !chunk.named {
        let except: Vec<String> = progress.named.keys().cloned().collect();
        return host::cut_between(session, reference, &job.user_id, (&first, &last), &except, rows).await;
    }
    let named = named_slice(progress, &first.concat(), &last.concat());
    let keys: Vec<&String> = named.keys().collect();
    let cut = |keys: &[&String]| {
        let end = |key: Option<&&String>| key.map(|key| vec![(*key).clone()]);
        Some(KeyRange { first: end(keys.first())?, last: end(keys.last())?, records: keys.len() as u64 })
    };
    let rows = rows(keys.len() as u64).max(1) as usize;
    Ok(keys.chunks(rows).filter_map(cut).collect())
}
