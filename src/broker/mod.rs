//! Where messages come from and go to: one trait, two implementations.
//!
//! [`amqp`] is RabbitMQ and the only place that knows lapin; [`local`] is the embedded default, where the ledger's
//! outbox table itself is the queue. A message only says *look here*: losing, repeating or reordering one changes
//! nothing, so the trait promises little: what was published was confirmed, and what was not acknowledged comes again.

pub mod amqp;
mod dead_letter;
pub mod local;

use std::collections::BTreeMap;

use async_trait::async_trait;
use time::OffsetDateTime;
use uuid::Uuid;

pub use self::dead_letter::{DeadLetter, DeadLetterQueue, REPLAYED_AT, REPLAYS};
use crate::store::ledger::outbox::OutboxMessage;
use crate::trace::Queue;

/// The three queues, and the exchange that events leave by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channel {
    /// Requests from outside: `<prefix>.requests`.
    Requests,
    /// Handover's own steps, cut, ticket, finalize and the like: `<prefix>.steps`.
    Steps,
    /// Messages set aside with their reason, for a person: `<prefix>.dead`.
    Dead,
    /// Events for whoever listens: the topic exchange `<prefix>.events`.
    Events,
}

impl Channel {
    /// Every channel, in the order in which their names are documented.
    pub const ALL: [Channel; 4] = [Channel::Requests, Channel::Steps, Channel::Dead, Channel::Events];

    /// Those that are queues.
    pub const QUEUES: [Channel; 3] = [Channel::Requests, Channel::Steps, Channel::Dead];

    /// The name that stands in the outbox table and, behind the prefix, on the broker.
    pub fn name(self) -> &'static str {
        match self {
            Channel::Requests => "requests",
            Channel::Steps => "steps",
            Channel::Dead => "dead",
            Channel::Events => "events",
        }
    }

    /// The channel of that name.
    pub fn from_name(name: &str) -> Option<Channel> {
        Channel::ALL.into_iter().find(|channel| channel.name() == name)
    }
}

/// A message on its way out. Always persistent; internal ones are mandatory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// The `message_id`; for an event its CloudEvents id.
    pub id: Uuid,
    /// Where to.
    pub channel: Channel,
    /// The routing key: `request.deactivate`, `step.cut`, an event's type.
    pub routing_key: String,
    /// MIME type of the body.
    pub content_type: String,
    /// Application headers; a header of no value is left out.
    pub headers: BTreeMap<String, String>,
    /// The body, as bytes.
    pub body: Vec<u8>,
}

impl Outgoing {
    /// The message as a row of the outbox, due at once.
    pub fn to_outbox_message(&self, now: OffsetDateTime) -> OutboxMessage {
        OutboxMessage {
            id: 0,
            message_id: self.id,
            channel: self.channel.name().into(),
            routing_key: self.routing_key.clone(),
            content_type: self.content_type.clone(),
            headers: serde_json::to_value(&self.headers).unwrap_or_default(),
            body: self.body.clone(),
            job_id: None,
            created_at: now,
            due_at: now,
            leased_until: None,
        }
    }

    /// The message that a row of the outbox holds.
    pub fn from_outbox_message(letter: &OutboxMessage) -> Result<Outgoing, BrokerError> {
        let what = |what: &str| BrokerError::Outbox(format!("row {} of the outbox has {what}", letter.id));
        Ok(Outgoing {
            id: letter.message_id,
            channel: Channel::from_name(&letter.channel).ok_or_else(|| what("an unknown channel"))?,
            routing_key: letter.routing_key.clone(),
            content_type: letter.content_type.clone(),
            headers: serde_json::from_value(letter.headers.clone()).map_err(|_| what("headers that are not text"))?,
            body: letter.body.clone(),
        })
    }
}

/// A reply to one who asked for it, to a queue that is theirs. Whoever does not get it can send their request again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyMessage {
    /// The queue's name, as the request's `reply_to` has it.
    pub to: String,
    /// As the request has it.
    pub correlation_id: Option<String>,
    /// The message type.
    pub kind: String,
    /// MIME type of the body.
    pub content_type: String,
    /// Application headers.
    pub headers: BTreeMap<String, String>,
    /// The body, as bytes.
    pub body: Vec<u8>,
}

/// A message that arrived and waits for its acknowledgement.
pub struct Incoming {
    /// The `message_id`, where its publisher gave one.
    pub id: Option<String>,
    /// The exchange it was published to, and the key.
    pub source: String,
    /// The routing key it came with.
    pub routing_key: String,
    /// The queue it was taken from.
    pub channel: Channel,
    /// Application headers, those of text and number types, as text.
    pub headers: BTreeMap<String, String>,
    /// MIME type of the body, where its publisher gave one.
    pub content_type: Option<String>,
    /// The queue on which its publisher waits for a reply.
    pub reply_to: Option<String>,
    /// What the reply is to be known by there.
    pub correlation_id: Option<String>,
    /// The body, as bytes: nothing is known of it yet.
    pub body: Vec<u8>,
    /// When it was published, or became due, where that is known.
    pub published: Option<OffsetDateTime>,
    /// What settles it.
    pub receipt: Box<dyn Receipt>,
}

/// The right to settle one message that arrived, once. Dropped unsettled, the message comes again.
#[async_trait]
pub trait Receipt: Send + Sync {
    /// Tells the broker that the message is done with. An error means that it will come again.
    async fn ack(self: Box<Self>) -> Result<(), BrokerError>;
    /// Gives the message back unharmed, for another worker or a later time.
    async fn requeue(self: Box<Self>) -> Result<(), BrokerError>;
}

/// A stream of messages of one queue. It outlives connections: it waits while the broker is away.
#[async_trait]
pub trait Consumer: Send {
    /// The next message, waiting for one as long as it takes; `None` only once the consumer was stopped or the broker
    /// handle closed.
    /// Cancel-safe: a message is never lost when the future is dropped.
    async fn next(&mut self) -> Option<Incoming>;
    /// A message that is here already, without waiting for one.
    fn try_next(&mut self) -> Option<Incoming>;
    /// Stops taking: what was fetched and not yet handed out goes back to the queue.
    async fn stop(&mut self);
}

/// What waits on a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth {
    /// The queue.
    pub channel: Channel,
    /// Messages that are ready and held by nobody.
    pub messages: u64,
    /// When the oldest of them was written, where that is known.
    pub oldest: Option<OffsetDateTime>,
    /// Who takes them, in all processes, where that is known.
    pub consumers: Option<u64>,
}

/// A broker, or what stands for one.
#[async_trait]
pub trait Broker: Send + Sync {
    /// Publishes, and waits for each confirm, within a time limit: one result for each message, in their order.
    /// An error says that the message may or may not be there: publish it again under the same id.
    async fn publish(&self, messages: &[Outgoing]) -> Vec<Result<(), BrokerError>>;
    /// Sends replies, each to its queue: one result for each, in their order. A queue that is gone takes no reply, which is
    /// no error; nor is it one where requests do not come by a broker, and so nobody waits.
    async fn reply(&self, replies: &[ReplyMessage]) -> Vec<Result<(), BrokerError>>;
    /// Starts to take messages of a queue, at most `prefetch` unsettled at a time.
    async fn consume(&self, channel: Channel, prefetch: u16) -> Result<Box<dyn Consumer>, BrokerError>;
    /// The dead queue, to look through.
    async fn dead_letters(&self) -> Result<Box<dyn DeadLetterQueue>, BrokerError>;
    /// Whether outbox rows must be carried to this broker by the relay (the embedded one reads them where they are).
    fn needs_relay(&self) -> bool;
    /// Whether the broker is reachable now, with the reason where not.
    fn health(&self) -> Result<(), String>;
    /// What traces call a queue.
    fn queue(&self, channel: Channel) -> Queue;
    /// What waits on each queue just now.
    async fn depths(&self) -> Result<Vec<Depth>, BrokerError>;
    /// Closes connections; consumers end.
    async fn close(&self);
}

/// What can go wrong between here and the broker.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BrokerError {
    /// No usable connection or channel now; it is being rebuilt.
    #[error("the broker cannot be used just now: {0}")]
    Unreachable(String),
    /// The broker has not confirmed within the time limit (it may be blocking publishers).
    #[error("the broker did not confirm within {0:?}")]
    TimedOut(std::time::Duration),
    /// The broker refused the message (a negative confirm), or returned it because no queue takes it.
    #[error("the broker did not take the message: {0}")]
    Refused(String),
    /// The broker cannot be used as configured: a faulty address, wrong credentials, no such virtual host. Retrying
    /// does not fix it.
    #[error("{0}")]
    Configuration(String),
    /// The topology that stands on the broker is not ours, or may not be made: names what, where and what to do.
    #[error("{0}")]
    Topology(String),
    /// The database behind the embedded broker failed.
    #[error("the outbox cannot be used: {0}")]
    Outbox(String),
}
