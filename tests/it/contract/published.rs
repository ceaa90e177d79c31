//! Snapshots of published events, and of the reasons of rejected requests.

use handover::contract::JobId;
use handover::store::ledger::jobs::Job;
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::keap::{
    AMANDA, GERALDINE, LEAVER, MATHEW, deactivation, example, hardcoded_without_extras, ratio, share, to,
};
use crate::support::redact::redacted;
use crate::support::world::reasons_of;
use crate::support::{World, on_sqlite};
use crate::undo::revert::command;

/// Returns a job's events in order, redacted.
async fn events_of(world: &mut World, job: &Job) -> String {
    let events = world.events().await.remove(&job.id.to_string()).unwrap_or_default();
    let events: Vec<String> = events.iter().map(|event| serde_json::to_string_pretty(event).expect("JSON")).collect();
    redacted(&events.join("\n"))
}

#[on_sqlite]
async fn chunked_job_publishes_start_completion_and_digests(world: &mut World) {
    world.use_chunks_of(50);
    world.start_worker().await;
    let job = world.hand_over(&example("r1")).await;
    assert_snapshot!("events_of_a_completed_job", events_of(world, &job).await);
}

#[on_sqlite]
async fn rejected_job_publishes_its_reasons(world: &mut World) {
    world.start_worker().await;
    let job = world.hand_over(&example("r1").requested_by(AMANDA)).await;
    assert_snapshot!("events_of_a_rejected_job", events_of(world, &job).await);
}

#[on_sqlite]
async fn held_and_cancelled_job_publishes_both(world: &mut World) {
    world.start_worker().await;
    let job = world.hand_over(&example("r1").without_allotments().with("lock_out", json!(true))).await;
    world.hand_over(&command("cancel", "r2", JobId(job.id))).await;
    assert_snapshot!("events_of_a_held_and_cancelled_job", events_of(world, &job).await);
}

#[on_sqlite]
async fn reverted_job_publishes_what_returned(world: &mut World) {
    world.start_worker().await;
    let job = world.hand_over(&example("r1")).await;
    let undo = world.hand_over(&command("revert", "r2", JobId(job.id))).await;
    let events = world.events().await;
    let reverted = events[&job.id.to_string()].last().expect("an event");
    let undone = events.get(&undo.id.to_string());
    let published = serde_json::to_string_pretty(&json!({ "reverted job": reverted, "undo": undone })).expect("JSON");
    assert_snapshot!("events_of_a_reverted_job", redacted(&published));
}

#[on_sqlite]
async fn reactivation_publishes_what_was_restored(world: &mut World) {
    world.start_worker().await;
    world.hand_over(&example("r1")).await;
    let request =
        json!({ "type": "reactivate", "request_id": "r2", "org_id": "1", "requested_by": "1", "user_id": LEAVER });
    let job = world.hand_over(&request).await;
    assert_snapshot!("events_of_a_reactivation", events_of(world, &job).await);
}

/// Sends a request and returns each of its reasons as code, message and hint.
async fn reasons(world: &World, request: &Value) -> String {
    let job = world.hand_over(request).await;
    let reasons = reasons_of(&job);
    let lines: Vec<String> = reasons
        .iter()
        .map(|reason| {
            let fields = json!(reason);
            let text = |name: &str| fields[name].as_str().unwrap_or_default().to_owned();
            format!("{}\n  {}\n  hint: {}", text("code"), text("message"), text("hint"))
        })
        .collect();
    redacted(&lines.join("\n"))
}

#[on_sqlite]
async fn reasons_have_messages_and_hints(world: &mut World) {
    world.sql("UPDATE users SET status = 'inactive' WHERE id = 16").await;
    world.start_worker().await;
    let foreign = ratio([share("201", 1), share("16", 1), share("999", 1), share(LEAVER, 1)]);
    let requests = [
        example("unknown").with("user_id", json!("999")),
        example("inactive").with("user_id", json!("31")),
        example("requester").requested_by(GERALDINE),
        example("themselves").requested_by(LEAVER),
        example("allotments").without_allotments(),
        example("successors").contacts(foreign).leads(to(MATHEW)),
        example("extras").contacts(hardcoded_without_extras([share(AMANDA, 3)])),
        example("records").contacts(json!({ "each": { "9": AMANDA, "99999": AMANDA }, "rest": { "user": AMANDA } })),
        deactivation("manager", "1").contacts(json!({ "manager": true })),
    ];
    let mut all = Vec::new();
    for request in &requests {
        all.push(reasons(world, request).await);
    }
    assert_snapshot!("reasons", all.join("\n"));
}
