//! What cannot be read is parked with its reason; what can be read and may not be done is rejected with all reasons at
//! once. Neither changes anything, and the worker goes on.

use std::collections::BTreeMap;

use handover::broker::{Channel, Outgoing};
use handover::contract::JobId;
use handover::plan::token::Seen;
use handover::plan::{Verdict, fit_handover};
use handover::stages::Outcome;
use handover::stages::assess::{Counting, assess, parties};
use handover::stages::planner::{Message, take};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::world::{LIMIT, keap_request, read};
use crate::support::{Setting, World, on_both, snapshot};

// --- Messages that cannot be read ------------------------------------------------------------------------------------

/// A request with one allotment for contacts.
fn with_contact(allotment: Value) -> Vec<u8> {
    let request = json!({ "request_id": "r", "org_id": "1", "user_id": "53", "requested_by": "1", "reassign": { "contact": allotment } });
    request.to_string().into_bytes()
}

/// The example's request with one field changed or, by null, taken away.
fn with_field(field: &str, value: Value) -> Vec<u8> {
    changed("r", field, value).to_string().into_bytes()
}

fn changed(request_id: &str, field: &str, value: Value) -> Value {
    let mut request = keap_request(request_id);
    match value {
        Value::Null => drop(request.as_object_mut().expect("an object").remove(field)),
        value => request[field] = value,
    }
    request
}

/// The example's request with another allotment of one kind or, by null, with none.
fn allotting(request_id: &str, kind: &str, allotment: Value) -> Value {
    let mut request = keap_request(request_id);
    match allotment {
        Value::Null => drop(request["reassign"].as_object_mut().expect("an object").remove(kind)),
        allotment => request["reassign"][kind] = allotment,
    }
    request
}

fn with_kind(kind: &str, allotment: Value) -> Vec<u8> {
    allotting("r", kind, allotment).to_string().into_bytes()
}

fn shares(shares: Value) -> Vec<u8> {
    with_contact(json!({ "logic": "ratio", "shares": shares }))
}

/// A message body, and the reason code and path that it is parked with.
type Case = (Vec<u8>, &'static str, &'static str);

fn not_requests() -> Vec<Case> {
    let whole = keap_request("r").to_string();
    vec![
        (b"".to_vec(), "not_json", "."),
        (b"hello".to_vec(), "not_json", "."),
        (b"{".to_vec(), "not_json", "."),
        (whole[..whole.len() - 1].into(), "not_json", "."),
        (format!("{whole} and more").into_bytes(), "not_json", "."),
        (b"{\"request_id\": \"\xff\xfe\"}".to_vec(), "not_json", "."),
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
            br#"{"request_id":"r","request_id":"s","org_id":"1","user_id":"53","requested_by":"1"}"#.to_vec(),
            "duplicate_field",
            "request_id",
        ),
        (
            br#"{"request_id":"r","org_id":"1","user_id":"53","requested_by":"1","reassign":{"task":{"user":"11"},"task":{"user":"12"}}}"#.to_vec(),
            "duplicate_field",
            "reassign.task",
        ),
        (
            br#"{"request_id":"r","org_id":"1","user_id":"53","requested_by":"1","reassign":{"contact":{"each":{"1":"11","1":"12"}}}}"#.to_vec(),
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

on_both!(what_cannot_be_read_is_parked_with_its_reason_and_the_path_to_the_field, |world| {
    let cases = [not_requests(), wrong_fields(), wrong_ids(), wrong_amounts(), wrong_allotments()].concat();
    let before = snapshot::of_host(world).await;
    for (body, ..) in &cases {
        world.outside.send(body.clone()).await;
    }
    world.start_worker().await;
    let mut parked = BTreeMap::new();
    for _ in &cases {
        let message = world.next_parked().await;
        parked.insert(message.body.clone(), message);
    }
    let mut wrong = Vec::new();
    for (body, code, path) in &cases {
        let shown: String = String::from_utf8_lossy(body).chars().take(300).collect();
        match parked.get(body) {
            None => wrong.push(format!("{shown}\n    is not parked with its body untouched")),
            Some(message) if (message.reason(), message.path()) != (*code, *path) => {
                wrong.push(format!("{shown}\n    {code} at {path} expected: {:?}", message.headers));
            }
            Some(message) => has_origin(world, &message.headers),
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert_eq!(world.number("SELECT count(*) FROM handover.jobs").await, 0);
    assert_eq!(snapshot::of_host(world).await, before);
    // The worker goes on.
    assert_eq!(world.hand_over(&keap_request("good")).await.state, "completed");
});

fn has_origin(world: &World, headers: &BTreeMap<String, String>) {
    let header = |name: &str| headers.get(name).map_or("", String::as_str);
    let exchange = if world.setting == Setting::Servers { world.prefix.as_str() } else { "" };
    assert_eq!(header("x-handover-exchange"), exchange, "{headers:?}");
    assert_eq!(header("x-handover-routing-key"), "request.deactivate", "{headers:?}");
    assert_eq!(header("x-handover-queue"), "requests", "{headers:?}");
    assert!(!header("x-handover-detail").is_empty(), "{headers:?}");
    assert!(header("x-handover-parked-at").ends_with('Z'), "{headers:?}");
}

on_both!(a_message_whose_headers_leave_no_room_for_the_reason_is_parked_all_the_same, |world| {
    world.start_worker().await;
    let long = allotting("r", &"k".repeat(200_000), json!({ "user": "11" })).to_string().into_bytes();
    world.outside.send(long.clone()).await;
    let parked = world.next_parked().await;
    assert_eq!((parked.reason(), parked.body == long), ("unknown_kind", true));
    assert!(parked.path().starts_with("reassign.kkk") && parked.path().len() < 2_100, "{}", parked.path().len());
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
    let parked = world.next_parked().await;
    assert_eq!((parked.reason(), parked.body.as_slice()), ("not_json", b"no request".as_slice()));
    assert_eq!(parked.headers["x-handover-headers"], "left out: 65006 bytes");
    assert_eq!(world.hand_over(&keap_request("good")).await.state, "completed");
});

on_both!(a_request_that_the_database_itself_refuses_is_parked_and_takes_no_neighbour_with_it, |world| {
    // What stands behind a type of the host's own, and so that this id is too large for it, only the database can tell.
    if world.setting == Setting::Embedded {
        return;
    }
    world
        .sql(
            "CREATE DOMAIN small AS smallint; \
             CREATE TABLE small_records (id small PRIMARY KEY, owner_id bigint NOT NULL REFERENCES users (id))",
        )
        .await;
    let source = crate::support::world::catalog_source("keap")
        + "\n[[reference]]\nkind = \"small\"\ntable = \"small_records\"\nkey = \"id\"\nuser = \"owner_id\"\ndisposition = \"transfer\"\n";
    world.use_catalog(&source).await;
    let bad = allotting("bad", "small", json!({ "each": { "70000": "11" } }));
    let good = keap_request("good");
    let messages = [&bad, &good].map(|request| Message { body: request.to_string().into_bytes(), traceparent: None });
    let outcomes = tokio::time::timeout(LIMIT, take(&world.context, &messages)).await.expect("an end").expect("taken");
    assert!(matches!(&outcomes[0], Outcome::Park(reason) if reason.code == "failed"), "{outcomes:?}");
    assert_eq!(outcomes[1], Outcome::Done);
    assert_eq!(world.job(read(&good).job_id()).await.expect("a job").state, "completed");
});

/// A host whose ids are smaller than a request's may be.
const STAFF: &str = r#"
[users]
table = "staff"
key = "id"
name = "name"
email = "email"
manager = "boss"
status = { column = "status", active = "in", inactive = "out" }

[[reference]]
kind = "item"
table = "items"
key = "id"
user = "holder"
disposition = "transfer"
"#;

/// The staff and their items, with ids of that type, and a worker.
async fn employ(world: &mut World, id: &str) {
    world
        .sql(&format!(
            "CREATE TABLE staff (id {id} PRIMARY KEY, name text, email text, status text NOT NULL, boss integer); \
             CREATE TABLE items (id smallint PRIMARY KEY, holder integer NOT NULL REFERENCES staff (id)); \
             INSERT INTO staff VALUES (1, 'a', 'a', 'in', NULL), (2, 'b', 'b', 'in', 1), (3, 'c', 'c', 'in', 1); \
             INSERT INTO items VALUES (1, 2), (2, 2)"
        ))
        .await;
    world.use_catalog(STAFF).await;
    world.start_worker().await;
}

on_both!(an_id_that_is_too_large_for_its_column_is_parked_with_its_path_and_the_largest_is_not, |world| {
    employ(world, "integer").await;
    let leaves = |user: &str, item: Value| {
        json!({ "request_id": format!("{user} {item}"), "user_id": user, "requested_by": "1",
            "reassign": { "item": item } })
    };
    let to_3 = json!({ "user": "3" });
    let cases = [
        (leaves("2147483648", to_3.clone()), "user_id"),
        (leaves("-2147483649", to_3.clone()), "user_id"),
        (leaves("2", json!({ "user": "99999999999" })), "reassign.item.user"),
        (leaves("2", json!({ "each": { "32768": "3" } })), "reassign.item.each.32768"),
    ];
    for (request, path) in cases {
        let job = world.send(&request).await;
        match world.setting {
            // All whole numbers have 64 bits there: this one is nobody's, as any other.
            Setting::Embedded => assert_eq!(world.end_of(job).await.state, "rejected", "{request}"),
            Setting::Servers => {
                let parked = world.next_parked().await;
                assert_eq!((parked.reason(), parked.path()), ("invalid_id", path), "{:?}", parked.headers);
            }
        }
    }
    for largest in [leaves("2147483647", to_3), leaves("2", json!({ "each": { "32767": "3" } }))] {
        assert_eq!(world.hand_over(&largest).await.state, "rejected", "{largest}");
    }
});

on_both!(a_request_that_the_database_cannot_even_look_up_is_parked_and_takes_no_neighbour_with_it, |world| {
    if world.setting == Setting::Servers {
        world.sql("CREATE DOMAIN staff_id AS integer").await;
        employ(world, "staff_id").await;
    } else {
        employ(world, "integer").await;
    }
    let leaves = |user: &str| {
        json!({ "request_id": format!("leaver {user}"), "user_id": user, "requested_by": "1",
            "reassign": { "item": { "manager": true } } })
    };
    let (bad, good) = (leaves("3000000000"), leaves("2"));
    let bad_job = world.send(&bad).await;
    assert_eq!(world.hand_over(&good).await.state, "completed");
    match world.setting {
        // A whole number like any other, which is nobody's.
        Setting::Embedded => assert_eq!(world.end_of(bad_job).await.state, "rejected"),
        Setting::Servers => {
            let parked = world.next_parked().await;
            assert_eq!(parked.reason(), "failed");
            assert!(parked.headers["x-handover-detail"].contains("out of range"), "{:?}", parked.headers);
        }
    }
    assert_eq!(world.number("SELECT count(*) FROM items WHERE holder = 1").await, 2);
});

// --- Requests that may not be done -----------------------------------------------------------------------------------

/// Sends a request that must be rejected: its reasons, which the event tells too; nothing else has changed.
async fn reasons_of(world: &mut World, request: &Value) -> Vec<Value> {
    let before = snapshot::of_host(world).await;
    let job = world.hand_over(request).await;
    assert_eq!(job.state, "rejected", "{request}: {:?}", job.reasons);
    let event = world.next_event_of(JobId(job.id)).await;
    assert_eq!(event["type"], "handover.deactivation.rejected");
    assert_eq!(event["data"]["state"], "rejected");
    assert_eq!(event["data"]["request_id"], request["request_id"]);
    assert_eq!(Some(&event["data"]["reasons"]), job.reasons.as_ref());
    assert_eq!(snapshot::of_host(world).await, before, "{request}");
    let reasons = event["data"]["reasons"].as_array().expect("reasons").clone();
    for reason in &reasons {
        assert!(reason["message"].as_str().is_some_and(|text| !text.is_empty()), "{reason}");
        assert!(reason["mend"].as_str().is_some_and(|text| !text.is_empty()), "{reason}");
    }
    reasons
}

/// Sends a request that must be rejected for one reason.
async fn reason_of(world: &mut World, request: &Value) -> Value {
    let reasons = reasons_of(world, request).await;
    assert_eq!(reasons.len(), 1, "{reasons:?}");
    reasons[0].clone()
}

async fn assert_reason(world: &mut World, request: &Value, code: &str, concerning: Value) {
    let reason = reason_of(world, request).await;
    assert_eq!((&reason["code"], &reason["concerning"]), (&json!(code), &concerning), "{reason}");
}

on_both!(a_leaver_must_exist_be_active_and_of_the_requests_organization, |world| {
    world.start_worker().await;
    for (user, code) in
        [("999", "unknown_user"), ("201", "other_organization"), ("31", "already_inactive"), ("21", "invited")]
    {
        let request = changed(&format!("leaver {user}"), "user_id", json!(user));
        assert_reason(world, &request, code, json!({ "user_id": user })).await;
    }
});

on_both!(a_status_that_the_catalog_does_not_name_is_told, |world| {
    let source = crate::support::world::catalog_source("keap").replace(", invited = \"invited\"", "");
    world.use_catalog(&source).await;
    world.start_worker().await;
    let reason = reason_of(world, &changed("r1", "user_id", json!("21"))).await;
    assert_eq!(reason["code"], "not_active");
    assert!(reason["message"].as_str().expect("text").contains("\"invited\""), "{reason}");
});

on_both!(an_incomplete_profile_is_told_with_its_fields, |world| {
    world.start_worker().await;
    world.sql("UPDATE users SET email = '' WHERE id = 53").await;
    assert_reason(world, &keap_request("r1"), "incomplete_profile", json!({ "user_id": "53", "fields": ["email"] }))
        .await;
    world.sql("UPDATE users SET email = '  ', name = NULL WHERE id = 53").await;
    let concerning = json!({ "user_id": "53", "fields": ["name", "email"] });
    assert_reason(world, &keap_request("r2"), "incomplete_profile", concerning).await;
});

on_both!(only_an_active_administrator_of_the_organization_may_ask_and_not_for_themselves, |world| {
    world.start_worker().await;
    world.sql("UPDATE users SET role = 'admin' WHERE id IN (31, 53)").await;
    for (requester, why) in
        [("13", "role"), ("999", "no such user"), ("31", "not active"), ("201", "do not belong to the organization")]
    {
        let reason = reason_of(world, &changed(&format!("by {requester}"), "requested_by", json!(requester))).await;
        assert_eq!(reason["code"], "requester_not_permitted");
        assert_eq!(reason["concerning"]["user_id"], requester);
        assert!(reason["message"].as_str().expect("text").contains(why), "{reason}");
    }
    let own = changed("by themselves", "requested_by", json!("53"));
    assert_reason(world, &own, "requester_is_leaver", json!({ "user_id": "53" })).await;
});

on_both!(a_reference_without_an_allotment_is_told_with_its_count, |world| {
    world.start_worker().await;
    let concerning = |kind: &str, count: i64| json!({ "kind": kind, "count": count });
    for (kind, count) in [("contact", 104), ("lead", 92), ("task", 12)] {
        let request = allotting(&format!("without {kind}"), kind, Value::Null);
        assert_reason(world, &request, "allotment_missing", concerning(kind, count)).await;
    }
    // What is not counted to the end is said to be more.
    world.stop_workers().await;
    world.use_chunks_of(10);
    world.start_worker().await;
    let mut request = allotting("not counted to the end", "contact", Value::Null);
    request["reassign"]["lead"] = json!({ "user": "11" });
    let reason = reason_of(world, &request).await;
    assert!(reason["message"].as_str().expect("text").contains("at least 1"), "{reason}");
});

on_both!(a_successor_must_exist_be_active_eligible_and_of_the_same_organization, |world| {
    world.start_worker().await;
    for (kind, user, code) in [
        ("task", "999", "unknown_successor"),
        ("task", "31", "successor_inactive"),
        ("task", "21", "successor_inactive"),
        ("task", "201", "successor_of_other_organization"),
        ("lead", "14", "successor_not_eligible"),
        ("contact", "53", "leaver_is_successor"),
    ] {
        let concerning = json!({ "kind": kind, "user_id": user });
        let request = allotting(&format!("{kind} to {user}"), kind, json!({ "user": user }));
        assert_reason(world, &request, code, concerning.clone()).await;
        let share =
            json!({ "logic": "ratio", "shares": [{ "user": "11", "amount": 1 }, { "user": user, "amount": 1 }] });
        let request = allotting(&format!("a share of {kind} to {user}"), kind, share);
        assert_reason(world, &request, code, concerning).await;
    }
});

on_both!(a_group_without_a_fit_member_and_a_leaver_without_a_manager_are_told, |world| {
    world.start_worker().await;
    let to_group = |group: &str| json!({ "logic": "ratio", "shares": [{ "round_robin": group, "amount": 1 }] });
    let nobody = allotting("a group that is not there", "lead", to_group("Nobody"));
    assert_reason(world, &nobody, "no_fit_member", json!({ "kind": "lead", "group": "Nobody" })).await;
    world.sql("UPDATE users SET status = 'inactive' WHERE id IN (15, 16, 17)").await;
    let gone = keap_request("everybody is gone");
    assert_reason(world, &gone, "no_fit_member", json!({ "kind": "lead", "group": "West team" })).await;
    world.sql("UPDATE users SET manager_id = NULL WHERE id = 53").await;
    let mut unmanaged = allotting("nobody above", "task", json!({ "manager": true }));
    unmanaged["reassign"]["lead"] = json!({ "user": "11" });
    assert_reason(world, &unmanaged, "no_manager", json!({ "kind": "task", "user_id": "53" })).await;
});

on_both!(extras_that_the_request_refuses_are_told_with_their_count, |world| {
    world.start_worker().await;
    let hardcoded = |amount: u64| json!({ "logic": "hardcoded", "extras": "reject", "shares": [{ "user": "11", "amount": amount }] });
    let request = allotting("r1", "contact", hardcoded(100));
    assert_reason(world, &request, "extras_rejected", json!({ "kind": "contact", "count": 4 })).await;
    let enough = allotting("r2", "contact", hardcoded(104));
    assert_eq!(world.hand_over(&enough).await.state, "completed");
});

on_both!(a_portal_administrator_is_held_until_the_request_names_who_takes_over, |world| {
    world.start_worker().await;
    world.sql("UPDATE portals SET administrator_id = 53").await;
    let reason = reason_of(world, &keap_request("r1")).await;
    assert_eq!(reason["code"], "blocked");
    assert_eq!(reason["concerning"], json!({ "kind": "portal_administrator", "count": 1, "keys": ["1"] }));
    assert!(reason["mend"].as_str().expect("text").contains("reassign.portal_administrator"), "{reason}");
    let resolved = allotting("r2", "portal_administrator", json!({ "user": "12" }));
    assert_eq!(world.hand_over(&resolved).await.state, "completed");
    assert_eq!(world.number("SELECT administrator_id FROM portals").await, 12);
});

on_both!(a_hierarchy_choice_and_a_sole_recipient_of_an_alert_hold_a_user, |world| {
    world.start_worker().await;
    world.sql("UPDATE custom_hierarchy_values SET chosen_user_id = 53 WHERE user_id = 15").await;
    world.sql("DELETE FROM workflow_alert_recipients WHERE user_id = 12").await;
    let reasons = reasons_of(world, &keap_request("r1")).await;
    let told: Vec<(&str, &str)> = (reasons.iter())
        .map(|reason| {
            (reason["code"].as_str().expect("a code"), reason["concerning"]["kind"].as_str().expect("a kind"))
        })
        .collect();
    assert_eq!(told, [("blocked", "hierarchy_choice"), ("blocked", "sole_alert_recipient")]);
    for reason in &reasons {
        assert_eq!(reason["concerning"]["count"], 1, "{reason}");
        assert_eq!(reason["concerning"]["keys"].as_array().expect("keys").len(), 1, "{reason}");
    }
});

on_both!(named_records_must_be_the_leavers_and_nobody_comes_to_report_to_themselves, |world| {
    world.start_worker().await;
    let each = json!({ "each": { "9": "11", "1": "12", "999999": "12" }, "rest": { "user": "13" } });
    let request = allotting("r1", "contact", each);
    let reason = reason_of(world, &request).await;
    assert_eq!(reason["code"], "record_not_owned");
    let mut keys: Vec<&str> =
        reason["concerning"]["keys"].as_array().expect("keys").iter().filter_map(Value::as_str).collect();
    keys.sort_unstable();
    assert_eq!((keys, &reason["concerning"]["count"]), (vec!["9", "999999"], &json!(2)));
    world.sql("UPDATE users SET manager_id = 53 WHERE id = 13").await;
    world.sql("UPDATE users SET manager_id = 13 WHERE id = 14").await;
    for successor in ["13", "14"] {
        let request = allotting(&format!("reports to {successor}"), "direct_report", json!({ "user": successor }));
        let concerning = json!({ "kind": "direct_report", "user_id": successor, "keys": ["13"] });
        assert_reason(world, &request, "reporting_cycle", concerning).await;
    }
});

on_both!(a_second_job_for_the_same_user_and_records_for_a_user_who_waits_to_leave_are_refused, |world| {
    world.start_worker().await;
    let first = changed("first", "effective_at", json!("2999-01-01T00:00:00Z"));
    let job = world.send(&first).await;
    let scheduled = world.next_event_of(job).await;
    assert_eq!(scheduled["type"], "handover.deactivation.scheduled");
    let concerning = json!({ "user_id": "53", "job_id": job.to_string() });
    assert_reason(world, &keap_request("second"), "job_under_way", concerning).await;
    let mut to_leaver = keap_request("to a leaver");
    to_leaver["user_id"] = json!("17");
    to_leaver["reassign"] = json!({ "contact": { "user": "53" }, "lead": { "user": "11" }, "task": { "user": "11" } });
    let concerning = json!({ "kind": "contact", "user_id": "53", "job_id": job.to_string() });
    assert_reason(world, &to_leaver, "successor_leaving", concerning).await;
});

/// The plan token that a preview gives.
async fn token(world: &World, request: &Value) -> String {
    let catalog = world.context.catalogs.current();
    let request = fit_handover(&catalog, read(request)).expect("a request that fits");
    let session = world.store.snapshot().await.expect("a snapshot");
    let parties = parties(&session, &catalog, &[&request]).await.expect("whom it concerns");
    let parties: Vec<_> = parties.iter().collect();
    let assessed = assess(&session, &catalog, &[&request], &parties, Counting::Exactly).await.expect("an assessment");
    match &assessed.verdicts[0] {
        Verdict::Accepted(plan) => Seen::of(&catalog, &request, &assessed.facts, plan).token(),
        Verdict::Rejected(reasons) | Verdict::LockedOut(_, reasons) => panic!("{reasons:?}"),
    }
}

on_both!(a_stale_plan_is_refused_with_the_drift_explained_unless_the_request_allows_it, |world| {
    world.start_worker().await;
    let expect = token(world, &keap_request("r1")).await;
    world
        .sql("INSERT INTO contacts (id, org_id, owner_id, created_by, name) VALUES (900001, 1, 53, 1, 'One more')")
        .await;
    let mut request = changed("r1", "expect", json!(expect));
    let reason = reason_of(world, &request).await;
    assert_eq!(reason["code"], "stale_plan");
    assert!(reason["message"].as_str().expect("text").contains("contact: 104 previewed, 105 now"), "{reason}");

    let fresh = token(world, &keap_request("r2")).await;
    world.sql("DELETE FROM group_members WHERE user_id = 17 AND group_name = 'West team'").await;
    let reason = reason_of(world, &changed("r2", "expect", json!(fresh))).await;
    assert!(reason["message"].as_str().expect("text").contains("\"West team\" have changed"), "{reason}");

    let reason = reason_of(world, &changed("r3", "expect", json!("p1.nonsense"))).await;
    assert_eq!(reason["code"], "stale_plan");

    request["request_id"] = json!("r4");
    request["drift"] = json!("allow");
    let certificate = world.certificate(&request).await;
    assert_eq!(certificate.references.iter().find(|found| found.kind == "contact").expect("contacts").moved, Some(105));
});

on_both!(a_plan_that_has_not_changed_goes_on, |world| {
    world.start_worker().await;
    let expect = token(world, &keap_request("r1")).await;
    assert_eq!(world.hand_over(&changed("r1", "expect", json!(expect))).await.state, "completed");
});

on_both!(all_reasons_are_told_at_once, |world| {
    world.start_worker().await;
    world.sql("UPDATE users SET email = NULL WHERE id = 53").await;
    world.sql("UPDATE portals SET administrator_id = 53").await;
    let mut request = keap_request("r1");
    request["requested_by"] = json!("13");
    request["expect"] = json!("p1.nonsense");
    request["reassign"] = json!({
        "lead": { "logic": "hardcoded", "extras": "reject", "shares": [
            { "user": "14", "amount": 1 }, { "user": "999", "amount": 1 }, { "round_robin": "Nobody", "amount": 1 } ] },
        "task": { "logic": "ratio", "shares": [
            { "user": "31", "amount": 1 }, { "user": "53", "amount": 1 }, { "user": "201", "amount": 1 } ] },
    });
    let reasons = reasons_of(world, &request).await;
    let mut codes: Vec<&str> = reasons.iter().filter_map(|reason| reason["code"].as_str()).collect();
    codes.sort_unstable();
    let mut expected = [
        "requester_not_permitted",
        "incomplete_profile",
        "blocked",
        "allotment_missing",
        "successor_not_eligible",
        "unknown_successor",
        "no_fit_member",
        "extras_rejected",
        "successor_inactive",
        "leaver_is_successor",
        "successor_of_other_organization",
        "stale_plan",
    ];
    expected.sort_unstable();
    assert_eq!(codes, expected, "{reasons:?}");
});

// --- The same request twice ------------------------------------------------------------------------------------------

/// Everything that a repetition could add to.
async fn ledger_counts(world: &World) -> Vec<i64> {
    let mut counts = Vec::new();
    for table in ["requests", "jobs", "chunks", "journal", "audit"] {
        counts.push(world.number(&format!("SELECT count(*) FROM handover.{table}")).await);
    }
    counts
}

/// Every event up to the one that says so of this job, by type.
async fn events_until(world: &mut World, job: JobId, kind: &str) -> Vec<Value> {
    let mut events = Vec::new();
    loop {
        let event = world.outside.next_event(LIMIT).await.expect("an event within the limit");
        let last = event["data"]["job_id"] == job.to_string() && event["type"] == kind;
        events.push(event);
        if last {
            return events;
        }
    }
}

on_both!(the_same_request_twice_is_the_same_job_and_runs_nothing_again, |world| {
    world.start_worker().await;
    let request = keap_request("r1");
    let job = world.hand_over(&request).await;
    // A name-based UUID (RFC 9562) of `<length>:<org>,<length>:<request_id>,` in the published namespace.
    let namespace = Uuid::parse_str("6d7f1c52-9f0e-5b1a-8a3c-4e2170d95b66").expect("a UUID");
    assert_eq!(job.id, Uuid::new_v5(&namespace, b"1:1,2:r1,"));
    let (before, ledger) = (snapshot::of_host(world).await, ledger_counts(world).await);

    world.send(&request).await;
    let reformatted = format!(
        "\n{{ \"drift\": \"refuse\", \"reassign\": {},\n \"requested_by\":\"1\", \"user_id\":\"5\\u0033\", \"org_id\":\"1\", \
         \"type\":\"deactivate\", \"request_id\":\"r1\" }}\n",
        serde_json::to_string_pretty(&request["reassign"]).expect("JSON")
    );
    let message = Message { body: reformatted.into_bytes(), traceparent: None };
    let again = [Message { body: request.to_string().into_bytes(), traceparent: None }, message];
    assert_eq!(take(&world.context, &again).await.expect("taken"), [Outcome::Done, Outcome::Done]);

    let marker = changed("marker", "user_id", json!("999"));
    let marker = JobId(world.hand_over(&marker).await.id);
    world.stop_workers().await;
    let events = events_until(world, marker, "handover.deactivation.rejected").await;
    let of_job = events.iter().filter(|event| event["data"]["job_id"] == job.id.to_string());
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    of_job.for_each(|event| *kinds.entry(event["type"].as_str().expect("a type")).or_default() += 1);
    assert_eq!(kinds["handover.deactivation.completed"], 1, "{kinds:?}");
    // 11, 12, 13 and 14 get contacts; 15, 16 and 17 leads.
    assert_eq!(kinds["handover.records.assigned"], 7, "{kinds:?}");
    assert_eq!(kinds.len(), 2, "{kinds:?}");
    assert_eq!(snapshot::of_host(world).await, before);
    // The marker is one request, one job and one line of the audit trail more.
    let expected: Vec<i64> = ledger.iter().zip([1, 1, 0, 0, 1]).map(|(count, more)| count + more).collect();
    assert_eq!(ledger_counts(world).await, expected);
});

on_both!(the_same_request_id_with_another_body_is_a_conflict_and_the_job_is_untouched, |world| {
    world.start_worker().await;
    let job = world.hand_over(&keap_request("r1")).await;
    let (before, ledger) = (snapshot::of_host(world).await, ledger_counts(world).await);
    let other = changed("r1", "user_id", json!("14"));
    world.send(&other).await;
    let parked = world.next_parked().await;
    assert_eq!((parked.reason(), parked.path()), ("conflict", "request_id"));
    assert_eq!(serde_json::from_slice::<Value>(&parked.body).expect("JSON"), other);
    assert!(parked.headers["x-handover-detail"].contains(&job.id.to_string()), "{:?}", parked.headers);
    assert_eq!(world.job(JobId(job.id)).await, Some(job));
    assert_eq!(snapshot::of_host(world).await, before);
    assert_eq!(ledger_counts(world).await, ledger);
});

on_both!(a_rejected_request_stays_rejected_when_it_comes_again, |world| {
    world.start_worker().await;
    world.sql("UPDATE users SET email = NULL WHERE id = 53").await;
    let request = keap_request("r1");
    reason_of(world, &request).await;
    // Rejected is final: mend it and send it under a new id.
    world.sql("UPDATE users SET email = 'dana@example.com' WHERE id = 53").await;
    let message = Message { body: request.to_string().into_bytes(), traceparent: None };
    assert_eq!(take(&world.context, &[message]).await.expect("taken"), [Outcome::Done]);
    assert_eq!(world.job(read(&request).job_id()).await.expect("a job").state, "rejected");
    assert_eq!(world.hand_over(&keap_request("r2")).await.state, "completed");
});

on_both!(of_a_group_only_the_bad_are_refused_and_the_others_go_on, |world| {
    let take_all = json!({ "user": "11" });
    let everything = json!({ "contact": take_all, "lead": take_all, "task": take_all });
    let leaver = |id: &str| json!({ "request_id": format!("leaver {id}"), "org_id": "1", "user_id": id, "requested_by": "1", "reassign": everything });
    let good = [leaver("16"), leaver("53"), leaver("17")];
    let rejected = [leaver("31"), leaver("999")];
    let mut conflict = leaver("16");
    conflict["reason"] = json!("another body");
    for body in [&good[0], &rejected[0], &good[1]] {
        world.send(body).await;
    }
    world.outside.send(b"no request at all".to_vec()).await;
    for body in [&conflict, &rejected[1], &good[2]] {
        world.send(body).await;
    }
    world.start_worker().await;
    for (requests, state) in [(&good[..], "completed"), (&rejected[..], "rejected")] {
        for request in requests {
            let job = world.end_of(read(request).job_id()).await;
            assert_eq!(job.state, state, "{request}: {:?}", job.reasons);
        }
    }
    let mut reasons = [world.next_parked().await, world.next_parked().await].map(|parked| parked.reason().to_owned());
    reasons.sort();
    assert_eq!(reasons, ["conflict", "not_json"]);
    assert_eq!(world.number("SELECT count(*) FROM handover.jobs").await, 5);
});
