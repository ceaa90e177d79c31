//! Spans along a job, across processes. Messages carry the W3C trace context; spans follow OpenTelemetry's conventions for
//! messaging. Without [`enable`] a span is empty and costs nothing.
//!
//! A request's span is a child of its sender's span, or starts a trace. The job keeps the request's context, and every step
//! and event of the job is a child of it: the tree stays flat however many chunks there are. Spans hold names of queues and
//! ids of messages and jobs, and no personal data.

use std::sync::OnceLock;

use opentelemetry::global::{BoxedSpan, BoxedTracer};
use opentelemetry::trace::{
    Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId, TraceState, Tracer,
};
use opentelemetry::{Context, KeyValue};

/// The header, and the event attribute, with the trace context.
pub const TRACEPARENT: &str = "traceparent";

static TRACER: OnceLock<BoxedTracer> = OnceLock::new();

/// Starts recording spans.
pub fn enable(tracer: BoxedTracer) {
    // The first tracer stays: a process exports to one place.
    let _ = TRACER.set(tracer);
}

/// Returns true if spans are recorded.
pub fn is_enabled() -> bool {
    TRACER.get().is_some()
}

/// A published or received message, as spans describe it. A broker fills it in its own terms.
#[derive(Debug, Clone)]
pub struct MessageInfo<'m> {
    /// The broker's name: `rabbitmq`, or `handover` if the ledger's outbox is the queue.
    pub system: &'static str,
    /// The exchange or queue that the span is named after.
    pub target: String,
    /// The full destination; see [`destination`].
    pub destination: String,
    /// The name and value of the broker's own attribute for the routing key.
    pub routing_attribute: Option<(&'static str, &'m str)>,
    /// The message id, if the publisher set one.
    pub id: Option<&'m str>,
    /// The size of the body in bytes.
    pub bytes: usize,
}

/// Joins the parts of a destination: exchange, routing key, queue. Empty and repeated parts are left out.
pub fn destination(parts: &[&str]) -> String {
    let mut parts: Vec<&str> = parts.iter().copied().filter(|part| !part.is_empty()).collect();
    parts.dedup();
    parts.join(":")
}

impl MessageInfo<'_> {
    fn attributes(&self, name: &'static str, kind: &'static str) -> Vec<KeyValue> {
        let mut attributes = vec![
            KeyValue::new("messaging.system", self.system),
            KeyValue::new("messaging.destination.name", self.destination.clone()),
            KeyValue::new("messaging.operation.name", name),
            KeyValue::new("messaging.operation.type", kind),
            KeyValue::new("messaging.message.body.size", self.bytes as i64),
        ];
        if let Some((name, key)) = self.routing_attribute {
            attributes.push(KeyValue::new(name, key.to_owned()));
        }
        if let Some(id) = self.id {
            attributes.push(KeyValue::new("messaging.message.id", id.to_owned()));
        }
        attributes
    }
}

/// A span, or nothing. It ends when it is dropped.
pub struct Span(Option<BoxedSpan>);

impl Span {
    /// Creates an empty span.
    pub fn none() -> Span {
        Span(None)
    }

    /// Starts a span for processing a message. Without a parent it starts a trace.
    pub fn for_message(operation: &'static str, message: &MessageInfo<'_>, parent: Option<&str>) -> Span {
        Span(TRACER.get().map(|tracer| {
            let span = tracer.span_builder(format!("{operation} {}", message.target)).with_kind(SpanKind::Consumer);
            let span = span.with_attributes(message.attributes(operation, "process"));
            tracer.build_with_context(span, &context_of(parent))
        }))
    }

    /// Starts a span for publishing a message. A message without a parent gets no span.
    pub fn for_publish(message: &MessageInfo<'_>, parent: Option<&str>) -> Span {
        let traced = TRACER.get().zip(parent.filter(|parent| parse(parent).is_some()));
        Span(traced.map(|(tracer, parent)| {
            let span = tracer.span_builder(format!("publish {}", message.target)).with_kind(SpanKind::Producer);
            let span = span.with_attributes(message.attributes("publish", "send"));
            tracer.build_with_context(span, &context_of(Some(parent)))
        }))
    }

    /// Returns the trace context for messages that this span causes.
    pub fn traceparent(&self) -> Option<String> {
        self.0.as_ref().map(|span| span.span_context()).filter(|context| context.is_valid()).map(format_context)
    }

    /// Records the job.
    pub fn set_job(&mut self, job: impl ToString) {
        if let Some(span) = &mut self.0 {
            span.set_attribute(KeyValue::new("handover.job.id", job.to_string()));
        }
    }

    /// Records a failure by its code. Texts are not recorded: they may quote personal data.
    pub fn set_failed(&mut self, code: &str) {
        if let Some(span) = &mut self.0 {
            span.set_attribute(KeyValue::new("error.type", code.to_owned()));
            span.set_status(Status::error(code.to_owned()));
        }
    }
}

/// Validates a trace context from outside. Returns `None` if it is invalid, since W3C says to ignore it then.
pub fn validated(traceparent: &str) -> Option<String> {
    parse(traceparent).as_ref().map(format_context)
}

fn context_of(parent: Option<&str>) -> Context {
    match parent.and_then(parse) {
        Some(parent) => Context::new().with_remote_span_context(parent),
        None => Context::new(),
    }
}

/// Parses `00-<trace>-<span>-<flags>`. A later version may append more fields.
fn parse(traceparent: &str) -> Option<SpanContext> {
    let (head, more) = traceparent.split_at_checked(55)?;
    let mut parts = head.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_hex =
        |part: &str, digits| part.len() == digits && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_whole = is_hex(version, 2) && is_hex(trace, 32) && is_hex(span, 16) && is_hex(flags, 2);
    let may_end_so = more.is_empty() || (version != "00" && more.starts_with('-'));
    if !is_whole || !may_end_so || version == "ff" || parts.next().is_some() {
        return None;
    }
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED;
    Some(SpanContext::new(trace, span, flags, true, TraceState::default())).filter(SpanContext::is_valid)
}

fn format_context(context: &SpanContext) -> String {
    let flags = context.trace_flags() & TraceFlags::SAMPLED;
    format!("00-{}-{}-{flags:02x}", context.trace_id(), context.span_id())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn trace_contexts_round_trip() {
        assert_eq!(validated(GOOD).as_deref(), Some(GOOD));
        assert_eq!(validated(&format!("cc{}-later", &GOOD[2..])).as_deref(), Some(GOOD));
    }

    #[test]
    fn invalid_trace_contexts_are_ignored() {
        let nobody = GOOD.replace("b7ad6b7169203331", "0000000000000000");
        let loud = GOOD.to_uppercase();
        let longer = format!("{GOOD}-00");
        let forbidden = format!("ff{}", &GOOD[2..]);
        for wrong in ["", "00-\u{1b}[2J-zz", &"é".repeat(40), &GOOD[..54], &nobody, &loud, &longer, &forbidden] {
            assert_eq!(validated(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn destinations_leave_out_empty_and_repeated_parts() {
        assert_eq!(destination(&["amq.default", "handover.dead", "handover.dead"]), "amq.default:handover.dead");
        assert_eq!(destination(&["handover", "step.cut", "handover.steps"]), "handover:step.cut:handover.steps");
        assert_eq!(destination(&["", "step.cut", "steps"]), "step.cut:steps");
    }
}
