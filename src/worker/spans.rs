//! The spans of messages that a worker takes.

use crate::broker::{Broker, Incoming};
use crate::job::Step;
use crate::trace::{self, Span, Subject, TRACEPARENT};

/// Of a request. Its job is known when it has been read.
pub(super) fn of_request(broker: &dyn Broker, incoming: &Incoming) -> Span {
    of(broker, incoming, "plan")
}

/// Of a step; none where what came is no step.
pub(super) fn of_step(broker: &dyn Broker, incoming: &Incoming, step: Option<&Step>) -> Span {
    let mut span = of(broker, incoming, step.map_or("read", |step| step.step.name()));
    if let Some(step) = step {
        span.about(step.job_id);
    }
    span
}

/// The trace context that a request's job keeps: of its span, or what it came with.
pub(super) fn context(span: &Span, incoming: &Incoming) -> Option<String> {
    span.traceparent().or_else(|| trace::checked(incoming.headers.get(TRACEPARENT)?))
}

fn of(broker: &dyn Broker, incoming: &Incoming, operation: &'static str) -> Span {
    if !trace::is_enabled() {
        return Span::none();
    }
    let queue = broker.queue(incoming.channel);
    let subject = Subject {
        system: queue.system,
        exchange: &incoming.source,
        routing_key: &incoming.routing_key,
        queue: Some(&queue.name),
        id: incoming.id.as_deref(),
        bytes: incoming.body.len(),
    };
    Span::for_message(operation, subject, incoming.headers.get(TRACEPARENT).map(String::as_str))
}
