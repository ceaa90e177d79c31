//! Traces: all spans of a job join the trace of its request, in any process. An unavailable collector delays nothing.

use handover::job::State;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use serde_json::Value;

use crate::support::broker::BrokerClient;
use crate::support::collector::{Collector, Taken};
use crate::support::process::{WorkerProcess, borrowed, settings, text};
use crate::support::world::{LIMIT, keap_request, read};
use crate::support::{World, every_engine, on_postgres};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SENDER: &str = "b7ad6b7169203331";

/// The allowed attributes of a span. None may hold personal data.
const ATTRIBUTES: [&str; 8] = [
    "handover.job.id",
    "messaging.destination.name",
    "messaging.message.body.size",
    "messaging.message.id",
    "messaging.operation.name",
    "messaging.operation.type",
    "messaging.rabbitmq.destination.routing_key",
    "messaging.system",
];

/// Starts a worker process that cuts small chunks and sends its spans to a collector.
fn start(world: &World, endpoint: &str, stages: &[&str], log: &std::path::Path) -> WorkerProcess {
    let settings = settings(world);
    let more = [
        ("HANDOVER_LIMITS__CHUNK_ROWS", "20"),
        ("HANDOVER_LIMITS__CHUNKS_PER_CUT", "7"),
        ("HANDOVER_TELEMETRY__OTLP__ENDPOINT", endpoint),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
    ];
    let log = File::options().create(true).append(true).open(log).expect("a file");
    WorkerProcess::start_stages(&[borrowed(&settings), more.to_vec()].concat(), stages, log)
}

fn stop(worker: WorkerProcess) {
    assert_eq!(tokio::task::block_in_place(|| worker.stop()), 0);
}

/// Returns the events up to the completed one, each with the trace context of its message.
async fn events_until_completed(world: &mut World) -> Vec<(String, Value)> {
    let BrokerClient::Amqp { events, .. } = &mut world.client else { panic!("there is no broker") };
    let mut seen: Vec<(String, Value)> = Vec::new();
    while !seen.iter().any(|(_, event)| event["type"] == "handover.deactivation.completed") {
        let delivery = tokio::time::timeout(LIMIT, events.next()).await.expect("in time").expect("one").expect("whole");
        let headers = delivery.properties.headers().clone().unwrap_or_default();
        let Some(AMQPValue::LongString(context)) = headers.inner().get("traceparent") else { panic!("{headers:?}") };
        seen.push((context.to_string(), serde_json::from_slice(&delivery.data).expect("an event")));
    }
    seen
}

fn named<'a>(spans: &'a [Taken], name: &str) -> Vec<&'a Taken> {
    spans.iter().filter(|span| span.name == name).collect()
}

#[on_postgres]
async fn spans_and_events_join_the_requests_trace(world: &mut World) {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log");
    let collector = Collector::start().await;
    let planner = start(world, &collector.endpoint(), &["planner", "relay"], &log);
    let mover = start(world, &collector.endpoint(), &["mover", "relay"], &log);
    let mut request = keap_request("traced");
    request["reason"] = "left the company".into();
    let mut headers = FieldTable::default();
    let context = format!("00-{TRACE}-{SENDER}-01");
    headers.insert("traceparent".into(), AMQPValue::LongString(context.into()));
    let properties = BasicProperties::default().with_message_id("from outside".into()).with_headers(headers);
    world.client.send_with(request.to_string().into_bytes(), properties).await;
    let job = read(&request).job_id();
    assert_eq!(world.end_of(job).await.state, State::Completed);
    let events = events_until_completed(world).await;
    stop(planner);
    stop(mover);

    let spans = collector.taken();
    let elsewhere: Vec<_> = spans.iter().filter(|span| span.trace != TRACE).collect();
    assert!(elsewhere.is_empty(), "{elsewhere:#?}");
    let name = |operation: &str, place: &str| format!("{operation} {}{place}", world.prefix);
    let plan = named(&spans, &name("plan", ".requests"));
    assert_eq!(plan.iter().map(|span| span.parent.as_str()).collect::<Vec<_>>(), [SENDER]);
    let key = "request.deactivate";
    assert_eq!(
        plan[0].attributes,
        BTreeMap::from([
            ("handover.job.id", job.to_string()),
            ("messaging.destination.name", format!("{0}:{key}:{0}.requests", world.prefix)),
            ("messaging.message.body.size", request.to_string().len().to_string()),
            ("messaging.message.id", "from outside".into()),
            ("messaging.operation.name", "plan".into()),
            ("messaging.operation.type", "process".into()),
            ("messaging.rabbitmq.destination.routing_key", key.into()),
            ("messaging.system", "rabbitmq".into()),
        ])
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
    );
    let is_sent_by = |span: &Taken, id: &str| {
        span.parent == plan[0].id && span.attributes["messaging.message.id"] == id && span.name.starts_with("publish")
    };
    let by_id: BTreeMap<_, _> = spans.iter().map(|span| (span.id.as_str(), span)).collect();
    for (operation, at_least) in [("cut", 2), ("move", 12), ("finalize", 1)] {
        let steps = named(&spans, &name(operation, ".steps"));
        assert!(steps.len() >= at_least, "{operation}: {steps:#?}");
        for step in steps {
            assert_ne!(step.process, plan[0].process);
            assert_eq!(step.attributes["handover.job.id"], job.to_string());
            assert!(is_sent_by(by_id[step.parent.as_str()], &step.attributes["messaging.message.id"]), "{step:#?}");
        }
    }
    for (context, event) in &events {
        let parts: Vec<&str> = context.split('-').collect();
        assert_eq!(parts[1], TRACE);
        let sent = by_id[parts[2]];
        assert!(is_sent_by(sent, event["id"].as_str().expect("an id")), "{event} {sent:#?}");
        assert_eq!(sent.name, name("publish", ".events"));
        assert_eq!(event["traceparent"], format!("00-{TRACE}-{}-01", plan[0].id));
    }
    let said: BTreeSet<&str> = spans.iter().flat_map(|span| span.attributes.keys().map(String::as_str)).collect();
    assert_eq!(said, BTreeSet::from(ATTRIBUTES));
}

#[every_engine]
async fn request_without_trace_starts_one(world: &mut World) {
    let folder = tempfile::tempdir().expect("a folder");
    let collector = Collector::start().await;
    let worker = start(world, &collector.endpoint(), &[], &folder.path().join("log"));
    let jobs = [world.send(&keap_request("one")).await, world.send(&keap_request("two")).await];
    let mut traces = BTreeSet::new();
    for job in jobs {
        let kept = world.end_of(job).await.traceparent.expect("a trace");
        traces.insert(kept.split('-').nth(1).expect("a trace").to_owned());
        let event = world.next_event_of(job).await;
        assert_eq!(event["traceparent"], kept);
    }
    stop(worker);
    let spans = collector.taken();
    let began: Vec<_> = spans.iter().filter(|span| span.parent.is_empty()).collect();
    assert_eq!(began.len(), 2, "{began:#?}");
    assert!(began.iter().all(|span| span.name.starts_with("plan ")), "{began:#?}");
    assert_eq!(spans.iter().map(|span| span.trace.clone()).collect::<BTreeSet<_>>(), traces);
    assert!(spans.iter().any(|span| span.name.starts_with("finalize ")), "{spans:#?}");
}

#[every_engine]
async fn unavailable_collector_delays_nothing(world: &mut World) {
    // A client that connects waits forever for an answer.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let nobody = crate::support::server::free_port();
    for (name, port) in [("away", nobody), ("silent", silent.local_addr().expect("an address").port())] {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("log");
        let worker = start(world, &format!("http://127.0.0.1:{port}"), &[], &log);
        let job = world.send(&keap_request(name)).await;
        assert!(world.end_of(job).await.state.is_final());
        let said = || std::fs::read_to_string(text(&log)).expect("a log").matches("collector unavailable").count();
        // The worker exports the rest when it stops, as a second batch.
        world.until("it is reported", async || (said() > 0).then_some(())).await;
        let _ = world.end_of(world.send(&keap_request(&format!("{name} again"))).await).await;
        let began = Instant::now();
        stop(worker);
        assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
        assert_eq!(said(), 1);
    }
}

#[every_engine]
async fn trace_passes_through_without_a_collector(world: &mut World) {
    world.start_worker().await;
    for (name, came, kept) in [
        ("good", format!("00-{TRACE}-{SENDER}-01"), Some(format!("00-{TRACE}-{SENDER}-01"))),
        ("bad", format!("00-{TRACE}-\u{1b}[2J-01"), None),
    ] {
        let broker = world.broker().await;
        let request = keap_request(name);
        let message = handover::broker::Outgoing {
            id: uuid::Uuid::new_v4(),
            channel: handover::broker::Channel::Requests,
            routing_key: "request.deactivate".into(),
            content_type: "application/json".into(),
            headers: BTreeMap::from([("traceparent".to_owned(), came)]),
            body: request.to_string().into_bytes(),
        };
        assert!(broker.publish(&[message]).await.iter().all(Result::is_ok));
        assert_eq!(world.end_of(read(&request).job_id()).await.traceparent, kept);
        broker.close().await;
    }
}
