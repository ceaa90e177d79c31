//! Messages that were set aside: what is known of one, and the dead queue held still while somebody looks through it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{BrokerError, Channel};

/// The header that says when a message was last sent back from the dead queue.
pub const REPLAYED_AT: &str = "x-handover-replayed-at";

/// The header that says how often it was.
pub const REPLAYS: &str = "x-handover-replays";

/// The dead queue. What has been taken from it is held for whoever looks, and nobody else sees it, until it is settled or
/// released; a process that dies gives everything back.
#[async_trait]
pub trait DeadLetterQueue: Send {
    /// The next message of those that were there in the beginning, oldest first.
    async fn next(&mut self) -> Result<Option<DeadLetter>, BrokerError>;
    /// Sends messages back to the queues that they came from, with their identity, and takes out each whose arrival there
    /// is certain: one result for each, in their order.
    async fn replay(&mut self, letters: &[DeadLetter], now: OffsetDateTime) -> Vec<Result<(), BrokerError>>;
    /// Takes messages out for good: one result for each, in their order.
    async fn remove(&mut self, letters: &[DeadLetter]) -> Vec<Result<(), BrokerError>>;
    /// Gives back what is left, in its order as far as the broker keeps one.
    async fn release(&mut self) -> Result<(), BrokerError>;
}

/// A message that was set aside, by a worker or by the broker itself.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// By what the dead queue finds it again.
    pub number: i64,
    /// Its id in the dead queue.
    pub id: Option<String>,
    /// The id that it had before.
    pub message_id: Option<String>,
    /// Whether the broker gave it up by itself.
    pub by_broker: bool,
    /// The name of the queue that it came from.
    pub queue: String,
    /// When it was set aside, where that is known.
    pub at: Option<OffsetDateTime>,
    /// MIME type of the body.
    pub content_type: Option<String>,
    /// Application headers, those of text and number types, as text.
    pub headers: BTreeMap<String, String>,
    /// The body, as bytes.
    pub body: Vec<u8>,
}

/// What of a body tells who it is about, whatever else is wrong with it.
#[derive(Debug, Default, Deserialize)]
struct Named {
    #[serde(default)]
    org_id: Option<serde_json::Value>,
    #[serde(default)]
    request_id: Option<serde_json::Value>,
}

impl DeadLetter {
    /// Reads what a worker wrote when it parked the message, or RabbitMQ when it gave it up.
    pub fn read(number: i64, id: Option<String>, headers: BTreeMap<String, String>, body: Vec<u8>) -> DeadLetter {
        let header = |name: &str| headers.get(name).cloned();
        let by_broker = !headers.contains_key("x-handover-reason");
        let queue = if by_broker { header("x-first-death-queue") } else { header("x-handover-queue") };
        let at = header("x-handover-parked-at").and_then(|at| OffsetDateTime::parse(&at, &Rfc3339).ok());
        let message_id = if by_broker { id.clone() } else { header("x-handover-message-id") };
        let queue = queue.unwrap_or_default();
        DeadLetter { number, id, message_id, by_broker, queue, at, content_type: None, headers, body }
    }

    /// Why it was set aside, in one word: a worker's code, or the broker's (`expired`, `rejected`, `maxlen`,
    /// `delivery_limit`).
    pub fn reason(&self) -> &str {
        let name = if self.by_broker { "x-first-death-reason" } else { "x-handover-reason" };
        self.headers.get(name).map_or("unknown", String::as_str)
    }

    /// Why, for people.
    pub fn detail(&self) -> &str {
        let given_up = if self.by_broker { "the broker gave it up by itself" } else { "" };
        self.headers.get("x-handover-detail").map_or(given_up, String::as_str)
    }

    /// How often it was sent back before.
    pub fn replays(&self) -> u32 {
        self.headers.get(REPLAYS).and_then(|count| count.parse().ok()).unwrap_or(0)
    }

    /// Which of Handover's queues it came from, under this prefix.
    pub fn origin(&self, prefix: &str) -> Option<Channel> {
        let name = self.queue.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('.')).unwrap_or(&self.queue);
        Channel::from_name(name).filter(|channel| matches!(channel, Channel::Requests | Channel::Steps))
    }

    /// The organization and the request's name that the body has, where it is one of Handover's requests, or nearly.
    pub fn names(&self) -> (Option<String>, Option<String>) {
        let named: Named = serde_json::from_slice(&self.body).unwrap_or_default();
        let text = |value: Option<serde_json::Value>| match value {
            Some(serde_json::Value::String(text)) => Some(text),
            Some(value @ serde_json::Value::Number(_)) => Some(value.to_string()),
            _ => None,
        };
        (text(named.org_id), text(named.request_id))
    }

    /// The headers that it goes back with: its own, and that it does. What was written when it was set aside is gone, the
    /// broker's deaths too: RabbitMQ drops a message that has died twice in one place.
    pub fn headers_back(&self, now: OffsetDateTime) -> BTreeMap<String, String> {
        let mut headers = self.headers.clone();
        headers.retain(|name, _| !is_of_its_death(name));
        headers.insert(REPLAYED_AT.into(), now.format(&Rfc3339).unwrap_or_default());
        headers.insert(REPLAYS.into(), self.replays().saturating_add(1).to_string());
        headers
    }
}

/// Whether a header was written when a message was set aside.
pub(super) fn is_of_its_death(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.starts_with("x-handover-")
        || ["x-death", "x-first-death-", "x-last-death-", "x-delivery-count", "x-acquired-count"]
            .iter()
            .any(|begin| name.starts_with(begin))
}

/// The answer to who wants to send back what came from none of Handover's queues.
pub(super) fn nowhere(letter: &DeadLetter) -> BrokerError {
    BrokerError::Refused(format!("it came from {:?}, which is no queue of Handover's that takes it back", letter.queue))
}
