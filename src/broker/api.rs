//! The interface that every broker implements.

use async_trait::async_trait;
use time::OffsetDateTime;

use super::dead_letter::DeadLetterQueue;
use super::error::BrokerError;
use super::message::{Channel, Incoming, Outgoing, ReplyMessage};
use crate::trace::MessageInfo;

/// A message broker, or the embedded replacement for one.
#[async_trait]
pub trait Broker: Send + Sync {
    /// Returns the broker's name, as traces and logs show it.
    fn kind(&self) -> &'static str;
    /// Returns true if this broker is separate from the database, so that the relay must publish the outbox to it.
    fn is_external(&self) -> bool;
    /// Publishes messages and waits for each confirm, within a time limit. Returns one result for each message, in order.
    /// After an error the message may or may not have arrived: publish it again under the same id.
    async fn publish(&self, messages: &[Outgoing]) -> Vec<Result<(), BrokerError>>;
    /// Sends replies, each to its own queue. Returns one result for each, in order. A deleted queue is no error. A broker
    /// that never receives a `reply_to` ignores replies.
    async fn reply(&self, replies: &[ReplyMessage]) -> Vec<Result<(), BrokerError>>;
    /// Starts consuming a queue, with at most `prefetch` unacknowledged messages at a time.
    async fn consume(&self, channel: Channel, prefetch: u16) -> Result<Box<dyn Consumer>, BrokerError>;
    /// Opens the dead-letter queue for inspection.
    async fn dead_letters(&self) -> Result<Box<dyn DeadLetterQueue>, BrokerError>;
    /// Returns `Err` with the reasons, joined by `; `, if the broker is not usable now.
    fn health(&self) -> Result<(), String>;
    /// Describes a received message for traces.
    fn trace_info<'m>(&self, incoming: &'m Incoming) -> MessageInfo<'m>;
    /// Returns how many messages wait on each queue.
    async fn depths(&self) -> Result<Vec<Depth>, BrokerError>;
    /// Closes the connections; consumers end.
    async fn close(&self);
}

/// A stream of messages from one queue. It outlives connections: it waits while the broker is away.
#[async_trait]
pub trait Consumer: Send {
    /// Waits for the next message. Returns `None` only after the consumer was stopped or the broker closed.
    /// Cancel-safe: dropping the future loses no message.
    async fn next(&mut self) -> Option<Incoming>;
    /// Returns a message if one has already arrived, else `None`. Never waits.
    fn try_next(&mut self) -> Option<Incoming>;
    /// Stops consuming. Requeues messages that were prefetched but not yet returned by `next`.
    async fn stop(&mut self);
}

/// The number of messages that wait on a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth {
    /// The queue (not an AMQP channel).
    pub channel: Channel,
    /// Messages that are ready for delivery.
    pub messages: u64,
    /// The time when the oldest was written, if known.
    pub oldest: Option<OffsetDateTime>,
    /// The number of consumers in all processes, if known.
    pub consumers: Option<u64>,
}
