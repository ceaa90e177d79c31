//! Sends replies to requesters who asked for one. A reply that cannot be delivered is dropped and delays nothing; the requester
//! can send the request again.

use std::time::Duration;

use crate::broker::{Broker, Incoming, ReplyMessage};
use crate::contract::{REPLY_CONTENT_TYPE, REPLY_TYPE};
use crate::stages::{Context, Outcome, reply};
use crate::trace::TRACEPARENT;

/// The time by which replies may delay the acknowledgement of their requests.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Sends the outcomes of requests whose sender asked for a reply.
pub(super) async fn send(context: &Context, broker: &dyn Broker, incoming: &[Incoming], outcomes: &[Outcome]) {
    let mut replies = Vec::new();
    for (incoming, outcome) in incoming.iter().zip(outcomes) {
        let Some(to) = &incoming.reply_to else { continue };
        match body(context, incoming, outcome).await {
            Ok(Some(body)) => replies.push(message(incoming, to, body)),
            Ok(None) => {}
            Err(error) => tracing::warn!(to, %error, "reply dropped"),
        }
    }
    if replies.is_empty() {
        return;
    }
    let Ok(results) = tokio::time::timeout(TIMEOUT, broker.reply(&replies)).await else {
        tracing::warn!(replies = replies.len(), timeout = ?TIMEOUT, "replies dropped: not confirmed in time");
        return;
    };
    for (reply, result) in replies.iter().zip(results) {
        if let Err(error) = result {
            tracing::warn!(to = reply.to, %error, "reply dropped");
        }
    }
}

async fn body(context: &Context, incoming: &Incoming, outcome: &Outcome) -> anyhow::Result<Option<Vec<u8>>> {
    let reply = reply::reply(context, &incoming.body, outcome).await?;
    Ok(reply.map(|reply| serde_json::to_vec(&reply)).transpose()?)
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
