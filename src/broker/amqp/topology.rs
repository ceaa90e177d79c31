//! Exchanges, queues and bindings: what they are called, what they are made of, and declaring them.
//!
//! Declaring is idempotent, and done again before each use of a fresh connection and after each sign that something is
//! missing: a queue that was deleted comes back, one that was changed is reported.

use std::sync::Arc;
use std::time::Duration;

use lapin::ExchangeKind;
use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::{AMQPValue, FieldTable};

use super::connection::Live;
use super::errors::{self, code};
use super::health::Health;
use super::{BrokerError, Channel, Depth};

/// RabbitMQ counts deliveries and gives a message up at this number; from 4.0 on its default is 20, which a database
/// that is down for a minute would use up. Attempts are counted in the ledger, so this is high enough to mean never.
const DELIVERY_LIMIT: i32 = 1_000_000;

/// The names under one prefix.
pub(super) struct Topology {
    /// The topic exchange of requests and steps: the prefix itself.
    exchange: String,
    /// The topic exchange of events.
    events: String,
    health: Arc<Health>,
}

impl Topology {
    pub(super) fn new(prefix: &str, health: Arc<Health>) -> Topology {
        Topology { exchange: prefix.to_owned(), events: format!("{prefix}.events"), health }
    }

    /// The exchange and the routing key that bring a message there.
    pub(super) fn route(&self, channel: Channel, routing_key: &str) -> (String, String) {
        match channel {
            Channel::Requests | Channel::Steps => (self.exchange.clone(), routing_key.to_owned()),
            Channel::Events => (self.events.clone(), routing_key.to_owned()),
            // Through the default exchange, which needs no binding that could be missing.
            Channel::Dead => (String::new(), self.queue(Channel::Dead)),
        }
    }

    /// The queue's name.
    pub(super) fn queue(&self, channel: Channel) -> String {
        format!("{}.{}", self.exchange, channel.name())
    }

    /// Whether a queue is one of ours, by its name.
    pub(super) fn is_ours(&self, queue: &str) -> bool {
        [Channel::Requests, Channel::Steps, Channel::Dead].into_iter().any(|channel| self.queue(channel) == queue)
    }

    /// Declares everything, within the time limit, and tells [`Health`] whether it is right.
    pub(super) async fn declare(&self, live: &Live, limit: Duration) -> Result<(), BrokerError> {
        let declared = tokio::time::timeout(limit, self.declare_all(live)).await;
        let declared = declared.unwrap_or_else(|_| {
            Err(BrokerError::Unreachable(format!("declaring queues was not answered within {limit:?}")))
        });
        match &declared {
            Ok(()) => self.health.topology(None),
            Err(BrokerError::Topology(wrong)) => self.health.topology(Some(wrong.clone())),
            Err(_) => {}
        }
        declared
    }

    /// Deletes the queue of steps, with what it holds: all of that stands in the ledger too.
    pub(super) async fn delete_steps(&self, live: &Live, limit: Duration) -> Result<(), BrokerError> {
        let name = self.queue(Channel::Steps);
        let deleted = tokio::time::timeout(limit, async {
            let channel = live.open_channel().await?;
            let deleted = channel.queue_delete(name.as_str().into(), QueueDeleteOptions::default()).await;
            deleted.map(drop).map_err(|error| self.refused("queue", &name, live, &error))
        });
        deleted.await.map_err(|_| BrokerError::Unreachable(format!("deleting `{name}` was not answered")))?
    }

    async fn declare_all(&self, live: &Live) -> Result<(), BrokerError> {
        let channel = live.open_channel().await?;
        for exchange in self.exchanges() {
            let declared = self.declare_exchange(&channel, exchange).await;
            declared.map_err(|error| self.refused("exchange", exchange, live, &error))?;
        }
        // The dead queue first: dead letters of the others go there.
        for queue in [Channel::Dead, Channel::Requests, Channel::Steps] {
            let declared = self.declare_queue(&channel, queue).await;
            declared.map_err(|error| self.refused("queue", &self.queue(queue), live, &error))?;
        }
        for (queue, pattern) in [(Channel::Requests, "request.#"), (Channel::Steps, "step.#")] {
            let (name, exchange) = (self.queue(queue), self.exchange.as_str());
            channel
                .queue_bind(
                    name.as_str().into(),
                    exchange.into(),
                    pattern.into(),
                    QueueBindOptions::default(),
                    FieldTable::default(),
                )
                .await
                .map_err(|error| self.refused("queue", &name, live, &error))?;
        }
        channel.close(200, "declared".into()).await.map_err(|error| errors::unreachable(&error))
    }

    /// What all names begin with.
    pub(super) fn prefix(&self) -> &str {
        &self.exchange
    }

    /// The exchanges' names.
    pub(super) fn exchanges(&self) -> [&str; 2] {
        [&self.exchange, &self.events]
    }

    pub(super) async fn declare_exchange(&self, channel: &lapin::Channel, name: &str) -> lapin::Result<()> {
        let options = ExchangeDeclareOptions { durable: true, ..Default::default() };
        channel.exchange_declare(name.into(), ExchangeKind::Topic, options, FieldTable::default()).await
    }

    pub(super) async fn declare_queue(&self, channel: &lapin::Channel, queue: Channel) -> lapin::Result<lapin::Queue> {
        let name = self.queue(queue);
        channel.queue_declare(name.into(), QueueDeclareOptions::durable(), self.arguments(queue)).await
    }

    /// What waits on each queue, within the time limit. A channel of its own: one that asks for a queue that was deleted is
    /// closed by the broker.
    pub(super) async fn depths(&self, live: &Live, limit: Duration) -> Result<Vec<Depth>, BrokerError> {
        let depths = tokio::time::timeout(limit, self.ask_for_depths(live)).await;
        depths.unwrap_or(Err(BrokerError::TimedOut(limit)))
    }

    async fn ask_for_depths(&self, live: &Live) -> Result<Vec<Depth>, BrokerError> {
        let asking = live.open_channel().await?;
        let mut depths = Vec::new();
        for channel in Channel::QUEUES {
            let options = QueueDeclareOptions { passive: true, ..Default::default() };
            let declared = asking.queue_declare(self.queue(channel).as_str().into(), options, FieldTable::default());
            let queue = declared.await.map_err(|error| errors::unreachable(&error))?;
            let (messages, consumers) = (u64::from(queue.message_count()), u64::from(queue.consumer_count()));
            depths.push(Depth { channel, messages, oldest: None, consumers: Some(consumers) });
        }
        asking.close(200, "asked".into()).await.map_err(|error| errors::unreachable(&error))?;
        Ok(depths)
    }

    /// Quorum queues: replicated and never lost. What the broker gives up by itself goes to the dead queue, at least
    /// once, which needs `reject-publish`.
    fn arguments(&self, queue: Channel) -> FieldTable {
        let text = |value: &str| AMQPValue::LongString(value.as_bytes().into());
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), text("quorum"));
        arguments.insert("x-delivery-limit".into(), AMQPValue::LongInt(DELIVERY_LIMIT));
        if queue != Channel::Dead {
            arguments.insert("x-dead-letter-exchange".into(), text(""));
            arguments.insert("x-dead-letter-routing-key".into(), text(&self.queue(Channel::Dead)));
            arguments.insert("x-dead-letter-strategy".into(), text("at-least-once"));
            arguments.insert("x-overflow".into(), text("reject-publish"));
        }
        arguments
    }

    /// Tells a topology that needs a person from a broker that is not ready yet (a queue without its leader is "not found").
    pub(super) fn refused(&self, kind: &str, name: &str, live: &Live, error: &lapin::Error) -> BrokerError {
        let place = live.place();
        match errors::said_by_broker(error) {
            Some((code::PRECONDITION_FAILED | code::RESOURCE_LOCKED | code::NOT_ALLOWED, words)) => {
                let hint = match kind {
                    "queue" => "delete the queue once it is empty",
                    _ => "delete the exchange",
                };
                BrokerError::Topology(format!(
                    "the {kind} `{name}` on {place} is not as Handover declares it ({words}): {hint}, or choose another \
                     `broker.prefix`"
                ))
            }
            Some((code::ACCESS_REFUSED, words)) => BrokerError::Topology(format!(
                "the {kind} `{name}` on {place} may not be declared ({words}): give the user the permissions to configure, \
                 write and read it"
            )),
            _ => errors::unreachable(error),
        }
    }
}
