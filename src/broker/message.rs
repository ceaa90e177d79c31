//! Messages: those that Handover publishes, and those that it receives.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::error::BrokerError;
use super::sender::Sender;
use crate::contract::MAX_REQUEST_BYTES;
use crate::store::ledger::outbox::OutboxMessage;
use crate::trace::TRACEPARENT;

pub use crate::store::ledger::outbox::Channel;

/// A message to publish. It is always persistent. One that is not an event must reach a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// The `message_id`; for an event, its CloudEvents id.
    pub id: Uuid,
    /// The destination.
    pub channel: Channel,
    /// The routing key: `request.deactivate`, `step.cut`, an event's type.
    pub routing_key: String,
    /// The MIME type of the body.
    pub content_type: String,
    /// The application headers; a header with an empty value is not sent.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
}

impl Outgoing {
    /// Converts the message to a row of the outbox, due at once.
    pub fn to_outbox_message(&self, now: OffsetDateTime) -> OutboxMessage {
        let header = |(name, value): (&String, &String)| (name.clone(), Value::String(value.clone()));
        OutboxMessage {
            id: 0,
            message_id: self.id,
            channel: self.channel,
            routing_key: self.routing_key.clone(),
            content_type: self.content_type.clone(),
            headers: Value::Object(self.headers.iter().map(header).collect()),
            body: self.body.clone(),
            job_id: None,
            created_at: now,
            due_at: now,
            leased_until: None,
        }
    }

    /// Converts a row of the outbox to a message.
    pub fn from_outbox_message(row: &OutboxMessage) -> Result<Outgoing, BrokerError> {
        let faulty = |_| BrokerError::Outbox(format!("row {} has headers that are not text", row.id));
        Ok(Outgoing {
            id: row.message_id,
            channel: row.channel,
            routing_key: row.routing_key.clone(),
            content_type: row.content_type.clone(),
            headers: serde_json::from_value(row.headers.clone()).map_err(faulty)?,
            body: row.body.clone(),
        })
    }

    /// Returns the trace context that the message carries.
    pub fn trace_context(&self) -> Option<&str> {
        self.headers.get(TRACEPARENT).map(String::as_str)
    }

    /// Replaces the trace context that the message carries.
    pub fn set_trace_context(&mut self, context: String) {
        self.headers.insert(TRACEPARENT.into(), context);
    }
}

/// A reply to a request, for the queue that the requester named. A requester that misses it can send the request again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyMessage {
    /// The queue's name, from the request's `reply_to`.
    pub to: String,
    /// The request's `correlation_id`.
    pub correlation_id: Option<String>,
    /// The message type.
    pub kind: String,
    /// The MIME type of the body.
    pub content_type: String,
    /// The application headers.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
}

/// A received message that is not acknowledged yet.
pub struct Incoming {
    /// The `message_id`, if the publisher set one.
    pub id: Option<String>,
    /// The name of the place where it was published (on AMQP, the exchange); empty if the broker has no such place.
    pub source: String,
    /// The routing key.
    pub routing_key: String,
    /// The queue it was received from.
    pub channel: Channel,
    /// The application headers of text and number types, as text.
    pub headers: BTreeMap<String, String>,
    /// The sender.
    pub sender: Sender,
    /// The MIME type of the body, if the publisher set one.
    pub content_type: Option<String>,
    /// The queue on which the publisher waits for a reply.
    pub reply_to: Option<String>,
    /// The id that the reply must repeat.
    pub correlation_id: Option<String>,
    /// The body, not validated yet. If it is longer than any request may be, only its beginning.
    pub body: Vec<u8>,
    /// The number of bytes of the whole body.
    pub body_bytes: usize,
    /// The time when it was published or became due, if known.
    pub published: Option<OffsetDateTime>,
    /// Acknowledges or requeues the message.
    pub receipt: Box<dyn Receipt>,
}

/// The most bytes of a body that are kept in memory: more than a request may have, so that a dead letter shows what was too long.
const MOST_KEPT: usize = 2 * MAX_REQUEST_BYTES;

/// Drops the rest of a body that is longer than any request may be. Returns the number of bytes of the whole body.
pub(super) fn shorten(body: &mut Vec<u8>) -> usize {
    let bytes = body.len();
    if bytes > MOST_KEPT {
        body.truncate(MOST_KEPT);
        body.shrink_to_fit();
    }
    bytes
}

impl Incoming {
    /// Returns the trace context that the message carries.
    pub fn trace_context(&self) -> Option<&str> {
        self.headers.get(TRACEPARENT).map(String::as_str)
    }
}

/// The right to acknowledge or requeue one received message, once. If it is dropped unused, the message is redelivered.
#[async_trait]
pub trait Receipt: Send + Sync {
    /// Keeps the message for later, where a claim would expire.
    async fn keep(&self) -> Result<(), BrokerError> {
        Ok(())
    }
    /// Acknowledges the message. After an error the broker redelivers it.
    async fn ack(self: Box<Self>) -> Result<(), BrokerError>;
    /// Returns the message to its queue unchanged, for another worker or a later time.
    async fn requeue(self: Box<Self>) -> Result<(), BrokerError>;
}

/// Reads the headers of an outbox row. Values that are not text are left out.
pub(super) fn text_headers(headers: &Value) -> BTreeMap<String, String> {
    let text = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
    headers.as_object().into_iter().flatten().filter_map(text).collect()
}
