//! Queues that exist in name only. If RabbitMQ is killed while it creates or deletes a quorum queue (3.10 at least), the name
//! may stay: the queue is declared and bound, but nothing can be published to it, and consuming it ends the connection.
//! Each queue is consumed on its own connection, so a connection that keeps failures identifies the queue.
//!
//! Steps are in the ledger, so Handover recreates their queue. Messages in another queue exist nowhere else, so a person must
//! decide to delete it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::dial::dial;
use super::errors;
use super::health::{Health, Purpose};
use super::settings::AmqpSettings;
use super::topology::Topology;
use crate::broker::error::BrokerError;
use crate::broker::message::Channel;

/// The shortest time for which RabbitMQ must have failed, and how often, without another event in between. A change of leader
/// and a starting server fail too, for a shorter time.
const FAILING_FOR: Duration = Duration::from_secs(20);
const FAILURES: u32 = 5;

/// A connection that lasted longer than this worked.
const BRIEF: Duration = Duration::from_secs(10);

const HINT: &str = "RabbitMQ fails over it (INTERNAL_ERROR): if it still does after a restart of RabbitMQ, delete the queue, which \
                    Handover then declares again, and resend the messages that waited in it";

/// Watches how the connection ends that consumes a queue.
pub(super) struct QueueWatch {
    channel: Channel,
    settings: Arc<AmqpSettings>,
    topology: Arc<Topology>,
    health: Arc<Health>,
    failures: Failures,
}

impl QueueWatch {
    pub(super) fn new(
        channel: Channel,
        settings: Arc<AmqpSettings>,
        topology: Arc<Topology>,
        health: Arc<Health>,
    ) -> QueueWatch {
        QueueWatch { channel, settings, topology, health, failures: Failures::new() }
    }

    /// Records the end of a connection. If RabbitMQ has failed persistently, recreates the queue or reports it.
    pub(super) async fn connection_ended(&mut self, reason: &str, lasted: Duration) {
        self.failures.record(reason, lasted);
        if !self.failures.is_persistent() {
            return;
        }
        self.failures.reset();
        let queue = self.topology.queue(self.channel);
        if self.channel != Channel::Steps {
            tracing::error!(queue, reason = HINT, "queue cannot be consumed");
            self.health.set_consumer_unhealthy(&queue, Some(HINT.to_owned()));
            return;
        }
        match self.delete().await {
            Ok(()) => tracing::warn!(
                queue,
                reason = "INTERNAL_ERROR",
                "deleted a broken queue; its steps are redispatched from the ledger"
            ),
            Err(error) => tracing::warn!(queue, %error, "cannot delete a broken queue"),
        }
    }

    /// Records that no server answers: earlier failures no longer count.
    pub(super) fn server_away(&mut self) {
        self.failures.reset();
    }

    async fn delete(&self) -> Result<(), BrokerError> {
        let connection = dial(&self.settings, Purpose::Inspecting).await?;
        let deleted = self.topology.delete_steps(&connection, self.settings.connect_timeout).await;
        connection.close().await;
        deleted
    }
}

/// The uninterrupted failures of RabbitMQ.
struct Failures {
    since: Option<Instant>,
    count: u32,
    patience: Duration,
}

impl Failures {
    /// Creates a counter with a random patience. Two processes that delete and declare a queue at the same time could break it
    /// again.
    fn new() -> Failures {
        let share = (uuid::Uuid::new_v4().as_u128() % 1_000) as f64 / 1_000.0;
        Failures { since: None, count: 0, patience: FAILING_FOR.mul_f64(1.0 + share) }
    }

    fn record(&mut self, reason: &str, lasted: Duration) {
        if errors::is_internal(reason) && lasted < BRIEF {
            self.since.get_or_insert_with(Instant::now);
            self.count += 1;
        } else {
            self.reset();
        }
    }

    fn reset(&mut self) {
        (self.since, self.count) = (None, 0);
    }

    fn is_persistent(&self) -> bool {
        self.count >= FAILURES && self.since.is_some_and(|since| since.elapsed() >= self.patience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERNAL: &str = "INTERNAL_ERROR";

    #[test]
    fn only_brief_consecutive_failures_count() {
        let mut failures = Failures { patience: Duration::ZERO, ..Failures::new() };
        for _ in 0..FAILURES {
            assert!(!failures.is_persistent());
            failures.record(INTERNAL, Duration::ZERO);
        }
        assert!(failures.is_persistent());
        for (reason, lasted) in [("CONNECTION_FORCED", Duration::ZERO), (INTERNAL, BRIEF)] {
            (0..FAILURES).for_each(|_| failures.record(INTERNAL, Duration::ZERO));
            failures.record(reason, lasted);
            assert!(!failures.is_persistent(), "{reason} after {lasted:?}");
        }
    }

    #[test]
    fn a_queue_is_kept_for_twenty_seconds() {
        let mut failures = Failures::new();
        (0..100).for_each(|_| failures.record(INTERNAL, Duration::ZERO));
        assert!(!failures.is_persistent());
        failures.since = Instant::now().checked_sub(FAILING_FOR * 2);
        assert!(failures.is_persistent());
    }
}
