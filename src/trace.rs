//! Spans along a job, across processes: the W3C trace context that messages carry, and spans by OpenTelemetry's conventions
//! for messaging. Unless [`enable`] was called a span is nothing, and costs nothing.
//!
//! A request's span hangs under whatever its sender was doing, or begins a trace; its job keeps it, and every step and
//! event of the job hangs under it: the tree stays flat however many chunks there are. What spans hold are names of queues
//! and ids of messages and jobs, nothing of people.

use std::sync::OnceLock;

use opentelemetry::global::{BoxedSpan, BoxedTracer};
use opentelemetry::trace::{
    Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId, TraceState, Tracer,
};
use opentelemetry::{Context, KeyValue};

/// The header, and the attribute of an event, that carries the context.
pub const TRACEPARENT: &str = "traceparent";

static TRACER: OnceLock<BoxedTracer> = OnceLock::new();

/// Makes spans from here on.
pub fn enable(tracer: BoxedTracer) {
    // Who was first stays: a process exports to one place.
    let _ = TRACER.set(tracer);
}

/// Whether spans are made.
pub fn is_enabled() -> bool {
    TRACER.get().is_some()
}

/// A queue, as traces call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// Of the broker: `rabbitmq`, or `handover` where the ledger's outbox is the queue.
    pub system: &'static str,
    /// The queue's own.
    pub name: String,
}

/// A message that is sent or worked on.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The name of its broker.
    pub system: &'static str,
    /// The exchange it was published to; empty for the default one.
    pub exchange: &'a str,
    /// The key it was published with.
    pub routing_key: &'a str,
    /// The queue it was taken from, where it was.
    pub queue: Option<&'a str>,
    /// Its id, where its publisher gave one.
    pub id: Option<&'a str>,
    /// How many bytes it has.
    pub bytes: usize,
}

impl Subject<'_> {
    /// In the order of the conventions for RabbitMQ: exchange, key, queue.
    fn destination(&self) -> String {
        let parts = [self.exchange_name(), self.routing_key, self.queue.unwrap_or_default()];
        let mut parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        parts.dedup();
        parts.join(":")
    }

    fn exchange_name(&self) -> &str {
        match (self.exchange, self.system) {
            ("", "rabbitmq") => "amq.default",
            (exchange, _) => exchange,
        }
    }

    fn attributes(&self, name: &'static str, kind: &'static str) -> Vec<KeyValue> {
        let mut attributes = vec![
            KeyValue::new("messaging.system", self.system),
            KeyValue::new("messaging.destination.name", self.destination()),
            KeyValue::new("messaging.operation.name", name),
            KeyValue::new("messaging.operation.type", kind),
            KeyValue::new("messaging.message.body.size", self.bytes as i64),
        ];
        if self.system == "rabbitmq" {
            let key = self.routing_key.to_owned();
            attributes.push(KeyValue::new("messaging.rabbitmq.destination.routing_key", key));
        }
        if let Some(id) = self.id {
            attributes.push(KeyValue::new("messaging.message.id", id.to_owned()));
        }
        attributes
    }
}

/// A span, ended when it is dropped; or nothing.
pub struct Span(Option<BoxedSpan>);

impl Span {
    /// Nothing.
    pub fn none() -> Span {
        Span(None)
    }

    /// Of a message that is worked on; `operation` says how. Without a parent it begins a trace.
    pub fn for_message(operation: &'static str, subject: Subject<'_>, parent: Option<&str>) -> Span {
        Span(TRACER.get().map(|tracer| {
            let place = subject.queue.unwrap_or_else(|| subject.exchange_name());
            let span = tracer.span_builder(format!("{operation} {place}")).with_kind(SpanKind::Consumer);
            let span = span.with_attributes(subject.attributes(operation, "process"));
            tracer.build_with_context(span, &context_of(parent))
        }))
    }

    /// Of a message that is published: only one that belongs to a trace has a span.
    pub fn for_publish(subject: Subject<'_>, parent: Option<&str>) -> Span {
        let traced = TRACER.get().zip(parent.filter(|parent| read(parent).is_some()));
        Span(traced.map(|(tracer, parent)| {
            let name = format!("publish {}", subject.exchange_name());
            let span = tracer.span_builder(name).with_kind(SpanKind::Producer);
            let span = span.with_attributes(subject.attributes("publish", "send"));
            tracer.build_with_context(span, &context_of(Some(parent)))
        }))
    }

    /// The context of what this span leads to.
    pub fn traceparent(&self) -> Option<String> {
        self.0.as_ref().map(|span| span.span_context()).filter(|context| context.is_valid()).map(write)
    }

    /// Says which job it is about.
    pub fn about(&mut self, job: impl ToString) {
        if let Some(span) = &mut self.0 {
            span.set_attribute(KeyValue::new("handover.job.id", job.to_string()));
        }
    }

    /// Says that it failed, by one word for programs: texts may quote what people have written.
    pub fn failed(&mut self, code: &str) {
        if let Some(span) = &mut self.0 {
            span.set_attribute(KeyValue::new("error.type", code.to_owned()));
            span.set_status(Status::error(code.to_owned()));
        }
    }
}

/// A trace context that came from outside, where it is one: what is not is ignored, as W3C has it.
pub fn checked(traceparent: &str) -> Option<String> {
    read(traceparent).as_ref().map(write)
}

fn context_of(parent: Option<&str>) -> Context {
    match parent.and_then(read) {
        Some(parent) => Context::new().with_remote_span_context(parent),
        None => Context::new(),
    }
}

/// `00-<trace>-<span>-<flags>`. A later version may have more behind it.
fn read(traceparent: &str) -> Option<SpanContext> {
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

fn write(context: &SpanContext) -> String {
    let flags = context.trace_flags() & TraceFlags::SAMPLED;
    format!("00-{}-{}-{flags:02x}", context.trace_id(), context.span_id())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_trace_context_is_read_and_written() {
        assert_eq!(checked(GOOD).as_deref(), Some(GOOD));
        assert_eq!(checked(&format!("cc{}-later", &GOOD[2..])).as_deref(), Some(GOOD));
    }

    #[test]
    fn what_is_no_trace_context_is_ignored() {
        let nobody = GOOD.replace("b7ad6b7169203331", "0000000000000000");
        let loud = GOOD.to_uppercase();
        let longer = format!("{GOOD}-00");
        let forbidden = format!("ff{}", &GOOD[2..]);
        for wrong in ["", "00-\u{1b}[2J-zz", &"é".repeat(40), &GOOD[..54], &nobody, &loud, &longer, &forbidden] {
            assert_eq!(checked(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn destinations_are_called_as_the_conventions_have_it() {
        let subject = Subject {
            system: "rabbitmq",
            exchange: "",
            routing_key: "handover.dead",
            queue: Some("handover.dead"),
            id: None,
            bytes: 0,
        };
        assert_eq!(subject.destination(), "amq.default:handover.dead");
        let taken = Subject { exchange: "handover", routing_key: "step.cut", queue: Some("handover.steps"), ..subject };
        assert_eq!(taken.destination(), "handover:step.cut:handover.steps");
        let local =
            Subject { system: "handover", exchange: "", queue: Some("steps"), routing_key: "step.cut", ..subject };
        assert_eq!(local.destination(), "step.cut:steps");
    }
}
