//! The contract as an AsyncAPI 3.0 document, made of the types that are sent and received.

use anyhow::Result;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::broker::{REPLAYED_AT, REPLAYS};
use crate::contract::{
    Assigned, Change, CloudEvent, Completion, EVENT_CONTENT_TYPE, EventType, InvitationData, JobStatusData,
    REPLY_CONTENT_TYPE, REPLY_TYPE, Reply, Request, RequestType,
};
use crate::job::{Step, StepKind};

/// What was really sent and received: a test does it again and compares.
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

/// What stands in the headers of a message that was set aside, beside those that it came with.
const DEAD_HEADERS: [(&str, &str); 14] = [
    ("x-handover-reason", "Why, one word for programs."),
    ("x-handover-path", "The path to the field that is to blame, where it is about one."),
    ("x-handover-detail", "Why, for people."),
    ("x-handover-attempts", "How often it was tried."),
    ("x-handover-exchange", "The exchange that it was published to."),
    ("x-handover-routing-key", "The routing key that it was published with."),
    ("x-handover-queue", "The queue that it came from: `requests` or `steps`."),
    ("x-handover-message-id", "The id that it had."),
    ("x-handover-reply-to", "Where its publisher waited for a reply."),
    ("x-handover-correlation-id", "What the reply was to be known by."),
    ("x-handover-parked-at", "When it was set aside, RFC 3339."),
    ("x-handover-headers", "That its own headers were left out, because they were too large."),
    (REPLAYS, "How often it was sent back from the dead queue."),
    (REPLAYED_AT, "When it was last sent back, RFC 3339."),
];

/// The document, for the names under a prefix.
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
            "description": "Publish requests; follow what becomes of them by replies and events. Steps and set-aside messages are Handover's own.",
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
        "description": "The queue that a request names in AMQP's reply_to, through the default exchange. RabbitMQ's direct reply-to works too.",
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

/// A topic exchange.
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

/// A quorum queue.
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

/// From Handover's side: what it receives is what others send.
fn operations() -> Value {
    let does = |action: &str, channel: &str, summary: &str| json!({ "action": action, "channel": { "$ref": format!("#/channels/{channel}") }, "summary": summary });
    let mut take = does("receive", "requests", "Takes requests, and answers those that ask for a reply.");
    take["reply"] = json!({
        "address": { "location": "$message.header#/reply_to" },
        "channel": { "$ref": "#/channels/replies" },
        "messages": [{ "$ref": "#/channels/replies/messages/reply" }],
    });
    json!({
        "takeRequest": take,
        "fetchRequest": does("receive", "requestsQueue", "Where requests wait."),
        "tellEvent": does("send", "events", "Tells what happened, once its transaction has committed."),
        "sendStep": does("send", "steps", "Handover's own: says where to look."),
        "fetchStep": does("receive", "stepsQueue", "Where steps wait."),
        "setAside": does("send", "deadQueue", "Sets aside, for a person, what cannot be read or done: `handover dead`."),
    })
}

fn payload<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    generator.subschema_for::<T>().to_value()
}

fn traceparent() -> Value {
    json!({ "type": "string", "description": "W3C trace context." })
}

fn request(generator: &mut SchemaGenerator, examples: &Examples) -> Value {
    let mut told: Vec<&Value> = Vec::new();
    let mut list = Vec::new();
    for exchange in &examples.exchanges {
        let is_request = crate::contract::read_request(exchange.request.to_string().as_bytes()).is_ok();
        if is_request && !told.contains(&&exchange.request) {
            told.push(&exchange.request);
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
        "title": "What became of a request",
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
        "title": "Where to look",
        "contentType": "application/json",
        "headers": { "type": "object", "properties": { "traceparent": traceparent() } },
        "payload": payload::<Step>(generator),
        "examples": [{ "name": "a ticket", "payload": example }],
    })
}

fn dead() -> Value {
    let property = |(name, what): (&str, &str)| (name.to_owned(), json!({ "type": "string", "description": what }));
    let properties: Map<String, Value> = DEAD_HEADERS.into_iter().map(property).collect();
    json!({
        "name": "dead",
        "title": "A message that was set aside, its body untouched",
        "contentType": "application/octet-stream",
        "headers": { "type": "object", "properties": properties, "required": ["x-handover-reason", "x-handover-queue"] },
        "payload": {},
    })
}

fn event(generator: &mut SchemaGenerator, kind: EventType, examples: &Examples) -> Value {
    let name = kind.name();
    let data = match kind {
        EventType::Assigned => vec![payload::<CloudEvent<Assigned>>(generator)],
        EventType::Invitation(_) => vec![payload::<CloudEvent<InvitationData>>(generator)],
        EventType::Reactivated => vec![payload::<CloudEvent<Completion>>(generator)],
        EventType::Deactivation(change) | EventType::Reassignment(change) | EventType::Undo(change) => match change {
            Change::Completed => vec![payload::<CloudEvent<Completion>>(generator)],
            // With a certificate of what came back, where there was something to bring back.
            Change::Cancelled | Change::Reverted => {
                vec![payload::<CloudEvent<Completion>>(generator), payload::<CloudEvent<JobStatusData>>(generator)]
            }
            _ => vec![payload::<CloudEvent<JobStatusData>>(generator)],
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
