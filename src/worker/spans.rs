//! Spans of the messages that a worker receives.

use crate::broker::{Broker, Incoming};
use crate::job::Step;
use crate::trace::{self, Span};

/// Starts the span of a request. Its job is known only after the request is read.
pub(super) fn of_request(broker: &dyn Broker, incoming: &Incoming) -> Span {
    start(broker, incoming, "plan")
}

/// Starts the span of a step; without a step if the message could not be read as one.
pub(super) fn of_step(broker: &dyn Broker, incoming: &Incoming, step: Option<&Step>) -> Span {
    let mut span = start(broker, incoming, step.map_or("read", |step| step.step.name()));
    if let Some(step) = step {
        span.set_job(step.job_id);
    }
    span
}

/// Returns the trace context for a request's job: the span's, or else the message's own.
pub(super) fn context(span: &Span, incoming: &Incoming) -> Option<String> {
    span.traceparent().or_else(|| trace::validated(incoming.trace_context()?))
}

fn start(broker: &dyn Broker, incoming: &Incoming, operation: &'static str) -> Span {
    if !trace::is_enabled() {
        return Span::none();
    }
    Span::for_message(operation, &broker.trace_info(incoming), incoming.trace_context())
}
