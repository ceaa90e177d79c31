//! Chunks: claimed, worked on and closed in one transaction.

use std::collections::HashMap;

use sea_orm::sea_query::{Alias, Expr, LockBehavior, LockType};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, DbErr, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::bulk_insert::add;
use super::entity::chunks::{Column, Entity};
use super::entity::{job_references, jobs};
use super::failed;
use super::jobs::Job;
use super::references::ReferenceProgress;
use crate::catalog::Engine;
use crate::store::dialect::Type;
use crate::store::dialect::sql::ColumnArray;
use crate::store::error::Error;
use crate::store::{Result, Row, Session};

pub use super::entity::chunks::Model as Chunk;

/// A chunk that waits to be worked on.
pub const OPEN: &str = "open";
/// A chunk whose work is done and journaled.
pub const CLOSED: &str = "closed";
/// A chunk that could not be worked on after every attempt.
pub const FAILED: &str = "failed";

impl Chunk {
    /// A chunk that nobody has worked on yet.
    pub fn open(job: Uuid, number: i32, position: usize, records: i64) -> Chunk {
        Chunk {
            job_id: job,
            number,
            position: position as i32,
            journal_id: None,
            named: false,
            first_key: None,
            last_key: None,
            first_rank: 0,
            records,
            state: OPEN.into(),
            done: 0,
            changed: 0,
            attempts: 0,
            error: None,
            not_before: None,
            closed_at: None,
            duration_ms: None,
        }
    }
}

/// Adds chunks.
pub async fn insert(session: &Session, chunks: Vec<Chunk>) -> Result<()> {
    let rows = chunks.into_iter().map(IntoActiveModel::into_active_model).collect();
    add(session, "adding chunks", rows, "").await?;
    Ok(())
}

/// A chunk that was taken, and what it is of.
pub struct ClaimedChunk {
    /// The chunk.
    pub chunk: Chunk,
    /// Its job.
    pub job: Job,
    /// What the job does with the chunk's reference.
    pub course: Option<ReferenceProgress>,
}

/// Takes any open chunk of a job that nobody else holds. The lock on its row, and its state, are the fence: who was
/// thought dead finds the row locked or closed.
///
/// Locks: the chunk's row only. The job and the course are as they were when the statement began; whoever changes for whom
/// an unclosed chunk is forgets the chunk in the same transaction, and then it is not found.
pub async fn claim(session: &Session, job: Uuid, now: OffsetDateTime) -> Result<Option<ClaimedChunk>> {
    let doing = "taking a chunk";
    let due = Condition::any().add(Column::NotBefore.is_null()).add(Column::NotBefore.lte(now));
    let find = Entity::find().filter(Column::JobId.eq(job)).filter(Column::State.eq(OPEN)).filter(due);
    let find = find.order_by_asc(Column::Number).limit(1);
    let mut find = find.find_also_related(jobs::Entity).find_also_related(job_references::Entity);
    if session.engine() == Engine::Postgres {
        let chunks = [Alias::new("chunks")];
        QuerySelect::query(&mut find).lock_with_tables_behavior(LockType::Update, chunks, LockBehavior::SkipLocked);
    }
    let Some((chunk, Some(job), course)) = find.one(session).await.map_err(failed(doing))? else { return Ok(None) };
    let course = course.map(ReferenceProgress::from_model).transpose();
    let course = course.map_err(|error| Error::unexpected(doing, error.to_string()))?;
    Ok(Some(ClaimedChunk { chunk, job, course }))
}

/// Writes a chunk back that is still open. Closed or failed meanwhile: somebody else was here.
pub async fn update(session: &Session, chunk: Chunk) -> Result<()> {
    let doing = "updating a chunk";
    let (job, number) = (chunk.job_id, chunk.number);
    let update = Entity::update_many().set(chunk.into_active_model().reset_all());
    let update = update.filter(Column::JobId.eq(job)).filter(Column::Number.eq(number)).filter(Column::State.eq(OPEN));
    match update.exec(session).await.map_err(failed(doing))?.rows_affected {
        1 => Ok(()),
        _ => Err(Error::superseded(doing)),
    }
}

/// How a job's chunks stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct ChunkCounts {
    /// Waiting or being worked on.
    pub open: u64,
    /// Done.
    pub closed: u64,
    /// Given up.
    pub failed: u64,
    /// Records of all of them when they were cut.
    pub records: u64,
    /// Records moved, removed or set so far.
    pub done: u64,
    /// Records that the host took away meanwhile.
    pub changed: u64,
    /// The number of the next chunk.
    pub next_number: i32,
}

/// How the chunks of jobs stand, by job and reference.
pub async fn counts(session: &Session, jobs: &[Uuid]) -> Result<HashMap<(Uuid, usize), ChunkCounts>> {
    let doing = "counting chunks";
    let mut sql = session.sql("");
    let jobs = sql.small_table("j", vec![ColumnArray::new(Type::Uuid, "id", jobs.iter().map(Some))]);
    sql.add(&format!(
        "SELECT c.job_id AS job_id, CAST(c.position AS bigint) AS position, c.state AS state, count(*) AS n, \
         CAST(sum(c.records) AS bigint) AS records, CAST(sum(c.done) AS bigint) AS done, \
         CAST(sum(c.changed) AS bigint) AS changed, CAST(max(c.number) + 1 AS bigint) AS next_number \
         FROM handover.chunks c JOIN {jobs} ON j.id = c.job_id GROUP BY c.job_id, c.position, c.state"
    ));
    let mut standing: HashMap<(Uuid, usize), ChunkCounts> = HashMap::new();
    for row in session.all(doing, sql).await? {
        let number = |column: &str| row.try_get::<i64>("", column);
        let read = || -> std::result::Result<_, DbErr> {
            let key = (row.try_get::<Uuid>("", "job_id")?, number("position")? as usize);
            Ok((key, row.try_get::<String>("", "state")?, number("n")? as u64))
        };
        let (key, state, n) = read().map_err(|error| Error::unexpected(doing, error.to_string()))?;
        let entry = standing.entry(key).or_default();
        match state.as_str() {
            OPEN => entry.open += n,
            CLOSED => entry.closed += n,
            _ => entry.failed += n,
        }
        let add = |column: &str| {
            number(column).map(|n| n as u64).map_err(|error| Error::unexpected(doing, error.to_string()))
        };
        entry.records += add("records")?;
        entry.done += add("done")?;
        entry.changed += add("changed")?;
        entry.next_number = entry.next_number.max(add("next_number")? as i32);
    }
    Ok(standing)
}

/// How the chunks of one job stand, all references together.
pub async fn counts_of_job(session: &Session, job: Uuid) -> Result<ChunkCounts> {
    let mut total = ChunkCounts::default();
    for standing in counts(session, &[job]).await?.into_values() {
        total.open += standing.open;
        total.closed += standing.closed;
        total.failed += standing.failed;
        total.records += standing.records;
        total.done += standing.done;
        total.changed += standing.changed;
        total.next_number = total.next_number.max(standing.next_number);
    }
    Ok(total)
}

/// How many open chunks a job has, counted up to a limit.
pub async fn open_up_to(session: &Session, job: Uuid, limit: u64) -> Result<u64> {
    let find = Entity::find().filter(Column::JobId.eq(job)).filter(Column::State.eq(OPEN)).limit(limit);
    let numbers = find.select_only().column(Column::Number).into_tuple::<i32>();
    Ok(numbers.all(session).await.map_err(failed("counting open chunks"))?.len() as u64)
}

/// The number of a job's next chunk. Whoever adds chunks holds the job's lock.
pub async fn next_number(session: &Session, job: Uuid) -> Result<i32> {
    let find = Entity::find().filter(Column::JobId.eq(job)).order_by_desc(Column::Number).limit(1);
    let last: Option<i32> = find
        .select_only()
        .column(Column::Number)
        .into_tuple()
        .one(session)
        .await
        .map_err(failed("numbering chunks"))?;
    Ok(last.map_or(0, |last| last + 1))
}

/// Whether a job has an open chunk, whoever holds it.
pub async fn any_open(session: &Session, job: Uuid) -> Result<bool> {
    let find = Entity::find().filter(Column::JobId.eq(job)).filter(Column::State.eq(OPEN)).limit(1);
    Ok(find.one(session).await.map_err(failed("looking for open chunks"))?.is_some())
}

/// A job's chunks that failed or were tried more than once, for a person.
pub async fn failed_or_retried(session: &Session, job: Uuid) -> Result<Vec<Chunk>> {
    let trouble = Condition::any().add(Column::State.eq(FAILED)).add(Column::Attempts.gt(0));
    let find = Entity::find().filter(Column::JobId.eq(job)).filter(trouble);
    // What failed before what was done in the end: of a chunk that was halved often there are many.
    let find = find.order_by_desc(Column::State).order_by_asc(Column::Number).limit(100);
    find.all(session).await.map_err(failed("looking for failed_or_retried chunks"))
}

/// The first few of a job's chunks that failed, in the order in which the job works on them.
pub async fn first_failed(session: &Session, job: Uuid, most: u64) -> Result<Vec<Chunk>> {
    let find = Entity::find().filter(Column::JobId.eq(job)).filter(Column::State.eq(FAILED));
    let find = find.order_by_asc(Column::Position).order_by_asc(Column::FirstRank).order_by_asc(Column::Number);
    find.limit(most).all(session).await.map_err(failed("looking for failed chunks"))
}

/// What the single rows look like that unclosed chunks of a job have set aside, of a reference whose rows have no key.
pub async fn isolated_rows(session: &Session, job: Uuid, position: i32) -> Result<Vec<String>> {
    let doing = "looking for rows that were set aside";
    let find = Entity::find().filter(Column::JobId.eq(job)).filter(Column::Position.eq(position));
    let find = find.filter(Column::State.ne(CLOSED)).filter(Column::FirstKey.is_not_null());
    let keys: Vec<serde_json::Value> =
        find.select_only().column(Column::FirstKey).into_tuple().all(session).await.map_err(failed(doing))?;
    let image = |key: serde_json::Value| Some(key.get(0)?.as_str()?.to_owned());
    Ok(keys.into_iter().filter_map(image).collect())
}

/// What recent chunks of a kind took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChunkTimes {
    /// How many chunks.
    pub chunks: u64,
    /// Their records.
    pub records: u64,
    /// Milliseconds, one after the other.
    pub milliseconds: u64,
}

/// How many of the last chunks estimates are made of.
const RECENT: u64 = 500;

/// What recent chunks took, by kind: for estimates. Chunks of undos are none of these.
pub async fn recent_times(session: &Session) -> Result<HashMap<String, ChunkTimes>> {
    let doing = "looking at what chunks took";
    let mut sql = session.sql("");
    let most = sql.bind(RECENT as i64);
    sql.add(&format!(
        "SELECT r.kind AS kind, count(*) AS n, CAST(sum(c.records) AS bigint) AS records, \
         CAST(sum(c.duration_ms) AS bigint) AS took FROM \
         (SELECT job_id, position, records, duration_ms FROM handover.chunks \
           WHERE duration_ms IS NOT NULL AND journal_id IS NULL ORDER BY closed_at DESC LIMIT {most}) c \
         JOIN handover.job_references r ON r.job_id = c.job_id AND r.position = c.position GROUP BY r.kind"
    ));
    let read = |row: &Row| -> std::result::Result<_, DbErr> {
        let number = |column: &str| row.try_get::<i64>("", column).map(|number| number as u64);
        let took = ChunkTimes { chunks: number("n")?, records: number("records")?, milliseconds: number("took")? };
        Ok((row.try_get::<String>("", "kind")?, took))
    };
    let rows = session.all(doing, sql).await?;
    let took = rows.iter().map(read).collect::<std::result::Result<_, _>>();
    took.map_err(|error| Error::unexpected(doing, error.to_string()))
}

/// An open chunk, locked, waiting for whoever holds it.
pub async fn lock(session: &Session, job: Uuid, number: i32) -> Result<Option<Chunk>> {
    let mut find = Entity::find_by_id((job, number)).filter(Column::State.eq(OPEN));
    if session.engine() == Engine::Postgres {
        find = find.lock(LockType::Update);
    }
    find.one(session).await.map_err(failed("locking a chunk"))
}

/// Opens a job's failed chunks again; how many.
pub async fn reopen_failed(session: &Session, job: Uuid) -> Result<u64> {
    let update = Entity::update_many().col_expr(Column::State, Expr::value(OPEN));
    let update = update.col_expr(Column::Attempts, Expr::value(0));
    let update = update.col_expr(Column::NotBefore, Expr::value(Option::<OffsetDateTime>::None));
    let update = update.filter(Column::JobId.eq(job)).filter(Column::State.eq(FAILED));
    Ok(update.exec(session).await.map_err(failed("opening chunks again"))?.rows_affected)
}

/// Forgets the chunks of a job that are not closed, of these references or of all. Waits for whoever works on one: what
/// they do is committed, and journaled, before this goes on.
pub async fn delete_unclosed(session: &Session, job: Uuid, positions: Option<&[usize]>) -> Result<u64> {
    let doing = "forgetting chunks";
    let mut these = Condition::all().add(Column::JobId.eq(job)).add(Column::State.ne(CLOSED));
    if let Some(positions) = positions {
        these = these.add(Column::Position.is_in(positions.iter().map(|position| *position as i32)));
    }
    if session.engine() == Engine::Postgres {
        let find = Entity::find().filter(these.clone()).order_by_asc(Column::Number).lock(LockType::Update);
        let numbers = find.select_only().column(Column::Number).into_tuple::<i32>();
        numbers.all(session).await.map_err(failed(doing))?;
    }
    Ok(Entity::delete_many().filter(these).exec(session).await.map_err(failed(doing))?.rows_affected)
}
