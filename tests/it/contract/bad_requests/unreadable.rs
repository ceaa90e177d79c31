//! Messages that cannot be read.

use std::collections::BTreeMap;

use handover::broker::{Channel, Outgoing};
use handover::contract::{Reply, ReplyOutcome};
use handover::job::State;
use insta::assert_snapshot;
use serde_json::json;
use uuid::Uuid;

use super::allotting;
use super::wrong_messages::{Wrong, wrong_messages};
use crate::contract::replies::Client;
use crate::support::broker::DeadMessage;
use crate::support::keap::LEAVER;
use crate::support::process::with_input;
use crate::support::world::keap_request;
use crate::support::{Engine, World, every_engine, snapshot};

#[every_engine]
async fn wrong_messages_name_fault_path_and_hint(world: &mut World) {
    let wrong = wrong_messages();
    let before = snapshot::of_host(world).await;
    let mut client = match world.engine {
        Engine::Sqlite => None,
        Engine::Postgres => Some(Client::with_a_queue(world).await),
    };
    for (place, Wrong { key, body, .. }) in wrong.iter().enumerate() {
        match &client {
            None => world.client.send_as(key, body.clone()).await,
            Some(client) => client.send_as(key, &client.queue, body, &place.to_string()).await,
        }
    }
    world.start_worker().await;
    let dead_letters = dead_letters(world, wrong.len()).await;
    let mut answers = Vec::new();
    for Wrong { key, body, code, path } in &wrong {
        let shown = shown(key, body);
        let answered = dead_letters.get(&(key.clone(), body.clone()));
        let message = answered.unwrap_or_else(|| panic!("{shown}\nis not dead-lettered with its body unchanged"));
        assert_eq!((message.reason(), message.path()), (*code, *path), "{shown}\n{:?}", message.headers);
        has_origin(world, &message.headers);
        let header = |name: &str| &message.headers[&format!("x-handover-{name}")];
        let (detail, hint) = (header("detail"), header("hint"));
        assert!(!sounds_like_a_parser(&format!("{detail} {hint}")), "{shown}\n{detail}\n{hint}");
        answers.push(format!("{shown}\n    {code} at `{path}`: {detail}\n    hint: {hint}"));
    }
    assert_snapshot!("wrong_messages", answers.join("\n"));
    if let Some(client) = &mut client {
        every_reply_has_the_faults(client, &wrong, &dead_letters).await;
    }
    assert_eq!(world.number("SELECT count(*) FROM handover.jobs").await, 0);
    assert_eq!(snapshot::of_host(world).await, before);
    assert_eq!(world.status_of(LEAVER).await, "active");
    // The worker continues.
    assert_eq!(world.hand_over(&keap_request("good")).await.state, State::Completed);
}

/// Takes dead letters, by routing key and body.
async fn dead_letters(world: &World, count: usize) -> BTreeMap<(String, Vec<u8>), DeadMessage> {
    let mut dead_letters = BTreeMap::new();
    for _ in 0..count {
        let message = world.next_dead_letter().await;
        dead_letters.insert((message.headers["x-handover-routing-key"].clone(), message.body.clone()), message);
    }
    dead_letters
}

/// Returns the start of a message, to identify it.
fn shown(key: &str, body: &[u8]) -> String {
    let body: String = String::from_utf8_lossy(body).escape_debug().take(250).collect();
    format!("{key} {}", body.replace("\\\"", "\""))
}

/// Returns true for words of a parser or of Rust, which help no sender.
fn sounds_like_a_parser(text: &str) -> bool {
    let words = [
        "expected",
        "invalid type",
        "unknown variant",
        "u64",
        "i64",
        "struct",
        "enum ",
        "map",
        "component",
        "parsing failed",
        "EOF",
    ];
    words.into_iter().any(|word| text.contains(word))
}

fn has_origin(world: &World, headers: &BTreeMap<String, String>) {
    let header = |name: &str| headers.get(name).map_or("", String::as_str);
    let exchange = if world.engine == Engine::Postgres { world.prefix.as_str() } else { "" };
    assert_eq!(header("x-handover-exchange"), exchange, "{headers:?}");
    assert_eq!(header("x-handover-queue"), "requests", "{headers:?}");
    assert_eq!(header("x-handover-attempts"), "1", "it is never retried");
    assert!(header("x-handover-parked-at").ends_with('Z'), "{headers:?}");
}

async fn every_reply_has_the_faults(
    client: &mut Client,
    wrong: &[Wrong],
    dead_letters: &BTreeMap<(String, Vec<u8>), DeadMessage>,
) {
    for _ in wrong {
        let (reply, delivery) = client.next().await;
        let Reply { outcome, reasons, path, .. } = reply;
        let place = delivery.properties.correlation_id().as_ref().map(|id| id.as_str().parse::<usize>());
        let Wrong { key, body, .. } = &wrong[place.expect("a correlation id").expect("a number")];
        let headers = &dead_letters[&(key.clone(), body.clone())].headers;
        assert_eq!((outcome, path.as_ref()), (ReplyOutcome::Parked, Some(&headers["x-handover-path"])));
        assert_eq!(
            (reasons[0].code.name(), &reasons[0].hint),
            (headers["x-handover-reason"].as_str(), &headers["x-handover-hint"])
        );
        for reason in &reasons {
            assert!(headers["x-handover-detail"].contains(&reason.message), "{reason:?}: {headers:?}");
            assert!(reason.concerning.path.is_some() && !reason.hint.is_empty(), "{reason:?}");
        }
    }
}

#[every_engine]
async fn files_are_refused_in_the_same_words(world: &mut World) {
    // Both read a file alike: one of them on each engine is enough.
    let command: &[&str] = match world.engine {
        Engine::Sqlite => &["preview"],
        Engine::Postgres => &["submit"],
    };
    world.start_worker().await;
    for Wrong { key, body, code, path } in wrong_messages() {
        // A file has no routing key.
        if code == "type_mismatch" || body.trim_ascii().is_empty() {
            continue;
        }
        world.client.send_as(&key, body.clone()).await;
        let headers = world.next_dead_letter().await.headers;
        let (detail, hint) = (&headers["x-handover-detail"], &headers["x-handover-hint"]);
        let first = detail.split("; at `").next().unwrap_or_default();
        let ended = with_input(world, command, &body);
        let shown = shown(&key, &body);
        assert_eq!(ended.code, 1, "{shown}\n{}", ended.err);
        assert!(ended.err.contains(&format!("{code} at `{path}`: {first}: {hint}")), "{shown}\n{}", ended.err);
    }
    assert_eq!(world.number("SELECT count(*) FROM handover.jobs").await, 0);
    assert_eq!(world.client.waiting("requests").await, 0);
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
