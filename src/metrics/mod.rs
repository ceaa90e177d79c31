//! What a worker counts, for whoever operates it. [`ALL`] is the list of everything; here stands, a function each, what
//! the house tells it.
//!
//! There is one set of numbers a process. No label ever holds a user, an organization or a job: labels are words of the
//! code, or kinds of the catalog. What a transaction did is noted on its session as an [`Observation`], and counted once
//! it has committed: what is rolled back has not happened.

mod list;
mod process;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prometheus::{Encoder, TextEncoder};
use time::OffsetDateTime;

use list::METRICS;
pub use list::{ALL, About, Kind, table};

/// The format of [`render`].
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// Older than this, the time of a message is a slip of whoever sent it.
const OLDEST_MESSAGE: time::Duration = time::Duration::days(365);

/// What a transaction did, to be counted when it has committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observation {
    /// A job was accepted and has begun.
    JobStarted {
        /// The request's type.
        kind: String,
        /// From when it could have begun until it did.
        waited: time::Duration,
    },
    /// A job was completed, rejected, cancelled or reverted, or needs attention.
    JobEnded {
        /// The request's type.
        kind: String,
        /// The state that it came to.
        outcome: &'static str,
        /// Of one that is completed: when it began.
        began: Option<OffsetDateTime>,
    },
    /// A chunk was closed.
    ChunkClosed {
        /// Its number, which only the log tells.
        number: i32,
        /// Records of it that were dealt with.
        records: u64,
        /// How long it took.
        took: Duration,
    },
    /// An attempt at a chunk failed.
    ChunkFailed {
        /// Its number, which only the log tells.
        number: i32,
    },
    /// Records were dealt with.
    Records {
        /// The catalog's kind.
        kind: String,
        /// Its disposition; of an undo, `restored` or `skipped`.
        disposition: &'static str,
        /// How many.
        records: u64,
    },
}

tokio::task_local! {
    static OBSERVED: RefCell<Vec<Observation>>;
}

/// Does some work, and tells what was counted of it: for the line that the log has of it.
pub async fn with_observations<T>(work: impl Future<Output = T>) -> (T, Vec<Observation>) {
    let listening = async {
        let done = work.await;
        (done, OBSERVED.with(RefCell::take))
    };
    OBSERVED.scope(RefCell::default(), listening).await
}

/// Counts what has happened.
pub fn count(observation: Observation) {
    // Mostly somebody listens; who sweeps or gives a command does not.
    let _ = OBSERVED.try_with(|observed| observed.borrow_mut().push(observation.clone()));
    match observation {
        Observation::JobStarted { kind, waited } => {
            METRICS.job_wait.with_label_values(&[&kind]).observe(waited.as_seconds_f64().max(0.0));
        }
        Observation::JobEnded { kind, outcome, began } => {
            METRICS.jobs_total.with_label_values(&[kind.as_str(), outcome]).inc();
            if let Some(began) = began {
                let took = OffsetDateTime::now_utc() - began;
                METRICS.job_duration.with_label_values(&[&kind]).observe(took.as_seconds_f64().max(0.0));
            }
        }
        Observation::ChunkClosed { took, .. } => {
            METRICS.chunk_duration.with_label_values(NONE).observe(took.as_secs_f64())
        }
        Observation::ChunkFailed { .. } => METRICS.chunk_failures.with_label_values(NONE).inc(),
        Observation::Records { kind, disposition, records } => {
            METRICS.records.with_label_values(&[kind.as_str(), disposition]).inc_by(records as f64);
        }
    }
}

const NONE: &[&str] = &[];

/// A transaction of a step has committed.
pub fn transaction_committed(step: &'static str, took: Duration) {
    METRICS.transaction_duration.with_label_values(&[step]).observe(took.as_secs_f64());
}

/// A message was taken from a queue; when it was published, where its publisher says so.
pub fn message_received(queue: &'static str, published: Option<OffsetDateTime>) {
    METRICS.messages.with_label_values(&[queue]).inc();
    let Some(published) = published else { return };
    let wait = OffsetDateTime::now_utc() - published;
    // Clocks differ; and whoever publishes may write anything.
    if wait.abs() < OLDEST_MESSAGE {
        METRICS.message_wait.with_label_values(&[queue]).observe(wait.as_seconds_f64().max(0.0));
        last().insert(queue, published);
    }
}

/// When the message was published that was taken last from a queue.
pub fn last_received(queue: &'static str) -> Option<OffsetDateTime> {
    last().get(queue).copied()
}

fn last() -> MutexGuard<'static, BTreeMap<&'static str, OffsetDateTime>> {
    static LAST: Mutex<BTreeMap<&'static str, OffsetDateTime>> = Mutex::new(BTreeMap::new());
    LAST.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A message was set aside.
pub fn dead_lettered(reason: &str) {
    METRICS.dead_lettered.with_label_values(&[reason]).inc();
}

/// The broker has taken a message of the outbox.
pub fn published(channel: &str) {
    METRICS.published.with_label_values(&[channel]).inc();
}

/// Something failed and is tried again.
pub fn retried(what: &'static str) {
    METRICS.retries.with_label_values(&[what]).inc();
}

/// A connection to the broker was lost and is there again.
pub fn reconnected(connection: &'static str) {
    METRICS.reconnects.with_label_values(&[connection]).inc();
}

/// A worker slept to spare the database.
pub fn throttled(slept: Duration) {
    METRICS.throttle_sleep.with_label_values(NONE).inc_by(slept.as_secs_f64());
}

/// The host is at work, or is not any more.
pub fn host_active(is_at_work: bool) {
    METRICS.host_active.with_label_values(NONE).set(f64::from(u8::from(is_at_work)));
}

/// So many tasks of a role can be busy at the same time.
pub fn tasks(role: &'static str, tasks: usize) {
    METRICS.tasks.with_label_values(&[role]).set(tasks as f64);
    METRICS.busy.with_label_values(&[role]).inc_by(0.0);
}

/// A task of a role is busy until this is dropped.
pub fn busy(role: &'static str) -> Busy {
    Busy { role, since: Instant::now(), rested: Duration::ZERO }
}

/// See [`busy`].
#[must_use]
pub struct Busy {
    role: &'static str,
    since: Instant,
    rested: Duration,
}

impl Busy {
    /// For so long it was not, for it made room for others.
    pub fn rested(&mut self, time: Duration) {
        self.rested += time;
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let busy = self.since.elapsed().saturating_sub(self.rested);
        METRICS.busy.with_label_values(&[self.role]).inc_by(busy.as_secs_f64());
    }
}

/// Whether a part that the worker needs can be used.
pub fn ready(part: &'static str, is_ready: bool) {
    METRICS.ready.with_label_values(&[part]).set(f64::from(u8::from(is_ready)));
}

/// How many jobs stand in each state, or that it is not known just now.
pub fn jobs(by_state: Option<Vec<(&'static str, u64)>>) {
    METRICS.jobs.reset();
    for (state, jobs) in by_state.into_iter().flatten() {
        METRICS.jobs.with_label_values(&[state]).set(jobs as f64);
    }
}

/// What waits in one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// The queue or the channel.
    pub name: &'static str,
    /// Messages.
    pub messages: u64,
    /// How long the oldest of them has waited, where that is known.
    pub oldest: Option<Duration>,
    /// Who takes them, where that is known.
    pub consumers: Option<u64>,
}

/// What waits in the outbox, or that it is not known just now.
pub fn outbox(waiting: Option<Vec<Waiting>>) {
    METRICS.outbox_messages.reset();
    METRICS.outbox_oldest.reset();
    for waiting in waiting.into_iter().flatten() {
        METRICS.outbox_messages.with_label_values(&[waiting.name]).set(waiting.messages as f64);
        METRICS.outbox_oldest.with_label_values(&[waiting.name]).set(seconds(waiting.oldest));
    }
}

/// What waits on the queues, or that it is not known just now.
pub fn queues(waiting: Option<Vec<Waiting>>) {
    METRICS.queue_messages.reset();
    METRICS.queue_oldest.reset();
    METRICS.queue_consumers.reset();
    for waiting in waiting.into_iter().flatten() {
        METRICS.queue_messages.with_label_values(&[waiting.name]).set(waiting.messages as f64);
        if waiting.oldest.is_some() || waiting.messages == 0 {
            METRICS.queue_oldest.with_label_values(&[waiting.name]).set(seconds(waiting.oldest));
        }
        if let Some(consumers) = waiting.consumers {
            METRICS.queue_consumers.with_label_values(&[waiting.name]).set(consumers as f64);
        }
    }
}

fn seconds(age: Option<Duration>) -> f64 {
    age.map_or(0.0, |age| age.as_secs_f64())
}

/// Everything as it is now, in Prometheus' text format.
pub fn render() -> String {
    METRICS.build_info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1.0);
    process::measure(&METRICS);
    let mut text = Vec::new();
    // It writes into memory, and every family has a name: there is nothing that could fail.
    let _ = TextEncoder::new().encode(&METRICS.registry.gather(), &mut text);
    String::from_utf8(text).unwrap_or_default()
}
