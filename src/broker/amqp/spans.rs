//! The spans of messages that are published, and the context that they carry on.

use super::topology::Topology;
use super::{BrokerError, Outgoing, SYSTEM};
use crate::trace::{Span, Subject, TRACEPARENT};

/// A message's span, and the message as it leaves: whoever takes it stands under that span.
pub(super) fn of(topology: &Topology, message: &Outgoing) -> (Span, Outgoing) {
    let (exchange, routing_key) = topology.route(message.channel, &message.routing_key);
    let id = message.id.to_string();
    let subject = Subject {
        system: SYSTEM,
        exchange: &exchange,
        routing_key: &routing_key,
        queue: None,
        id: Some(&id),
        bytes: message.body.len(),
    };
    let span = Span::for_publish(subject, message.headers.get(TRACEPARENT).map(String::as_str));
    let mut message = message.clone();
    if let Some(context) = span.traceparent() {
        message.headers.insert(TRACEPARENT.into(), context);
    }
    (span, message)
}

/// Ends a message's span.
pub(super) fn end(mut span: Span, sent: &Result<(), BrokerError>) {
    match sent {
        Ok(()) => {}
        Err(BrokerError::TimedOut(_)) => span.failed("timeout"),
        Err(BrokerError::Refused(_)) => span.failed("refused"),
        Err(BrokerError::Topology(_)) => span.failed("topology"),
        Err(BrokerError::Unreachable(_) | BrokerError::Configuration(_) | BrokerError::Outbox(_)) => {
            span.failed("unreachable");
        }
    }
}
