//! Sends replies to those who asked for them. A courtesy: what cannot be delivered is dropped, and holds nothing up; whoever
//! misses it sends the request again.

use std::time::Duration;

use crate::broker::{Broker, Incoming, ReplyMessage};
use crate::contract::{REPLY_CONTENT_TYPE, REPLY_TYPE};
use crate::stages::{Context, Outcome, reply};
use crate::trace::TRACEPARENT;

/// How long replies may hold up the acknowledgement of their requests.
const WITHIN: Duration = Duration::from_secs(5);

/// Tells what became of requests. Costs those nothing that ask for no reply.
pub(super) async fn send(context: &Context, broker: &dyn Broker, incoming: &[Incoming], outcomes: &[Outcome]) {
    let mut replies = Vec::new();
    for (incoming, outcome) in incoming.iter().zip(outcomes) {
        let Some(to) = &incoming.reply_to else { continue };
        match reply::reply(context, &incoming.body, outcome).await {
            Ok(Some(reply)) => replies.push(message(incoming, to, serde_json::to_vec(&reply).unwrap_or_default())),
            Ok(None) => {}
            Err(error) => tracing::warn!(to, %error, "a reply is dropped"),
        }
    }
    if replies.is_empty() {
        return;
    }
    let Ok(results) = tokio::time::timeout(WITHIN, broker.reply(&replies)).await else {
        tracing::warn!(replies = replies.len(), "replies are dropped: the broker did not confirm them in time");
        return;
    };
    for (reply, result) in replies.iter().zip(results) {
        if let Err(error) = result {
            tracing::warn!(to = reply.to, %error, "a reply is dropped");
        }
    }
}

fn message(incoming: &Incoming, to: &str, body: Vec<u8>) -> ReplyMessage {
    let traceparent = incoming.trace_context().map(|context| (TRACEPARENT.to_owned(), context.to_owned()));
    ReplyMessage {
        to: to.to_owned(),
        correlation_id: incoming.correlation_id.clone(),
        kind: REPLY_TYPE.into(),
        content_type: REPLY_CONTENT_TYPE.into(),
        headers: traceparent.into_iter().collect(),
        body,
    }
}
