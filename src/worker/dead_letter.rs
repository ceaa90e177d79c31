//! Builds dead letters: the message with its origin and the reason in headers.

use std::collections::BTreeMap;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::broker::{Channel, Incoming, Outgoing, PRINCIPAL, REPLAYED_AT, REPLAYS, ROUTING_KEY};
use crate::stages::{DeadLetterReason, now};

/// The longest text of a reason in a header, in characters. A reason may quote input of any length.
const MAX_HEADER_CHARS: usize = 2_000;

/// The size of original headers that a dead letter keeps, in bytes. Brokers limit headers, and a message that cannot be
/// dead-lettered would block the queue forever.
const MAX_KEPT_BYTES: usize = 32 * 1024;

/// Builds the dead letter of a message. The body stays unchanged, except that only the beginning of a body is kept that is longer than
/// any request may be.
pub(super) fn dead_letter(incoming: &Incoming, reason: &DeadLetterReason) -> Outgoing {
    let mut headers = kept_headers(&incoming.headers);
    let time = now().format(&Rfc3339).expect("the current year has four digits");
    let is_shortened = incoming.body.len() < incoming.body_bytes;
    let ours = [
        ("x-handover-reason", Some(reason.fault.code.to_string())),
        ("x-handover-path", Some(shortened(&reason.fault.path))),
        ("x-handover-detail", Some(shortened(&reason.detail()))),
        ("x-handover-hint", Some(shortened(&reason.fault.hint))),
        ("x-handover-attempts", Some(reason.attempts.to_string())),
        ("x-handover-exchange", Some(incoming.source.clone())),
        (ROUTING_KEY, Some(incoming.routing_key.clone())),
        ("x-handover-queue", Some(incoming.channel.name().to_owned())),
        (PRINCIPAL, incoming.sender.header()),
        ("x-handover-message-id", incoming.id.clone()),
        ("x-handover-reply-to", incoming.reply_to.clone()),
        ("x-handover-correlation-id", incoming.correlation_id.clone()),
        ("x-handover-parked-at", Some(time)),
        ("x-handover-body-bytes", is_shortened.then(|| incoming.body_bytes.to_string())),
    ];
    headers.extend(ours.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    Outgoing {
        id: uuid::Uuid::new_v4(),
        channel: Channel::Dead,
        routing_key: incoming.routing_key.clone(),
        content_type: incoming.content_type.clone().unwrap_or_else(|| "application/octet-stream".into()),
        headers,
        body: incoming.body.clone(),
    }
}

/// Returns the valid replay marks among the headers. A sender may have written anything there.
fn replay_marks(headers: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let count = headers.get(REPLAYS).filter(|count| count.parse::<u32>().is_ok());
    let time = |at: &&String| OffsetDateTime::parse(at, &Rfc3339).is_ok();
    let at = headers.get(REPLAYED_AT).filter(time);
    let marks = [(REPLAYS, count), (REPLAYED_AT, at)];
    marks.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.clone()))).collect()
}

/// Returns the original headers with their replay marks, without others of our prefix, which a sender must not forge. Leaves the
/// original ones out if they are too large.
pub(super) fn kept_headers(headers: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let is_ours = |name: &str| name.to_ascii_lowercase().starts_with("x-handover-");
    let marks = replay_marks(headers);
    let headers: BTreeMap<String, String> =
        headers.iter().filter(|(name, _)| !is_ours(name)).map(|(name, value)| (name.clone(), value.clone())).collect();
    let bytes: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    let mut kept = match bytes {
        0..=MAX_KEPT_BYTES => headers,
        _ => BTreeMap::from([("x-handover-headers".to_owned(), format!("left out: {bytes} bytes"))]),
    };
    kept.extend(marks);
    kept
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_HEADER_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
