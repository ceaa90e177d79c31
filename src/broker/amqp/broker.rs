//! The broker on RabbitMQ.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Mutex;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::broken_queue::QueueWatch;
use super::consumer::{AmqpConsumer, Parts};
use super::dead_letters::AmqpDeadLetters;
use super::dial::Connection;
use super::health::{Health, Purpose};
use super::managed_connection::ManagedConnection;
use super::publisher::Publisher;
use super::senders::Senders;
use super::settings::AmqpSettings;
use super::spans;
use super::topology::Topology;
use crate::broker::api::{Broker, Consumer, Depth};
use crate::broker::dead_letter::DeadLetterQueue;
use crate::broker::error::BrokerError;
use crate::broker::message::{Channel, Incoming, Outgoing, ReplyMessage};
use crate::trace::MessageInfo;

/// The broker on RabbitMQ. Dropping it ends its tasks abruptly; [`Broker::close`] closes the connections in order.
pub struct AmqpBroker {
    settings: Arc<AmqpSettings>,
    topology: Arc<Topology>,
    senders: Arc<Senders>,
    health: Arc<Health>,
    publishing: ManagedConnection,
    /// One connection for each consumed queue.
    consuming: Mutex<Vec<ManagedConnection>>,
    publisher: Publisher,
    closing: CancellationToken,
    _ends_tasks: DropGuard,
}

impl AmqpBroker {
    /// Connects once and declares the topology. Retrying is up to the caller: [`BrokerError::Unreachable`] may pass;
    /// [`BrokerError::Topology`] and [`BrokerError::Configuration`] need a person. Later, lost connections are rebuilt without
    /// end, whatever the reason; [`Broker::health`] reports it.
    pub async fn connect(settings: AmqpSettings) -> Result<AmqpBroker, BrokerError> {
        let senders = Arc::new(Senders::of(&settings)?);
        let settings = Arc::new(settings);
        let health = Arc::new(Health::default());
        let closing = CancellationToken::new();
        // If a later step fails, the guard closes the connection that is already open.
        let ends_tasks = closing.clone().drop_guard();
        let topology = Arc::new(Topology::new(&settings.prefix, health.clone()));

        let publishing =
            ManagedConnection::open(Purpose::Publishing, None, settings.clone(), health.clone(), closing.clone())
                .await?;
        topology.declare(&publishing.current()?, settings.connect_timeout).await?;

        Ok(AmqpBroker {
            publisher: Publisher::new(&settings, publishing.clone(), topology.clone(), senders.clone(), health.clone()),
            _ends_tasks: ends_tasks,
            settings,
            topology,
            senders,
            health,
            publishing,
            consuming: Mutex::default(),
            closing,
        })
    }

    /// Returns the connection for a queue. Opens it with the queue's first consumer.
    async fn consuming(&self, channel: Channel) -> Result<ManagedConnection, BrokerError> {
        let purpose = Purpose::Consuming(channel);
        let mut consuming = self.consuming.lock().await;
        if let Some(connection) = consuming.iter().find(|connection| connection.purpose() == purpose) {
            return Ok(connection.clone());
        }
        let watch = QueueWatch::new(channel, self.settings.clone(), self.topology.clone(), self.health.clone());
        let (settings, health, closing) = (self.settings.clone(), self.health.clone(), self.closing.clone());
        let connection = ManagedConnection::open(purpose, Some(watch), settings, health, closing).await?;
        consuming.push(connection.clone());
        Ok(connection)
    }

    /// Returns a connection for queries. Prefers one that does not publish, since RabbitMQ may not read from that one.
    async fn querying(&self) -> Result<Connection, BrokerError> {
        let current = self.consuming.lock().await.iter().find_map(|connection| connection.current().ok());
        current.map_or_else(|| self.publishing.current(), Ok)
    }
}

#[async_trait]
impl Broker for AmqpBroker {
    fn kind(&self) -> &'static str {
        spans::SYSTEM
    }

    fn is_external(&self) -> bool {
        true
    }

    async fn publish(&self, messages: &[Outgoing]) -> Vec<Result<(), BrokerError>> {
        self.publisher.publish(messages).await
    }

    async fn reply(&self, replies: &[ReplyMessage]) -> Vec<Result<(), BrokerError>> {
        self.publisher.reply(replies).await
    }

    async fn consume(&self, channel: Channel, prefetch: u16) -> Result<Box<dyn Consumer>, BrokerError> {
        if channel == Channel::Events {
            return Err(BrokerError::Topology(
                "events have no queue of Handover's: bind your own queue instead".into(),
            ));
        }
        let parts = Parts {
            connection: self.consuming(channel).await?,
            topology: self.topology.clone(),
            health: self.health.clone(),
            settings: self.settings.clone(),
            senders: self.senders.clone(),
            stop: self.closing.child_token(),
        };
        Ok(Box::new(AmqpConsumer::start(channel, prefetch, parts)))
    }

    async fn dead_letters(&self) -> Result<Box<dyn DeadLetterQueue>, BrokerError> {
        let connection = self.consuming(Channel::Dead).await?.current()?;
        let (topology, publisher, senders) = (self.topology.clone(), self.publisher.clone(), self.senders.clone());
        let limit = self.settings.publish_timeout;
        Ok(Box::new(AmqpDeadLetters::open(&connection, topology, publisher, senders, limit).await?))
    }

    fn health(&self) -> Result<(), String> {
        self.health.check()
    }

    fn trace_info<'m>(&self, incoming: &'m Incoming) -> MessageInfo<'m> {
        spans::received(&self.topology, incoming)
    }

    async fn depths(&self) -> Result<Vec<Depth>, BrokerError> {
        self.topology.depths(&self.querying().await?, self.settings.connect_timeout).await
    }

    async fn close(&self) {
        self.closing.cancel();
        self.publishing.ended().await;
        for connection in self.consuming.lock().await.iter() {
            connection.ended().await;
        }
    }
}
