//! `handover dead`: dead letters are listed, replayed and dropped by a filter, and none is lost.

use handover::job::State;
use std::collections::BTreeSet;

use handover::broker::{Channel, Outgoing};
use lapin::BasicProperties;
use serde_json::{Value, json};

use crate::support::process::{Ended, binary, borrowed, finish, on, settings, signal};
use crate::support::world::{catalog_source, keap_request, read};
use crate::support::{World, every_engine, on_postgres};

/// Publishes a request under an id, with a header of the sender.
async fn send(world: &World, id: uuid::Uuid, body: Vec<u8>) {
    let broker = world.broker().await;
    let message = Outgoing {
        id,
        channel: Channel::Requests,
        routing_key: "request.deactivate".into(),
        content_type: "application/json".into(),
        headers: [("sender".to_owned(), "hr".to_owned())].into(),
        body,
    };
    assert!(broker.publish(&[message]).await.iter().all(Result::is_ok));
    broker.close().await;
}

async fn until_dead(world: &World, count: usize) {
    let all = async || (world.client.waiting("dead").await == count).then_some(());
    world.until(&format!("{count} messages are dead-lettered"), all).await;
}

fn list(world: &World, filter: &[&str]) -> Vec<Value> {
    on(world, &[&["dead", "list", "--json"], filter].concat()).expect(0).json_lines()
}

fn act(world: &World, deed: &str, more: &[&str]) -> Ended {
    on(world, &[&["dead", deed, "--by", "ops", "--json"], more].concat())
}

fn requests(list: &[Value]) -> Vec<&str> {
    list.iter().map(|shown| shown["request_id"].as_str().unwrap_or("-")).collect()
}

/// A kind that the catalog does not know yet.
fn with_badges(request_id: &str) -> Value {
    let mut request = keap_request(request_id);
    request["reassign"]["badge"] = json!({ "user": "11" });
    request
}

#[every_engine]
async fn dead_letters_are_listed_and_dropped_by_filter(world: &mut World) {
    world.start_worker().await;
    let mut other = with_badges("of another");
    other["org_id"] = json!("2");
    let bodies =
        [with_badges("one").to_string(), "no request".into(), other.to_string(), with_badges("two").to_string()];
    for (sent, body) in bodies.iter().enumerate() {
        world.client.send(body.clone().into_bytes()).await;
        until_dead(world, sent + 1).await;
    }
    let all = list(world, &[]);
    assert_eq!(requests(&all), ["one", "-", "of another", "two"]);
    assert_eq!(
        (&all[0]["reason"], &all[0]["queue"], &all[0]["replays"]),
        (&json!("unknown_kind"), &json!("requests"), &json!(0))
    );
    assert_eq!(requests(&list(world, &["--reason", "unknown_kind"])), ["one", "of another", "two"]);
    assert_eq!(requests(&list(world, &["--reason", "not_json", "--reason", "expired"])), ["-"]);
    for command in [&["list"][..], &["show"], &["drop", "--by", "ops"], &["replay", "--by", "ops"]] {
        let typo = on(world, &[&["dead"], command, &["--reason", "not_jsn"]].concat()).expect(2);
        let is_told = ["not_jsn", "not_json", "unknown_kind", "expired"].iter().all(|word| typo.err.contains(word));
        assert!(is_told, "{command:?}: {}", typo.err);
        let nobody = "00000000-0000-0000-0000-000000000000";
        let unknown = on(world, &[&["dead"], command, &[nobody]].concat()).expect(1);
        assert!(unknown.err.contains(&format!("there is no dead letter {nobody}")), "{command:?}: {}", unknown.err);
        assert_eq!(list(world, &[]), all, "{command:?} changes nothing");
    }
    assert_eq!(requests(&list(world, &["--org", "2"])), ["of another"]);
    assert_eq!(list(world, &["--queue", "requests", "--newer-than", "1h"]).len(), 4);
    assert_eq!(list(world, &["--queue", "steps"]).len() + list(world, &["--older-than", "1h"]).len(), 0);
    let id = all[3]["id"].as_str().expect("an id").to_owned();
    let shown = on(world, &["dead", "show", "--json", &id]).expect(0).json();
    assert_eq!(
        (shown["body"].as_str(), &shown["headers"]["x-handover-path"]),
        (Some(bodies[3].as_str()), &json!("reassign.badge"))
    );
    let plain = on(world, &["dead", "list"]).expect(0).out;
    assert!(plain.contains("not_json") && plain.lines().count() == 5, "{plain}");

    let dry = act(world, "drop", &["--dry-run", "--reason", "unknown_kind", "--org", "1"]).expect(0).json();
    assert_eq!(
        (&dry["messages"], &dry["matching"], &dry["dry_run"], &dry["done"]),
        (&json!(4), &json!(2), &json!(true), &json!(0))
    );
    assert_eq!(requests(dry["selected"].as_array().expect("messages")), ["one", "two"]);
    let dry = on(world, &["dead", "drop", "--by", "ops", "--org", "1", "--dry-run"]).expect(0).out;
    assert!(dry.contains("2 of 4 messages would be dropped (2 unknown_kind)") && dry.lines().count() == 4, "{dry}");
    assert_eq!(list(world, &[]), all, "a dry run changes nothing");
    assert!(act(world, "drop", &[]).expect(1).err.contains("say which messages"));

    let done = act(world, "drop", &["--reason", "unknown_kind", "--org", "1"]).expect(0).json();
    assert_eq!((&done["done"], &done["dry_run"]), (&json!(2), &json!(false)));
    assert_eq!(requests(&list(world, &[])), ["-", "of another"]);
    let audited = on(world, &["audit", "--action", "dead.drop", "--actor", "ops", "--json"]).expect(0).json_lines();
    assert_eq!(
        audited.iter().map(|entry| entry["request_id"].as_str().expect("an id")).collect::<Vec<_>>(),
        ["one", "two"]
    );
}

#[every_engine]
async fn replayed_message_keeps_its_identity(world: &mut World) {
    world.start_worker().await;
    let id = uuid::Uuid::new_v4();
    let request = with_badges("r1");
    send(world, id, request.to_string().into_bytes()).await;
    until_dead(world, 1).await;
    // It fails again, and the count of replays says so.
    for replays in 1..=2 {
        assert_eq!(act(world, "replay", &["--all"]).expect(0).json()["done"], 1);
        let again = async || list(world, &[]).first().is_some_and(|shown| shown["replays"] == replays).then_some(());
        world.until("it is dead-lettered again", again).await;
    }
    let shown = on(world, &["dead", "show", "--json", &id.to_string()]).expect(0).json();
    assert_eq!(shown["message_id"], id.to_string());
    assert_eq!(shown["body"], request.to_string());
    assert_eq!(shown["headers"]["sender"], "hr");
    assert_eq!(shown["headers"]["x-handover-replays"], "2");
    assert!(shown["headers"]["x-handover-replayed-at"].as_str().expect("a time").ends_with('Z'), "{shown}");

    // Once the catalog knows the kind, the message is accepted.
    world.stop_workers().await;
    world.sql("CREATE TABLE badges (id bigint PRIMARY KEY, holder_id bigint NOT NULL REFERENCES users (id))").await;
    world.sql("INSERT INTO badges VALUES (1, 53)").await;
    let badge = "\n[[reference]]\nkind = \"badge\"\ntable = \"badges\"\nkey = \"id\"\nuser = \"holder_id\"\ndisposition = \"transfer\"\n";
    world.use_catalog(&(catalog_source("keap") + badge)).await;
    world.start_worker().await;
    assert_eq!(act(world, "replay", &["--reason", "unknown_kind"]).expect(0).json()["done"], 1);
    assert_eq!(world.end_of(read(&request).job_id()).await.state, State::Completed);
    assert_eq!(list(world, &[]).len(), 0);
    let audited = on(world, &["audit", "--action", "dead.replay", "--json"]).expect(0).json_lines();
    assert_eq!(audited.len(), 3);
}

/// Dead-letters this many bodies, none of them a request, in order.
async fn set_aside(world: &mut World, count: usize) {
    world.start_worker().await;
    for number in 0..count {
        world.client.send(format!("not {number}").into_bytes()).await;
    }
    until_dead(world, count).await;
    world.stop_workers().await;
}

fn ids(list: &[Value]) -> Vec<String> {
    list.iter().map(|shown| shown["id"].as_str().expect("an id").to_owned()).collect()
}

#[every_engine]
async fn unmatched_dead_letters_keep_their_order(world: &mut World) {
    // More than the broker returns in order at once.
    set_aside(world, 80).await;
    let before = ids(&list(world, &[]));
    assert_eq!(ids(&list(world, &[])), before);
    let chosen: Vec<&str> = before.iter().step_by(2).map(String::as_str).collect();
    let done = act(world, "drop", &chosen).expect(0).json();
    assert_eq!((&done["done"], &done["messages"]), (&json!(40), &json!(80)));
    let left: Vec<String> = before.iter().skip(1).step_by(2).cloned().collect();
    assert_eq!(ids(&list(world, &[])), left);
}

#[every_engine]
async fn killed_replay_loses_no_message(world: &mut World) {
    const COUNT: usize = 400;
    set_aside(world, COUNT).await;
    let settings = settings(world);
    let arguments = ["dead", "replay", "--all", "--by", "ops"];
    let child = binary(&borrowed(&settings), &arguments).spawn().expect("the binary");
    let process = child.id();
    let some = async || (world.client.waiting("requests").await > 0).then_some(());
    world.until("some are replayed", some).await;
    signal(process, "KILL");
    tokio::task::block_in_place(|| finish(child, b""));
    // Replayed messages are dead-lettered again; the broker may keep a message in both queues.
    world.start_worker().await;
    let numbers = async || {
        let shown = on(world, &["dead", "show", "--json", "--limit", "0"]).expect(0).json_lines();
        let bodies: BTreeSet<String> = shown.iter().map(|shown| shown["body"].to_string()).collect();
        (bodies.len() == COUNT).then_some(())
    };
    world.until("no message is missing", numbers).await;
}

#[on_postgres]
async fn message_dropped_by_the_broker_is_replayable(world: &mut World) {
    let request = keap_request("late");
    let properties = BasicProperties::default()
        .with_delivery_mode(2)
        .with_message_id("the sender's own".into())
        .with_expiration("1".into());
    world.client.send_with(request.to_string().into_bytes(), properties).await;
    until_dead(world, 1).await;
    let shown = list(world, &["--reason", "expired", "--queue", "requests", "--newer-than", "1h"]);
    assert_eq!(requests(&shown), ["late"]);
    assert_eq!((&shown[0]["by_broker"], &shown[0]["message_id"]), (&json!(true), &json!("the sender's own")));
    world.start_worker().await;
    assert_eq!(act(world, "replay", &["--all"]).expect(0).json()["done"], 1);
    assert_eq!(world.end_of(read(&request).job_id()).await.state, State::Completed);
    assert_eq!(list(world, &[]).len(), 0);
}

#[on_postgres]
async fn foreign_dead_letters_stay_and_are_reported(world: &mut World) {
    let broker = world.broker().await;
    let stray = Outgoing {
        id: uuid::Uuid::new_v4(),
        channel: Channel::Dead,
        routing_key: String::new(),
        content_type: "text/plain".into(),
        headers: [("x-handover-reason", "made_up"), ("x-handover-queue", "somebody else's")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        body: b"\x1b[2Jhello".to_vec(),
    };
    assert!(broker.publish(&[stray]).await.iter().all(Result::is_ok));
    broker.close().await;
    let reported = act(world, "replay", &["--all"]).expect(1).json();
    assert!(reported["failed"][0]["why"].as_str().expect("why").contains("not one of Handover's queues"), "{reported}");
    assert_eq!(list(world, &[]).len(), 1);
    let plain = on(world, &["dead", "show"]).expect(0).out;
    assert!(!plain.contains('\u{1b}') && plain.contains("hello"), "{plain:?}");
}
