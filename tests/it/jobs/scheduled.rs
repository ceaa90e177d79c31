//! Jobs that start later: at a given time, or after the job that gives records to the leaver.

use handover::job::State;
use std::time::Duration;

use handover::contract::JobId;
use handover::worker::Role;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::support::keap::{ADMIN, AMANDA, PRIYA, SUPPORT, to};
use crate::support::world::{certificate_of, keap_request};
use crate::support::{World, every_engine, snapshot};

/// The delay of a scheduled job that a test waits for: long enough to change something before it is due.
const SOON: Duration = Duration::from_secs(3);

fn at(request: &Value, time: OffsetDateTime) -> Value {
    let mut request = request.clone();
    request["effective_at"] = json!(time.format(&Rfc3339).expect("a time"));
    request
}

/// Schedules the example's job and waits for its event.
async fn schedule_soon(world: &mut World) -> (JobId, OffsetDateTime) {
    let due = OffsetDateTime::now_utc() + SOON;
    let job = world.send(&at(&keap_request("r1"), due)).await;
    let event = world.next_event_of(job).await;
    assert_eq!(event["type"], "handover.deactivation.scheduled", "{event}");
    (job, due)
}

#[every_engine]
async fn future_job_is_scheduled_without_changes(world: &mut World) {
    world.start_worker().await;
    let before = snapshot::of_host(world).await;
    let request = at(&keap_request("r1"), OffsetDateTime::now_utc() + Duration::from_secs(3600));
    let job = world.send(&request).await;
    let event = world.next_event_of(job).await;
    assert_eq!(event["type"], "handover.deactivation.scheduled");
    assert_eq!(event["data"]["state"], "scheduled");
    let reported =
        OffsetDateTime::parse(event["data"]["effective_at"].as_str().expect("a time"), &Rfc3339).expect("a time");
    let asked = OffsetDateTime::parse(request["effective_at"].as_str().expect("a time"), &Rfc3339).expect("a time");
    assert_eq!(reported.unix_timestamp(), asked.unix_timestamp());
    // Once another job has come due, the sweeper has run more than once, for longer than the stall limit. This job
    // still changes nothing, because its leaver's profile is incomplete by then.
    let to_11 = to(SUPPORT);
    let another = json!({
        "type": "deactivate", "request_id": "another", "org_id": "1", "user_id": PRIYA, "requested_by": ADMIN,
        "reassign": { "contact": to_11, "lead": to_11, "task": to_11 },
    });
    let another = world.send(&at(&another, OffsetDateTime::now_utc() + SOON)).await;
    assert_eq!(world.next_event_of(another).await["type"], "handover.deactivation.scheduled");
    world.sql("UPDATE users SET email = '' WHERE id = 15").await;
    assert_eq!(world.end_of(another).await.state, State::NeedsAttention);
    let found = world.job(job).await.expect("a job");
    assert_eq!((found.state, found.started_at), (State::Scheduled, None));
    assert_eq!(snapshot::of_host(world).await, before);
}

#[every_engine]
async fn past_time_starts_at_once(world: &mut World) {
    world.start_worker().await;
    let request = at(&keap_request("r1"), OffsetDateTime::now_utc() - Duration::from_secs(3600));
    assert_eq!(world.hand_over(&request).await.state, State::Completed);
}

#[every_engine]
async fn scheduled_job_runs_when_due(world: &mut World) {
    world.start_worker().await;
    let (job, due) = schedule_soon(world).await;
    let ended = world.end_of(job).await;
    assert!(ended.started_at.expect("a start") >= due, "{ended:?}");
    let contact =
        certificate_of(&ended).references.into_iter().find(|found| found.kind == "contact").expect("contacts");
    assert_eq!(contact.moved, Some(104));
    let mut last = Value::Null;
    while last["type"] != "handover.deactivation.completed" {
        last = world.next_event_of(job).await;
    }
    assert_eq!(last["data"]["state"], "completed");
}

#[every_engine]
async fn overdue_job_runs_with_the_next_worker(world: &mut World) {
    world.start_worker().await;
    let (job, due) = schedule_soon(world).await;
    world.stop_workers().await;
    world.until("it is due", async || (OffsetDateTime::now_utc() > due).then_some(())).await;
    assert_eq!(world.job(job).await.expect("a job").state, State::Scheduled);
    world.start_worker().await;
    assert_eq!(world.end_of(job).await.state, State::Completed);
}

#[every_engine]
async fn failed_guards_at_start_need_attention(world: &mut World) {
    world.start_worker().await;
    let (job, _) = schedule_soon(world).await;
    world.sql("UPDATE users SET status = 'inactive' WHERE id = 13").await;
    world.sql("UPDATE users SET email = '' WHERE id = 53").await;
    let before = snapshot::of_host(world).await;
    let ended = world.end_of(job).await;
    assert_eq!(ended.state, State::NeedsAttention);
    let event = world.next_event_of(job).await;
    assert_eq!(event["type"], "handover.deactivation.needs_attention");
    assert_eq!(event["data"]["state"], "needs_attention");
    let reasons = event["data"]["reasons"].as_array().expect("reasons");
    let codes: Vec<&str> = reasons.iter().filter_map(|reason| reason["code"].as_str()).collect();
    assert_eq!(codes, ["incomplete_profile", "successor_inactive"]);
    assert_eq!(ended.reasons.as_ref(), Some(&event["data"]["reasons"]));
    assert_eq!(snapshot::of_host(world).await, before);
}

#[every_engine]
async fn successor_leaves_after_the_giving_job(world: &mut World) {
    // Only a planner runs: the first job stays active for as long as the test needs.
    world.use_chunks_of(5);
    world.start_roles(&[Role::Planner, Role::Relay]).await;
    let giving = world.send(&keap_request("giving")).await;
    assert_eq!(world.next_event_of(giving).await["type"], "handover.deactivation.started");

    let to_amanda = to(AMANDA);
    let leaving = world
        .send(&json!({
            "type": "deactivate", "request_id": "leaving", "org_id": "1", "user_id": SUPPORT, "requested_by": ADMIN,
            "reassign": { "contact": to_amanda, "lead": to_amanda, "task": to_amanda },
        }))
        .await;
    let before = snapshot::of_host(world).await;
    let event = world.next_event_of(leaving).await;
    assert_eq!(event["type"], "handover.deactivation.scheduled");
    assert_eq!(event["data"]["wait_for"], giving.to_string());
    assert_eq!(world.job(leaving).await.expect("a job").wait_for, Some(giving.0));
    assert_eq!(snapshot::of_host(world).await, before);

    world.stop_workers().await;
    world.start_worker().await;
    let (given, left) = (world.end_of(giving).await, world.end_of(leaving).await);
    assert_eq!((given.state, left.state), (State::Completed, State::Completed), "{:?}", left.reasons);
    assert!(left.started_at.expect("a start") >= given.completed_at.expect("an end"), "{given:?} {left:?}");
    // The first job's five contacts and twelve tasks of user 11 moved on to user 12 by the second job.
    let moved =
        |kind: &str| certificate_of(&left).references.iter().find(|found| found.kind == kind).and_then(|f| f.moved);
    assert!(moved("contact").expect("contacts") >= 5, "{left:?}");
    assert!(moved("task").expect("tasks") >= 12, "{left:?}");
    for table in ["contacts", "opportunities"] {
        let orphans = world.number(&format!("SELECT count(*) FROM {table} WHERE owner_id IN (11, 53)")).await;
        assert_eq!(orphans, 0, "{table}");
    }
}
