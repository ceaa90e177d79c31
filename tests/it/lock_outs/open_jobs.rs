//! A lock-out of a user who has an open job already.

use handover::contract::{JobId, SkipReason};
use handover::worker::Role;
use serde_json::{Value, json};

use super::{LATER, hire, is_out, lock_out, send, until_state};
use crate::support::keap::{AMANDA, GERALDINE, deactivation, to};
use crate::support::world::{certificate_of, codes_of, reasons_of, result_of};
use crate::support::{Engine, World, every_engine, process};
use crate::undo::revert::command;

const USER: u32 = 300;

fn reassign(request_id: &str) -> Value {
    let mut request = deactivation(request_id, &USER.to_string()).contacts(to(AMANDA)).clone();
    request["type"] = json!("reassign");
    request
}

/// Brings the user's job into a state in which it has changed nothing yet.
async fn untouched(world: &mut World, state: &str) -> JobId {
    let later = |request: Value| -> Value {
        let mut request = request;
        request["effective_at"] = json!(LATER);
        request
    };
    let ordinary = deactivation(&format!("first {state}"), &USER.to_string()).contacts(to(AMANDA)).clone();
    let first = match state {
        "reassignment" => world.send(&later(reassign("first reassignment"))).await,
        _ => world.send(&later(ordinary)).await,
    };
    until_state(world, first, "scheduled").await;
    match state {
        "paused" => {
            world.hand_over(&command("pause", "pause", first)).await;
            until_state(world, first, "paused").await;
        }
        "needs_attention" => {
            world.sql(&format!("UPDATE users SET status = 'inactive' WHERE id = {AMANDA}")).await;
            world.make_due(first).await;
            assert_eq!(codes_of(&until_state(world, first, "needs_attention").await), ["successor_inactive"]);
            world.sql(&format!("UPDATE users SET status = 'active' WHERE id = {AMANDA}")).await;
        }
        _ => {}
    }
    first
}

#[every_engine]
async fn lock_out_replaces_a_job_that_changed_nothing(world: &mut World) {
    world.start_worker().await;
    for state in ["scheduled", "paused", "needs_attention", "reassignment"] {
        if state == "scheduled" {
            hire(world, USER).await;
        }
        let first = untouched(world, state).await;
        assert!(!is_out(world, USER).await, "{state}");
        let second = world.hand_over(&lock_out(&format!("second {state}"), USER)).await;
        assert_eq!(second.state.name(), "completed", "{state}");
        assert!(is_out(world, USER).await, "{state}");
        let replaced = world.job(first).await.expect("a job");
        assert_eq!((replaced.state.name(), codes_of(&replaced)), ("cancelled", vec!["superseded".to_owned()]));
        let by = JobId(second.id);
        assert_eq!(reasons_of(&replaced)[0].concerning.job_id, Some(by.to_string()), "{state}");
        let mut event = world.next_event_of(first).await;
        while !event["type"].as_str().expect("a type").ends_with(".cancelled") {
            event = world.next_event_of(first).await;
        }
        assert_eq!(event["data"]["reasons"][0]["concerning"]["job_id"], by.to_string());
        let shown = process::on(world, &["job", &first.to_string()]).expect(0);
        assert!(shown.out.contains(&format!("by the job {by}")), "{}", shown.out);
        // The user comes back for the next round.
        certificate_of(&world.hand_over(&command("revert", &format!("back {state}"), by)).await);
    }
}

/// Opens a job of the user that is under way, and stands still because no mover runs.
async fn under_way(world: &mut World, kind: &str) -> JobId {
    world.use_chunks_of(2);
    hire(world, USER).await;
    if kind == "reassignment" {
        world.start_roles(&[Role::Planner]).await;
        let first = send(world, &reassign("first")).await;
        until_state(world, first, "cutting").await;
        return first;
    }
    world.start_worker().await;
    let left = world.hand_over(&deactivation("left", &USER.to_string()).contacts(to(AMANDA))).await;
    world.stop_workers().await;
    world.start_roles(&[Role::Planner]).await;
    let undo = send(world, &command("revert", "undo", JobId(left.id))).await;
    until_state(world, undo, "cutting").await;
    undo
}

async fn waits_for_the_job_under_way(world: &mut World, kind: &str) {
    let first = under_way(world, kind).await;
    let request = lock_out("second", USER);
    let preview = process::with_input(world, &["preview", "--json", "-"], request.to_string().as_bytes()).expect(0);
    assert_eq!(preview.json()["wait_for"], first.to_string());
    let second = send(world, &request).await;
    assert_eq!(world.status_of(&USER.to_string()).await, "inactive", "the user has access");
    assert_eq!(world.held_by(&USER.to_string(), "sessions").await, 0);
    let job = world.job(second).await.expect("a job");
    assert_eq!((job.state.name(), job.wait_for), ("scheduled", Some(first.0)));
    assert!(job.access_ended_at.is_some() && job.started_at.is_none());
    // A third request finds the user out.
    let third = world.hand_over(&lock_out("third", USER)).await;
    assert_eq!(
        (third.state.name(), codes_of(&third)),
        ("rejected", vec!["already_inactive".to_owned(), "job_under_way".to_owned()])
    );
    world.start_worker().await;
    assert_eq!(world.end_of(first).await.state.name(), "completed");
    let done = until_state(world, second, "completed").await;
    assert!(done.started_at >= world.job(first).await.expect("a job").completed_at, "{done:?}");
    assert!(is_out(world, USER).await);
    assert_eq!(world.owned_by(&USER.to_string(), "contacts").await, 0);
    assert_eq!(world.orphans().await, 0);
    // What the lock-out did is undone by its own revert.
    certificate_of(&world.hand_over(&command("revert", "back", second)).await);
    assert!(!is_out(world, USER).await);
}

#[every_engine]
async fn lock_out_ends_access_during_a_reassignment(world: &mut World) {
    waits_for_the_job_under_way(world, "reassignment").await;
}

#[every_engine]
async fn lock_out_ends_access_during_an_undo(world: &mut World) {
    // The undo gives the records back, which then go to the lock-out's successor. It brings back no session.
    let first = under_way(world, "undo").await;
    let second = send(world, &lock_out("second", USER)).await;
    assert!(world.status_of(&USER.to_string()).await == "inactive", "the user has access");
    world.start_worker().await;
    let undo = until_state(world, first, "completed").await;
    let certificate = certificate_of(&undo);
    assert_eq!(result_of(&certificate, "session").skipped.get(&SkipReason::LockedOut), Some(&1));
    assert_eq!(result_of(&certificate, "contact").restored, Some(3));
    until_state(world, second, "completed").await;
    assert!(is_out(world, USER).await);
    assert_eq!(world.owned_by(&USER.to_string(), "contacts").await, 0);
    assert_eq!(world.orphans().await, 0);
    // What the undo could not restore comes back with the lock-out's own revert.
    let back = certificate_of(&world.hand_over(&command("revert", "back", second)).await);
    assert_eq!(result_of(&back, "session").restored, Some(1));
    assert!(!is_out(world, USER).await);
}

/// Returns the types of all events so far, each with its job.
async fn events_in_order(world: &mut World) -> Vec<(String, String)> {
    let mut events = Vec::new();
    while let Some(event) = world.client.next_event(std::time::Duration::from_millis(500)).await {
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        events.push((text(&event["type"]), text(&event["data"]["job_id"])));
    }
    events
}

#[every_engine]
async fn last_event_after_an_undo_says_the_user_is_out(world: &mut World) {
    let undo = under_way(world, "undo").await;
    let second = send(world, &lock_out("second", USER)).await;
    // Paused, it says nothing of its own when the undo ends.
    world.hand_over(&command("pause", "pause", second)).await;
    world.start_worker().await;
    until_state(world, undo, "completed").await;
    world.until_all_is_published().await;
    let events = events_in_order(world).await;
    let reverted = events.iter().position(|(kind, _)| kind == "handover.deactivation.reverted").expect("an event");
    let last = events.iter().rposition(|(_, job)| *job == second.to_string()).expect("an event");
    assert!(last > reverted && events[last].0 == "handover.deactivation.paused", "{events:?}");
    assert!(is_out(world, USER).await);
}

/// A reassignment is under way, the undo of a cancelled lock-out waits for it, and the user is locked out again.
#[every_engine]
async fn third_open_job_waits_for_the_second(world: &mut World) {
    let first = under_way(world, "reassignment").await;
    let second = send(world, &lock_out("second", USER)).await;
    let undo = send(world, &command("cancel", "cancel", second)).await;
    assert!(world.status_of(&USER.to_string()).await == "active", "the access is back");
    let third = send(world, &lock_out("third", USER)).await;
    assert_eq!(world.status_of(&USER.to_string()).await, "inactive");
    let waits = async |job| world.job(job).await.expect("a job").wait_for;
    assert_eq!((waits(undo).await, waits(third).await), (Some(first.0), Some(undo.0)), "the undo has begun");
    world.start_worker().await;
    until_state(world, first, "completed").await;
    until_state(world, second, "cancelled").await;
    until_state(world, third, "completed").await;
    assert!(is_out(world, USER).await);
    assert_eq!(world.number("SELECT count(*) FROM handover.outbox WHERE channel = 'dead'").await, 0);
    let back = certificate_of(&world.hand_over(&command("revert", "back", third)).await);
    assert_eq!(result_of(&back, "session").restored, Some(1), "the session of the second lock-out");
}

/// A row that gives access cannot be removed. A person has to look, though the handover waits for another job.
#[every_engine]
async fn waiting_lock_out_with_remaining_access_needs_attention(world: &mut World) {
    under_way(world, "reassignment").await;
    let refuse = match world.engine {
        Engine::Postgres => {
            "CREATE FUNCTION stay() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'it stays'; END $$; \
             CREATE TRIGGER stay BEFORE DELETE ON sessions FOR EACH ROW EXECUTE FUNCTION stay()"
        }
        Engine::Sqlite => "CREATE TRIGGER stay BEFORE DELETE ON sessions BEGIN SELECT RAISE(ABORT, 'it stays'); END",
    };
    world.sql(refuse).await;
    let second = send(world, &lock_out("second", USER)).await;
    let held = until_state(world, second, "needs_attention").await;
    assert_eq!(codes_of(&held), ["row_refused"]);
    assert!(held.access_ended_at.is_some() && held.wait_for.is_some());
    assert_eq!(world.status_of(&USER.to_string()).await, "inactive");
    let on = if world.engine == Engine::Postgres { " ON sessions" } else { "" };
    world.sql(&format!("DROP TRIGGER stay{on}")).await;
    world.hand_over(&command("resume", "resume", second)).await;
    world.start_worker().await;
    until_state(world, second, "completed").await;
    assert!(is_out(world, USER).await);
}

#[every_engine]
async fn later_lock_out_is_bound_by_an_open_job(world: &mut World) {
    world.start_worker().await;
    hire(world, USER).await;
    let first = untouched(world, "scheduled").await;
    let second = world.hand_over(&lock_out("second", USER).with("effective_at", json!(LATER))).await;
    assert_eq!((second.state.name(), codes_of(&second)), ("rejected", vec!["job_under_way".to_owned()]));
    assert_eq!(world.job(first).await.expect("a job").state.name(), "scheduled");
}

#[every_engine]
async fn job_that_a_lock_out_waits_for_can_be_amended(world: &mut World) {
    let first = under_way(world, "reassignment").await;
    let second = send(world, &lock_out("second", USER)).await;
    world.hand_over(&command("pause", "pause", first)).await;
    let mut amend = command("amend", "amend", first);
    amend["reassign"] = json!({"contact": to(GERALDINE)});
    let amended = world.hand_over(&amend).await;
    assert_eq!(amended.state.name(), "completed", "{:?}", amended.reasons);
    world.start_worker().await;
    until_state(world, second, "completed").await;
    assert!(is_out(world, USER).await);
    assert!(world.owned_by(GERALDINE, "contacts").await > 0, "the amendment had no effect");
}
