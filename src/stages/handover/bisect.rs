//! Finds the row to blame: a chunk that the database refuses is halved, until one row is left that fails alone. Everything
//! around it moves.

use crate::catalog::Reference;
use crate::contract::Reason;
use crate::job::reason;
use crate::stages::Context;
use crate::store::host::{Key, KeyRange, RowRange};
use crate::store::ledger::chunks::{self, Chunk};
use crate::store::ledger::jobs::Job;
use crate::store::ledger::references::ReferenceProgress;
use crate::store::ledger::{jobs, references};
use crate::store::{Error, Result, Session, host};

/// Failures of a job up to which chunks are halved: where more rows are refused, it is not for what these rows hold, and
/// each would cost transactions of its own.
const MOST_ISOLATED: u64 = 1000;

/// Failures that a job's reasons tell one by one.
const MOST_TOLD: u64 = 20;

/// Cuts a refused chunk in two: it keeps the first half of its rows, and a new chunk has the second, with the ranks that
/// follow. Both have one attempt, so that the next refusal halves at once. Whether it could be cut; of a single row, its
/// range is left at that row.
///
/// Locks: the job, which whoever cuts holds too, so that chunks' numbers are given once.
pub async fn halve(session: &Session, context: &Context, job: &Job, chunk: &mut Chunk) -> Result<bool> {
    if jobs::lock(session, job.id).await?.is_none() {
        return Ok(false);
    }
    let standing = chunks::counts_of_job(session, job.id).await?;
    if standing.failed >= MOST_ISOLATED {
        return Ok(false);
    }
    let catalog = context.enter(session, job).await?;
    let courses = references::of_jobs(session, &[job.id]).await?;
    let position = chunk.position as usize;
    let Some(course) = courses.into_iter().find(|course| course.position == position) else { return Ok(false) };
    if catalog.references[position].keyless {
        return halve_unbounded(session, &catalog.references[position], job, chunk, standing.next_number).await;
    }
    let half = |rows: u64| rows.div_ceil(2);
    let halves = ranges_of(session, &catalog.references[position], job, &course, chunk, half).await?;
    let mut others = share_out(chunk, halves, standing.next_number);
    let [other] = others.as_mut_slice() else { return Ok(false) };
    for half in [chunk, other] {
        half.attempts = context.limits.chunk_attempts.max(1) - 1;
        half.not_before = None;
    }
    tracing::warn!(job = %job.id, chunk = other.number, records = other.records, "a refused chunk is halved");
    chunks::insert(session, others).await?;
    Ok(true)
}

/// Gives a chunk's records, and their ranks, to the ranges that it is cut into: it keeps the first, and these are chunks of
/// the others. Records that are in no range any more count as the last one's.
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

/// The same of a chunk without bounds: each half takes the next so many rows. A single row is not known yet, so the next one
/// is set aside by what it looks like: this chunk tries that and no other, and every other passes over all that look like
/// it. Where another row was to blame, that one's turn comes.
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
        let set_aside = chunks::isolated_rows(session, job.id, chunk.position).await?;
        let image = host::image_of_next(session, reference, &job.user_id, &set_aside).await?;
        let image = image.map(|image| serde_json::Value::from(vec![image]));
        (chunk.first_key, chunk.last_key) = (image.clone(), image);
        return Ok(true);
    }
    let mut other = chunk.clone();
    chunk.records = (chunk.records + 1) / 2;
    other.records -= chunk.records;
    other.first_rank += chunk.records;
    other.number = next_number;
    tracing::warn!(job = %job.id, chunk = other.number, records = other.records, "a refused chunk is halved");
    chunks::insert(session, vec![other]).await?;
    Ok(true)
}

/// Whether a chunk takes whichever rows come next.
pub fn is_unbounded(chunk: &Chunk) -> bool {
    chunk.first_key.is_none()
}

/// Which rows a chunk of a table without keys takes: the next ones, or one that was set aside for it.
pub async fn unbounded(session: &Session, chunk: &Chunk) -> Result<RowRange> {
    if !is_unbounded(chunk) {
        return Ok(RowRange::Like(range_of(chunk)?.0.concat()));
    }
    let but = chunks::isolated_rows(session, chunk.job_id, chunk.position).await?;
    Ok(RowRange::Next { rows: chunk.records.max(0) as u64, but })
}

/// What a chunk holds now, in ranges of so many rows as is said of their number.
pub async fn ranges_of(
    session: &Session,
    reference: &Reference,
    job: &Job,
    course: &ReferenceProgress,
    chunk: &Chunk,
    rows: impl FnOnce(u64) -> u64,
) -> Result<Vec<KeyRange>> {
    let (first, last) = range_of(chunk)?;
    if !chunk.named {
        let except: Vec<String> = course.named.keys().cloned().collect();
        return host::cut_between(session, reference, &job.user_id, (&first, &last), &except, rows).await;
    }
    let named = crate::stages::handover::cutter::named_slice(course, &first.concat(), &last.concat());
    let keys: Vec<&String> = named.keys().collect();
    let cut = |keys: &[&String]| {
        let end = |key: Option<&&String>| key.map(|key| vec![(*key).clone()]);
        Some(KeyRange { first: end(keys.first())?, last: end(keys.last())?, records: keys.len() as u64 })
    };
    let rows = rows(keys.len() as u64).max(1) as usize;
    Ok(keys.chunks(rows).filter_map(cut).collect())
}

/// The first and the last key of a chunk.
pub fn range_of(chunk: &Chunk) -> Result<(Key, Key)> {
    let doing = "reading a chunk";
    let read = |key: &Option<serde_json::Value>| -> Result<Key> {
        let key = key.clone().ok_or_else(|| Error::unexpected(doing, "a chunk has no range"))?;
        serde_json::from_value(key).map_err(|error| Error::unexpected(doing, error.to_string()))
    };
    Ok((read(&chunk.first_key)?, read(&chunk.last_key)?))
}

/// Why a job needs attention whose other chunks are done: each row that was refused, and chunks that failed whole.
pub async fn reasons(session: &Session, job: &Job, failed: u64) -> Result<Vec<Reason>> {
    let courses = references::of_jobs(session, &[job.id]).await?;
    let mut reasons = Vec::new();
    for chunk in chunks::first_failed(session, job.id, MOST_TOLD).await? {
        let course = courses.iter().find(|course| course.position == chunk.position as usize);
        let kind = course.map_or("", |course| &course.kind);
        let error = chunk.error.as_deref().unwrap_or("unknown");
        reasons.push(match range_of(&chunk) {
            Ok((first, last)) if first == last => reason::row_refused(kind, &first.join(","), error),
            _ => reason::chunk_failed(kind, chunk.number, error),
        });
    }
    if failed > MOST_TOLD {
        reasons.push(reason::more_failed(failed, MOST_TOLD));
    }
    Ok(reasons)
}
