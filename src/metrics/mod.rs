//! The metrics of a worker. [`ALL`] lists them; here is a function for each event that changes one.
//!
//! There is one set of metrics per process. No label holds a user, an organization or a job: labels are constants of the code,
//! or kinds of the catalog. A transaction collects its [`Observation`]s on its session, and they are counted only once it
//! commits.

mod list;
mod process;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prometheus::{Encoder, TextEncoder};
use time::OffsetDateTime;

pub use list::{ALL, Kind, MetricInfo, table};
use list::{METRICS, NONE};

/// The content type of [`render`].
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// An older timestamp is a mistake of the publisher.
const MAX_MESSAGE_AGE: time::Duration = time::Duration::days(365);

/// An effect of a transaction, counted when it has committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observation {
    /// A step read its job; for the log only.
    JobNamed {
        /// The organization; empty if the host has none.
        org: String,
        /// The idempotency key of the request.
        request: String,
    },
    /// A job started.
    JobStarted {
        /// The request's type.
        kind: &'static str,
        /// The time from its earliest start to its start.
        waited: time::Duration,
    },
    /// A job was completed, rejected, cancelled or reverted, or needs attention.
    JobEnded {
        /// The request's type.
        kind: &'static str,
        /// The new state.
        outcome: &'static str,
        /// The start time, for a completed job.
        began: Option<OffsetDateTime>,
    },
    /// A chunk was closed.
    ChunkClosed {
        /// The chunk's number, for the log only.
        number: i32,
        /// The number of its records.
        records: u64,
        /// The duration.
        took: Duration,
        /// The number of failed attempts before and their last error, if it was tried again. For the log only.
        retried: Option<(i32, String)>,
    },
    /// The breaker of a connection tripped.
    BreakerTripped,
    /// An attempt at a chunk failed.
    ChunkFailed {
        /// The chunk's number, for the log only.
        number: i32,
    },
    /// Records were moved, removed or restored.
    Records {
        /// The catalog's kind.
        kind: String,
        /// The disposition; for an undo, `restored` or `skipped`.
        disposition: &'static str,
        /// The number of records.
        records: u64,
    },
}

tokio::task_local! {
    static OBSERVED: RefCell<Vec<Observation>>;
}

/// Runs some work and returns the observations that it committed, for its log line.
pub async fn with_observations<T>(work: impl Future<Output = T>) -> (T, Vec<Observation>) {
    let recording = async {
        let done = work.await;
        (done, OBSERVED.with(RefCell::take))
    };
    OBSERVED.scope(RefCell::default(), recording).await
}

/// Counts an observation.
pub fn count(observation: Observation) {
    // The sweeper and the command line do not record observations.
    let _ = OBSERVED.try_with(|observed| observed.borrow_mut().push(observation.clone()));
    match observation {
        Observation::JobNamed { .. } => {}
        Observation::JobStarted { kind, waited } => {
            METRICS.job_wait.with_label_values(&[kind]).observe(waited.as_seconds_f64().max(0.0));
        }
        Observation::JobEnded { kind, outcome, began } => {
            METRICS.jobs_total.with_label_values(&[kind, outcome]).inc();
            if let Some(began) = began {
                let took = OffsetDateTime::now_utc() - began;
                METRICS.job_duration.with_label_values(&[kind]).observe(took.as_seconds_f64().max(0.0));
            }
        }
        Observation::ChunkClosed { took, .. } => {
            METRICS.chunk_duration.with_label_values(NONE).observe(took.as_secs_f64())
        }
        Observation::BreakerTripped => METRICS.scim_tripped.with_label_values(NONE).inc(),
        Observation::ChunkFailed { .. } => METRICS.chunk_failures.with_label_values(NONE).inc(),
        Observation::Records { kind, disposition, records } => {
            METRICS.records.with_label_values(&[kind.as_str(), disposition]).inc_by(records as f64);
        }
    }
}

/// Counts a committed transaction of a step.
pub fn transaction_committed(step: &'static str, took: Duration) {
    METRICS.transaction_duration.with_label_values(&[step]).observe(took.as_secs_f64());
}

/// Counts a received message, with its timestamp if it has one.
pub fn message_received(queue: &'static str, published: Option<OffsetDateTime>) {
    METRICS.messages.with_label_values(&[queue]).inc();
    let Some(published) = published else { return };
    let wait = OffsetDateTime::now_utc() - published;
    // Clocks differ, and a publisher may write anything.
    if wait.abs() < MAX_MESSAGE_AGE {
        METRICS.message_wait.with_label_values(&[queue]).observe(wait.as_seconds_f64().max(0.0));
        last_published().insert(queue, published);
    }
}

/// Returns the timestamp of the message that was received last from a queue.
pub fn last_received(queue: &'static str) -> Option<OffsetDateTime> {
    last_published().get(queue).copied()
}

fn last_published() -> MutexGuard<'static, BTreeMap<&'static str, OffsetDateTime>> {
    static LAST: Mutex<BTreeMap<&'static str, OffsetDateTime>> = Mutex::new(BTreeMap::new());
    LAST.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts a dead letter.
pub fn dead_lettered(reason: &str) {
    METRICS.dead_lettered.with_label_values(&[reason]).inc();
}

/// Counts an outbox message that the broker confirmed.
pub fn published(channel: &str) {
    METRICS.published.with_label_values(&[channel]).inc();
}

/// Counts a failure that is retried.
pub fn retried(what: &'static str) {
    METRICS.retries.with_label_values(&[what]).inc();
}

/// Counts a transaction that the database ended to break a deadlock.
pub fn deadlocked() {
    METRICS.deadlocks.with_label_values(NONE).inc();
}

/// Counts a rebuilt connection to the broker.
pub fn reconnected(connection: &'static str) {
    METRICS.reconnects.with_label_values(&[connection]).inc();
}

/// Counts a rest of a mover.
pub fn throttled(slept: Duration) {
    METRICS.throttle_sleep.with_label_values(NONE).inc_by(slept.as_secs_f64());
}

/// Sets whether the host is active.
pub fn host_active(is_active: bool) {
    METRICS.host_active.with_label_values(NONE).set(f64::from(u8::from(is_active)));
}

/// Sets how many tasks of a role can be busy at the same time.
pub fn tasks(role: &'static str, tasks: usize) {
    METRICS.tasks.with_label_values(&[role]).set(tasks as f64);
    METRICS.busy.with_label_values(&[role]).inc_by(0.0);
}

/// Starts the busy time of a task. It ends when the guard is dropped.
pub fn busy(role: &'static str) -> Busy {
    Busy { role, since: Instant::now(), excluded: Duration::ZERO }
}

/// Measures the busy time of a task; see [`busy`].
#[must_use]
pub struct Busy {
    role: &'static str,
    since: Instant,
    excluded: Duration,
}

impl Busy {
    /// Excludes time in which the task rested.
    pub fn exclude(&mut self, time: Duration) {
        self.excluded += time;
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let busy = self.since.elapsed().saturating_sub(self.excluded);
        METRICS.busy.with_label_values(&[self.role]).inc_by(busy.as_secs_f64());
    }
}

/// Counts attributes of an identity provider that the catalog does not map.
pub fn scim_ignored(attributes: usize) {
    METRICS.scim_ignored.with_label_values(NONE).inc_by(attributes as f64);
}

/// Sets whether a part that the worker needs is usable.
pub fn ready(part: &'static str, is_ready: bool) {
    METRICS.ready.with_label_values(&[part]).set(f64::from(u8::from(is_ready)));
}

/// Sets the number of jobs in each state; `None` if unknown.
pub fn jobs(by_state: Option<Vec<(&'static str, u64)>>) {
    METRICS.jobs.reset();
    for (state, jobs) in by_state.into_iter().flatten() {
        METRICS.jobs.with_label_values(&[state]).set(jobs as f64);
    }
}

/// The messages that wait in one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// The queue or the channel.
    pub name: &'static str,
    /// The number of messages.
    pub messages: u64,
    /// The age of the oldest, if known.
    pub oldest: Option<Duration>,
    /// The number of consumers, if known.
    pub consumers: Option<u64>,
}

/// Sets the messages that wait in the outbox; `None` if unknown.
pub fn outbox(waiting: Option<Vec<Waiting>>) {
    METRICS.outbox_messages.reset();
    METRICS.outbox_oldest.reset();
    for waiting in waiting.into_iter().flatten() {
        METRICS.outbox_messages.with_label_values(&[waiting.name]).set(waiting.messages as f64);
        METRICS.outbox_oldest.with_label_values(&[waiting.name]).set(seconds(waiting.oldest));
    }
}

/// Sets the messages that wait on the queues; `None` if unknown.
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

/// Returns all metrics in Prometheus' text format.
pub fn render() -> String {
    METRICS.build_info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1.0);
    process::measure(&METRICS);
    let mut text = Vec::new();
    TextEncoder::new().encode(&METRICS.registry.gather(), &mut text).expect("memory takes every named metric");
    String::from_utf8(text).expect("the text format is UTF-8")
}
