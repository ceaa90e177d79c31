//! The stages: each takes messages, does one transaction, and leaves rows and outgoing messages behind in it.
//!
//! Stages never call each other, and a message only says *look here*: all truth is in the ledger. So a repeated, reordered,
//! delayed or lost message changes nothing, and a crash anywhere means: look again.
//!
//! | stage | takes | leaves |
//! |---|---|---|
//! | [`planner`] | requests to hand over, in groups | finished small jobs; large ones opened |
//! | [`commands`] | requests about a job, a user who comes back, an invitation | what is small done; an undo opened |
//! | [`scheduled`] | scheduled jobs that are due | as the planner |
//! | [`cutter`] | a job | chunks, and tickets for them |
//! | [`mover`] | a ticket | a chunk's records moved and journaled |
//! | [`finalizer`] | a job | its certificate, or one more pass for what arrived late |
//! | [`relay`] | outbox rows | messages and events on the broker |
//! | [`sweeper`] | time | messages for what should be moving and is not |
//!
//! [`forget`] is nobody's step: a person's command, which erases what the ledger holds of a user.
//!
//! [`evaluate`](handover::evaluate) is what the planner and a preview have in common: it asks every guard and changes nothing. [`preview`](undo::preview) is the
//! same for a revert.

mod changes;
pub mod commands;
pub mod forget;
pub mod handover;
mod messages;
pub mod relay;
pub mod reply;
pub mod sweeper;
pub mod throughput;
pub mod undo;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::RwLock;

use self::handover::{cutter, finalizer, mover, planner, scheduled};
pub use self::throughput::Throughput;
use crate::catalog::{Catalog, check};
use crate::contract::{DeadLetterCode, JobId, Reason};
use crate::store::ledger::catalogs;
use crate::store::ledger::jobs::Job;
use crate::store::{Error, Result, Session, Store, host};

/// The transactions of the stages, by the names that they begin with. Tests repeat and fail each of them; a stage that is
/// not in this list is not tested so, and `tests/it` says it.
pub const STEPS: [&str; 12] = [
    planner::PLAN,
    commands::COMMAND,
    scheduled::START,
    cutter::CUT,
    mover::MOVE,
    mover::GIVE_UP,
    finalizer::FINALIZE,
    finalizer::RECOUNT,
    relay::CLAIM,
    relay::DELIVERED,
    sweeper::SWEEP,
    sweeper::PURGE,
];

/// What stages work with.
#[derive(Clone)]
pub struct Context {
    /// The database.
    pub store: Store,
    /// The catalogs.
    pub catalogs: Arc<Catalogs>,
    /// Sizes and times.
    pub limits: Limits,
    /// How long rows take here.
    pub throughput: Arc<Throughput>,
}

impl Context {
    /// The catalog that a job was planned with, for a transaction that works for the job's organization from here on: to be
    /// called before the transaction touches the host.
    pub async fn enter(&self, session: &Session, job: &Job) -> Result<Arc<Catalog>> {
        let catalog = self.catalogs.of_hash(&self.store, &job.catalog_hash).await?;
        enter(session, catalog, &job.org).await
    }
}

/// A catalog for a transaction that works for an organization from here on.
pub async fn enter(session: &Session, catalog: Arc<Catalog>, org: &str) -> Result<Arc<Catalog>> {
    host::enter(session, &catalog, org).await?;
    Ok(match catalog.within(org) {
        Cow::Borrowed(_) => catalog.clone(),
        Cow::Owned(bounded) => Arc::new(bounded),
    })
}

/// Sizes and times of the stages; `config/default.toml` says what each is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Requests that share a transaction, at most.
    pub group: usize,
    /// Records of a chunk; a job with no more in all is done at once.
    pub chunk_rows: u64,
    /// How long a chunk's rows may take: those that take longer are cut smaller.
    #[serde(with = "humantime_serde")]
    pub chunk_time: Duration,
    /// Chunks that one step cuts.
    pub chunks_per_cut: u64,
    /// Tickets of a job on the queue, at most.
    pub window: u64,
    /// How often a chunk is tried before it is given up.
    pub chunk_attempts: i32,
    /// How often the count may find late records before a person has to look.
    pub late_passes: i32,
    /// How long a job may stand still before it is dispatched again.
    #[serde(with = "humantime_serde")]
    pub stalled_after: Duration,
    /// How long after its end a job is counted again.
    #[serde(with = "humantime_serde")]
    pub recount_for: Duration,
    /// How often, in that time.
    #[serde(with = "humantime_serde")]
    pub recount_every: Duration,
    /// How long the embedded default keeps its events.
    #[serde(with = "humantime_serde")]
    pub keep_events: Duration,
}

/// The catalog that new jobs are planned with, and those that others were.
pub struct Catalogs {
    current: Arc<Catalog>,
    /// Whether this process has committed the current one's text to the ledger.
    is_kept: AtomicBool,
    by_hash: RwLock<HashMap<String, Arc<Catalog>>>,
}

impl Catalogs {
    /// With the catalog of new jobs.
    pub fn new(current: Catalog) -> Catalogs {
        let current = Arc::new(current);
        let by_hash = RwLock::new(HashMap::from([(current.hash.clone(), current.clone())]));
        Catalogs { current, is_kept: AtomicBool::new(false), by_hash }
    }

    /// The catalog of new jobs.
    pub fn current(&self) -> Arc<Catalog> {
        self.current.clone()
    }

    /// Keeps the text of the catalog of new jobs in the ledger, in a transaction that makes one. Once it has committed,
    /// [`Catalogs::kept`] spares the next ones.
    pub async fn keep(&self, session: &Session, now: OffsetDateTime) -> Result<()> {
        match self.is_kept.load(Ordering::Relaxed) {
            true => Ok(()),
            false => catalogs::remember(session, &self.current, now).await,
        }
    }

    /// A transaction that kept the catalog's text has committed.
    pub fn kept(&self) {
        self.is_kept.store(true, Ordering::Relaxed);
    }

    /// The catalog that a job was planned with, checked against the schema as it is now.
    pub async fn of_hash(&self, store: &Store, hash: &str) -> Result<Arc<Catalog>> {
        if let Some(catalog) = self.by_hash.read().await.get(hash) {
            return Ok(catalog.clone());
        }
        let doing = "loading the catalog that a job was planned with";
        let session = store.reader();
        let Some((name, source)) = catalogs::get(&session, hash).await? else {
            return Err(Error::unexpected(doing, format!("the ledger has no catalog {hash}")));
        };
        let schema = host::read_schema(&session).await?;
        let checked = check(&name, &source, &schema).map_err(|faults| Error::unexpected(doing, faults.to_string()))?;
        let catalog = Arc::new(checked.catalog);
        self.by_hash.write().await.insert(hash.to_owned(), catalog.clone());
        Ok(catalog)
    }
}

/// The time, as the ledger keeps it: in microseconds, which is what PostgreSQL stores.
pub fn now() -> OffsetDateTime {
    let now = OffsetDateTime::now_utc();
    now.replace_nanosecond(now.nanosecond() / 1_000 * 1_000).unwrap_or(now)
}

/// The longest pause before something is asked for again, in doublings of the first.
const MOST_DOUBLINGS: i32 = 6;

/// How long to wait before something is asked for again that was asked for so often already, and has not come about.
fn pause_after(first: Duration, times: i32) -> Duration {
    first * 2u32.pow(times.clamp(0, MOST_DOUBLINGS) as u32)
}

/// What becomes of a message that a stage took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Its effect is committed, or there was nothing to do.
    Done,
    /// A request: what is answered to it is committed.
    Answered(Answer),
    /// It is set aside, for a person.
    DeadLetter(DeadLetterReason),
}

/// What is answered to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It makes this job.
    Accepted(JobId),
    /// It may not be done, for these reasons.
    Rejected(JobId, Vec<Reason>),
    /// It came before: its job, and the outcome that the ledger has of it.
    Duplicate(JobId, String),
}

impl Answer {
    /// The request's job.
    pub fn job(&self) -> JobId {
        match self {
            Answer::Accepted(job) | Answer::Rejected(job, _) | Answer::Duplicate(job, _) => *job,
        }
    }
}

/// Why a message is parked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetterReason {
    /// The cause, as one word for programs.
    pub code: DeadLetterCode,
    /// The path to the field, where it is about one.
    pub path: Option<String>,
    /// For people.
    pub detail: String,
    /// How often it was tried by itself, each time to its end: what cannot be read is tried once.
    pub attempts: u32,
}
