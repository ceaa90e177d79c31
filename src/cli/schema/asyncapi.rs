//! Generates the contract as an AsyncAPI 3.0 document from the types of messages.

use anyhow::Result;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::broker::{PRINCIPAL, REPLAYED_AT, REPLAYS, ROUTING_KEY};
use crate::contract::{
    Assigned, BreakerTripped, Change, CloudEvent, Completion, DeadLetterCode, EVENT_CONTENT_TYPE, EventType,
    InvitationData, JobStatusData, REPLY_CONTENT_TYPE, REPLY_TYPE, Reply, Request, RequestType,
};
use crate::job::{Step, StepKind};

/// Real messages: a test sends and receives them again and compares.
const EXAMPLES: &str = include_str!("examples.json");

#[derive(Deserialize)]
struct Examples {
    exchanges: Vec<Exchange>,
    events: Map<String, Value>,
}

#[derive(Deserialize)]
struct Exchange {
    name: String,
    request: Value,
    reply: Value,
}

/// The headers that are added to a dead letter.
const DEAD_HEADERS: [(&str, &str); 17] = [
    ("x-handover-reason", "The reason code."),
    ("x-handover-path", "The path of the first faulty field; `.` is the whole message."),
    ("x-handover-detail", "The reason as text, with all faults."),
    ("x-handover-hint", "How to fix the first fault."),
    ("x-handover-attempts", "The number of attempts."),
    ("x-handover-exchange", "The original exchange."),
    (ROUTING_KEY, "The original routing key."),
    ("x-handover-queue", "The original queue: `requests` or `steps`."),
    (
        PRINCIPAL,
        "The sender as JSON, if `broker.principals` lists any: `service` or `user`, and `org`; or an unlisted `account`.",
    ),
    ("x-handover-message-id", "The original message id."),
    ("x-handover-reply-to", "The original reply_to."),
    ("x-handover-correlation-id", "The original correlation_id."),
    ("x-handover-parked-at", "The time when it was set aside, RFC 3339."),
    ("x-handover-body-bytes", "The number of bytes of the original body, if only its beginning is kept."),
    ("x-handover-headers", "Set if the original headers were too large and were removed."),
    (REPLAYS, "The number of replays from the dead-letter queue."),
    (REPLAYED_AT, "The time of the last replay, RFC 3339."),
];

/// Generates the document for queue names with this prefix.
pub fn document(prefix: &str) -> Result<Value> {
    let examples: Examples = serde_json::from_str(EXAMPLES)?;
    let settings = SchemaSettings::draft07().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let mut messages = Map::new();
    messages.insert("request".into(), request(&mut generator, &examples));
    messages.insert("reply".into(), reply(&mut generator, &examples));
    messages.insert("step".into(), step(&mut generator));
    messages.insert("dead".into(), dead());
    for kind in EventType::all() {
        messages.insert(kind.name(), event(&mut generator, kind, &examples));
    }
    Ok(json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Handover",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Publish requests; follow their outcome by replies and events. Steps and dead letters are internal.",
            "license": { "name": env!("CARGO_PKG_LICENSE") },
        },
        "defaultContentType": "application/json",
        "channels": channels(prefix),
        "operations": operations(),
        "components": { "messages": messages, "schemas": generator.take_definitions(true) },
    }))
}

fn channels(prefix: &str) -> Value {
    let events: Vec<String> = EventType::all().into_iter().map(EventType::name).collect();
    let requests: Vec<&str> = RequestType::ALL.iter().map(|kind| kind.name()).collect();
    let steps: Vec<&str> = StepKind::ALL.iter().map(|step| step.routing_key().trim_start_matches("step.")).collect();
    let of_events: Vec<&str> = events.iter().map(String::as_str).collect();
    let mut replies = json!({
        "address": null,
        "title": "Replies",
        "description": "The queue that a request names in AMQP's reply_to, reached by the default exchange. RabbitMQ's direct reply-to works too.",
    });
    replies["messages"] = references(&["reply"]);
    json!({
        "requests": routed(prefix, "request.{type}", "type", &requests, &["request"]),
        "steps": routed(prefix, "step.{step}", "step", &steps, &["step"]),
        "events": routed(&format!("{prefix}.events"), "{type}", "type", &of_events, &of_events),
        "requestsQueue": queue(prefix, "requests", "request"),
        "stepsQueue": queue(prefix, "steps", "step"),
        "deadQueue": queue(prefix, "dead", "dead"),
        "replies": replies,
    })
}

/// Describes a topic exchange.
fn routed(exchange: &str, address: &str, parameter: &str, values: &[&str], messages: &[&str]) -> Value {
    json!({
        "address": address,
        "title": format!("The topic exchange {exchange}"),
        "parameters": { parameter: { "enum": values, "description": "The end of the routing key." } },
        "messages": references(messages),
        "bindings": { "amqp": {
            "is": "routingKey",
            "exchange": { "name": exchange, "type": "topic", "durable": true, "autoDelete": false, "vhost": "/" },
            "bindingVersion": "0.3.0",
        } },
    })
}

/// Describes a quorum queue.
fn queue(prefix: &str, name: &str, message: &str) -> Value {
    let name = format!("{prefix}.{name}");
    json!({
        "address": name,
        "title": format!("The quorum queue {name}"),
        "messages": references(&[message]),
        "bindings": { "amqp": {
            "is": "queue",
            "queue": { "name": name, "durable": true, "exclusive": false, "autoDelete": false, "vhost": "/" },
            "bindingVersion": "0.3.0",
        } },
    })
}

fn references(messages: &[&str]) -> Value {
    let reference = |name: &&str| ((*name).to_owned(), json!({ "$ref": format!("#/components/messages/{name}") }));
    Value::Object(messages.iter().map(reference).collect())
}

/// Describes the operations from Handover's side: it receives what others send.
fn operations() -> Value {
    let does = |action: &str, channel: &str, summary: &str| json!({ "action": action, "channel": { "$ref": format!("#/channels/{channel}") }, "summary": summary });
    let mut receive = does("receive", "requests", "Receives requests, and replies to those that ask for it.");
    receive["reply"] = json!({
        "address": { "location": "$message.header#/reply_to" },
        "channel": { "$ref": "#/channels/replies" },
        "messages": [{ "$ref": "#/channels/replies/messages/reply" }],
    });
    json!({
        "receiveRequest": receive,
        "consumeRequests": does("receive", "requestsQueue", "The queue of requests."),
        "publishEvent": does("send", "events", "Publishes an event after its transaction has committed."),
        "publishStep": does("send", "steps", "Internal: names a job with work to do."),
        "consumeSteps": does("receive", "stepsQueue", "The queue of steps."),
        "publishDeadLetter": does("send", "deadQueue", "Sets aside messages that cannot be read or processed, for a person: `handover dead`."),
    })
}

fn payload<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    generator.subschema_for::<T>().to_value()
}

fn traceparent() -> Value {
    json!({ "type": "string", "description": "W3C trace context." })
}

fn request(generator: &mut SchemaGenerator, examples: &Examples) -> Value {
    let mut seen: Vec<&Value> = Vec::new();
    let mut list = Vec::new();
    for exchange in &examples.exchanges {
        let is_request = crate::contract::read_request(exchange.request.to_string().as_bytes()).is_ok();
        if is_request && !seen.contains(&&exchange.request) {
            seen.push(&exchange.request);
            list.push(json!({ "name": exchange.name, "payload": exchange.request }));
        }
    }
    json!({
        "name": "request",
        "title": "A request",
        "contentType": "application/json",
        "headers": { "type": "object", "properties": { "traceparent": traceparent() } },
        "correlationId": { "location": "$message.header#/correlation_id" },
        "payload": payload::<Request>(generator),
        "examples": list,
    })
}

fn reply(generator: &mut SchemaGenerator, examples: &Examples) -> Value {
    let example = |exchange: &Exchange| json!({ "name": exchange.name, "payload": exchange.reply });
    json!({
        "name": "reply",
        "title": "The outcome of a request",
        "contentType": REPLY_CONTENT_TYPE,
        "headers": { "type": "object", "properties": { "traceparent": traceparent() } },
        "correlationId": { "location": "$message.header#/correlation_id" },
        "payload": payload::<Reply>(generator),
        "bindings": { "amqp": { "messageType": REPLY_TYPE, "bindingVersion": "0.3.0" } },
        "examples": examples.exchanges.iter().map(example).collect::<Vec<_>>(),
    })
}

fn step(generator: &mut SchemaGenerator) -> Value {
    let example = json!({ "step": "ticket", "job_id": "6b0c3e7e-3c5c-5f7c-9d0a-0c7d1f6c2a11" });
    json!({
        "name": "step",
        "title": "A step",
        "contentType": "application/json",
        "headers": { "type": "object", "properties": { "traceparent": traceparent() } },
        "payload": payload::<Step>(generator),
        "examples": [{ "name": "a ticket", "payload": example }],
    })
}

fn dead() -> Value {
    let property = |(name, what): (&str, &str)| (name.to_owned(), json!({ "type": "string", "description": what }));
    let mut properties: Map<String, Value> = DEAD_HEADERS.into_iter().map(property).collect();
    properties["x-handover-reason"]["enum"] = json!(DeadLetterCode::ALL.map(DeadLetterCode::name));
    json!({
        "name": "dead",
        "title": "A dead letter, with its original body",
        "contentType": "application/octet-stream",
        "headers": { "type": "object", "properties": properties, "required": ["x-handover-reason", "x-handover-queue"] },
        "payload": {},
    })
}

fn event(generator: &mut SchemaGenerator, kind: EventType, examples: &Examples) -> Value {
    let name = kind.name();
    let data = match kind {
        EventType::Assigned => vec![payload::<CloudEvent<Assigned>>(generator)],
        EventType::BreakerTripped => vec![payload::<CloudEvent<BreakerTripped>>(generator)],
        EventType::Invitation(_) => vec![payload::<CloudEvent<InvitationData>>(generator)],
        EventType::Reactivated => vec![payload::<CloudEvent<Completion>>(generator)],
        EventType::Deactivation(change) | EventType::Reassignment(change) | EventType::Undo(change) => match change {
            Change::Completed => vec![payload::<CloudEvent<Completion>>(generator)],
            // With a certificate if something was restored.
            Change::Cancelled | Change::Reverted => {
                vec![payload::<CloudEvent<Completion>>(generator), payload::<CloudEvent<JobStatusData>>(generator)]
            }
            Change::Scheduled
            | Change::Started
            | Change::Rejected
            | Change::NeedsAttention
            | Change::Paused
            | Change::Resumed => vec![payload::<CloudEvent<JobStatusData>>(generator)],
        },
        EventType::RequestRejected => vec![payload::<CloudEvent<JobStatusData>>(generator)],
    };
    let example = examples.events.get(&name).map(|payload| json!({ "name": name, "payload": payload }));
    json!({
        "name": name,
        "title": name,
        "contentType": EVENT_CONTENT_TYPE,
        "headers": { "type": "object", "properties": { "traceparent": traceparent() } },
        "payload": { "allOf": [{ "anyOf": data }, { "properties": { "type": { "const": name } } }] },
        "examples": example.into_iter().collect::<Vec<_>>(),
    })
}
