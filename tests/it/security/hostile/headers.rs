//! Forged, absurd or broken headers and properties: they change nothing about the body's request.

use handover::job::State;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;

use handover::broker::{Channel, Outgoing};
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldArray, FieldTable};
use serde_json::json;
use uuid::Uuid;

use super::{assert_worker_continues, but, to};
use crate::support::broker::amqp_url;
use crate::support::process::start_worker;
use crate::support::world::{LIMIT, read};
use crate::support::{Engine, World, every_engine, snapshot};

/// Returns headers with text values, which every broker supports.
fn forged() -> BTreeMap<String, String> {
    let names =
        ["reason", "path", "detail", "attempts", "exchange", "queue", "message-id", "parked-at", "headers", "else"];
    let mut headers: BTreeMap<String, String> =
        names.iter().map(|name| (format!("x-handover-{name}"), "forged\u{1b}[2J".to_owned())).collect();
    headers.insert("X-Handover-Reason".into(), "forged".into());
    headers.insert("traceparent".into(), "00-\u{1b}[2J-zz".into());
    headers.insert("kept".into(), "unchanged".into());
    headers
}

#[every_engine]
async fn forged_headers_are_ignored_and_dropped(world: &mut World) {
    world.start_worker().await;
    let broker = world.broker().await;
    let sent = |body: Vec<u8>| Outgoing {
        id: Uuid::new_v4(),
        channel: Channel::Requests,
        routing_key: "request.deactivate".into(),
        content_type: "text/html; charset=ebcdic".into(),
        headers: forged(),
        body,
    };
    let before = snapshot::of_host(world).await;
    for (body, reason) in [(b"no request".to_vec(), "not_json"), (b"{}".to_vec(), "missing_field")] {
        assert!(broker.publish(&[sent(body)]).await.iter().all(Result::is_ok));
        let dead_letter = world.next_dead_letter().await;
        assert_eq!((dead_letter.reason(), dead_letter.headers["kept"].as_str()), (reason, "unchanged"));
        assert_eq!(dead_letter.headers["x-handover-queue"], "requests");
        let ours = dead_letter.headers.iter().filter(|(name, _)| name.to_lowercase().starts_with("x-handover-"));
        let forged: Vec<_> = ours.filter(|(_, value)| value.contains("forged")).collect();
        assert!(forged.is_empty(), "{forged:?}");
    }
    assert_eq!(snapshot::of_host(world).await, before);
    let good = but(
        "forged",
        json!({ "user_id": "15", "reassign": { "contact": to("11"), "lead": to("11"), "task": to("11") } }),
    );
    assert!(broker.publish(&[sent(good.to_string().into_bytes())]).await.iter().all(Result::is_ok));
    let job = read(&good).job_id();
    assert_eq!(world.end_of(job).await.state, State::Completed);
    broker.close().await;
    assert_worker_continues(world).await;
}

/// Returns a table nested this deep.
fn nested(depth: usize) -> FieldTable {
    (0..depth).fold(FieldTable::default(), |inner, _| {
        let mut outer = FieldTable::default();
        outer.insert("t".into(), AMQPValue::FieldTable(inner));
        outer
    })
}

fn table(name: &str, value: AMQPValue) -> BasicProperties {
    let mut table = FieldTable::default();
    table.insert(name.into(), value);
    BasicProperties::default().with_headers(table)
}

#[rustfmt::skip]
fn properties() -> Vec<BasicProperties> {
    let plain = BasicProperties::default;
    vec![
        plain().with_content_type("application/x-protobuf".into()).with_content_encoding("gzip".into()),
        plain().with_content_type("\u{202e}\u{1b}[2J".into()),
        plain().with_reply_to("amq.rabbitmq.reply-to.nonsense'; --".into()).with_correlation_id("\u{1b}".into()),
        plain().with_expiration("3600000".into()).with_priority(255),
        plain().with_message_id("m".repeat(255).into()),
        plain().with_timestamp(u64::MAX).with_type("\n".into()).with_app_id("a".repeat(255).into()),
        table("x-death", AMQPValue::LongString("not a table".into())),
        table("x-delivery-count", AMQPValue::LongLongInt(i64::MIN)),
        table("traceparent", AMQPValue::FieldArray(FieldArray::default())),
        table("traceparent", AMQPValue::LongString(vec![0xff; 1_000].into())),
        table("nested", AMQPValue::FieldTable(nested(100))),
        table("void", AMQPValue::Void),
        table(&"n".repeat(255), AMQPValue::Double(f64::MAX)),
        plain().with_headers((0..2_000).fold(FieldTable::default(), |mut many, at| {
            many.insert(format!("h{at}").into(), AMQPValue::Boolean(true));
            many
        })),
    ]
}

#[every_engine]
async fn properties_and_headers_never_change_the_request(world: &mut World) {
    if world.engine == Engine::Sqlite {
        return;
    }
    world.start_worker().await;
    let many = properties();
    for (place, properties) in many.iter().enumerate() {
        let request = but(&format!("asked {place}"), json!({ "user_id": "31" }));
        world.client.send_with(request.to_string().into_bytes(), properties.clone()).await;
        let job = world.end_of(read(&request).job_id()).await;
        assert_eq!(job.state, State::Rejected, "{properties:?}");
        world.client.send_with(b"no request".to_vec(), properties.clone()).await;
        let dead_letter = world.next_dead_letter().await;
        assert_eq!(
            (dead_letter.reason(), dead_letter.body.as_slice()),
            ("not_json", b"no request".as_slice()),
            "{properties:?}"
        );
    }
    assert_worker_continues(world).await;
}

#[every_engine]
async fn deeply_nested_headers_do_not_stop_workers(world: &mut World) {
    if world.engine == Engine::Sqlite {
        return;
    }
    let worker = start_worker(world, &[]);
    for depth in [1_000, 18_000] {
        let table = (0..depth).fold(Vec::new(), |inner, _| [b"\x01tF".to_vec(), long(&inner)].concat());
        tokio::task::block_in_place(|| publish(&world.prefix, &table, b"no request"));
        assert_eq!(world.next_dead_letter().await.reason(), "not_json");
    }
    assert_worker_continues(world).await;
    assert_eq!(tokio::task::block_in_place(|| worker.stop()), 0);
}

/// Returns bytes with their length prefix, as in AMQP's long strings and tables.
fn long(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes(), bytes].concat()
}

fn short(text: &str) -> Vec<u8> {
    [&[text.len() as u8], text.as_bytes()].concat()
}

/// Publishes raw bytes with such a table of headers, as no library would. Sends everything at once and only searches
/// RabbitMQ's answer for the confirm.
fn publish(exchange: &str, table: &[u8], body: &[u8]) {
    const CONFIRM: [u8; 4] = [0, 60, 0, 80];
    let url = url::Url::parse(&amqp_url()).expect("an address");
    let host = match url.path().trim_start_matches('/') {
        "" | "%2f" | "%2F" => "/",
        host => host,
    };
    let login = long(format!("\0{}\0{}", url.username(), url.password().unwrap_or_default()).as_bytes());
    let method = |class: u8, method: u8, rest: &[u8]| [&[0, class, 0, method][..], rest].concat();
    let frame = |kind: u8, channel: u8, payload: &[u8]| [&[kind, 0, channel][..], &long(payload), &[0xce]].concat();
    let place = [&[0, 0][..], &short(exchange), &short("request.deactivate"), &[0]].concat();
    let start = [&long(b"")[..], &short("PLAIN"), &login, &short("en_US")].concat();
    let said = [
        b"AMQP\0\0\x09\x01".to_vec(),
        frame(1, 0, &method(10, 11, &start)),
        frame(1, 0, &method(10, 31, &[0, 10, 0, 2, 0, 0, 0, 0])),
        frame(1, 0, &method(10, 40, &[&short(host)[..], &[0, 0]].concat())),
        frame(1, 1, &method(20, 10, &[0])),
        frame(1, 1, &method(85, 10, &[0])),
        frame(1, 1, &method(60, 40, &place)),
        // The property flags: headers and delivery mode.
        frame(2, 1, &[&[0, 60, 0, 0][..], &(body.len() as u64).to_be_bytes(), &[0x30, 0], &long(table), &[2]].concat()),
        frame(3, 1, body),
    ];
    let address = (url.host_str().expect("a host"), url.port().unwrap_or(5672));
    let mut socket = TcpStream::connect(address).expect("RabbitMQ");
    socket.set_read_timeout(Some(LIMIT)).expect("a limit");
    socket.write_all(&said.concat()).expect("sent");
    let mut answer = Vec::new();
    while !answer.windows(CONFIRM.len()).any(|part| part == CONFIRM) {
        let mut more = [0; 4096];
        let read = socket.read(&mut more).expect("an answer");
        assert!(read > 0, "no confirm: {}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&more[..read]);
    }
}
