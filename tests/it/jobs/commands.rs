//! Jobs that are cancelled, paused or amended, and jobs with a return date.

use handover::job::State;
use std::time::Duration;

use handover::contract::JobId;
use handover::worker::Role;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::support::keap::{AMANDA, LEAVER, MATHEW, to};
use crate::support::world::{certificate_of, codes_of, keap_request, reasons_of, result_of};
use crate::support::{World, every_engine, snapshot};
use crate::undo::revert::{command, host, state_of, until_state};

#[every_engine]
async fn cancelled_scheduled_job_never_runs(world: &mut World) {
    world.start_worker().await;
    let before = snapshot::of_host(world).await;
    let mut request = keap_request("r1");
    let tomorrow = OffsetDateTime::now_utc() + Duration::from_secs(86_400);
    request["effective_at"] = json!(tomorrow.format(&Rfc3339).expect("a time"));
    let job = world.send(&request).await;
    until_state(world, job, State::Scheduled).await;
    assert_eq!(world.hand_over(&command("cancel", "r2", job)).await.state, State::Completed);
    assert_eq!(state_of(world, job).await, State::Cancelled);
    assert_eq!(snapshot::of_host(world).await, before);
    // Another request is possible now.
    certificate_of(&world.hand_over(&keap_request("r3")).await);
}

#[every_engine]
async fn cancelling_a_running_job_moves_records_back(world: &mut World) {
    let before = host(world).await;
    world.use_chunks_of(10);
    world.start_roles(&[Role::Planner]).await;
    let job = world.send(&keap_request("r1")).await;
    until_state(world, job, State::Cutting).await;
    handover::stages::handover::cutter::cut(&world.context, job).await.expect("cut");
    for _ in 0..4 {
        handover::stages::handover::mover::run_ticket(&world.context, job).await.expect("moved");
    }
    assert!(world.number("SELECT count(*) FROM handover.chunks WHERE state = 'closed'").await >= 4);
    world.start_worker().await;
    let cancel = command("cancel", "r2", job);
    world.send(&cancel).await;
    until_state(world, job, State::Cancelled).await;
    assert_eq!(host(world).await, before);
    let events = world.events().await;
    let reported: Vec<&str> = events[&job.to_string()].iter().filter_map(|event| event["type"].as_str()).collect();
    assert_eq!(reported.last(), Some(&"handover.deactivation.cancelled"));
}

#[every_engine]
async fn revert_of_a_held_job_suggests_cancel(world: &mut World) {
    world.start_worker().await;
    let mut request = keap_request("r1");
    (request["lock_out"], request["reassign"]) = (json!(true), json!({}));
    let held = world.hand_over(&request).await;
    assert_eq!(held.state, State::NeedsAttention);
    let refused = world.hand_over(&command("revert", "r2", JobId(held.id))).await;
    assert_eq!(codes_of(&refused), ["wrong_state"]);
    assert!(
        reasons_of(&refused)[0].hint.contains(&format!("handover cancel {}", held.id)),
        "{:?}",
        reasons_of(&refused)
    );
}

#[every_engine]
async fn paused_job_waits_until_resumed(world: &mut World) {
    world.use_chunks_of(10);
    world.start_roles(&[Role::Planner]).await;
    let job = world.send(&keap_request("r1")).await;
    until_state(world, job, State::Cutting).await;
    assert_eq!(world.hand_over(&command("pause", "r2", job)).await.state, State::Completed);
    assert_eq!(state_of(world, job).await, State::Paused);
    world.start_worker().await;
    world.until_all_is_published().await;
    assert_eq!(world.owned_by(LEAVER, "contacts").await, 104);
    let again = world.hand_over(&command("pause", "r3", job)).await;
    assert_eq!(codes_of(&again), ["wrong_state"]);
    assert_eq!(world.hand_over(&command("resume", "r4", job)).await.state, State::Completed);
    let job = until_state(world, job, State::Completed).await;
    assert_eq!(result_of(&certificate_of(&job), "contact").moved, Some(104));
}

#[every_engine]
async fn amendment_replaces_a_successor_who_left(world: &mut World) {
    world.use_chunks_of(10);
    world.start_roles(&[Role::Planner]).await;
    let job = world.send(&keap_request("r1")).await;
    until_state(world, job, State::Cutting).await;
    let own = world.owned_by(AMANDA, "contacts").await as u64;
    world.sql("UPDATE users SET status = 'inactive' WHERE id = 12").await;
    world.start_worker().await;
    let stuck = world.end_of(job).await;
    assert_eq!((stuck.state, codes_of(&stuck)), (State::NeedsAttention, vec!["successor_gone".to_owned()]));
    let mut amend = command("amend", "r2", job);
    amend["reassign"] = json!({ "contact": to(AMANDA) });
    let refused = world.hand_over(&amend).await;
    assert_eq!(codes_of(&refused), ["successor_inactive"]);
    amend["request_id"] = json!("r3");
    amend["reassign"] = json!({ "contact": to(MATHEW) });
    assert_eq!(world.hand_over(&amend).await.state, State::Completed);
    let job = until_state(world, job, State::Completed).await;
    let contact = result_of(&certificate_of(&job), "contact");
    assert_eq!(contact.moved, Some(104));
    assert_eq!(world.owned_by(LEAVER, "contacts").await, 0);
    assert_eq!(
        contact.successors.get(AMANDA).copied().unwrap_or(0) + own,
        world.owned_by(AMANDA, "contacts").await as u64
    );
}

#[every_engine]
async fn lock_out_precedes_the_handover_decision(world: &mut World) {
    world.start_worker().await;
    let mut request = keap_request("r1");
    request["lock_out"] = json!(true);
    request["reassign"] = json!({});
    let job = world.hand_over(&request).await;
    assert_eq!(job.state, State::NeedsAttention);
    assert_eq!(codes_of(&job), ["allotment_missing"; 3]);
    assert_eq!(world.status_of(LEAVER).await, "inactive");
    assert_eq!(world.held_by(LEAVER, "sessions").await, 0);
    assert_eq!(world.owned_by(LEAVER, "contacts").await, 104);
    assert_eq!(world.held_by(LEAVER, "licenses").await, 1);
    let mut amend = command("amend", "r2", JobId(job.id));
    amend["reassign"] = keap_request("r1")["reassign"].clone();
    assert_eq!(world.hand_over(&amend).await.state, State::Completed);
    let job = until_state(world, JobId(job.id), State::Completed).await;
    let certificate = certificate_of(&job);
    assert_eq!(result_of(&certificate, "contact").moved, Some(104));
    assert_eq!(result_of(&certificate, "session").removed, Some(2));
    // All of it can be reverted, access included.
    certificate_of(&world.hand_over(&command("revert", "r3", JobId(job.id))).await);
    assert_eq!(world.held_by(LEAVER, "sessions").await, 2);
}

#[every_engine]
async fn lock_out_refused_by_access_guards_changes_nothing(world: &mut World) {
    world.start_worker().await;
    let before = snapshot::of_host(world).await;
    let mut request = keap_request("r1");
    request["lock_out"] = json!(true);
    request["requested_by"] = json!(AMANDA);
    request["reassign"] = json!({});
    let job = world.hand_over(&request).await;
    assert_eq!(job.state, State::Rejected);
    assert_eq!(snapshot::of_host(world).await, before);
}

#[every_engine(also_in_chunks_of = 10)]
async fn user_on_leave_returns_on_the_day(world: &mut World) {
    let before = host(world).await;
    world.start_worker().await;
    let mut request = keap_request("r1");
    let day = OffsetDateTime::now_utc() + Duration::from_secs(86_400);
    request["return_at"] = json!(day.format(&Rfc3339).expect("a time"));
    let job = JobId(world.hand_over(&request).await.id);
    assert_eq!(world.owned_by(LEAVER, "contacts").await, 0);
    assert_eq!(
        world.number("SELECT count(*) FROM handover.jobs WHERE kind = 'revert' AND state = 'scheduled'").await,
        1
    );
    // The day has come.
    world
        .change_ledger(
            "UPDATE handover.jobs SET effective_at = requested_at, wake_at = requested_at WHERE kind = 'revert'",
        )
        .await;
    until_state(world, job, State::Reverted).await;
    assert_eq!(host(world).await, before);
}

#[every_engine]
async fn early_return_prevents_the_scheduled_return(world: &mut World) {
    world.start_worker().await;
    let mut request = keap_request("r1");
    let day = OffsetDateTime::now_utc() + Duration::from_secs(86_400);
    request["return_at"] = json!(day.format(&Rfc3339).expect("a time"));
    let job = JobId(world.hand_over(&request).await.id);
    certificate_of(&world.hand_over(&command("revert", "r2", job)).await);
    assert_eq!(world.number("SELECT count(*) FROM handover.jobs WHERE state = 'scheduled'").await, 0);
    assert_eq!(world.number("SELECT count(*) FROM handover.jobs WHERE state = 'cancelled'").await, 1);
}
