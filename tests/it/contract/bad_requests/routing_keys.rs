//! A message's routing key must be that of its type.

use handover::job::State;
use serde_json::{Value, json};

use crate::support::keap::{LEAVER, SUPPORT, leaver, to};
use crate::support::process::on;
use crate::support::world::{keap_request, read};
use crate::support::{World, every_engine, snapshot};

/// The routing key; the type in the body, if there is one; the code and the path of the dead letter.
const CASES: [(&str, Option<&str>, &str, &str); 14] = [
    ("request.reassign", Some("deactivate"), "type_mismatch", "type"),
    ("request.pause", Some("deactivate"), "type_mismatch", "type"),
    ("request.deactivate", Some("reassign"), "type_mismatch", "type"),
    ("request.fire", Some("deactivate"), "type_mismatch", "type"),
    ("request", Some("deactivate"), "type_mismatch", "type"),
    ("request.", Some("deactivate"), "type_mismatch", "type"),
    ("request.deactivate.now", Some("deactivate"), "type_mismatch", "type"),
    ("request.Deactivate", Some("deactivate"), "type_mismatch", "type"),
    ("request.deactivate", None, "missing_field", "type"),
    ("request.reassign", None, "missing_field", "type"),
    ("request.pause", None, "missing_field", "type"),
    ("request.fire", None, "missing_field", "type"),
    ("request.fire", Some("fire"), "unknown_type", "type"),
    ("request.deactivate", Some(""), "unknown_type", "type"),
];

/// Returns a request that would end the leaver's access, with this type.
fn body(request_id: &str, kind: Option<&str>) -> Value {
    let mut request = leaver().contacts(to(SUPPORT)).with("request_id", json!(request_id)).clone();
    match kind {
        Some(kind) => request["type"] = json!(kind),
        None => drop(request.as_object_mut().expect("an object").remove("type")),
    }
    request
}

#[every_engine]
async fn routing_key_must_name_the_type(world: &mut World) {
    world.start_worker().await;
    let before = snapshot::of_host(world).await;
    for (place, (key, kind, code, path)) in CASES.into_iter().enumerate() {
        let body = body(&format!("key {place}"), kind).to_string().into_bytes();
        world.client.send_as(key, body.clone()).await;
        let dead_letter = world.next_dead_letter().await;
        assert_eq!((dead_letter.reason(), dead_letter.path()), (code, path), "{key} {kind:?}: {dead_letter:?}");
        assert_eq!((&dead_letter.headers["x-handover-routing-key"][..], dead_letter.body), (key, body));
    }
    assert_eq!(world.number("SELECT count(*) FROM handover.jobs").await, 0);
    assert_eq!(snapshot::of_host(world).await, before);
    assert_eq!(world.status_of(LEAVER).await, "active");
    assert_eq!(world.hand_over(&keap_request("good")).await.state, State::Completed);
}

#[every_engine]
async fn replay_keeps_the_routing_key(world: &mut World) {
    world.start_worker().await;
    let request = keap_request("r1");
    world.client.send_as("request.reassign", request.to_string().into_bytes()).await;
    for replays in 1..=2 {
        let set_aside = async || (world.client.waiting("dead").await == 1).then_some(());
        world.until("it is dead-lettered", set_aside).await;
        on(world, &["dead", "replay", "--reason", "type_mismatch", "--by", "ops", "--yes"]).expect(0);
        let again = async || {
            let list = on(world, &["dead", "list", "--json"]).expect(0).json_lines();
            list.first().is_some_and(|shown| shown["replays"] == replays).then_some(())
        };
        world.until("it is dead-lettered again", again).await;
    }
    let dead_letter = world.next_dead_letter().await;
    assert_eq!(dead_letter.reason(), "type_mismatch");
    assert_eq!(dead_letter.headers["x-handover-routing-key"], "request.reassign");
    assert!(world.job(read(&request).job_id()).await.is_none());
}
