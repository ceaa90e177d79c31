//! Spans of AMQP messages, by OpenTelemetry's conventions for RabbitMQ.

use super::topology::Topology;
use crate::broker::error::BrokerError;
use crate::broker::message::{Incoming, Outgoing};
use crate::trace::{self, MessageInfo, Span};

/// The broker's name in traces.
pub(super) const SYSTEM: &str = "rabbitmq";

const ROUTING_KEY: &str = "messaging.rabbitmq.destination.routing_key";

/// Describes a received message.
pub(super) fn received<'m>(topology: &Topology, incoming: &'m Incoming) -> MessageInfo<'m> {
    let queue = topology.queue(incoming.channel);
    let destination = trace::destination(&[exchange_name(&incoming.source), &incoming.routing_key, &queue]);
    MessageInfo {
        system: SYSTEM,
        target: queue,
        destination,
        routing_attribute: Some((ROUTING_KEY, &incoming.routing_key)),
        id: incoming.id.as_deref(),
        bytes: incoming.body.len(),
    }
}

/// Starts the span of a message to publish. Returns it with the message, which now carries the span's context.
pub(super) fn publishing(topology: &Topology, message: &Outgoing) -> (Span, Outgoing) {
    let (exchange, routing_key) = topology.route(message.channel, &message.routing_key);
    let id = message.id.to_string();
    let info = MessageInfo {
        system: SYSTEM,
        target: exchange_name(&exchange).to_owned(),
        destination: trace::destination(&[exchange_name(&exchange), &routing_key]),
        routing_attribute: Some((ROUTING_KEY, &routing_key)),
        id: Some(&id),
        bytes: message.body.len(),
    };
    let span = Span::for_publish(&info, message.trace_context());
    let mut message = message.clone();
    if let Some(context) = span.traceparent() {
        message.set_trace_context(context);
    }
    (span, message)
}

/// Ends the span of a published message.
pub(super) fn end(mut span: Span, published: &Result<(), BrokerError>) {
    match published {
        Ok(()) => {}
        Err(BrokerError::TimedOut(_)) => span.set_failed("timeout"),
        Err(BrokerError::Refused(_)) => span.set_failed("refused"),
        Err(BrokerError::Topology(_)) => span.set_failed("topology"),
        Err(BrokerError::Unreachable(_) | BrokerError::Configuration(_) | BrokerError::Outbox(_)) => {
            span.set_failed("unreachable");
        }
    }
}

/// Returns the exchange's name in traces. The default exchange has an empty name on the wire.
fn exchange_name(exchange: &str) -> &str {
    if exchange.is_empty() { "amq.default" } else { exchange }
}
