//! Queues with nothing behind their name. Where RabbitMQ is killed while a quorum queue is made or deleted (3.10 at least), its
//! name may stay: it is declared and bound, but nothing can be published to it, and whoever consumes it loses the connection.
//! Each queue is consumed on a connection of its own: the one that ends again and again tells which queue it is.
//!
//! Steps are in the ledger, so their queue is made anew; what waits in another nobody else has, and a person has to say that
//! it is given up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::health::{Health, Role};
use super::topology::Topology;
use super::{AmqpSettings, BrokerError, Channel, connection, errors};

/// For how long RabbitMQ must have failed, and how often, without anything else in between: a leader that changes and a server
/// that starts fail too.
const AFTER: Duration = Duration::from_secs(20);
const TIMES: u32 = 5;

/// A connection that has lasted so long was good for something.
const BRIEF: Duration = Duration::from_secs(10);

const LOST: &str = "RabbitMQ fails over it (INTERNAL_ERROR): if it does after a restart of RabbitMQ too, delete the queue, which \
                    Handover then declares again, and send again what waited in it";

/// Watches how the connection ends on which a queue is consumed.
pub(super) struct Watch {
    pub(super) channel: Channel,
    pub(super) settings: Arc<AmqpSettings>,
    pub(super) topology: Arc<Topology>,
    pub(super) health: Arc<Health>,
    pub(super) failing: Failing,
}

impl Watch {
    /// The connection has ended. Where RabbitMQ has failed with every one for long, does what can be done about it.
    pub(super) async fn ended(&mut self, reason: &str, lasted: Duration) {
        self.failing.note(reason, lasted);
        if !self.failing.is_persistent() {
            return;
        }
        self.failing.forget();
        let queue = self.topology.queue(self.channel);
        if self.channel != Channel::Steps {
            tracing::error!(queue, what = LOST, "a queue cannot be consumed");
            self.health.consumer_unhealthy(&queue, Some(LOST.to_owned()));
            return;
        }
        match self.delete().await {
            Ok(()) => tracing::warn!(
                queue,
                "RabbitMQ failed over this queue (INTERNAL_ERROR): it was deleted, and its steps come again from the ledger"
            ),
            Err(error) => tracing::warn!(queue, %error, "a queue that RabbitMQ fails over could not be deleted"),
        }
    }

    /// There is no server to connect to: that it failed before says nothing any more.
    pub(super) fn away(&mut self) {
        self.failing.forget();
    }

    async fn delete(&self) -> Result<(), BrokerError> {
        let deleting = connection::dial(&self.settings, Role::Looking).await?;
        let deleted = self.topology.delete_steps(&deleting, self.settings.connect_timeout).await;
        deleting.close().await;
        deleted
    }
}

/// Since when RabbitMQ has failed with each connection, and how often.
pub(super) struct Failing {
    since: Option<Instant>,
    times: u32,
    patience: Duration,
}

impl Failing {
    /// Each process has a patience of its own: two that deleted and declared a queue at once could do harm themselves.
    pub(super) fn new() -> Failing {
        let share = (uuid::Uuid::new_v4().as_u128() % 1_000) as f64 / 1_000.0;
        Failing { since: None, times: 0, patience: AFTER.mul_f64(1.0 + share) }
    }

    fn note(&mut self, reason: &str, lasted: Duration) {
        if errors::is_internal(reason) && lasted < BRIEF {
            self.since.get_or_insert_with(Instant::now);
            self.times += 1;
        } else {
            self.forget();
        }
    }

    fn forget(&mut self) {
        (self.since, self.times) = (None, 0);
    }

    fn is_persistent(&self) -> bool {
        self.times >= TIMES && self.since.is_some_and(|since| since.elapsed() >= self.patience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERNAL: &str = "INTERNAL_ERROR";

    #[test]
    fn only_connections_that_fail_at_once_and_in_a_row_speak_against_a_queue() {
        let mut failing = Failing { patience: Duration::ZERO, ..Failing::new() };
        for _ in 0..TIMES {
            assert!(!failing.is_persistent());
            failing.note(INTERNAL, Duration::ZERO);
        }
        assert!(failing.is_persistent());
        for (reason, lasted) in [("CONNECTION_FORCED", Duration::ZERO), (INTERNAL, BRIEF)] {
            (0..TIMES).for_each(|_| failing.note(INTERNAL, Duration::ZERO));
            failing.note(reason, lasted);
            assert!(!failing.is_persistent(), "{reason} after {lasted:?}");
        }
    }

    #[test]
    fn a_queue_is_not_given_up_within_twenty_seconds() {
        let mut failing = Failing::new();
        (0..100).for_each(|_| failing.note(INTERNAL, Duration::ZERO));
        assert!(!failing.is_persistent());
        failing.since = Instant::now().checked_sub(AFTER * 2);
        assert!(failing.is_persistent());
    }
}
