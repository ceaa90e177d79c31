//! RabbitMQ. This folder is the only place that knows lapin.
//!
//! | file | holds |
//! |---|---|
//! | `connection` | one connection: how it is opened, watched, replaced by a new one, and ended |
//! | `tls` | whom we trust, and who we are |
//! | `topology` | exchanges, queues and bindings: their names, their arguments, declaring them |
//! | `publisher` | batches out, with confirms and returns |
//! | `consumer` | messages in, and their receipts |
//! | `dead_letters` | the dead queue, to look through |
//! | `outbound` | messages as they are sent: where to, and with which properties |
//! | `message` | our messages as AMQP properties, and back |
//! | `spans` | the spans of what is published |
//! | `errors` | what RabbitMQ and lapin say, as a [`BrokerError`] |
//! | `health` | whether it works just now, and why not |
//! | `broken_queue` | queues with nothing behind their name |
//! | `inspect` | a look at what stands on the broker, which changes nothing |
//!
//! One connection publishes, because RabbitMQ stops reading from a connection that does when memory or disk run short, and
//! acknowledgements must still get through; and each queue is consumed on one of its own, so that a queue that RabbitMQ fails
//! over takes no other with it. Each has a supervisor that opens a new one when it ends; who uses it opens channels and
//! declares the topology by itself. lapin's own recovery stays off: after an error of a
//! single channel it leaves the consumer silent for ever.

mod connection;
mod consumer;
mod dead_letters;
mod errors;
mod health;
mod broken_queue;
mod inspect;
mod message;
mod outbound;
mod publisher;
mod spans;
mod tls;
mod topology;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Mutex;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Broker, BrokerError, Channel, Consumer, DeadLetterQueue, Depth, Outgoing, ReplyMessage};
use crate::trace::Queue;
use broken_queue::{Failing, Watch};
use connection::{Link, Live};
use consumer::AmqpConsumer;
use dead_letters::AmqpDeadLetters;
use health::{Health, Role};
pub use inspect::{Found, Standing, inspect};
use publisher::Publisher;
pub use tls::TlsFiles;
use topology::Topology;

/// What traces call it.
const SYSTEM: &str = "rabbitmq";

/// Where the broker is, and how long to wait for it.
#[derive(Clone)]
pub struct AmqpSettings {
    /// `amqp://user:password@host:port/virtual-host`, or `amqps://`; of a cluster several, with commas between.
    /// Without a virtual host, or with an empty one: `/`.
    pub url: String,
    /// For `amqps`.
    pub tls: TlsFiles,
    /// What the names of all exchanges and queues begin with, so that several installations share a virtual host.
    pub prefix: String,
    /// The time limit over one batch: sending it and its confirms; also for one acknowledgement to be sent.
    pub publish_timeout: Duration,
    /// The time limit for opening a connection, and for declaring the topology.
    pub connect_timeout: Duration,
    /// How often each side shows that it is alive; a server silent for twice as long is given up. Whole seconds.
    pub heartbeat: Duration,
}

impl AmqpSettings {
    /// With the default time limits.
    pub fn new(url: impl Into<String>, prefix: impl Into<String>) -> AmqpSettings {
        AmqpSettings {
            url: url.into(),
            tls: TlsFiles::default(),
            prefix: prefix.into(),
            publish_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            heartbeat: Duration::from_secs(10),
        }
    }
}

impl fmt::Debug for AmqpSettings {
    /// Without the URL: it holds a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AmqpSettings").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// The broker on RabbitMQ, 3.10 and newer. Dropping it ends its tasks without ceremony; [`Broker::close`] says goodbye.
pub struct AmqpBroker {
    settings: Arc<AmqpSettings>,
    topology: Arc<Topology>,
    health: Arc<Health>,
    publishing: Link,
    /// One for each queue that is consumed here.
    consuming: Mutex<Vec<Link>>,
    publisher: Publisher,
    closing: CancellationToken,
    _ends_tasks: DropGuard,
}

impl AmqpBroker {
    /// Connects, once, and declares the topology. Retrying is the caller's: [`BrokerError::Unreachable`] may pass,
    /// [`BrokerError::Topology`] and [`BrokerError::Configuration`] need a person. Afterwards lost connections are
    /// rebuilt without end, whatever the reason; [`Broker::health`] tells it.
    pub async fn connect(settings: AmqpSettings) -> Result<AmqpBroker, BrokerError> {
        let settings = Arc::new(settings);
        let health = Arc::new(Health::default());
        let closing = CancellationToken::new();
        // From here on: a connection that was opened before a later step failed must not stay.
        let ends_tasks = closing.clone().drop_guard();
        let topology = Arc::new(Topology::new(&settings.prefix, health.clone()));

        let publishing = Link::open(Role::Publishing, None, settings.clone(), health.clone(), closing.clone()).await?;
        topology.declare(&publishing.current()?, settings.connect_timeout).await?;

        Ok(AmqpBroker {
            publisher: Publisher::new(&settings, publishing.clone(), topology.clone(), health.clone()),
            _ends_tasks: ends_tasks,
            settings,
            topology,
            health,
            publishing,
            consuming: Mutex::default(),
            closing,
        })
    }

    /// The connection for a queue, opened with its first consumer.
    async fn consuming(&self, channel: Channel) -> Result<Link, BrokerError> {
        let role = Role::Consuming(channel);
        let mut consuming = self.consuming.lock().await;
        if let Some(link) = consuming.iter().find(|link| link.role() == role) {
            return Ok(link.clone());
        }
        let (settings, topology, health) = (self.settings.clone(), self.topology.clone(), self.health.clone());
        let watch = Watch { channel, settings, topology, health, failing: Failing::new() };
        let link =
            Link::open(role, Some(watch), self.settings.clone(), self.health.clone(), self.closing.clone()).await?;
        consuming.push(link.clone());
        Ok(link)
    }

    /// A connection to ask something on: rather one that does not publish, which RabbitMQ may not be reading from.
    async fn asking(&self) -> Result<Live, BrokerError> {
        let current = self.consuming.lock().await.iter().find_map(|link| link.current().ok());
        current.map_or_else(|| self.publishing.current(), Ok)
    }
}

#[async_trait]
impl Broker for AmqpBroker {
    async fn publish(&self, messages: &[Outgoing]) -> Vec<Result<(), BrokerError>> {
        self.publisher.publish(messages).await
    }

    async fn reply(&self, replies: &[ReplyMessage]) -> Vec<Result<(), BrokerError>> {
        self.publisher.reply(replies).await
    }

    async fn consume(&self, channel: Channel, prefetch: u16) -> Result<Box<dyn Consumer>, BrokerError> {
        if channel == Channel::Events {
            return Err(BrokerError::Topology("events leave by an exchange: Handover has no queue of them".into()));
        }
        Ok(Box::new(AmqpConsumer::start(
            channel,
            prefetch,
            self.consuming(channel).await?,
            self.topology.clone(),
            self.health.clone(),
            self.settings.clone(),
            self.closing.child_token(),
        )))
    }

    async fn dead_letters(&self) -> Result<Box<dyn DeadLetterQueue>, BrokerError> {
        let live = self.consuming(Channel::Dead).await?.current()?;
        let (topology, publisher) = (self.topology.clone(), self.publisher.clone());
        Ok(Box::new(AmqpDeadLetters::open(&live, topology, publisher, self.settings.publish_timeout).await?))
    }

    fn needs_relay(&self) -> bool {
        true
    }

    fn health(&self) -> Result<(), String> {
        self.health.check()
    }

    fn queue(&self, channel: Channel) -> Queue {
        Queue { system: SYSTEM, name: self.topology.queue(channel) }
    }

    async fn depths(&self) -> Result<Vec<Depth>, BrokerError> {
        self.topology.depths(&self.asking().await?, self.settings.connect_timeout).await
    }

    async fn close(&self) {
        self.closing.cancel();
        self.publishing.ended().await;
        for link in self.consuming.lock().await.iter() {
            link.ended().await;
        }
    }
}
