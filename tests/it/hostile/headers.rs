//! What stands around a message: forged, absurd or broken, it changes nothing of what the body asks for.

use std::collections::BTreeMap;

use handover::broker::{Channel, Outgoing};
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldArray, FieldTable};
use serde_json::json;
use uuid::Uuid;

use super::{but, goes_on, to};
use crate::support::world::read;
use crate::support::{Setting, on_both, snapshot};

/// Headers as text, as every broker has them.
fn forged() -> BTreeMap<String, String> {
    let names = ["reason", "path", "detail", "attempts", "exchange", "queue", "message-id", "parked-at", "headers", "else"];
    let mut headers: BTreeMap<String, String> =
        names.iter().map(|name| (format!("x-handover-{name}"), "forged\u{1b}[2J".to_owned())).collect();
    headers.insert("X-Handover-Reason".into(), "forged".into());
    headers.insert("traceparent".into(), "00-\u{1b}[2J-zz".into());
    headers.insert("kept".into(), "as it is".into());
    headers
}

on_both!(headers_forged_in_our_name_are_not_believed_and_not_kept, |world| {
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
        let parked = world.next_parked().await;
        assert_eq!((parked.reason(), parked.headers["kept"].as_str()), (reason, "as it is"));
        assert_eq!(parked.headers["x-handover-queue"], "requests");
        let ours = parked.headers.iter().filter(|(name, _)| name.to_lowercase().starts_with("x-handover-"));
        let forged: Vec<_> = ours.filter(|(_, value)| value.contains("forged")).collect();
        assert!(forged.is_empty(), "{forged:?}");
    }
    assert_eq!(snapshot::of_host(world).await, before);
    let good = but("forged", json!({ "user_id": "15", "reassign": { "contact": to("11"), "lead": to("11"), "task": to("11") } }));
    assert!(broker.publish(&[sent(good.to_string().into_bytes())]).await.iter().all(Result::is_ok));
    let job = read(&good).job_id();
    assert_eq!(world.end_of(job).await.state, "completed");
    broker.close().await;
    goes_on(world).await;
});

/// A table within a table, so deep.
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
        table(&"n".repeat(255), AMQPValue::Double(f64::NAN)),
        plain().with_headers((0..2_000).fold(FieldTable::default(), |mut many, at| {
            many.insert(format!("h{at}").into(), AMQPValue::Boolean(true));
            many
        })),
    ]
}

on_both!(properties_and_headers_of_any_kind_change_nothing_of_what_a_body_asks_for, |world| {
    if world.setting == Setting::Embedded {
        return;
    }
    world.start_worker().await;
    let many = properties();
    for (place, properties) in many.iter().enumerate() {
        let request = but(&format!("asked {place}"), json!({ "user_id": "31" }));
        world.outside.send_with(request.to_string().into_bytes(), properties.clone()).await;
        let job = world.end_of(read(&request).job_id()).await;
        assert_eq!(job.state, "rejected", "{properties:?}");
        world.outside.send_with(b"no request".to_vec(), properties.clone()).await;
        let parked = world.next_parked().await;
        assert_eq!((parked.reason(), parked.body.as_slice()), ("not_json", b"no request".as_slice()), "{properties:?}");
    }
    goes_on(world).await;
});
