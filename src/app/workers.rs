//! Notices that no worker takes messages from a queue.

use std::time::{Duration, Instant};

use time::OffsetDateTime;

use crate::broker::{Broker, Channel, Depth};
use crate::stages::now;

/// A message that waits for longer shows that no worker takes it.
pub const LONG_WAIT: Duration = Duration::from_secs(60);

/// The time without a worker after which none is expected. A worker that restarts is back sooner.
const PATIENCE: Duration = Duration::from_secs(10);

/// The interval of looks at the queue.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Looks for workers while a caller waits for their work.
pub struct WorkerPresence<'b> {
    broker: &'b dyn Broker,
    next_look: Instant,
    missing: Option<Missing>,
    /// True while the broker is away, which is logged once.
    is_away: bool,
}

/// A queue from which no worker takes.
struct Missing {
    since: Instant,
    shown_by: Sign,
}

/// A sign that no worker takes messages from a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sign {
    channel: Channel,
    /// The oldest message, which waits for long. None if the broker counts consumers, and there is none.
    oldest: Option<OffsetDateTime>,
}

impl WorkerPresence<'_> {
    /// Starts to look.
    pub fn new(broker: &dyn Broker) -> WorkerPresence<'_> {
        WorkerPresence { broker, next_look: Instant::now(), missing: None, is_away: false }
    }

    /// Returns true if no worker has taken messages from this queue for a while: the queue had no consumer or, if the broker
    /// counts none, its oldest message waits for long and stays the same. A broker that is away shows nothing.
    pub async fn is_missing(&mut self, channel: Channel) -> bool {
        if Instant::now() < self.next_look {
            return false;
        }
        let depths = self.broker.depths().await;
        let was_away = std::mem::replace(&mut self.is_away, depths.is_err());
        let sign = match depths {
            Ok(depths) => depths.into_iter().find(|depth| depth.channel == channel).and_then(sign),
            Err(error) => {
                if !was_away {
                    tracing::warn!(%error, "the queues cannot be read now");
                }
                None
            }
        };
        self.next_look = Instant::now() + LOOK_EVERY;
        match (&self.missing, sign) {
            (Some(missing), Some(sign)) if missing.shown_by == sign => missing.since.elapsed() >= PATIENCE,
            (_, sign) => {
                self.missing = sign.map(|shown_by| Missing { since: Instant::now(), shown_by });
                false
            }
        }
    }
}

fn sign(depth: Depth) -> Option<Sign> {
    let Depth { channel, oldest, consumers, .. } = depth;
    match (consumers, oldest) {
        (Some(0), _) => Some(Sign { channel, oldest: None }),
        (Some(_), _) | (None, None) => None,
        (None, Some(oldest)) => (now() - oldest > LONG_WAIT).then_some(Sign { channel, oldest: Some(oldest) }),
    }
}
