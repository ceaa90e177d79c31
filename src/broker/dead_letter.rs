//! Dead letters: messages set aside for a person, and the queue that holds them.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::error::BrokerError;
use super::message::Channel;

/// The header with the time of the last replay.
pub const REPLAYED_AT: &str = "x-handover-replayed-at";

/// The header with the number of replays.
pub const REPLAYS: &str = "x-handover-replays";

/// The header with the original routing key. A replayed message keeps it, because RabbitMQ delivers it with its queue's name
/// as the routing key.
pub const ROUTING_KEY: &str = "x-handover-routing-key";

/// The reasons for which RabbitMQ itself gives a message up.
pub const BROKER_REASONS: [&str; 4] = ["rejected", "expired", "maxlen", "delivery_limit"];

/// The dead-letter queue. A message read from it is held for this reader alone until it is replayed, removed or released.
/// If the process dies, the broker returns every held message.
#[async_trait]
pub trait DeadLetterQueue: Send {
    /// Returns the next message that was in the queue when it was opened, oldest first.
    async fn next(&mut self) -> Result<Option<DeadLetter>, BrokerError>;
    /// Sends messages back to their original queues under their original ids. Removes each one whose arrival was confirmed.
    /// Returns one result for each, in order.
    async fn replay(&mut self, dead_letters: &[DeadLetter], now: OffsetDateTime) -> Vec<Result<(), BrokerError>>;
    /// Removes messages for good. Returns one result for each, in order.
    async fn remove(&mut self, dead_letters: &[DeadLetter]) -> Vec<Result<(), BrokerError>>;
    /// Returns the held messages to the queue, in their order as far as the broker keeps one.
    async fn release(&mut self) -> Result<(), BrokerError>;
}

/// A message set aside by a worker or by the broker itself.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// The key by which the dead-letter queue finds the message again.
    pub number: i64,
    /// The id in the dead-letter queue.
    pub id: Option<String>,
    /// The original id.
    pub message_id: Option<String>,
    /// True if the broker gave the message up, not a worker.
    pub by_broker: bool,
    /// The original queue, by the name that the broker or a worker wrote.
    pub queue: String,
    /// The original queue, if it is one of Handover's that take messages back.
    pub origin: Option<Channel>,
    /// The original routing key, if known.
    pub routing_key: Option<String>,
    /// The time when it was set aside, if known.
    pub at: Option<OffsetDateTime>,
    /// The MIME type of the body.
    pub content_type: Option<String>,
    /// The application headers of text and number types, as text.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
}

/// The fields of a body that identify the request, whatever else is wrong with it.
#[derive(Debug, Deserialize)]
struct Identity {
    #[serde(default)]
    org_id: Option<Value>,
    #[serde(default)]
    request_id: Option<Value>,
}

impl DeadLetter {
    /// Reads the headers that a worker, or RabbitMQ, wrote when it set the message aside. `prefix` precedes the names of queues.
    pub fn read(
        number: i64,
        id: Option<String>,
        headers: BTreeMap<String, String>,
        body: Vec<u8>,
        prefix: &str,
    ) -> DeadLetter {
        let header = |name: &str| headers.get(name).cloned();
        let by_broker = !headers.contains_key("x-handover-reason");
        let queue = if by_broker { header("x-first-death-queue") } else { header("x-handover-queue") };
        let at = header("x-handover-parked-at").and_then(|at| OffsetDateTime::parse(&at, &Rfc3339).ok());
        let message_id = if by_broker { id.clone() } else { header("x-handover-message-id") };
        let queue = queue.unwrap_or_default();
        let origin = origin(&queue, prefix);
        let routing_key = header(ROUTING_KEY);
        DeadLetter {
            number,
            id,
            message_id,
            by_broker,
            queue,
            origin,
            routing_key,
            at,
            content_type: None,
            headers,
            body,
        }
    }

    /// Returns the reason code: a worker's, or one of [`BROKER_REASONS`].
    pub fn reason(&self) -> &str {
        let name = if self.by_broker { "x-first-death-reason" } else { "x-handover-reason" };
        self.headers.get(name).map_or("unknown", String::as_str)
    }

    /// Returns the reason as text.
    pub fn detail(&self) -> &str {
        let given_up = if self.by_broker { "the broker gave up the message" } else { "" };
        self.headers.get("x-handover-detail").map_or(given_up, String::as_str)
    }

    /// Returns the number of earlier replays.
    pub fn replays(&self) -> u32 {
        self.headers.get(REPLAYS).and_then(|count| count.parse().ok()).unwrap_or(0)
    }

    /// Returns the name of the original queue, without a prefix if it is one of Handover's.
    pub fn queue_name(&self) -> &str {
        self.origin.map_or(self.queue.as_str(), |channel| channel.name())
    }

    /// Returns the body's `org_id` and `request_id`, if the body is JSON and has them.
    pub fn names(&self) -> (Option<String>, Option<String>) {
        // A body that cannot be read has no names; the dead letter's reason already says so.
        let identity = serde_json::from_slice(&self.body).unwrap_or(Identity { org_id: None, request_id: None });
        (scalar_text(identity.org_id), scalar_text(identity.request_id))
    }

    /// Returns the headers for a replay: the original ones, the replay marks and the routing key. Everything written when the
    /// message was set aside is removed. RabbitMQ's own `x-death` too: RabbitMQ drops a message that died twice in one queue.
    pub fn replay_headers(&self, now: OffsetDateTime) -> BTreeMap<String, String> {
        let mut headers = self.headers.clone();
        headers.retain(|name, _| !is_death_header(name));
        headers.insert(REPLAYED_AT.into(), now.format(&Rfc3339).expect("the current year has four digits"));
        headers.insert(REPLAYS.into(), self.replays().saturating_add(1).to_string());
        headers.extend(self.routing_key.clone().map(|key| (ROUTING_KEY.to_owned(), key)));
        headers
    }
}

fn origin(queue: &str, prefix: &str) -> Option<Channel> {
    let name = queue.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('.')).unwrap_or(queue);
    name.parse().ok().filter(|channel| matches!(channel, Channel::Requests | Channel::Steps))
}

fn scalar_text(value: Option<Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text),
        value @ Value::Number(_) => Some(value.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Returns true if the header was written when a message was set aside.
pub(super) fn is_death_header(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.starts_with("x-handover-")
        || ["x-death", "x-first-death-", "x-last-death-", "x-delivery-count", "x-acquired-count"]
            .iter()
            .any(|start| name.starts_with(start))
}

/// Returns the error for replaying a message that came from none of Handover's queues.
pub(super) fn no_origin(dead_letter: &DeadLetter) -> BrokerError {
    let queue = &dead_letter.queue;
    BrokerError::Refused(format!("it came from {queue:?}, which is not one of Handover's queues: drop it instead"))
}
