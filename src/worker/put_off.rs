//! Puts blocked requests off: each goes to the outbox with the time when it is due, and back to its queue then. It keeps no place among
//! the messages that a planner holds.

use std::time::Duration;

use super::dead_letter::kept_headers;
use super::waiting::Request;
use crate::broker::{Channel, Incoming, PRINCIPAL, ROUTING_KEY};
use crate::metrics;
use crate::stages::{Context, intake, now};
use crate::store::ledger::outbox::OutboxMessage;

/// The header with the number of times that a request was put off.
const DEFERRALS: &str = "x-handover-deferrals";

/// The properties of a message besides its headers, by the header that keeps each meanwhile.
const MESSAGE_ID: &str = "x-handover-message-id";
const REPLY_TO: &str = "x-handover-reply-to";
const CORRELATION_ID: &str = "x-handover-correlation-id";
const SOURCE: &str = "x-handover-exchange";

/// Stores blocked requests, each until its pause is over. Once this returns, they may be acknowledged.
pub(super) async fn put_off(context: &Context, blocked: &[(Request, Duration)]) -> crate::store::Result<()> {
    if blocked.is_empty() {
        return Ok(());
    }
    let messages = blocked.iter().map(|(request, pause)| outbox_message(request, *pause)).collect();
    intake::put_off(context, messages).await?;
    for (Request { incoming, deferrals }, pause) in blocked {
        metrics::retried("a blocked request");
        tracing::warn!(message_id = incoming.id, deferrals, pause_ms = pause.as_millis() as u64, "request put off");
    }
    Ok(())
}

/// Returns a received request as it was sent, with the number of times that it was put off.
pub(super) fn restored(mut incoming: Incoming) -> Request {
    // A sender may write any header. Only what comes straight to its queue was put off.
    let deferrals = incoming.headers.get(DEFERRALS).filter(|_| incoming.source.is_empty());
    let Some(deferrals) = deferrals.and_then(|deferrals| deferrals.parse().ok()) else {
        return Request { incoming, deferrals: 0 };
    };
    incoming.headers.remove(DEFERRALS);
    incoming.id = incoming.headers.remove(MESSAGE_ID);
    incoming.reply_to = incoming.headers.remove(REPLY_TO);
    incoming.correlation_id = incoming.headers.remove(CORRELATION_ID);
    incoming.source = incoming.headers.remove(SOURCE).unwrap_or_default();
    Request { incoming, deferrals }
}

fn outbox_message(Request { incoming, deferrals }: &Request, pause: Duration) -> OutboxMessage {
    let ours = [
        (DEFERRALS, Some(deferrals.saturating_add(1).to_string())),
        (ROUTING_KEY, Some(incoming.routing_key.clone())),
        (PRINCIPAL, incoming.sender.header()),
        (MESSAGE_ID, incoming.id.clone()),
        (REPLY_TO, incoming.reply_to.clone()),
        (CORRELATION_ID, incoming.correlation_id.clone()),
        (SOURCE, Some(incoming.source.clone())),
    ];
    let mut headers = kept_headers(&incoming.headers);
    headers.extend(ours.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    let now = now();
    OutboxMessage {
        id: 0,
        message_id: uuid::Uuid::new_v4(),
        channel: Channel::Requests,
        routing_key: incoming.routing_key.clone(),
        content_type: incoming.content_type.clone().unwrap_or_else(|| "application/octet-stream".into()),
        headers: serde_json::json!(headers),
        body: incoming.body.clone(),
        job_id: None,
        created_at: now,
        due_at: now + pause,
        leased_until: None,
    }
}
