//! What is counted where it lies, in the ledger and on the queues, when somebody asks for it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use tokio::sync::Mutex;

use super::parts::Parts;
use crate::broker::{Channel, Depth};
use crate::metrics::{self, Waiting};
use crate::store::Result;
use crate::store::ledger::{jobs, outbox};

/// A count holds for so long, however often it is asked for.
const HOLDS: Duration = Duration::from_secs(5);

/// How long a count may take. What cannot be counted is not told: a number that is not true any more is worse than none.
const PATIENCE: Duration = Duration::from_secs(3);

/// Counts, at most so often.
pub struct Observer {
    parts: Parts,
    state: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    last: Option<Instant>,
    /// When each queue was last seen without a message that is ready.
    empty: BTreeMap<&'static str, OffsetDateTime>,
}

impl Observer {
    pub fn new(parts: Parts) -> Observer {
        Observer { parts, state: Mutex::default() }
    }

    /// Puts down what waits and what is open just now.
    pub async fn observe(&self) {
        let mut seen = self.state.lock().await;
        if seen.last.is_some_and(|at| at.elapsed() < HOLDS) {
            return;
        }
        let (jobs, outbox, depths) = tokio::join!(
            tokio::time::timeout(PATIENCE, self.count_jobs()),
            tokio::time::timeout(PATIENCE, self.count_outbox()),
            tokio::time::timeout(PATIENCE, self.parts.broker.depths()),
        );
        metrics::jobs(jobs.ok().and_then(Result::ok));
        metrics::outbox(outbox.ok().and_then(Result::ok));
        let depths = depths.ok().and_then(std::result::Result::ok);
        metrics::queues(depths.map(|depths| depths.into_iter().map(|depth| waiting(&mut seen, depth)).collect()));
        seen.last = Some(Instant::now());
    }

    async fn count_jobs(&self) -> Result<Vec<(&'static str, u64)>> {
        let counts = jobs::count_open(&self.parts.store.reader()).await?;
        Ok(counts.into_iter().map(|(state, jobs)| (state.name(), jobs)).collect())
    }

    /// Without a broker the outbox is the queues, and is told as those.
    async fn count_outbox(&self) -> Result<Vec<Waiting>> {
        if !self.parts.broker.is_external() {
            return Ok(Vec::new());
        }
        let now = OffsetDateTime::now_utc();
        let names = Channel::ALL.map(Channel::name);
        let backlog = outbox::backlog(&self.parts.store.reader(), &names, now).await?;
        let waiting = |(name, backlog): (&'static str, outbox::Backlog)| {
            let oldest = backlog.oldest.map(|oldest| age(oldest, now));
            Waiting { name, messages: backlog.messages, oldest, consumers: None }
        };
        Ok(names.into_iter().zip(backlog).map(waiting).collect())
    }
}

/// What is known of a queue. Where the broker does not tell the age of the oldest message, it came after the one that was
/// taken last, and after the queue was last seen empty: it is no older than that.
fn waiting(seen: &mut Seen, depth: Depth) -> Waiting {
    let (name, now) = (depth.channel.name(), OffsetDateTime::now_utc());
    if depth.messages == 0 {
        seen.empty.insert(name, now);
    }
    let bounds = [metrics::last_received(name), seen.empty.get(name).copied()];
    let oldest = depth.oldest.or_else(|| bounds.into_iter().flatten().max());
    let oldest = oldest.filter(|_| depth.messages > 0).map(|oldest| age(oldest, now));
    Waiting { name, messages: depth.messages, oldest, consumers: depth.consumers }
}

fn age(since: OffsetDateTime, now: OffsetDateTime) -> Duration {
    Duration::try_from(now - since).unwrap_or_default()
}
