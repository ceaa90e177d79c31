//! Every step repeated, and every step failed at each of its points. The outcome must equal that of an undisturbed
//! run.
//! The steps are those of [`STEPS`]: a test fails if the scenario does not reach one of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use handover::broker::Channel;
use handover::contract::JobId;
use handover::job::{State, Step, StepKind};
use handover::stages::handover::{cutter, finalizer, mover, scheduled};
use handover::stages::intake;
use handover::stages::{STEPS, relay, sweeper};
use handover::store::failpoint::Point;
use handover::worker::Role;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::support::disturb::{Disturbance, Disturbed, Faults, Notes};
use crate::support::world::{keap_request, message};
use crate::support::{Engine, World, every_engine, run};

/// A run of the scenario that makes the stages take every step.
struct Scenario {
    faults: Arc<Faults>,
    notes: Arc<Notes>,
    jobs: BTreeMap<String, JobId>,
}

/// Leavers of small jobs, which form one group.
const SMALL: [u32; 6] = [101, 102, 103, 104, 105, 106];
/// Leaves at a scheduled time.
const SCHEDULED: u32 = 111;
/// Leaves, and the job is reverted.
const REVERTED: u32 = 107;
/// Leaves and is reactivated.
const REACTIVATED: u32 = 108;
/// Is locked out, and nobody says who receives their records.
const LOCKED_OUT: u32 = 113;
/// Is locked out likewise, at a scheduled time.
const LOCKED_OUT_LATER: u32 = 114;
/// Has a task that the host never releases.
const STUCK: u32 = 112;

fn small_request(user: u32) -> Value {
    json!({
        "type": "deactivate", "request_id": format!("small-{user}"), "org_id": "1", "user_id": user.to_string(), "requested_by": "1",
        "reassign": { "contact": { "user": "11" }, "task": { "user": "12" } },
    })
}

/// Creates the users' records and three triggers: one inserts a record for the leaver during the moves, one refuses
/// the leaver's tasks for a while, and one refuses for good.
async fn prepare(world: &World) {
    let users: Vec<u32> =
        SMALL.into_iter().chain([SCHEDULED, STUCK, REVERTED, REACTIVATED, LOCKED_OUT, LOCKED_OUT_LATER]).collect();
    for user in users {
        world.hire(user, if [REVERTED, REACTIVATED].contains(&user) { 25 } else { 3 }).await;
        if user == REACTIVATED {
            world.sql(&format!("INSERT INTO follows (follower_id, followed_id) VALUES ({user}, 1)")).await;
        }
        for status in ["pending", "pending", "completed"] {
            world
                .sql(&format!(
                    "INSERT INTO tasks (org_id, owner_id, created_by, title, status) VALUES (1, {user}, {user}, 'Task', '{status}')"
                ))
                .await;
        }
    }
    let late = "INSERT INTO contacts (id, org_id, owner_id, created_by, name) VALUES (0, 1, 53, 53, 'Late')";
    let refuse = |user: u32| format!("task of {user} is locked");
    match world.engine {
        Engine::Sqlite => {
            let moved = "WHEN OLD.id = 1 AND OLD.owner_id = 53 AND NEW.owner_id <> 53";
            world.sql(&format!("CREATE TRIGGER host_writes AFTER UPDATE ON contacts {moved} BEGIN {late}; END")).await;
            for user in [53, STUCK] {
                world
                    .sql(&format!(
                        "CREATE TRIGGER refuses_{user} BEFORE UPDATE OF owner_id ON tasks WHEN OLD.owner_id = {user} \
                         BEGIN SELECT RAISE(ABORT, '{}'); END",
                        refuse(user)
                    ))
                    .await;
            }
        }
        Engine::Postgres => {
            world
                .sql(&format!(
                    "CREATE FUNCTION host_writes() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN {late}; RETURN NULL; END $$; \
                     CREATE TRIGGER host_writes AFTER UPDATE ON contacts FOR EACH ROW \
                     WHEN (OLD.id = 1 AND OLD.owner_id = 53 AND NEW.owner_id <> 53) EXECUTE FUNCTION host_writes()"
                ))
                .await;
            for user in [53, STUCK] {
                world
                    .sql(&format!(
                        "CREATE FUNCTION refuses_{user}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '{}'; END $$; \
                         CREATE TRIGGER refuses_{user} BEFORE UPDATE OF owner_id ON tasks FOR EACH ROW \
                         WHEN (OLD.owner_id = {user}) EXECUTE FUNCTION refuses_{user}()",
                        refuse(user)
                    ))
                    .await;
            }
        }
    }
}

async fn stop_refusing(world: &World) {
    let on = if world.engine == Engine::Postgres { " ON tasks" } else { "" };
    world.sql(&format!("DROP TRIGGER refuses_53{on}")).await;
}

/// Runs the scenario and waits until no work is left.
async fn run_scenario(world: &mut World, faults: Arc<Faults>, how: Disturbance) -> Scenario {
    prepare(world).await;
    world.use_chunks_of(10);
    world.context.store = world.context.store.clone().with_failpoints(faults.clone());
    let mut jobs = BTreeMap::new();
    for user in SMALL.into_iter().chain([REVERTED, REACTIVATED]) {
        jobs.insert(user.to_string(), world.send(&small_request(user)).await);
    }
    jobs.insert("53".into(), world.send(&keap_request("large")).await);
    let later = OffsetDateTime::now_utc() + Duration::from_secs(3600);
    let mut scheduled = small_request(SCHEDULED);
    scheduled["effective_at"] = json!(later.format(&Rfc3339).expect("a time"));
    jobs.insert(SCHEDULED.to_string(), world.send(&scheduled).await);
    for user in [LOCKED_OUT, LOCKED_OUT_LATER] {
        let mut lock_out = small_request(user);
        (lock_out["reassign"], lock_out["lock_out"]) = (json!({}), json!(true));
        if user == LOCKED_OUT_LATER {
            lock_out["effective_at"] = scheduled["effective_at"].clone();
        }
        jobs.insert(user.to_string(), world.send(&lock_out).await);
    }
    let (broker, notes) = Disturbed::new(world.broker().await, how);
    world.start_roles_on(&Role::ALL, broker);

    for user in [SCHEDULED, LOCKED_OUT_LATER] {
        make_due(world, jobs[&user.to_string()]).await;
    }
    let large = jobs["53"];
    let tried = format!("SELECT count(*) FROM handover.chunks WHERE attempts > 0 AND job_id = {}", world.uuid(large));
    until_aging(world, "a chunk has failed", async |world| world.number(&tried).await > 0).await;
    stop_refusing(world).await;
    jobs.insert(STUCK.to_string(), world.send(&small_request(STUCK)).await);
    until_ended(world, jobs.values()).await;
    let command = |kind: &str| json!({ "type": kind, "request_id": kind, "org_id": "1", "requested_by": "1" });
    let (mut revert, mut reactivate) = (command("revert"), command("reactivate"));
    revert["job_id"] = json!(jobs[&REVERTED.to_string()]);
    reactivate["user_id"] = json!(REACTIVATED.to_string());
    jobs.insert("revert".into(), world.send(&revert).await);
    jobs.insert("reactivate".into(), world.send(&reactivate).await);
    until_ended(world, jobs.values()).await;
    recount(world, large).await;
    world.change_ledger("UPDATE handover.row_snapshots SET keep_until = at WHERE keep_until IS NOT NULL").await;
    let expired = "SELECT count(*) FROM handover.row_snapshots WHERE keep_until = at";
    until_aging(world, "expired copies are purged", async |world| world.number(expired).await == 0).await;
    let waiting = match world.engine {
        Engine::Sqlite => "SELECT count(*) FROM handover.outbox WHERE channel IN ('requests', 'steps')",
        Engine::Postgres => "SELECT count(*) FROM handover.outbox",
    };
    until_aging(world, "everything is carried", async |world| world.number(waiting).await == 0).await;
    world.stop_workers().await;
    Scenario { faults, notes, jobs }
}

/// Makes a scheduled job due.
async fn make_due(world: &World, job: JobId) {
    until_aging(world, "the job is scheduled", async |world| {
        world.job(job).await.is_some_and(|job| job.state == State::Scheduled)
    })
    .await;
    world.make_due(job).await;
}

async fn until_ended(world: &World, jobs: impl Iterator<Item = &JobId>) {
    for job in jobs {
        until_aging(world, "a job ends", async |world| {
            let state = world.job(*job).await.map(|job| job.state);
            state.is_some_and(|state| state.is_final() || state == State::NeedsAttention)
        })
        .await;
    }
}

/// Inserts a record after the end and makes the recount due.
async fn recount(world: &World, large: JobId) {
    world.sql("INSERT INTO contacts (org_id, owner_id, created_by, name) VALUES (1, 53, 53, 'After the end')").await;
    world
        .change_ledger(&format!("UPDATE handover.jobs SET recount_at = requested_at WHERE id = {}", world.uuid(large)))
        .await;
    until_aging(world, "the job is counted again", async |world| {
        let certificate = world.job(large).await.and_then(|job| job.certificate);
        certificate.is_some_and(|certificate| certificate["supplement"] == 1)
    })
    .await;
}

/// Waits while the relay's one-minute leases expire within a second, so that another relay takes over the messages of
/// a dead one.
async fn until_aging(world: &World, what: &str, reached: impl AsyncFn(&World) -> bool) {
    world
        .until(what, async || {
            if world.engine == Engine::Postgres {
                let old = "leased_until < now() + interval '59 seconds'";
                world.change_ledger(&format!("UPDATE handover.outbox SET leased_until = NULL WHERE {old}")).await;
            }
            reached(world).await.then_some(())
        })
        .await;
}

/// Returns everything that must not depend on faults: outcomes of jobs, owners of records, events.
async fn outcome(world: &mut World, scenario: &Scenario) -> Value {
    let mut events = world.events().await;
    let mut jobs = BTreeMap::new();
    for (user, id) in &scenario.jobs {
        world.check_journal(*id).await;
        let job = world.job(*id).await.expect("a job");
        let mut certificate = job.certificate.clone().unwrap_or_default();
        for time in ["requested_at", "started_at", "access_ended_at", "completed_at", "counted_at"] {
            certificate.as_object_mut().map(|certificate| certificate.remove(time));
        }
        let codes: Option<Vec<Value>> = job
            .reasons
            .as_ref()
            .and_then(Value::as_array)
            .map(|all| all.iter().map(|one| one["code"].clone()).collect());
        let reported: Vec<Value> =
            events.remove(&id.to_string()).unwrap_or_default().iter().map(|event| event["type"].clone()).collect();
        let audit = world
            // The number of attempts is not part of the outcome.
            .texts(&format!(
                "SELECT action AS t FROM handover.audit WHERE job_id = {} AND action <> 'chunk.failed' ORDER BY id",
                world.uuid(*id)
            ))
            .await;
        let outcome_of = json!({ "state": job.state, "certificate": certificate, "reasons": codes, "events": reported, "audit": audit });
        jobs.insert(user.clone(), outcome_of);
    }
    assert!(events.is_empty(), "events of unknown jobs: {events:?}");
    json!({
        "jobs": jobs,
        "owners": world.owners().await,
        "contacts": world.number("SELECT count(*) FROM contacts").await,
        "seats": world.number("SELECT count(*) FROM licenses").await,
        "seats taken": world.number("SELECT count(*) FROM licenses WHERE user_id IS NOT NULL").await,
        "inactive": world.texts("SELECT CAST(id AS text) AS t FROM users WHERE status = 'inactive' ORDER BY id").await,
        "copies": world.number("SELECT count(*) FROM handover.row_snapshots").await,
        "parked": world.number("SELECT count(*) FROM handover.outbox WHERE channel = 'dead'").await,
    })
}

/// Returns the outcome of an undisturbed run, which is the same on every engine.
fn undisturbed() -> &'static Value {
    static OUTCOME: OnceLock<Value> = OnceLock::new();
    OUTCOME.get_or_init(|| {
        let mut result = Value::Null;
        run(Engine::Sqlite, async |world| {
            let scenario = run_scenario(world, Faults::none(), Disturbance::None).await;
            result = outcome(world, &scenario).await;
        });
        result
    })
}

/// Returns the steps of an engine. SQLite has no broker, so nothing is relayed.
fn steps(engine: Engine) -> BTreeSet<String> {
    let relays = [relay::CLAIM, relay::DELIVERED];
    let has = |step: &&str| engine == Engine::Postgres || !relays.contains(step);
    STEPS.iter().copied().filter(has).map(str::to_owned).collect()
}

fn fail_everything(engine: Engine, point: Point) {
    let expected = undisturbed();
    run(engine, async |world| {
        let scenario = run_scenario(world, Faults::at(point), Disturbance::None).await;
        assert_eq!(scenario.faults.failed(), steps(engine), "every listed step failed once");
        assert_same_outcome(&outcome(world, &scenario).await, expected);
    });
}

fn lose_acknowledgements(engine: Engine) {
    let expected = undisturbed();
    run(engine, async |world| {
        let scenario = run_scenario(world, Faults::none(), Disturbance::LostAck).await;
        let kinds = StepKind::ALL.map(StepKind::routing_key).map(str::to_owned).into_iter();
        let requests = ["deactivate", "revert", "reactivate"].map(|kind| format!("request.{kind}"));
        let kinds: BTreeSet<String> = kinds.chain(requests).collect();
        assert_eq!(scenario.notes.lost_keys(), kinds, "a message of every kind comes again");
        assert_same_outcome(&outcome(world, &scenario).await, expected);
    });
}

fn repeat_everything(engine: Engine) {
    let expected = undisturbed();
    run(engine, async |world| {
        let scenario = run_scenario(world, Faults::none(), Disturbance::Twice).await;
        assert_eq!(scenario.faults.reached(), steps(engine), "every listed step was taken");
        assert_same_outcome(&outcome(world, &scenario).await, expected);
        let before = world.everything().await;
        repeat_all_messages(world, &scenario).await;
        let after = world.everything().await;
        for (table, rows) in &before {
            assert_eq!(rows, &after[table], "{table} has changed");
        }
        assert!(world.events().await.is_empty(), "an event was published again");
    });
}

/// Processes every message of the run once more, in order, and runs the sweeper once more.
async fn repeat_all_messages(world: &World, scenario: &Scenario) {
    for (channel, body) in scenario.notes.taken() {
        match channel {
            Channel::Requests => {
                let message = message(body);
                intake::take(&world.context, &[message]).await;
            }
            _ => {
                let step: Step = serde_json::from_slice(&body).expect("a step");
                take_step(world, step).await;
            }
        }
    }
    sweeper::sweep(&world.context).await.expect("swept");
    sweeper::purge(&world.context, world.engine == Engine::Sqlite).await.expect("purged");
    if world.engine == Engine::Postgres {
        let broker = world.broker().await;
        let carried = relay::carry(&world.context, broker.as_ref(), 100).await.expect("carried");
        assert_eq!(carried.found, 0, "messages remain");
        broker.close().await;
    }
}

async fn take_step(world: &World, step: Step) {
    let (context, job) = (&world.context, step.job_id);
    let taken = match step.step {
        StepKind::Start => scheduled::start_due(context, job).await,
        StepKind::Cut => cutter::cut(context, job).await,
        StepKind::Ticket => mover::run_ticket(context, job).await,
        StepKind::Finalize => finalizer::finalize(context, job).await,
        StepKind::Recount => finalizer::recount(context, job).await,
    };
    taken.expect("the step succeeds");
}

/// Reports only the differences.
fn assert_same_outcome(got: &Value, expected: &Value) {
    let mut differences = Vec::new();
    differ("", got, expected, &mut differences);
    assert!(differences.is_empty(), "the outcome differs:\n{}", differences.join("\n"));
}

fn differ(path: &str, got: &Value, expected: &Value, differences: &mut Vec<String>) {
    match (got, expected) {
        (Value::Object(left), Value::Object(right)) => {
            let keys: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
            for key in keys {
                let side = |object: &serde_json::Map<String, Value>| object.get(key).cloned().unwrap_or_default();
                differ(&format!("{path}/{key}"), &side(left), &side(right), differences);
            }
        }
        _ if got != expected => differences.push(format!("{path}: {got} instead of {expected}")),
        _ => {}
    }
}

#[every_engine]
fn repeating_any_step_changes_nothing(engine: Engine) {
    repeat_everything(engine);
}

#[every_engine]
fn step_failing_before_commit_has_no_effect(engine: Engine) {
    fail_everything(engine, Point::BeforeCommit);
}

#[every_engine]
fn step_with_unanswered_commit_has_happened(engine: Engine) {
    fail_everything(engine, Point::AfterCommit);
}

#[every_engine]
fn unacknowledged_step_is_redelivered(engine: Engine) {
    lose_acknowledgements(engine);
}

#[test]
fn scenario_reaches_every_step() {
    let expected = undisturbed();
    run(Engine::Postgres, async |world| {
        let scenario = run_scenario(world, Faults::none(), Disturbance::None).await;
        assert_eq!(scenario.faults.reached(), steps(Engine::Postgres));
        assert_same_outcome(&outcome(world, &scenario).await, expected);
    });
    let outcome_of = |user: &str| &expected["jobs"][user];
    let contact = |user: &str| {
        let references = outcome_of(user)["certificate"]["references"].as_array().cloned().unwrap_or_default();
        references.into_iter().find(|reference| reference["kind"] == "contact").unwrap_or_default()
    };
    assert_eq!(contact("53")["moved"], 106, "104, one late record, and one after the end");
    assert_eq!(outcome_of("53")["certificate"]["supplement"], 1);
    assert_eq!(outcome_of("53")["certificate"]["license"], "freed");
    for user in SMALL.into_iter().chain([SCHEDULED]) {
        assert_eq!(contact(&user.to_string())["moved"], 3, "{}", outcome_of(&user.to_string()));
        assert_eq!(outcome_of(&user.to_string())["state"], "completed");
    }
    assert_eq!(outcome_of(&REVERTED.to_string())["state"], "reverted");
    let restored = outcome_of("revert")["certificate"]["references"].as_array().cloned().unwrap_or_default();
    let restored = restored.into_iter().find(|reference| reference["kind"] == "contact").unwrap_or_default();
    assert_eq!((&restored["found"], &restored["restored"]), (&json!(25), &json!(25)));
    assert_eq!(outcome_of(&REACTIVATED.to_string())["state"], "completed");
    assert_eq!(outcome_of("reactivate")["state"], "completed");
    for user in [LOCKED_OUT, LOCKED_OUT_LATER] {
        let outcome = outcome_of(&user.to_string());
        assert_eq!(
            (&outcome["state"], &outcome["reasons"][0]),
            (&json!("needs_attention"), &json!("allotment_missing"))
        );
        assert!(expected["inactive"].as_array().expect("users").contains(&json!(user.to_string())));
    }
    assert_eq!(outcome_of("112")["state"], "needs_attention");
    assert_eq!(outcome_of("112")["reasons"], json!(["row_refused", "row_refused"]));
}
