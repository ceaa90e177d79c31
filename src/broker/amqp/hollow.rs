//! Queues with nothing behind their name. Where RabbitMQ is killed while a quorum queue is made or deleted (3.10 at least), its
//! name may stay: it is declared and bound, but nothing can be published to it, and whoever consumes it loses the connection.
//!
//! Steps are in the ledger, so their queue is made anew; what waits in another nobody else has, and a person has to say that
//! it is given up.

use std::time::{Duration, Instant};

use lapin::options::BasicConsumeOptions;
use lapin::types::FieldTable;

use super::connection::{self, Live};
use super::health::Role;
use super::topology::Topology;
use super::{AmqpSettings, BrokerError, Channel, fault};

/// For how long RabbitMQ must have failed over a queue, and how often, without anything else in between: a leader that changes
/// and a server that starts fail too.
const AFTER: Duration = Duration::from_secs(20);
const TIMES: u32 = 5;

/// Since when RabbitMQ has failed, with each attempt, over the wish to consume a queue.
pub(super) struct Failing {
    since: Option<Instant>,
    times: u32,
    patience: Duration,
}

impl Failing {
    /// Each consumer has a patience of its own: two that deleted and declared a queue at once could do harm themselves.
    pub(super) fn new() -> Failing {
        let share = (uuid::Uuid::new_v4().as_u128() % 1_000) as f64 / 1_000.0;
        Failing { since: None, times: 0, patience: AFTER.mul_f64(1.0 + share) }
    }

    /// Notes how an attempt ended.
    pub(super) fn note<T>(&mut self, begun: &Result<T, BrokerError>) {
        match begun {
            Err(error) if fault::is_internal(error) => {
                self.since = self.since.or_else(|| Some(Instant::now()));
                self.times += 1;
            }
            _ => self.forget(),
        }
    }

    pub(super) fn forget(&mut self) {
        (self.since, self.times) = (None, 0);
    }

    /// Whether it is time to look closer.
    pub(super) fn is_persistent(&self) -> bool {
        self.times >= TIMES && self.since.is_some_and(|since| since.elapsed() >= self.patience)
    }
}

/// What came of looking closer.
pub(super) enum Found {
    /// It can be consumed: RabbitMQ failed over something else.
    Sound,
    /// It had nothing behind its name, and has been deleted: whoever declares it makes it anew.
    Deleted,
    /// It has nothing behind its name, and only a person may delete it.
    Lost(&'static str),
}

const LOST: &str = "RabbitMQ fails over it (INTERNAL_ERROR): if it does after a restart of RabbitMQ too, delete the queue, which \
                    Handover then declares again, and send again what waited in it";

/// Looks closer at a queue, on connections that nobody else uses: a queue that RabbitMQ fails over ends them.
pub(super) async fn mend(settings: &AmqpSettings, topology: &Topology, channel: Channel) -> Result<Found, BrokerError> {
    let looking = connection::dial(settings, Role::Consuming).await?;
    let consumed = consume(&looking, settings, &topology.queue(channel)).await;
    looking.close().await;
    match consumed {
        Ok(()) => Ok(Found::Sound),
        Err(error) if !fault::is_internal(&error) => Err(error),
        Err(_) if channel != Channel::Steps => Ok(Found::Lost(LOST)),
        Err(_) => {
            let deleting = connection::dial(settings, Role::Consuming).await?;
            let deleted = topology.delete_steps(&deleting, settings.connect_timeout).await;
            deleting.close().await;
            deleted.map(|()| Found::Deleted)
        }
    }
}

/// What it is given meanwhile goes back with its connection.
async fn consume(live: &Live, settings: &AmqpSettings, queue: &str) -> Result<(), BrokerError> {
    let consumed = tokio::time::timeout(settings.connect_timeout, async {
        let channel = live.open_channel().await?;
        let options = BasicConsumeOptions::default();
        let consumed = channel.basic_consume(queue.into(), "".into(), options, FieldTable::default()).await;
        consumed.map(drop).map_err(|error| fault::unreachable(&error))
    });
    consumed.await.map_err(|_| BrokerError::TimedOut(settings.connect_timeout))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_failures_in_a_row_speak_against_a_queue() {
        let internal = || Err::<(), _>(BrokerError::Unreachable("INTERNAL_ERROR".into()));
        let mut failing = Failing { patience: Duration::ZERO, ..Failing::new() };
        for _ in 0..TIMES {
            assert!(!failing.is_persistent());
            failing.note(&internal());
        }
        assert!(failing.is_persistent());
        failing.note(&Err::<(), _>(BrokerError::Unreachable("connection refused".into())));
        assert!(!failing.is_persistent(), "a server that was away begins anew");
        (0..TIMES).for_each(|_| failing.note(&internal()));
        failing.note(&Ok(()));
        assert!(!failing.is_persistent());
    }
}
