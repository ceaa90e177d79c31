//! Messages that cannot be read.

use handover::job::State;
use std::collections::BTreeMap;

use handover::broker::{Channel, Outgoing};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{allotting, changed};
use crate::support::world::keap_request;
use crate::support::{Engine, World, every_engine, snapshot};

/// Returns a request with one allotment for contacts.
fn with_contact(allotment: Value) -> Vec<u8> {
    let request = json!({ "type": "deactivate", "request_id": "r", "org_id": "1", "user_id": "53", "requested_by": "1", "reassign": { "contact": allotment } });
    request.to_string().into_bytes()
}

/// Returns the example's request with one field changed, as a message.
fn with_field(field: &str, value: Value) -> Vec<u8> {
    changed("r", field, value).to_string().into_bytes()
}

/// Returns the example's request with one allotment changed, as a message.
fn with_kind(kind: &str, allotment: Value) -> Vec<u8> {
    allotting("r", kind, allotment).to_string().into_bytes()
}

fn shares(shares: Value) -> Vec<u8> {
    with_contact(json!({ "logic": "ratio", "shares": shares }))
}

/// A message body, and the reason code and path of its dead letter.
type Case = (Vec<u8>, &'static str, &'static str);

fn not_requests() -> Vec<Case> {
    let whole = keap_request("r").to_string();
    vec![
        (b"".to_vec(), "not_json", "."),
        (b"hello".to_vec(), "not_json", "."),
        (b"{".to_vec(), "not_json", "."),
        (whole[..whole.len() - 1].into(), "not_json", "."),
        (format!("{whole} and more").into_bytes(), "not_json", "."),
        (b"{\"type\": \"deactivate\", \"request_id\": \"\xff\xfe\"}".to_vec(), "not_json", "."),
        ("[".repeat(10_000).into_bytes(), "not_json", "."),
        (b"\x00\x01\x02".to_vec(), "not_json", "."),
        (b"[]".to_vec(), "not_an_object", "."),
        (format!("[{whole}]").into_bytes(), "not_an_object", "."),
        (b"null".to_vec(), "not_an_object", "."),
        (b"\"deactivate\"".to_vec(), "not_an_object", "."),
        (b"42".to_vec(), "not_an_object", "."),
        (with_field("reason", json!("x".repeat(1 << 20))), "too_large", "."),
    ]
}

fn wrong_fields() -> Vec<Case> {
    vec![
        (with_field("colour", json!("red")), "unknown_field", "colour"),
        (with_field("type", json!("explode")), "unknown_type", "type"),
        (with_field("type", json!(7)), "unknown_type", "type"),
        (with_field("request_id", Value::Null), "missing_field", "request_id"),
        (with_field("user_id", Value::Null), "missing_field", "user_id"),
        (with_field("requested_by", Value::Null), "missing_field", "requested_by"),
        (with_field("org_id", Value::Null), "missing_field", "org_id"),
        (with_field("effective_at", json!("tomorrow")), "invalid_field", "effective_at"),
        (with_field("drift", json!("maybe")), "invalid_field", "drift"),
        (with_field("drift", json!(true)), "invalid_field", "drift"),
        (with_field("reassign", json!([])), "invalid_field", "reassign"),
        (with_field("reason", json!("x".repeat(2_001))), "invalid_field", "reason"),
        (with_field("reason", json!("a\u{0}b")), "invalid_field", "reason"),
        (with_field("expect", json!("p1.\u{0}")), "invalid_field", "expect"),
        (
            br#"{"type":"deactivate","request_id":"r","request_id":"s","org_id":"1","user_id":"53","requested_by":"1"}"#.to_vec(),
            "duplicate_field",
            "request_id",
        ),
        (
            br#"{"type":"deactivate","request_id":"r","org_id":"1","user_id":"53","requested_by":"1","reassign":{"task":{"user":"11"},"task":{"user":"12"}}}"#.to_vec(),
            "duplicate_field",
            "reassign.task",
        ),
        (
            br#"{"type":"deactivate","request_id":"r","org_id":"1","user_id":"53","requested_by":"1","reassign":{"contact":{"each":{"1":"11","1":"12"}}}}"#.to_vec(),
            "duplicate_field",
            "reassign.contact.each.1",
        ),
    ]
}

fn wrong_ids() -> Vec<Case> {
    vec![
        (with_field("user_id", json!("abc")), "invalid_id", "user_id"),
        (with_field("user_id", json!("053")), "invalid_id", "user_id"),
        (with_field("user_id", json!("+53")), "invalid_id", "user_id"),
        (with_field("user_id", json!(" 53")), "invalid_id", "user_id"),
        (with_field("user_id", json!("53.0")), "invalid_id", "user_id"),
        (with_field("user_id", json!("-0")), "invalid_id", "user_id"),
        (with_field("user_id", json!("9223372036854775808")), "invalid_id", "user_id"),
        (with_field("user_id", json!("")), "invalid_id", "user_id"),
        (with_field("user_id", json!(53)), "invalid_id", "user_id"),
        (with_field("user_id", json!("5".repeat(201))), "invalid_id", "user_id"),
        (with_field("request_id", json!("a\u{0}b")), "invalid_id", "request_id"),
        (with_field("request_id", json!("a\nb")), "invalid_id", "request_id"),
        (with_field("org_id", json!("one")), "invalid_id", "org_id"),
        (with_field("requested_by", json!("1.5")), "invalid_id", "requested_by"),
        (with_field("requested_by", json!({})), "invalid_id", "requested_by"),
        (with_contact(json!({ "user": "eleven" })), "invalid_id", "reassign.contact.user"),
        (
            shares(json!([{ "user": "11", "amount": 1 }, { "user": "0x0b", "amount": 1 }])),
            "invalid_id",
            "reassign.contact.shares[1].user",
        ),
        (with_contact(json!({ "each": { "first": "11" } })), "invalid_id", "reassign.contact.each.first"),
        (with_contact(json!({ "each": { "1": "him" } })), "invalid_id", "reassign.contact.each.1"),
        (
            with_contact(json!({ "each": { "1": "11" }, "rest": { "user": "her" } })),
            "invalid_id",
            "reassign.contact.rest.user",
        ),
    ]
}

fn wrong_amounts() -> Vec<Case> {
    let amount = "reassign.contact.shares[0].amount";
    vec![
        (shares(json!([{ "user": "11", "amount": -1 }])), "invalid_amount", amount),
        (shares(json!([{ "user": "11", "amount": 1.5 }])), "invalid_amount", amount),
        (shares(json!([{ "user": "11", "amount": "5" }])), "invalid_amount", amount),
        (shares(json!([{ "user": "11", "amount": null }])), "invalid_amount", amount),
        (shares(json!([{ "user": "11", "amount": 18_446_744_073_709_551_616.0_f64 }])), "invalid_amount", amount),
        (shares(json!([{ "user": "11", "amount": u64::MAX }])), "invalid_amount", "reassign.contact"),
        (
            shares(json!([{ "user": "11", "amount": i64::MAX }, { "user": "12", "amount": 1 }])),
            "invalid_amount",
            "reassign.contact",
        ),
        (
            shares(json!([{ "user": "11", "amount": 0 }, { "user": "12", "amount": 0 }])),
            "invalid_amount",
            "reassign.contact",
        ),
        (shares(json!([{ "user": "11" }])), "missing_field", amount),
    ]
}

fn wrong_allotments() -> Vec<Case> {
    let contact = "reassign.contact";
    let some = json!([{ "user": "11", "amount": 1 }]);
    vec![
        (shares(json!([])), "empty_shares", contact),
        (with_contact(json!({ "logic": "hardcoded" })), "empty_shares", contact),
        (with_contact(json!({ "each": {} })), "empty_shares", contact),
        (with_contact(json!({})), "invalid_field", contact),
        (with_contact(json!("11")), "invalid_field", contact),
        (with_contact(json!({ "user": "11", "logic": "ratio", "shares": some })), "invalid_field", contact),
        (with_contact(json!({ "user": "11", "manager": true })), "invalid_field", contact),
        (with_contact(json!({ "manager": false })), "invalid_field", contact),
        (with_contact(json!({ "user": "11", "shares": some })), "invalid_field", contact),
        (with_contact(json!({ "logic": "ratio", "shares": some, "extras": "reject" })), "invalid_field", contact),
        (with_contact(json!({ "user": "11", "rest": { "user": "12" } })), "invalid_field", contact),
        (with_contact(json!({ "each": { "1": "11" }, "rest": { "each": { "2": "11" } } })), "invalid_field", contact),
        (with_contact(json!({ "logic": 5, "shares": some })), "invalid_field", "reassign.contact.logic"),
        (with_contact(json!({ "logic": "fair", "shares": some })), "invalid_field", "reassign.contact.logic"),
        (
            with_contact(json!({ "logic": "hardcoded", "shares": some, "extras": "burn" })),
            "invalid_field",
            "reassign.contact.extras",
        ),
        (shares(json!([{ "user": "11", "round_robin": "West team", "amount": 1 }])), "invalid_field", contact),
        (shares(json!([{ "amount": 1 }])), "invalid_field", contact),
        (shares(json!([{ "round_robin": "", "amount": 1 }])), "invalid_field", contact),
        (
            shares(json!([{ "round_robin": "West\u{0}team", "amount": 1 }])),
            "invalid_field",
            "reassign.contact.shares[0].round_robin",
        ),
        (
            shares(json!([{ "user": "11", "amount": 1, "weight": 2 }])),
            "unknown_field",
            "reassign.contact.shares[0].weight",
        ),
        (with_contact(json!({ "user": "11", "colour": "red" })), "unknown_field", "reassign.contact.colour"),
        (with_kind("boat", json!({ "user": "11" })), "unknown_kind", "reassign.boat"),
        (with_kind("note", json!({ "user": "11" })), "unknown_kind", "reassign.note"),
        (with_kind("session", json!({ "user": "11" })), "unknown_kind", "reassign.session"),
        (with_kind("hierarchy_choice", json!({ "user": "11" })), "unknown_kind", "reassign.hierarchy_choice"),
        (
            with_kind("opportunity_split", json!({ "each": { "1": "11" } })),
            "invalid_field",
            "reassign.opportunity_split.each",
        ),
    ]
}

#[every_engine]
async fn unreadable_message_names_reason_and_path(world: &mut World) {
    let cases = [not_requests(), wrong_fields(), wrong_ids(), wrong_amounts(), wrong_allotments()].concat();
    let before = snapshot::of_host(world).await;
    for (body, ..) in &cases {
        world.client.send(body.clone()).await;
    }
    world.start_worker().await;
    let mut dead_letter = BTreeMap::new();
    for _ in &cases {
        let message = world.next_dead_letter().await;
        dead_letter.insert(message.body.clone(), message);
    }
    let mut wrong = Vec::new();
    for (body, code, path) in &cases {
        let shown: String = String::from_utf8_lossy(body).chars().take(300).collect();
        match dead_letter.get(body) {
            None => wrong.push(format!("{shown}\n    is not dead-lettered with its body unchanged")),
            Some(message) if (message.reason(), message.path()) != (*code, *path) => {
                wrong.push(format!("{shown}\n    {code} at {path} expected: {:?}", message.headers));
            }
            Some(message) => has_origin(world, &message.headers),
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert_eq!(world.number("SELECT count(*) FROM handover.jobs").await, 0);
    assert_eq!(snapshot::of_host(world).await, before);
    // The worker continues.
    assert_eq!(world.hand_over(&keap_request("good")).await.state, State::Completed);
}

fn has_origin(world: &World, headers: &BTreeMap<String, String>) {
    let header = |name: &str| headers.get(name).map_or("", String::as_str);
    let exchange = if world.engine == Engine::Postgres { world.prefix.as_str() } else { "" };
    assert_eq!(header("x-handover-exchange"), exchange, "{headers:?}");
    assert_eq!(header("x-handover-routing-key"), "request.deactivate", "{headers:?}");
    assert_eq!(header("x-handover-queue"), "requests", "{headers:?}");
    assert!(!header("x-handover-detail").is_empty(), "{headers:?}");
    assert_eq!(header("x-handover-attempts"), "1", "it is never retried");
    assert!(header("x-handover-parked-at").ends_with('Z'), "{headers:?}");
}

#[every_engine]
async fn dead_lettering_survives_full_headers(world: &mut World) {
    world.start_worker().await;
    let long = allotting("r", &"k".repeat(200_000), json!({ "user": "11" })).to_string().into_bytes();
    world.client.send(long.clone()).await;
    let dead_letter = world.next_dead_letter().await;
    assert_eq!((dead_letter.reason(), dead_letter.body == long), ("unknown_kind", true));
    assert!(
        dead_letter.path().starts_with("reassign.kkk") && dead_letter.path().len() < 2_100,
        "{}",
        dead_letter.path().len()
    );
    let message = Outgoing {
        id: Uuid::new_v4(),
        channel: Channel::Requests,
        routing_key: "request.deactivate".into(),
        content_type: "text/plain".into(),
        headers: BTreeMap::from([("filler".into(), "x".repeat(65_000))]),
        body: b"no request".to_vec(),
    };
    let broker = world.broker().await;
    assert!(broker.publish(&[message]).await.iter().all(Result::is_ok));
    broker.close().await;
    let dead_letter = world.next_dead_letter().await;
    assert_eq!((dead_letter.reason(), dead_letter.body.as_slice()), ("not_json", b"no request".as_slice()));
    assert_eq!(dead_letter.headers["x-handover-headers"], "left out: 65006 bytes");
    assert_eq!(world.hand_over(&keap_request("good")).await.state, State::Completed);
}
