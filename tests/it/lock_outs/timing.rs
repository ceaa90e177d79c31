//! When access ends: now, later, and in spite of a pause.

use handover::contract::JobId;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{LATER, hire, is_out, lock_out, send, until_state};
use crate::support::world::certificate_of;
use crate::support::{World, every_engine, process};
use crate::undo::revert::command;

fn time(value: &Value) -> OffsetDateTime {
    OffsetDateTime::parse(value.as_str().expect("a time"), &Rfc3339).expect("a time")
}

#[every_engine]
async fn events_and_certificate_say_when_access_ended(world: &mut World) {
    world.start_worker().await;
    hire(world, 300).await;
    let id = send(world, &lock_out("r1", 300).without_allotments()).await;
    let held = until_state(world, id, "needs_attention").await;
    let ended = held.access_ended_at.expect("a time");
    assert_eq!(held.started_at, None, "the handover has not begun");
    let mut amend = command("amend", "r2", id);
    amend["reassign"] = json!({ "contact": { "user": "11" } });
    world.hand_over(&amend).await;
    let done = until_state(world, id, "completed").await;
    let certificate = certificate_of(&done);
    assert_eq!(certificate.access_ended_at, Some(ended));
    assert!(certificate.started_at >= ended);
    let events = world.events().await.remove(&id.to_string()).expect("events");
    let of_type = |kind: &str| events.iter().find(|event| event["type"] == format!("handover.deactivation.{kind}"));
    for kind in ["needs_attention", "completed"] {
        assert_eq!(time(&of_type(kind).expect("an event")["data"]["access_ended_at"]), ended, "{kind}");
    }
    let audit = format!("SELECT action AS t FROM handover.audit WHERE job_id = {} ORDER BY id", world.uuid(id));
    let audit = world.texts(&audit).await;
    assert_eq!(audit[..2], ["access.ended", "deactivate.needs_attention"], "{audit:?}");
    let entries = process::on(world, &["audit", "--action", "access.ended", "--json"]).expect(0);
    assert!(entries.out.contains(&id.to_string()), "{}", entries.out);
    let shown = process::on(world, &["job", &id.to_string()]).expect(0);
    let line = shown.out.lines().find(|line| line.starts_with("access ended")).expect("a line");
    // People read it to the millisecond.
    let ended = ended.format(&Rfc3339).expect("a time");
    assert!(line.contains(&ended[..19]) && line.ends_with('Z'), "{}", shown.out);
}

#[every_engine]
async fn scheduled_lock_out_lists_what_it_lacks(world: &mut World) {
    world.start_worker().await;
    hire(world, 300).await;
    let request = lock_out("r1", 300).without_allotments().with("effective_at", json!(LATER));
    let id = world.send(&request).await;
    let event = world.next_event_of(id).await;
    assert_eq!(event["type"], "handover.deactivation.scheduled");
    assert_eq!(event["data"]["reasons"][0]["code"], "allotment_missing");
    assert_eq!(event["data"]["access_ended_at"], Value::Null);
    let shown = process::on(world, &["job", &id.to_string()]).expect(0);
    assert!(shown.out.lines().any(|line| line.starts_with("still open    allotment_missing")), "{}", shown.out);
    // Once it lacks nothing, the job says so.
    let mut amend = command("amend", "r2", id);
    amend["reassign"] = json!({ "contact": { "user": "11" } });
    assert_eq!(world.hand_over(&amend).await.state.name(), "completed");
    let event = world.next_event_of(id).await;
    assert_eq!((&event["type"], event["data"].get("reasons")), (&json!("handover.deactivation.scheduled"), None));
    assert!(!is_out(world, 300).await);
    world.make_due(id).await;
    assert_eq!(world.end_of(id).await.state.name(), "completed");
    assert!(is_out(world, 300).await);
}

#[every_engine]
async fn pause_does_not_delay_the_end_of_access(world: &mut World) {
    world.start_worker().await;
    hire(world, 300).await;
    let id = world.send(&lock_out("r1", 300).with("effective_at", json!(LATER))).await;
    until_state(world, id, "scheduled").await;
    assert_eq!(world.hand_over(&command("pause", "r2", id)).await.state.name(), "completed");
    assert!(!is_out(world, 300).await, "access ended early");
    world.make_due(id).await;
    world.until("access has ended", async || is_out(world, 300).await.then_some(())).await;
    let paused = until_state(world, id, "paused").await;
    assert!(paused.access_ended_at.is_some() && paused.started_at.is_none());
    assert_eq!(world.owned_by("300", "contacts").await, 3, "a pause stops records from moving");
    let events = world.events().await.remove(&id.to_string()).expect("events");
    let last = events.last().expect("an event");
    assert_eq!(last["type"], "handover.deactivation.paused");
    assert!(last["data"]["access_ended_at"].is_string(), "{last}");
    assert_eq!(world.hand_over(&command("resume", "r3", id)).await.state.name(), "completed");
    assert_eq!(until_state(world, id, "completed").await.state.name(), "completed");
    assert_eq!(world.owned_by("300", "contacts").await, 0);
}

/// The step that is due is lost: the sweeper finds the job.
#[every_engine]
async fn sweeper_finds_a_paused_lock_out(world: &mut World) {
    world.start_worker().await;
    hire(world, 300).await;
    let id = world.send(&lock_out("r1", 300).with("effective_at", json!(LATER))).await;
    until_state(world, id, "scheduled").await;
    assert_eq!(world.hand_over(&command("pause", "r2", id)).await.state.name(), "completed");
    let job = world.uuid(id);
    world.change_ledger(&format!("DELETE FROM handover.outbox WHERE job_id = {job} AND channel = 'steps'")).await;
    let due = "UPDATE handover.jobs SET effective_at = requested_at, wake_at = requested_at";
    world.change_ledger(&format!("{due} WHERE id = {job}")).await;
    world.until("access has ended", async || is_out(world, 300).await.then_some(())).await;
    assert_eq!(world.job(id).await.expect("a job").state.name(), "paused");
}

#[every_engine]
async fn paused_handover_without_lock_out_changes_nothing(world: &mut World) {
    world.start_worker().await;
    hire(world, 300).await;
    hire(world, 301).await;
    let ordinary = lock_out("r1", 300).with("lock_out", json!(false)).with("effective_at", json!(LATER));
    let id = world.send(&ordinary).await;
    until_state(world, id, "scheduled").await;
    world.hand_over(&command("pause", "r2", id)).await;
    world.make_due(id).await;
    // The step is taken before this later one.
    let other = world.send(&lock_out("r3", 301).with("effective_at", json!(LATER))).await;
    until_state(world, other, "scheduled").await;
    world.make_due(other).await;
    world.end_of(other).await;
    assert!(!is_out(world, 300).await);
    assert_eq!(world.job(JobId(id.0)).await.expect("a job").state.name(), "paused");
}
