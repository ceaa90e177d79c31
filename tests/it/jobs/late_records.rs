//! Records that arrive while a job runs, or after its end: the application keeps running.

use handover::contract::JobId;
use handover::job::State;
use handover::stages::handover::{cutter, finalizer};
use handover::stages::sweeper;
use handover::worker::Role;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::support::keap::{ADMIN, AMANDA, GERALDINE, LEAVER, MATHEW, SUPPORT, example, hardcoded, share, to};
use crate::support::world::{certificate_of, codes_of, counts, keap_request, reasons_of, result_of, successors_of};
use crate::support::{Engine, World, every_engine};

#[every_engine]
pub async fn record_inserted_after_cutting_gets_next_rank(world: &mut World) {
    let id = cut_completely(world, &keap_request("r1")).await;
    world.sql("INSERT INTO contacts (org_id, owner_id, created_by, name) VALUES (1, 53, 53, 'a'), (1, 53, 1, 'b'), (1, 53, 53, 'c')").await;
    world.start_worker().await;
    let job = world.end_of(id).await;
    let certificate = certificate_of(&job);
    let contact = result_of(&certificate, "contact");
    assert_eq!((contact.found, contact.moved, contact.left_behind), (Some(107), Some(107), Some(0)));
    // The ranks 104, 105 and 106 are the first three of the second round.
    assert_eq!(contact.successors, counts([(SUPPORT, 8), (AMANDA, 50), (GERALDINE, 20), (MATHEW, 29)]));
    assert_eq!(world.number("SELECT count(*) FROM contacts WHERE name IN ('a', 'b', 'c') AND owner_id = 11").await, 3);
    assert_eq!(world.owned_by(LEAVER, "contacts").await, 0);
    assert_eq!((job.late_passes, certificate.license.name()), (1, "freed"));
}

#[every_engine]
async fn record_inserted_before_or_between_keys_is_moved(world: &mut World) {
    let id = cut_completely(world, &keap_request("r1")).await;
    // Contact 9 lies within the first chunk, and belonged to someone else when that was cut.
    world.sql("UPDATE contacts SET owner_id = 53 WHERE id = 9").await;
    world
        .sql("INSERT INTO contacts (id, org_id, owner_id, created_by, name) VALUES (-5, 1, 53, 53, 'first of all')")
        .await;
    world.start_worker().await;
    let certificate = certificate_of(&world.end_of(id).await);
    assert_eq!(result_of(&certificate, "contact").moved, Some(106));
    assert_eq!(
        successors_of(&certificate, "contact"),
        counts([(SUPPORT, 7), (AMANDA, 50), (GERALDINE, 20), (MATHEW, 29)])
    );
    assert_eq!(world.owned_by(LEAVER, "contacts").await, 0);
}

#[every_engine]
async fn record_reassigned_by_the_host_stays(world: &mut World) {
    let id = cut_completely(world, &keap_request("r1")).await;
    world.sql("UPDATE contacts SET owner_id = 17 WHERE id IN (1, 50)").await;
    world.start_worker().await;
    let certificate = certificate_of(&world.end_of(id).await);
    let contact = result_of(&certificate, "contact");
    assert_eq!((contact.found, contact.moved, contact.changed_meanwhile), (Some(104), Some(102), Some(2)));
    assert_eq!(world.number("SELECT count(*) FROM contacts WHERE id IN (1, 50) AND owner_id = 17").await, 2);
    assert_eq!(world.owned_by(LEAVER, "contacts").await, 0);
}

#[every_engine]
async fn late_records_beyond_hardcoded_amounts_are_left_behind(world: &mut World) {
    let mut request = keap_request("r1");
    request["reassign"]["contact"] = hardcoded([share(SUPPORT, 100), share(AMANDA, 6)]);
    let id = cut_completely(world, &request).await;
    world.sql("INSERT INTO contacts (org_id, owner_id, created_by, name) VALUES (1, 53, 53, 'a'), (1, 53, 53, 'b'), (1, 53, 53, 'c')").await;
    world.start_worker().await;
    let certificate = certificate_of(&world.end_of(id).await);
    let contact = result_of(&certificate, "contact");
    assert_eq!((contact.moved, contact.left_behind), (Some(106), Some(1)));
    assert_eq!(contact.successors, counts([(SUPPORT, 100), (AMANDA, 6)]));
    assert_eq!(world.texts("SELECT name AS t FROM contacts WHERE owner_id = 53").await, ["c"]);
}

#[every_engine]
async fn late_sessions_and_completed_tasks_are_removed(world: &mut World) {
    let id = cut_completely(world, &keap_request("r1")).await;
    world.sql("INSERT INTO sessions (id, user_id) VALUES ('late', 53)").await;
    world
        .sql("INSERT INTO tasks (org_id, owner_id, created_by, title, status) VALUES (1, 53, 53, 'late', 'completed')")
        .await;
    world.start_worker().await;
    let certificate = certificate_of(&world.end_of(id).await);
    assert_eq!(result_of(&certificate, "session").removed, Some(3));
    assert_eq!(result_of(&certificate, "completed_task").purged, Some(41));
    assert_eq!(world.held_by(LEAVER, "sessions").await, 0);
    assert_eq!(world.owned_by(LEAVER, "tasks").await, 0);
}

#[every_engine(also_in_chunks_of = 10)]
async fn endless_new_records_end_in_needs_attention(world: &mut World) {
    bring_contacts_back(world).await;
    world.start_worker().await;
    let job = world.hand_over(&keap_request("r1")).await;
    assert_eq!((job.state, codes_of(&job)), (State::NeedsAttention, vec!["orphans_left".to_owned()]));
    assert_eq!(job.late_passes, world.context.limits.late_passes);
    assert!(job.certificate.is_none());
    assert_eq!(world.held_by(LEAVER, "licenses").await, 1, "nothing is claimed");
    let reason = &reasons_of(&job)[0];
    assert_eq!(reason.concerning.kind.as_deref(), Some("contact"));
    let left = world.owned_by(LEAVER, "contacts").await;
    assert_eq!(reason.concerning.count, Some(left as u64), "the reason has the count");
}

#[every_engine(also_in_chunks_of = 10)]
pub async fn recount_moves_and_certifies_late_records(world: &mut World) {
    world.start_worker().await;
    let first = world.certificate(&keap_request("r1")).await;
    world
        .sql("INSERT INTO contacts (org_id, owner_id, created_by, name) VALUES (1, 53, 53, 'a'), (1, 53, 53, 'b')")
        .await;
    world.sql("INSERT INTO sessions (id, user_id) VALUES ('late', 53)").await;
    finalizer::recount(&world.context, first.job_id).await.expect("a count");

    let again = certificate_of(&world.job(first.job_id).await.expect("the job"));
    assert_eq!((first.supplement, again.supplement), (0, 1));
    assert_eq!(result_of(&again, "contact").moved, Some(106));
    assert_eq!(successors_of(&again, "contact"), counts([(SUPPORT, 7), (AMANDA, 50), (GERALDINE, 20), (MATHEW, 29)]));
    assert_eq!(result_of(&again, "session").removed, Some(3));
    assert_eq!((again.license.name(), again.completed_at), ("freed", first.completed_at));
    assert!(again.counted_at > first.counted_at);
    assert_eq!(world.owned_by(LEAVER, "contacts").await, 0);
    assert_eq!(world.held_by(LEAVER, "sessions").await, 0);

    let event = supplement_event(world, first.job_id).await;
    assert_eq!(event["type"], "handover.deactivation.completed");
    assert_eq!(event["data"]["references"], serde_json::to_value(&again).expect("JSON")["references"]);
}

#[every_engine(also_in_chunks_of = 10)]
async fn sweeper_recounts_when_due(world: &mut World) {
    world.start_worker().await;
    let first = world.certificate(&keap_request("r1")).await;
    world
        .sql("INSERT INTO tasks (org_id, owner_id, created_by, title, status) VALUES (1, 53, 53, 'late', 'pending')")
        .await;
    let jobs = if world.engine == Engine::Sqlite { "handover_jobs" } else { "handover.jobs" };
    world.sql(&format!("UPDATE {jobs} SET recount_at = requested_at")).await;
    let event = supplement_event(world, first.job_id).await;
    assert_eq!(event["data"]["license"], "freed");
    assert_eq!(world.owned_by(LEAVER, "tasks").await, 0);
    assert_eq!(world.number("SELECT count(*) FROM tasks WHERE title = 'late' AND owner_id = 11").await, 1);
}

#[every_engine]
async fn missed_recount_is_requested_with_backoff(world: &mut World) {
    world.start_worker().await;
    let job = world.certificate(&keap_request("r1")).await.job_id;
    world.stop_workers().await;
    let every = world.context.limits.recount_every;
    let next = async |world: &World| world.job(job).await.expect("the job").recount_at;
    let jobs = if world.engine == Engine::Sqlite { "handover_jobs" } else { "handover.jobs" };
    for doublings in [1, 2] {
        world.sql(&format!("UPDATE {jobs} SET recount_at = requested_at")).await;
        let before = OffsetDateTime::now_utc();
        sweeper::sweep(&world.context).await.expect("a look");
        assert!(next(world).await >= Some(before + every * 2u32.pow(doublings)), "requested {doublings} times");
        sweeper::sweep(&world.context).await.expect("a look");
    }
    let asked = "SELECT count(*) FROM handover.outbox WHERE routing_key = 'step.recount'";
    assert_eq!(world.number(asked).await, 2, "one message for each request");
    finalizer::recount(&world.context, job).await.expect("a count");
    assert!(next(world).await <= Some(OffsetDateTime::now_utc() + every));
    // Never after the end of the recount period, and once more exactly there.
    world.sql(&format!("UPDATE {jobs} SET recount_at = requested_at, redispatches = 100")).await;
    sweeper::sweep(&world.context).await.expect("a look");
    assert_eq!(next(world).await, world.job(job).await.expect("the job").recount_until);
}

#[every_engine]
async fn many_late_records_are_moved_in_steps(world: &mut World) {
    world.use_chunks_of(10);
    world.start_worker().await;
    let first = world.certificate(&keap_request("r1")).await;
    world.sql("INSERT INTO contacts (org_id, owner_id, created_by, name) SELECT 1, 53, 53, name FROM contacts WHERE org_id = 1 ORDER BY id LIMIT 35").await;
    finalizer::recount(&world.context, first.job_id).await.expect("a count");
    let event = supplement_event(world, first.job_id).await;
    assert_eq!(world.owned_by(LEAVER, "contacts").await, 0);
    let again = certificate_of(&world.job(first.job_id).await.expect("the job"));
    assert_eq!(event["data"]["supplement"], json!(again.supplement));
    assert_eq!(result_of(&again, "contact").moved, Some(139));
}

#[every_engine]
async fn recount_without_findings_publishes_nothing(world: &mut World) {
    world.start_worker().await;
    let first = world.certificate(&keap_request("r1")).await;
    let before = world.job(first.job_id).await.expect("the job").sequence;
    finalizer::recount(&world.context, first.job_id).await.expect("a count");
    let job = world.job(first.job_id).await.expect("the job");
    assert_eq!((job.sequence, certificate_of(&job)), (before, first));
}

/// Promise: the records of a user who was let in and has left again are those of the later job: no recount of the first one takes them.
#[every_engine]
async fn recounts_leave_records_of_later_jobs(world: &mut World) {
    world.start_worker().await;
    let first = world.hand_over(&keap_request("r1")).await;
    let back =
        json!({ "type": "reactivate", "request_id": "r2", "org_id": "1", "user_id": LEAVER, "requested_by": ADMIN });
    assert_eq!(world.hand_over(&back).await.state, State::Completed);
    world.sql("INSERT INTO contacts (org_id, owner_id, created_by, name) VALUES (1, 53, 53, 'new')").await;
    let held = example("r3").without_allotments().with("lock_out", json!(true));
    assert_eq!(world.hand_over(&held).await.state, State::NeedsAttention);
    // A step that arrives twice, long after the recounts have ended.
    finalizer::recount(&world.context, JobId(first.id)).await.expect("a count");
    let first = world.job(JobId(first.id)).await.expect("a job");
    assert_eq!((first.state, certificate_of(&first).supplement), (State::Completed, 0));
    assert_eq!(world.texts("SELECT name AS t FROM contacts WHERE owner_id = 53").await, ["new"]);
}

#[every_engine]
async fn late_records_skip_successors_who_left(world: &mut World) {
    world.start_worker().await;
    let mut request = keap_request("r1");
    request["reassign"]["contact"] = to(MATHEW);
    let first = world.certificate(&request).await;
    world
        .certificate(&json!({
            "type": "deactivate", "request_id": "r2", "org_id": "1", "user_id": MATHEW, "requested_by": ADMIN,
            "reassign": { "contact": to(SUPPORT), "lead": to(SUPPORT), "task": to(SUPPORT) },
        }))
        .await;
    world.sql("INSERT INTO contacts (org_id, owner_id, created_by, name) VALUES (1, 53, 53, 'a')").await;
    finalizer::recount(&world.context, first.job_id).await.expect("a count");
    assert_eq!(world.owned_by(MATHEW, "contacts").await, 0);
    let job = world.job(first.job_id).await.expect("the job");
    assert_eq!((job.state, codes_of(&job)), (State::NeedsAttention, vec!["orphans_left".to_owned()]));
    assert_eq!((certificate_of(&job).orphans, certificate_of(&job).supplement), (Some(1), 1));
}

/// Sends a request with a planner only, and cuts its job completely. No chunk is moved yet.
async fn cut_completely(world: &mut World, request: &Value) -> JobId {
    world.use_chunks_of(10);
    world.start_roles(&[Role::Planner]).await;
    let id = world.send(request).await;
    let state = async |world: &World| Some(world.job(id).await?.state);
    world.until("the request is accepted", async || world.job(id).await).await;
    while state(world).await == Some(State::Cutting) {
        cutter::cut(&world.context, id).await.expect("a cut");
    }
    assert_eq!(state(world).await, Some(State::Moving));
    id
}

/// Creates a trigger that gives the leaver a new contact for each one that moves.
async fn bring_contacts_back(world: &World) {
    let insert = "INSERT INTO contacts (org_id, owner_id, created_by, name) VALUES (1, 53, 53, 'again');";
    let condition = "WHEN (OLD.owner_id = 53 AND NEW.owner_id <> 53)";
    match world.engine {
        Engine::Sqlite => {
            let trigger = "CREATE TRIGGER again AFTER UPDATE OF owner_id ON contacts FOR EACH ROW";
            world.sql(&format!("{trigger} {condition} BEGIN {insert} END")).await;
        }
        Engine::Postgres => {
            let function = "CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS";
            world.sql(&format!("{function} $$ BEGIN {insert} RETURN NULL; END $$")).await;
            let trigger = "CREATE TRIGGER again AFTER UPDATE OF owner_id ON contacts FOR EACH ROW";
            world.sql(&format!("{trigger} {condition} EXECUTE FUNCTION again()")).await;
        }
    }
}

/// Waits for the completed event of a supplementary certificate.
async fn supplement_event(world: &mut World, job: JobId) -> Value {
    loop {
        let event = world.next_event_of(job).await;
        if event["data"]["supplement"].as_u64().is_some_and(|supplement| supplement > 0) {
            return event;
        }
    }
}
