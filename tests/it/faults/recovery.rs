//! Lost, late and unavailable things: every job still ends, or reports why not.

use std::collections::BTreeMap;
use std::time::Duration;

use handover::broker::{Channel, Outgoing};
use handover::contract::{JobId, RequestId};
use handover::job::{State, Step, StepKind};
use handover::stages::handover::{cutter, mover};
use handover::stages::intake;
use handover::worker::Role;
use serde_json::{Value, json};

use crate::support::database::{come_back, go_away};
use crate::support::keap::{ADMIN, AMANDA, LEAVER, SUPPORT, to};
use crate::support::world::{certificate_of, keap_request, message, read};
use crate::support::{Engine, World, every_engine, on_postgres};

async fn take(world: &World, request: &Value) -> JobId {
    let message = message(request.to_string());
    let outcomes = intake::take(&world.context, &[message]).await;
    assert!(matches!(outcomes[..], [handover::stages::Outcome::Answered(_)]), "{outcomes:?}");
    read(request).job_id()
}

/// Opens the help page's job in chunks of ten and cuts it by hand. No worker runs.
async fn open_by_hand(world: &mut World) -> JobId {
    world.use_chunks_of(10);
    let id = take(world, &keap_request("large")).await;
    while world.job(id).await.expect("a job").state == State::Cutting {
        cutter::cut(&world.context, id).await.expect("cut");
    }
    id
}

/// Deletes every step from the broker and the outbox.
async fn lose_all_steps(world: &World) {
    world.client.lose_steps().await;
    world.change_ledger("DELETE FROM handover.outbox WHERE channel = 'steps'").await;
}

async fn moved_to(world: &World, user: u32) -> i64 {
    let journal = "SELECT COALESCE(sum(records), 0) FROM handover.journal WHERE action = 'moved'";
    world.number(&format!("{journal} AND to_user = '{user}'")).await
}

async fn owned_by_53(world: &World) -> i64 {
    world.owned_by(LEAVER, "contacts").await
}

fn step(kind: StepKind, job: JobId) -> Outgoing {
    Outgoing {
        id: uuid::Uuid::new_v4(),
        channel: Channel::Steps,
        routing_key: kind.routing_key().into(),
        content_type: "application/json".into(),
        headers: BTreeMap::new(),
        body: serde_json::to_vec(&Step { step: kind, job_id: job, deferrals: 0 }).expect("JSON"),
    }
}

#[every_engine]
pub async fn sweeper_finds_jobs_with_lost_messages(world: &mut World) {
    // Lost while the job is cut, while it moves, and before it is finalized.
    for lost_after in ["planning", "cutting", "moving", "everything"] {
        let user =
            101 + ["planning", "cutting", "moving", "everything"].iter().position(|it| *it == lost_after).unwrap_or(0);
        world.hire(user as u32, 45).await;
        world.use_chunks_of(10);
        world.context.limits.chunks_per_cut = 2;
        let request = json!({
            "type": "deactivate", "request_id": lost_after, "org_id": "1", "user_id": user.to_string(), "requested_by": ADMIN,
            "reassign": { "contact": to(SUPPORT) },
        });
        let id = take(world, &request).await;
        let state = async |world: &World| world.job(id).await.expect("a job").state;
        if lost_after != "planning" {
            cutter::cut(&world.context, id).await.expect("cut");
        }
        while ["moving", "everything"].contains(&lost_after) && state(world).await == State::Cutting {
            cutter::cut(&world.context, id).await.expect("cut");
        }
        if lost_after != "planning" {
            mover::run_ticket(&world.context, id).await.expect("moved");
        }
        while lost_after == "everything" && state(world).await == State::Moving {
            mover::run_ticket(&world.context, id).await.expect("moved");
        }
        lose_all_steps(world).await;
        world.start_worker().await;
        let certificate = certificate_of(&world.end_of(id).await);
        let contact = certificate.references.iter().find(|reference| reference.kind == "contact").expect("contacts");
        assert_eq!(contact.moved, Some(45), "lost after {lost_after}");
        world.check_journal(id).await;
        world.stop_workers().await;
    }
    assert_eq!(world.orphans().await, 0);
}

#[every_engine]
async fn outdated_messages_change_nothing(world: &mut World) {
    let request = keap_request("large");
    world.use_chunks_of(10);
    world.start_worker().await;
    let id = world.send(&request).await;
    assert_eq!(world.end_of(id).await.state, State::Completed);
    world.until_all_is_published().await;
    world.events().await;
    world.stop_workers().await;

    let before = world.everything().await;
    let nobody = JobId::of("1", &RequestId::try_from("nobody's".to_owned()).expect("an id"));
    let broker = world.broker().await;
    for job in [id, nobody] {
        let stale = StepKind::ALL.map(|kind| step(kind, job));
        for _ in 0..2 {
            assert!(broker.publish(&stale).await.iter().all(Result::is_ok));
        }
    }
    broker.close().await;
    world.send(&request).await;
    // This message is queued last: once its job has ended, all others have been processed.
    world.start_roles(&[Role::Planner, Role::Mover, Role::Relay]).await;
    let mut last = keap_request("last");
    last["user_id"] = json!("31");
    let refused = world.send(&last).await;
    assert_eq!(world.end_of(refused).await.state, State::Rejected);
    world.until_all_is_published().await;
    // Steps have a queue of their own. The worker finishes what it took before it stops.
    world.until("every step is taken", async || (world.client.waiting("steps").await == 0).then_some(())).await;
    world.stop_workers().await;
    let after = world.everything().await;
    for table in ["contacts", "opportunities", "tasks", "licenses"] {
        let name = if world.engine == Engine::Postgres { format!("public.{table}") } else { table.to_owned() };
        assert_eq!(before[&name].len(), after[&name].len(), "{table}");
    }
    let changed = before.iter().filter(|(table, rows)| {
        let kept = rows.iter().all(|row| after[*table].contains(row));
        !kept
    });
    let changed: Vec<&String> = changed.map(|(table, _)| table).collect();
    assert!(changed.is_empty(), "rows have changed in {changed:?}");
    assert_eq!(world.number("SELECT count(*) FROM handover.outbox WHERE channel = 'dead'").await, 0);
    assert!(world.client.next_dead_letter(Duration::from_millis(100)).await.is_none(), "no dead letters");
}

#[every_engine]
async fn deactivated_successor_stops_further_moves(world: &mut World) {
    let id = open_by_hand(world).await;
    for _ in 0..3 {
        mover::run_ticket(&world.context, id).await.expect("moved");
    }
    world.sql("UPDATE users SET status = 'inactive' WHERE id = 12").await;
    let (given, left) = (moved_to(world, 12).await, owned_by_53(world).await);
    assert!(given > 0 && left > 0);
    world.start_worker().await;
    let job = world.end_of(id).await;
    assert_eq!(job.state, State::NeedsAttention);
    let reasons = job.reasons.expect("reasons");
    assert_eq!(reasons[0]["code"], "successor_gone");
    assert_eq!(reasons[0]["concerning"]["user_id"], AMANDA);
    assert_eq!(moved_to(world, 12).await, given, "they receive nothing more");
    world.check_journal(id).await;
    let event = loop {
        let event = world.next_event_of(id).await;
        if event["type"] == "handover.deactivation.needs_attention" {
            break event;
        }
    };
    assert_eq!(event["data"]["reasons"][0]["code"], "successor_gone");
    assert_eq!(world.held_by(LEAVER, "licenses").await, 1, "no license is freed yet");
}

#[every_engine]
async fn row_locked_forever_is_given_up(world: &mut World) {
    world.context.limits.chunk_attempts = 2;
    let refuses = match world.engine {
        Engine::Sqlite => {
            "CREATE TRIGGER refuses BEFORE UPDATE OF owner_id ON contacts WHEN OLD.id = 50 \
             BEGIN SELECT RAISE(ABORT, 'this one is locked'); END"
        }
        // A deferred constraint fails only at commit.
        Engine::Postgres => {
            "CREATE FUNCTION refuses() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'this one is locked'; END $$; \
             CREATE CONSTRAINT TRIGGER refuses AFTER UPDATE ON contacts DEFERRABLE INITIALLY DEFERRED FOR EACH ROW \
             WHEN (OLD.id = 50) EXECUTE FUNCTION refuses()"
        }
    };
    world.sql(refuses).await;
    let id = open_by_hand(world).await;
    world.start_worker().await;
    let job = world.end_of(id).await;
    assert_eq!(job.state, State::NeedsAttention);
    let reasons = job.reasons.expect("reasons");
    assert_eq!(reasons.as_array().map(Vec::len), Some(1));
    assert_eq!(reasons[0]["code"], "row_refused");
    assert_eq!(reasons[0]["concerning"]["keys"], serde_json::json!(["50"]));
    assert!(reasons[0]["message"].as_str().is_some_and(|message| message.contains("this one is locked")), "{reasons}");
    assert_eq!(owned_by_53(world).await, 1, "only its own row");
    assert_eq!(world.owned_by(LEAVER, "opportunities").await, 0);
    assert_eq!(world.number("SELECT count(*) FROM handover.chunks WHERE state = 'failed' AND attempts = 2").await, 1);
    assert_eq!(world.held_by(LEAVER, "licenses").await, 1);
    world.check_journal(id).await;

    // The host releases the row, and someone resumes the job.
    let on = if world.engine == Engine::Postgres { " ON contacts" } else { "" };
    world.sql(&format!("DROP TRIGGER refuses{on}")).await;
    let resume = serde_json::json!({
        "type": "resume", "request_id": "again", "org_id": "1", "requested_by": ADMIN, "job_id": id
    });
    assert_eq!(world.hand_over(&resume).await.state, State::Completed);
    world.until("the job is completed", async || world.job(id).await.filter(|job| job.state == State::Completed)).await;
    assert_eq!(owned_by_53(world).await, 0);
    world.check_journal(id).await;
}

#[every_engine]
async fn failed_check_stops_the_job(world: &mut World) {
    let refuses = match world.engine {
        Engine::Sqlite => {
            "CREATE TRIGGER refuses BEFORE UPDATE OF owner_id ON contacts WHEN NEW.owner_id = 14 \
             BEGIN SELECT RAISE(ABORT, 'not to 14'); END"
        }
        Engine::Postgres => {
            "ALTER TABLE contacts ADD CONSTRAINT refuses CHECK (owner_id <> 14 OR id % 9 = 0) NOT VALID"
        }
    };
    world.sql(refuses).await;
    world.context.limits.chunk_attempts = 1;
    world.start_worker().await;
    // Small enough for the planner's transaction: the planner fails and opens the job, and a mover finds the chunk to
    // blame.
    let job = world.hand_over(&keap_request("small")).await;
    assert_eq!(job.state, State::NeedsAttention);
    let refused = owned_by_53(world).await;
    assert_eq!(
        world.number("SELECT CAST(sum(records) AS bigint) FROM handover.journal WHERE kind = 'contact'").await,
        75
    );
    assert_eq!(refused, 29);
    let reasons = job.reasons.expect("reasons");
    let codes: Vec<&str> =
        reasons.as_array().into_iter().flatten().filter_map(|reason| reason["code"].as_str()).collect();
    assert_eq!((codes[0], codes.len(), codes[20]), ("row_refused", 21, "more_failed"), "{reasons}");
    assert_eq!(reasons[20]["concerning"]["count"], refused, "the others are counted");
    assert_eq!(world.held_by(LEAVER, "licenses").await, 1);
}

#[on_postgres]
async fn database_outage_loses_no_request(world: &mut World) {
    for user in 101..=105 {
        world.hire(user, 3).await;
    }
    world.use_chunks_of(3);
    let database = world.texts("SELECT CAST(current_database() AS text) AS t").await.remove(0);
    world.start_worker().await;
    let mut jobs = vec![world.send(&keap_request("large")).await];
    let closed = "SELECT count(*) FROM handover.chunks WHERE state = 'closed'";
    world.until("the job is under way", async || (world.number(closed).await > 0).then_some(())).await;

    go_away(&database).await;
    for user in 101..=105 {
        let request = json!({
            "type": "deactivate", "request_id": format!("{user} leaves"), "org_id": "1", "user_id": user.to_string(), "requested_by": ADMIN,
            "reassign": { "contact": to(SUPPORT) },
        });
        jobs.push(world.send(&request).await);
    }
    // The worker has taken all requests and finds no database.
    let waiting = async || world.client.waiting("requests").await;
    world.until("the requests are taken", async || (waiting().await == 0).then_some(())).await;
    come_back(&database).await;

    for job in jobs {
        let end = world.end_of(job).await;
        assert_eq!(end.state, State::Completed, "{:?}", end.reasons);
        world.check_journal(job).await;
    }
    assert!(world.client.next_dead_letter(Duration::from_millis(200)).await.is_none(), "no dead letters");
    assert_eq!(world.orphans().await, 0);
}
