//! Chunks: claimed, worked on and closed in one transaction.

use std::collections::{BTreeMap, HashMap};

use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::bulk_insert::add;
use super::entity::chunks::{Column, Entity};
use super::entity::{job_references, jobs};
use super::jobs::Job;
use super::query;
use super::references::ReferenceProgress;
use crate::store::dialect::sql::ColumnArray;
use crate::store::dialect::{CHUNKS, JOB_REFERENCES, JOBS, RowLock, Type};
use crate::store::{Error, Result, Session};

pub use super::codes::ChunkState;
pub use super::entity::chunks::Model as Chunk;

impl Chunk {
    /// Returns a chunk that nobody has worked on yet.
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
            state: ChunkState::Open,
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

/// A claimed chunk, with its job and reference.
pub struct ClaimedChunk {
    /// The chunk.
    pub chunk: Chunk,
    /// Its job.
    pub job: Job,
    /// The job's plan for the chunk's reference.
    pub progress: Option<ReferenceProgress>,
}

/// Claims the first open chunk of a job that no other transaction holds. The lock on its row, and its state, are the fence:
/// a worker thought dead finds the row locked or closed.
///
/// Locks: the chunk's row only. The job and the progress are as they were when the statement began. A transaction that
/// changes the successors of an unclosed chunk deletes the chunk, so that this statement does not find it.
pub async fn claim(session: &Session, job: Uuid, now: OffsetDateTime) -> Result<Option<ClaimedChunk>> {
    let doing = "claiming a chunk";
    let mut sql = session.sql("");
    let (job, open, now) = (sql.bind(job), sql.bind(ChunkState::Open), sql.bind(now));
    let lock = session.dialect().row_lock(RowLock::SkipLocked, Some("c"));
    sql.add(&format!(
        "SELECT {chunk}, {of_job}, {progress} FROM {CHUNKS} c JOIN {JOBS} j ON j.id = c.job_id \
         LEFT JOIN {JOB_REFERENCES} r ON r.job_id = c.job_id AND r.position = c.position \
         WHERE c.job_id = {job} AND c.state = {open} AND (c.not_before IS NULL OR c.not_before <= {now}) \
         ORDER BY c.number LIMIT 1{lock}",
        chunk = query::columns::<Entity>("c", "c_"),
        of_job = query::columns::<jobs::Entity>("j", "j_"),
        progress = query::columns::<job_references::Entity>("r", "r_"),
    ));
    let Some(row) = session.one(doing, sql).await? else { return Ok(None) };
    let progress: Option<job_references::Model> = match row.get::<Option<Uuid>>("r_job_id")? {
        Some(_) => Some(row.entity("r_")?),
        None => None,
    };
    let progress = progress.map(|model| ReferenceProgress::from_model(doing, model)).transpose()?;
    let job: Job = row.entity("j_")?;
    super::jobs::name(session, &job);
    Ok(Some(ClaimedChunk { chunk: row.entity("c_")?, job, progress }))
}

/// Writes back a chunk that is still open. Fails as superseded if it is no longer open, or has been deleted.
pub async fn update(session: &Session, chunk: Chunk) -> Result<()> {
    let doing = "updating a chunk";
    let (job, number) = (chunk.job_id, chunk.number);
    let update = Entity::update_many().set(chunk.into_active_model().reset_all());
    let update = update
        .filter(Column::JobId.eq(job))
        .filter(Column::Number.eq(number))
        .filter(Column::State.eq(ChunkState::Open));
    match query::update(session, doing, update).await? {
        1 => Ok(()),
        _ => Err(Error::superseded(doing)),
    }
}

/// The number of chunks in each state, and their records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct ChunkCounts {
    /// Chunks that wait or are being worked on.
    pub open: u64,
    /// Chunks that are done.
    pub closed: u64,
    /// Chunks that were given up.
    pub failed: u64,
    /// Records of all of them when they were cut.
    pub records: u64,
    /// Records moved, removed or set so far.
    pub done: u64,
    /// Records that the host took away meanwhile.
    pub changed: u64,
    /// One more than the highest chunk number among them.
    pub next_number: i32,
}

impl ChunkCounts {
    /// Adds other counts.
    pub fn add(&mut self, other: &ChunkCounts) {
        self.open += other.open;
        self.closed += other.closed;
        self.failed += other.failed;
        self.records += other.records;
        self.done += other.done;
        self.changed += other.changed;
        self.next_number = self.next_number.max(other.next_number);
    }
}

/// Counts the chunks of jobs, by job and reference.
pub async fn counts(session: &Session, jobs: &[Uuid]) -> Result<HashMap<(Uuid, usize), ChunkCounts>> {
    let doing = "counting chunks";
    let mut sql = session.sql("");
    let jobs = sql.small_table("j", vec![ColumnArray::new(Type::Uuid, "id", jobs.iter().map(Some))]);
    let int = |expression: &str| session.dialect().cast(expression, &Type::Int64);
    sql.add(&format!(
        "SELECT c.job_id AS job_id, {position} AS position, c.state AS state, count(*) AS n, {records} AS records, \
         {done} AS done, {changed} AS changed, {next_number} AS next_number \
         FROM {CHUNKS} c JOIN {jobs} ON j.id = c.job_id GROUP BY c.job_id, c.position, c.state",
        position = int("c.position"),
        records = int("sum(c.records)"),
        done = int("sum(c.done)"),
        changed = int("sum(c.changed)"),
        next_number = int("max(c.number) + 1"),
    ));
    let mut counts: HashMap<(Uuid, usize), ChunkCounts> = HashMap::new();
    for row in session.all(doing, sql).await? {
        let n = row.count("n")?;
        let (open, closed, failed) = match row.get("state")? {
            ChunkState::Open => (n, 0, 0),
            ChunkState::Closed => (0, n, 0),
            ChunkState::Failed => (0, 0, n),
        };
        let key = (row.get("job_id")?, row.count("position")? as usize);
        counts.entry(key).or_default().add(&ChunkCounts {
            open,
            closed,
            failed,
            records: row.count("records")?,
            done: row.count("done")?,
            changed: row.count("changed")?,
            next_number: row.count("next_number")? as i32,
        });
    }
    Ok(counts)
}

/// Counts the chunks of jobs, all references of a job together. A job without chunks is left out.
pub async fn counts_of_jobs(session: &Session, jobs: &[Uuid]) -> Result<HashMap<Uuid, ChunkCounts>> {
    let mut totals: HashMap<Uuid, ChunkCounts> = HashMap::new();
    for ((job, _), counts) in counts(session, jobs).await? {
        totals.entry(job).or_default().add(&counts);
    }
    Ok(totals)
}

/// Counts the chunks of one job, all references together.
pub async fn counts_of_job(session: &Session, job: Uuid) -> Result<ChunkCounts> {
    Ok(counts_of_jobs(session, &[job]).await?.remove(&job).unwrap_or_default())
}

/// Counts a job's open chunks, up to a limit.
pub async fn count_open(session: &Session, job: Uuid, limit: u64) -> Result<u64> {
    let find = open_chunks(job).limit(limit).select_only().column(Column::Number);
    Ok(query::tuples::<_, i32>(session, "counting open chunks", find).await?.len() as u64)
}

/// Returns the number of a job's next chunk. A caller who adds chunks holds the job's lock.
pub async fn next_number(session: &Session, job: Uuid) -> Result<i32> {
    let find = Entity::find().filter(Column::JobId.eq(job)).order_by_desc(Column::Number).limit(1);
    let last: Vec<i32> = query::tuples(session, "numbering chunks", find.select_only().column(Column::Number)).await?;
    Ok(last.first().map_or(0, |last| last + 1))
}

/// Returns true if a job has an open chunk, locked or not.
pub async fn any_open(session: &Session, job: Uuid) -> Result<bool> {
    Ok(count_open(session, job, 1).await? > 0)
}

/// The open chunks of a job besides one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherChunks {
    /// There is none.
    None,
    /// Each of them waits for rows of others.
    Waiting,
    /// Some of them still have work of their own.
    Working,
}

/// The error of a chunk whose rows wait for those of others; the number of its rounds follows.
pub const WAITING: &str = "rows wait for rows of other chunks: ";

/// Returns the state of the other open chunks of a job, locked or not.
pub async fn others_open(session: &Session, job: Uuid, number: i32) -> Result<OtherChunks> {
    let doing = "looking for other chunks";
    let others = || open_chunks(job).filter(Column::Number.ne(number)).limit(1).select_only().column(Column::Number);
    let is_working = Condition::any().add(Column::Error.is_null()).add(Column::Error.not_like(format!("{WAITING}%")));
    if !query::tuples::<_, i32>(session, doing, others().filter(is_working)).await?.is_empty() {
        return Ok(OtherChunks::Working);
    }
    Ok(match query::tuples::<_, i32>(session, doing, others()).await?.is_empty() {
        true => OtherChunks::None,
        false => OtherChunks::Waiting,
    })
}

fn open_chunks(job: Uuid) -> sea_orm::Select<Entity> {
    Entity::find().filter(Column::JobId.eq(job)).filter(Column::State.eq(ChunkState::Open))
}

/// Returns up to 100 of a job's chunks that were given up or had failed attempts, those that were given up first.
pub async fn failed_or_retried(session: &Session, job: Uuid) -> Result<Vec<Chunk>> {
    let failed_or_retried = Condition::any().add(Column::State.eq(ChunkState::Failed)).add(Column::Attempts.gt(0));
    let find = Entity::find().filter(Column::JobId.eq(job)).filter(failed_or_retried);
    let find = find.order_by_desc(Column::State.eq(ChunkState::Failed)).order_by_asc(Column::Number).limit(100);
    query::all(session, "reading failed or retried chunks", find).await
}

/// Returns up to `most` of a job's failed chunks, by reference and rank.
pub async fn first_failed(session: &Session, job: Uuid, most: u64) -> Result<Vec<Chunk>> {
    let find = Entity::find().filter(Column::JobId.eq(job)).filter(Column::State.eq(ChunkState::Failed));
    let find = find.order_by_asc(Column::Position).order_by_asc(Column::FirstRank).order_by_asc(Column::Number);
    query::all(session, "reading failed chunks", find.limit(most)).await
}

/// Returns the contents of rows that were isolated in chunks of their own and are not done. Only rows without a key are isolated
/// by their content.
pub async fn isolated_rows(session: &Session, job: Uuid, position: i32) -> Result<Vec<String>> {
    let find = Entity::find().filter(Column::JobId.eq(job)).filter(Column::Position.eq(position));
    let find = find.filter(Column::State.ne(ChunkState::Closed)).filter(Column::FirstKey.is_not_null());
    let keys: Vec<serde_json::Value> =
        query::tuples(session, "reading isolated rows", find.select_only().column(Column::FirstKey)).await?;
    let image = |key: serde_json::Value| Some(key.get(0)?.as_str()?.to_owned());
    Ok(keys.into_iter().filter_map(image).collect())
}

/// The size and duration of recent chunks of a kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChunkTimes {
    /// The number of chunks.
    pub chunks: u64,
    /// Their records.
    pub records: u64,
    /// The sum of their durations, in milliseconds.
    pub milliseconds: u64,
}

/// The number of recent chunks that estimates are based on.
const RECENT: u64 = 500;

/// Returns the times of recent chunks, by kind, for estimates. Chunks that undo a row of the journal do not count.
pub async fn recent_times(session: &Session) -> Result<HashMap<String, ChunkTimes>> {
    let mut sql = session.sql("");
    let most = sql.bind(RECENT as i64);
    sql.add(&format!(
        "SELECT r.kind AS kind, count(*) AS n, {records} AS records, {duration} AS duration FROM \
         (SELECT job_id, position, records, duration_ms FROM {CHUNKS} \
           WHERE duration_ms IS NOT NULL AND journal_id IS NULL ORDER BY closed_at DESC LIMIT {most}) c \
         JOIN {JOB_REFERENCES} r ON r.job_id = c.job_id AND r.position = c.position GROUP BY r.kind",
        records = session.dialect().cast("sum(c.records)", &Type::Int64),
        duration = session.dialect().cast("sum(c.duration_ms)", &Type::Int64),
    ));
    let mut times = HashMap::new();
    for row in session.all("reading the times of recent chunks", sql).await? {
        let (chunks, records) = (row.count("n")?, row.count("records")?);
        times.insert(row.get("kind")?, ChunkTimes { chunks, records, milliseconds: row.count("duration")? });
    }
    Ok(times)
}

/// Locks an open chunk, waiting for a transaction that holds it, and returns it.
pub async fn lock(session: &Session, job: Uuid, number: i32) -> Result<Option<Chunk>> {
    let find = Entity::find_by_id((job, number)).filter(Column::State.eq(ChunkState::Open));
    query::one(session, "locking a chunk", query::locked(session, find, RowLock::Wait)).await
}

/// Opens a job's failed chunks again, and returns how many.
pub async fn reopen_failed(session: &Session, job: Uuid) -> Result<u64> {
    let update = Entity::update_many().col_expr(Column::State, Expr::value(ChunkState::Open));
    let update = update.col_expr(Column::Attempts, Expr::value(0));
    let update = update.col_expr(Column::NotBefore, Expr::value(Option::<OffsetDateTime>::None));
    let update = update.filter(Column::JobId.eq(job)).filter(Column::State.eq(ChunkState::Failed));
    query::update(session, "opening failed chunks again", update).await
}

/// Deletes a job's unclosed chunks: those of the references at `positions`, or all if `None`. It waits for workers who hold one:
/// their work is committed and journaled first.
pub async fn delete_unclosed(session: &Session, job: Uuid, positions: Option<&[usize]>) -> Result<u64> {
    let doing = "deleting unclosed chunks";
    let mut these = Condition::all().add(Column::JobId.eq(job)).add(Column::State.ne(ChunkState::Closed));
    if let Some(positions) = positions {
        these = these.add(Column::Position.is_in(positions.iter().map(|position| *position as i32)));
    }
    if session.capabilities().row_locks {
        let find = Entity::find().filter(these.clone()).order_by_asc(Column::Number);
        let find = query::locked(session, find.select_only().column(Column::Number), RowLock::Wait);
        query::rows(session, doing, find).await?;
    }
    query::delete(session, doing, Entity::delete_many().filter(these)).await
}

/// Gives the chunks of a job other positions, by the old ones: the job has another catalog.
pub async fn move_positions(session: &Session, job: Uuid, positions: &BTreeMap<usize, usize>) -> Result<()> {
    if positions.is_empty() {
        return Ok(());
    }
    let mut sql = session.sql("");
    let cases: String = positions.iter().map(|(old, new)| format!(" WHEN {old} THEN {new}")).collect();
    let job = sql.bind(job);
    sql.add(&format!("UPDATE {CHUNKS} SET position = CASE position{cases} ELSE position END WHERE job_id = {job}"));
    session.run("giving chunks other positions", sql).await?;
    Ok(())
}
