//! A cancelled lock-out gives access back, from every state.

use handover::contract::JobId;
use handover::stages::handover::{cutter, mover};
use handover::worker::Role;
use serde_json::json;

use super::{LATER, hire, is_out, lock_out, send, until_state};
use crate::support::keap::{AMANDA, SUPPORT, deactivation, to};
use crate::support::{World, every_engine};
use crate::undo::revert::command;

const USER: u32 = 300;

/// Cancels a job and waits until the user is back as they were, with nothing left behind.
async fn cancel_and_check(world: &mut World, job: JobId, what: &str) {
    let cancel = world.send(&command("cancel", &format!("cancel {what}"), job)).await;
    world.until("the command is taken", async || world.job(cancel).await).await;
    assert_eq!(world.status_of(&USER.to_string()).await, "active", "{what}");
    world.start_worker().await;
    until_state(world, job, "cancelled").await;
    until_state(world, cancel, "completed").await;
    assert!(!is_out(world, USER).await, "{what}");
    assert_eq!(world.owned_by(&USER.to_string(), "contacts").await, 3, "{what}");
    assert_eq!(world.number("SELECT count(*) FROM handover.outbox WHERE channel = 'dead'").await, 0, "{what}");
    assert!(world.client.next_dead_letter(std::time::Duration::from_millis(50)).await.is_none(), "{what}");
    world.stop_workers().await;
}

/// Brings a lock-out into a state.
async fn bring(world: &mut World, state: &str) -> JobId {
    world.start_roles(&[Role::Planner]).await;
    let request = lock_out(state, USER);
    let id = match state {
        "needs_attention" | "waits for its day" => send(world, &request.without_allotments()).await,
        _ => send(world, &request).await,
    };
    match state {
        "waits for its day" => {
            // A job of an earlier version, which locked users out before their day.
            let job = world.uuid(id);
            let day = format!("UPDATE handover.jobs SET effective_at = '{LATER}' WHERE id = {job}");
            world.change_ledger(&day).await;
            let mut amend = command("amend", "amend", id);
            amend["reassign"] = json!({ "contact": to(SUPPORT) });
            world.hand_over(&amend).await;
            until_state(world, id, "scheduled").await;
        }
        "moving" | "paused" => {
            while world.job(id).await.expect("a job").state.name() == "cutting" {
                cutter::cut(&world.context, id).await.expect("cut");
            }
            mover::run_ticket(&world.context, id).await.expect("moved");
            if state == "paused" {
                world.hand_over(&command("pause", "pause", id)).await;
            }
        }
        _ => {}
    }
    assert!(is_out(world, USER).await, "{state}");
    world.stop_workers().await;
    world.start_roles(&[Role::Planner]).await;
    id
}

#[every_engine]
async fn cancelled_lock_out_gives_access_back(world: &mut World) {
    world.use_chunks_of(2);
    hire(world, USER).await;
    for state in ["needs_attention", "waits for its day", "cutting", "moving", "paused"] {
        let job = bring(world, state).await;
        cancel_and_check(world, job, state).await;
    }
}

/// A lock-out that waits for another job of its user is cancelled: access is back at once, the rest when that job has ended.
async fn cancel_while_waiting(world: &mut World, pauses: bool) {
    world.use_chunks_of(2);
    hire(world, USER).await;
    world.start_roles(&[Role::Planner]).await;
    let mut reassign = deactivation("first", &USER.to_string()).contacts(to(AMANDA)).clone();
    reassign["type"] = json!("reassign");
    let first = send(world, &reassign).await;
    let second = send(world, &lock_out("second", USER)).await;
    assert_eq!(world.job(second).await.expect("a job").state.name(), "scheduled");
    if pauses {
        world.hand_over(&command("pause", "pause", second)).await;
        until_state(world, second, "paused").await;
    }
    assert!(is_out(world, USER).await);
    let cancel = send(world, &command("cancel", "cancel", second)).await;
    assert_eq!(world.status_of(&USER.to_string()).await, "active");
    let undo = world.job(cancel).await.expect("a job");
    assert_eq!((undo.state.name(), undo.wait_for), ("scheduled", Some(first.0)));
    let refused = world.hand_over(&command("cancel", "again", cancel)).await;
    assert_eq!(refused.state.name(), "rejected", "an undo that has begun goes on");
    world.start_worker().await;
    until_state(world, first, "completed").await;
    until_state(world, cancel, "completed").await;
    until_state(world, second, "cancelled").await;
    assert!(!is_out(world, USER).await);
    assert_eq!(world.owned_by(&USER.to_string(), "contacts").await, 0, "the other job has done its work");
    assert_eq!(world.number("SELECT count(*) FROM handover.outbox WHERE channel = 'dead'").await, 0);
}

#[every_engine]
async fn waiting_lock_out_can_be_cancelled(world: &mut World) {
    cancel_while_waiting(world, false).await;
}

#[every_engine]
async fn paused_waiting_lock_out_can_be_cancelled(world: &mut World) {
    cancel_while_waiting(world, true).await;
}

#[every_engine]
async fn cancelling_the_other_job_keeps_the_user_out(world: &mut World) {
    world.use_chunks_of(2);
    hire(world, USER).await;
    world.start_roles(&[Role::Planner]).await;
    let first = send(world, &deactivation("first", &USER.to_string()).contacts(to(AMANDA))).await;
    until_state(world, first, "cutting").await;
    // The application lets the user in again by hand.
    world.sql(&format!("UPDATE users SET status = 'active' WHERE id = {USER}")).await;
    let second = send(world, &lock_out("second", USER)).await;
    assert_eq!(world.job(second).await.expect("a job").state.name(), "scheduled");
    assert!(is_out(world, USER).await);
    send(world, &command("cancel", "cancel", first)).await;
    assert_eq!(world.status_of(&USER.to_string()).await, "inactive", "the lock-out holds");
    world.start_worker().await;
    until_state(world, first, "cancelled").await;
    until_state(world, second, "completed").await;
    assert!(is_out(world, USER).await);
    assert_eq!(world.orphans().await, 0);
}

#[every_engine]
async fn untouched_later_lock_out_is_just_cancelled(world: &mut World) {
    world.start_worker().await;
    hire(world, USER).await;
    let job = world.send(&lock_out("later", USER).with("effective_at", json!(LATER))).await;
    until_state(world, job, "scheduled").await;
    assert_eq!(world.hand_over(&command("cancel", "cancel", job)).await.state.name(), "completed");
    assert_eq!(until_state(world, job, "cancelled").await.access_ended_at, None);
    assert!(!is_out(world, USER).await);
}
