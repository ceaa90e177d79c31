//! Exchanges, queues and bindings: their names, their arguments, and declaring them.
//!
//! Declaring is idempotent. Handover declares again before each use of a new connection, and after each sign that something
//! is missing: a deleted queue comes back, a changed one is reported.

use std::sync::Arc;
use std::time::Duration;

use lapin::ExchangeKind;
use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::{AMQPValue, FieldTable};

use super::dial::Connection;
use super::errors::{self, code};
use super::health::Health;
use crate::broker::api::Depth;
use crate::broker::error::BrokerError;
use crate::broker::message::Channel;

/// RabbitMQ gives a message up after this many deliveries. Since 4.0 its default is 20, which one minute without a database
/// would use up. The ledger counts attempts, so this is high enough to mean never.
const DELIVERY_LIMIT: i32 = 1_000_000;

/// The exchanges and queues of one prefix.
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

    /// Returns the exchange and the routing key for a channel.
    pub(super) fn route(&self, channel: Channel, routing_key: &str) -> (String, String) {
        match channel {
            Channel::Requests | Channel::Steps => (self.exchange.clone(), routing_key.to_owned()),
            Channel::Events => (self.events.clone(), routing_key.to_owned()),
            // The default exchange needs no binding that could be missing.
            Channel::Dead => (String::new(), self.queue(Channel::Dead)),
        }
    }

    /// Returns the queue's name.
    pub(super) fn queue(&self, channel: Channel) -> String {
        format!("{}.{}", self.exchange, channel.name())
    }

    /// Returns true if this is the name of one of Handover's queues.
    pub(super) fn is_ours(&self, queue: &str) -> bool {
        Channel::QUEUES.into_iter().any(|channel| self.queue(channel) == queue)
    }

    /// Declares everything within the time limit, and reports a faulty topology to [`Health`].
    pub(super) async fn declare(&self, connection: &Connection, limit: Duration) -> Result<(), BrokerError> {
        let declared = tokio::time::timeout(limit, self.declare_all(connection)).await;
        let declared = declared
            .unwrap_or_else(|_| Err(BrokerError::Unreachable(format!("declaring queues timed out after {limit:?}"))));
        match &declared {
            Ok(()) => self.health.set_topology_fault(None),
            Err(BrokerError::Topology(fault)) => self.health.set_topology_fault(Some(fault.clone())),
            Err(
                BrokerError::Unreachable(_)
                | BrokerError::TimedOut(_)
                | BrokerError::Refused(_)
                | BrokerError::Configuration(_)
                | BrokerError::Outbox(_),
            ) => {}
        }
        declared
    }

    /// Deletes the queue of steps with its messages. The ledger has every step too.
    pub(super) async fn delete_steps(&self, connection: &Connection, limit: Duration) -> Result<(), BrokerError> {
        let name = self.queue(Channel::Steps);
        let deleted = tokio::time::timeout(limit, async {
            let channel = connection.open_channel().await?;
            let deleted = channel.queue_delete(name.as_str().into(), QueueDeleteOptions::default()).await;
            deleted.map(drop).map_err(|error| self.declare_error("queue", &name, connection, &error))
        });
        deleted.await.map_err(|_| BrokerError::Unreachable(format!("deleting `{name}` timed out")))?
    }

    async fn declare_all(&self, connection: &Connection) -> Result<(), BrokerError> {
        let channel = connection.open_channel().await?;
        for exchange in self.exchanges() {
            let declared = self.declare_exchange(&channel, exchange).await;
            declared.map_err(|error| self.declare_error("exchange", exchange, connection, &error))?;
        }
        // The dead-letter queue first: the others refer to it.
        for queue in [Channel::Dead, Channel::Requests, Channel::Steps] {
            let declared = self.declare_queue(&channel, queue).await;
            declared.map_err(|error| self.declare_error("queue", &self.queue(queue), connection, &error))?;
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
                .map_err(|error| self.declare_error("queue", &name, connection, &error))?;
        }
        channel.close(200, "declared".into()).await.map_err(|error| errors::unreachable(&error))
    }

    /// Returns the prefix of all names.
    pub(super) fn prefix(&self) -> &str {
        &self.exchange
    }

    /// Returns the exchanges' names.
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

    /// Returns how many messages wait on each queue, within the time limit. Uses its own channel, because the broker closes a
    /// channel that asks for a deleted queue.
    pub(super) async fn depths(&self, connection: &Connection, limit: Duration) -> Result<Vec<Depth>, BrokerError> {
        let depths = tokio::time::timeout(limit, self.query_depths(connection)).await;
        depths.unwrap_or(Err(BrokerError::TimedOut(limit)))
    }

    async fn query_depths(&self, connection: &Connection) -> Result<Vec<Depth>, BrokerError> {
        let query = connection.open_channel().await?;
        let mut depths = Vec::new();
        for channel in Channel::QUEUES {
            let options = QueueDeclareOptions { passive: true, ..Default::default() };
            let declared = query.queue_declare(self.queue(channel).as_str().into(), options, FieldTable::default());
            let queue = declared.await.map_err(|error| errors::unreachable(&error))?;
            let (messages, consumers) = (u64::from(queue.message_count()), u64::from(queue.consumer_count()));
            depths.push(Depth { channel, messages, oldest: None, consumers: Some(consumers) });
        }
        query.close(200, "asked".into()).await.map_err(|error| errors::unreachable(&error))?;
        Ok(depths)
    }

    /// Returns the arguments of a queue. Quorum queues are replicated. Messages that the broker gives up go to the dead-letter
    /// queue at least once, which requires `reject-publish`.
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

    /// Converts an error of a declaration. Separates a topology that a person must fix from a broker that is not ready yet: a
    /// queue without its leader is "not found".
    pub(super) fn declare_error(
        &self,
        kind: &str,
        name: &str,
        connection: &Connection,
        error: &lapin::Error,
    ) -> BrokerError {
        let address = connection.address();
        match errors::reply(error) {
            Some((code::PRECONDITION_FAILED | code::RESOURCE_LOCKED | code::NOT_ALLOWED, text)) => {
                let hint = match kind {
                    "queue" => "delete the queue once it is empty",
                    _ => "delete the exchange",
                };
                BrokerError::Topology(format!(
                    "the {kind} `{name}` on {address} is not as Handover declares it ({text}): {hint}, or choose another \
                     `broker.prefix`"
                ))
            }
            Some((code::ACCESS_REFUSED, text)) => BrokerError::Topology(format!(
                "no permission to declare the {kind} `{name}` on {address} ({text}): give the user the permissions to configure, \
                 write and read it"
            )),
            _ => errors::unreachable(error),
        }
    }
}
