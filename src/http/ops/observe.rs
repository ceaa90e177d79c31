//! Counts open jobs, outbox messages and queue depths on demand.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use tokio::sync::Mutex;

use super::parts::Parts;
use crate::broker::{Channel, Depth};
use crate::metrics::{self, Waiting};
use crate::store::Result;
use crate::store::ledger::{jobs, outbox};

/// The time for which counts are cached.
const CACHE_TIME: Duration = Duration::from_secs(5);

/// The time limit for a count. A count that fails is left out: an outdated number is worse than none.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Counts, and caches the counts.
pub struct Observer {
    parts: Parts,
    cache: Mutex<Cache>,
}

#[derive(Default)]
struct Cache {
    last: Option<Instant>,
    /// The last time when each queue had no ready message.
    empty: BTreeMap<&'static str, OffsetDateTime>,
}

impl Observer {
    pub fn new(parts: Parts) -> Observer {
        Observer { parts, cache: Mutex::default() }
    }

    /// Updates the gauges of open jobs, the outbox and the queues.
    pub async fn observe(&self) {
        let mut cache = self.cache.lock().await;
        if cache.last.is_some_and(|at| at.elapsed() < CACHE_TIME) {
            return;
        }
        let (jobs, outbox, depths) = tokio::join!(
            tokio::time::timeout(TIMEOUT, self.count_jobs()),
            tokio::time::timeout(TIMEOUT, self.count_outbox()),
            tokio::time::timeout(TIMEOUT, self.parts.broker.depths()),
        );
        metrics::jobs(jobs.ok().and_then(Result::ok));
        metrics::outbox(outbox.ok().and_then(Result::ok));
        let depths = depths.ok().and_then(std::result::Result::ok);
        metrics::queues(depths.map(|depths| depths.into_iter().map(|depth| waiting(&mut cache, depth)).collect()));
        cache.last = Some(Instant::now());
    }

    async fn count_jobs(&self) -> Result<Vec<(&'static str, u64)>> {
        let counts = jobs::count_open(&self.parts.store.reader()).await?;
        Ok(counts.into_iter().map(|(state, jobs)| (state.name(), jobs)).collect())
    }

    /// Counts the outbox. Without a broker it is the queue, and is reported as such.
    async fn count_outbox(&self) -> Result<Vec<Waiting>> {
        if !self.parts.broker.is_external() {
            return Ok(Vec::new());
        }
        let now = OffsetDateTime::now_utc();
        let backlog = outbox::backlog(&self.parts.store.reader(), &Channel::ALL, now).await?;
        let waiting = |(channel, backlog): (Channel, outbox::Backlog)| {
            let oldest = backlog.oldest.map(|oldest| age(oldest, now));
            Waiting { name: channel.name(), messages: backlog.messages, oldest, consumers: None }
        };
        Ok(Channel::ALL.into_iter().zip(backlog).map(waiting).collect())
    }
}

/// Describes a queue. If the broker does not report the age of the oldest message, the age has an upper bound: the message
/// arrived after the last one that was consumed, and after the queue was last empty.
fn waiting(cache: &mut Cache, depth: Depth) -> Waiting {
    let (name, now) = (depth.channel.name(), OffsetDateTime::now_utc());
    if depth.messages == 0 {
        cache.empty.insert(name, now);
    }
    let bounds = [metrics::last_received(name), cache.empty.get(name).copied()];
    let oldest = depth.oldest.or_else(|| bounds.into_iter().flatten().max());
    let oldest = oldest.filter(|_| depth.messages > 0).map(|oldest| age(oldest, now));
    Waiting { name, messages: depth.messages, oldest, consumers: depth.consumers }
}

fn age(since: OffsetDateTime, now: OffsetDateTime) -> Duration {
    Duration::try_from(now - since).unwrap_or_default()
}
