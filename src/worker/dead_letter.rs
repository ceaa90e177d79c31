//! A message as it is set aside for a person.

use std::collections::BTreeMap;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::broker::{Channel, Incoming, Outgoing, REPLAYED_AT, REPLAYS};
use crate::stages::{DeadLetterReason, now};

/// Longest text of a reason in a header, in characters: a reason may quote what is wrong, at any length.
const LONGEST_HEADER: usize = 2_000;

/// Headers of its own that a message keeps when it is parked, in bytes. A broker limits them, and a message that could not
/// be parked would hold up those behind it for ever.
const MOST_KEPT_HEADERS: usize = 32 * 1024;

/// A message as it is parked: its body untouched, its origin and the reason in headers.
pub(super) fn dead_letter(incoming: &Incoming, reason: &DeadLetterReason) -> Outgoing {
    let mut headers = kept_headers(&incoming.headers);
    let time = now().format(&Rfc3339).unwrap_or_default();
    let ours = [
        ("x-handover-reason", Some(reason.code.to_string())),
        ("x-handover-path", reason.path.as_deref().map(shortened)),
        ("x-handover-detail", Some(shortened(&reason.detail))),
        ("x-handover-attempts", Some(reason.attempts.to_string())),
        ("x-handover-exchange", Some(incoming.source.clone())),
        ("x-handover-routing-key", Some(incoming.routing_key.clone())),
        ("x-handover-queue", Some(incoming.channel.name().to_owned())),
        ("x-handover-message-id", incoming.id.clone()),
        ("x-handover-reply-to", incoming.reply_to.clone()),
        ("x-handover-correlation-id", incoming.correlation_id.clone()),
        ("x-handover-parked-at", Some(time)),
    ];
    headers.extend(replayed(&incoming.headers));
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

/// That a message was sent back from the dead queue, and how often: only what can be that is believed.
fn replayed(headers: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let count = headers.get(REPLAYS).filter(|count| count.parse::<u32>().is_ok());
    let time = |at: &&String| OffsetDateTime::parse(at, &Rfc3339).is_ok();
    let at = headers.get(REPLAYED_AT).filter(time);
    let marks = [(REPLAYS, count), (REPLAYED_AT, at)];
    marks.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.clone()))).collect()
}

/// Whoever sent it may have written anything into them, but nothing in our name.
fn kept_headers(headers: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let is_ours = |name: &str| name.to_ascii_lowercase().starts_with("x-handover-");
    let headers: BTreeMap<String, String> =
        headers.iter().filter(|(name, _)| !is_ours(name)).map(|(name, value)| (name.clone(), value.clone())).collect();
    let bytes: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    match bytes {
        0..=MOST_KEPT_HEADERS => headers,
        _ => BTreeMap::from([("x-handover-headers".to_owned(), format!("left out: {bytes} bytes"))]),
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST_HEADER) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
