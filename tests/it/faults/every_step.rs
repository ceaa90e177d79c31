//! Every step repeated, and every step failed at each of its points: afterwards everything stands as after a day on which
//! nothing happened. The steps are those of [`STEPS`]: a test fails when the day does not come to one of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use handover::broker::Channel;
use handover::contract::JobId;
use handover::job::{State, Step, StepKind};
use handover::stages::handover::{cutter, finalizer, mover, planner, scheduled};
use handover::stages::{STEPS, relay, sweeper};
use handover::store::failpoint::Point;
use handover::worker::Role;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::support::disturb::{Disturbance, Disturbed, Faults, Notes};
use crate::support::world::keap_request;
use crate::support::{Engine, World, every_engine, run};

/// A day with everything that makes the stages take a step.
struct Day {
    faults: Arc<Faults>,
    notes: Arc<Notes>,
    jobs: BTreeMap<String, JobId>,
}

/// Leavers of small jobs, which make one group.
const SMALL: [u32; 6] = [101, 102, 103, 104, 105, 106];
/// Leaves when its time comes.
const SCHEDULED: u32 = 111;
/// Leaves, and everything is taken back.
const REVERTED: u32 = 107;
/// Leaves, and comes back.
const REACTIVATED: u32 = 108;
/// Has a task that the host never lets go.
const STUCK: u32 = 112;

fn small_request(user: u32) -> Value {
    json!({
        "request_id": format!("small-{user}"), "org_id": "1", "user_id": user.to_string(), "requested_by": "1",
        "reassign": { "contact": { "user": "11" }, "task": { "user": "12" } },
    })
}

/// What the host has of these users, and its triggers: one that writes a record for the leaver while its records are
/// moved, one that refuses to let the leaver's tasks go for a while, and one that refuses for good.
async fn prepare(world: &World) {
    let users: Vec<u32> = SMALL.into_iter().chain([SCHEDULED, STUCK, REVERTED, REACTIVATED]).collect();
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

async fn relent(world: &World) {
    let on = if world.engine == Engine::Postgres { " ON tasks" } else { "" };
    world.sql(&format!("DROP TRIGGER refuses_53{on}")).await;
}

/// Lives the day, and waits until everything is done that will be done.
async fn live(world: &mut World, faults: Arc<Faults>, how: Disturbance) -> Day {
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
    let (broker, notes) = Disturbed::new(world.broker().await, how);
    world.start_roles_on(&Role::ALL, broker);

    come_due(world, jobs[&SCHEDULED.to_string()]).await;
    let large = jobs["53"];
    let tried = format!("SELECT count(*) FROM handover.chunks WHERE attempts > 0 AND job_id = {}", world.uuid(large));
    until_aging(world, "a chunk has failed", async |world| world.number(&tried).await > 0).await;
    relent(world).await;
    jobs.insert(STUCK.to_string(), world.send(&small_request(STUCK)).await);
    until_ended(world, jobs.values()).await;
    let order = |kind: &str| json!({ "type": kind, "request_id": kind, "org_id": "1", "requested_by": "1" });
    let (mut revert, mut reactivate) = (order("revert"), order("reactivate"));
    revert["job_id"] = json!(jobs[&REVERTED.to_string()]);
    reactivate["user_id"] = json!(REACTIVATED.to_string());
    jobs.insert("revert".into(), world.send(&revert).await);
    jobs.insert("reactivate".into(), world.send(&reactivate).await);
    until_ended(world, jobs.values()).await;
    recount(world, large).await;
    world.meddle("UPDATE handover.row_snapshots SET keep_until = at WHERE keep_until IS NOT NULL").await;
    let expired = "SELECT count(*) FROM handover.row_snapshots WHERE keep_until = at";
    until_aging(world, "expired copies are purged", async |world| world.number(expired).await == 0).await;
    let waiting = match world.engine {
        Engine::Sqlite => "SELECT count(*) FROM handover.outbox WHERE channel IN ('requests', 'steps')",
        Engine::Postgres => "SELECT count(*) FROM handover.outbox",
    };
    until_aging(world, "everything is carried", async |world| world.number(waiting).await == 0).await;
    world.stop_workers().await;
    Day { faults, notes, jobs }
}

/// A scheduled job's time has come.
async fn come_due(world: &World, job: JobId) {
    until_aging(world, "the job is scheduled", async |world| {
        world.job(job).await.is_some_and(|job| job.state == "scheduled")
    })
    .await;
    let id = world.uuid(job);
    world.meddle(&format!("UPDATE handover.jobs SET effective_at = requested_at WHERE id = {id}")).await;
    world.meddle(&format!("UPDATE handover.outbox SET due_at = created_at WHERE job_id = {id}")).await;
}

async fn until_ended(world: &World, jobs: impl Iterator<Item = &JobId>) {
    for job in jobs {
        until_aging(world, "a job ends", async |world| {
            let state = world.job(*job).await.and_then(|job| job.state().ok());
            state.is_some_and(|state| state.is_final() || state == State::NeedsAttention)
        })
        .await;
    }
}

/// A record comes after the end, and the count is due again.
async fn recount(world: &World, large: JobId) {
    world.sql("INSERT INTO contacts (org_id, owner_id, created_by, name) VALUES (1, 53, 53, 'After the end')").await;
    world.meddle(&format!("UPDATE handover.jobs SET recount_at = requested_at WHERE id = {}", world.uuid(large))).await;
    until_aging(world, "the job is counted again", async |world| {
        let certificate = world.job(large).await.and_then(|job| job.certificate);
        certificate.is_some_and(|certificate| certificate["supplement"] == 1)
    })
    .await;
}

/// Waits, while the minute that the relay's claims hold is over within a second: a relay that died with one leaves its
/// messages to the next.
async fn until_aging(world: &World, what: &str, reached: impl AsyncFn(&World) -> bool) {
    world
        .until(what, async || {
            if world.engine == Engine::Postgres {
                let old = "leased_until < now() + interval '59 seconds'";
                world.meddle(&format!("UPDATE handover.outbox SET leased_until = NULL WHERE {old}")).await;
            }
            reached(world).await.then_some(())
        })
        .await;
}

/// What is to be the same however the day went: what became of the jobs, who owns what, what was told.
async fn outcome(world: &mut World, day: &Day) -> Value {
    let mut events = world.events().await;
    let mut jobs = BTreeMap::new();
    for (user, id) in &day.jobs {
        world.check_journal(*id).await;
        let job = world.job(*id).await.expect("a job");
        let mut certificate = job.certificate.clone().unwrap_or_default();
        for time in ["requested_at", "started_at", "completed_at", "counted_at"] {
            certificate.as_object_mut().map(|certificate| certificate.remove(time));
        }
        let codes: Option<Vec<Value>> = job
            .reasons
            .as_ref()
            .and_then(Value::as_array)
            .map(|all| all.iter().map(|one| one["code"].clone()).collect());
        let told: Vec<Value> =
            events.remove(&id.to_string()).unwrap_or_default().iter().map(|event| event["type"].clone()).collect();
        let audit = world
            // How often a chunk was tried is no outcome.
            .texts(&format!(
                "SELECT action AS t FROM handover.audit WHERE job_id = {} AND action <> 'chunk.failed' ORDER BY id",
                world.uuid(*id)
            ))
            .await;
        let story =
            json!({ "state": job.state, "certificate": certificate, "reasons": codes, "events": told, "audit": audit });
        jobs.insert(user.clone(), story);
    }
    assert!(events.is_empty(), "events of jobs that nobody asked for: {events:?}");
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

/// How the day ends when nothing disturbs it, on whichever engine.
fn undisturbed() -> &'static Value {
    static OUTCOME: OnceLock<Value> = OnceLock::new();
    OUTCOME.get_or_init(|| {
        let mut result = Value::Null;
        run(Engine::Sqlite, async |world| {
            let day = live(world, Faults::none(), Disturbance::None).await;
            result = outcome(world, &day).await;
        });
        result
    })
}

/// The steps that a engine has: without a broker there is nothing to relay.
fn steps(engine: Engine) -> BTreeSet<String> {
    let relays = [relay::CLAIM, relay::DELIVERED];
    let has = |step: &&str| engine == Engine::Postgres || !relays.contains(step);
    STEPS.iter().copied().filter(has).map(str::to_owned).collect()
}

fn fail_everything(engine: Engine, point: Point) {
    let expected = undisturbed();
    run(engine, async |world| {
        let day = live(world, Faults::at(point), Disturbance::None).await;
        assert_eq!(day.faults.failed(), steps(engine), "every step of the list is failed");
        pretty_assert(&outcome(world, &day).await, expected);
    });
}

fn lose_acknowledgements(engine: Engine) {
    let expected = undisturbed();
    run(engine, async |world| {
        let day = live(world, Faults::none(), Disturbance::LostAck).await;
        let kinds = StepKind::ALL.map(StepKind::routing_key).map(str::to_owned).into_iter();
        let requests = ["deactivate", "revert", "reactivate"].map(|kind| format!("request.{kind}"));
        let kinds: BTreeSet<String> = kinds.chain(requests).collect();
        assert_eq!(day.notes.lost_keys(), kinds, "a message of every kind comes again");
        pretty_assert(&outcome(world, &day).await, expected);
    });
}

fn repeat_everything(engine: Engine) {
    let expected = undisturbed();
    run(engine, async |world| {
        let day = live(world, Faults::none(), Disturbance::Twice).await;
        assert_eq!(day.faults.reached(), steps(engine), "every step of the list is taken");
        pretty_assert(&outcome(world, &day).await, expected);
        let before = world.everything().await;
        take_all_again(world, &day).await;
        let after = world.everything().await;
        for (table, rows) in &before {
            assert_eq!(rows, &after[table], "{table} has changed");
        }
        assert!(world.events().await.is_empty(), "something is told again");
    });
}

/// Takes every message of the day once more, in its order, and looks at the clock once more.
async fn take_all_again(world: &World, day: &Day) {
    for (channel, body) in day.notes.taken() {
        match channel {
            Channel::Requests => {
                let message = planner::Message { body, traceparent: None };
                planner::take(&world.context, &[message]).await.expect("taken");
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
        assert_eq!(carried.found, 0, "messages are left");
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
    taken.expect("the step is taken");
}

/// Tells what differs, and not the whole day twice.
fn pretty_assert(got: &Value, expected: &Value) {
    let mut differences = Vec::new();
    differ("", got, expected, &mut differences);
    assert!(differences.is_empty(), "the day ended otherwise:\n{}", differences.join("\n"));
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
        let day = live(world, Faults::none(), Disturbance::None).await;
        assert_eq!(day.faults.reached(), steps(Engine::Postgres));
        pretty_assert(&outcome(world, &day).await, expected);
    });
    let story = |user: &str| &expected["jobs"][user];
    let contact = |user: &str| {
        let references = story(user)["certificate"]["references"].as_array().cloned().unwrap_or_default();
        references.into_iter().find(|reference| reference["kind"] == "contact").unwrap_or_default()
    };
    assert_eq!(contact("53")["moved"], 106, "104, one that came late, one that came after the end");
    assert_eq!(story("53")["certificate"]["supplement"], 1);
    assert_eq!(story("53")["certificate"]["license"], "freed");
    for user in SMALL.into_iter().chain([SCHEDULED]) {
        assert_eq!(contact(&user.to_string())["moved"], 3, "{}", story(&user.to_string()));
        assert_eq!(story(&user.to_string())["state"], "completed");
    }
    assert_eq!(story(&REVERTED.to_string())["state"], "reverted");
    let restored = story("revert")["certificate"]["references"].as_array().cloned().unwrap_or_default();
    let restored = restored.into_iter().find(|reference| reference["kind"] == "contact").unwrap_or_default();
    assert_eq!((&restored["found"], &restored["restored"]), (&json!(25), &json!(25)));
    assert_eq!(story(&REACTIVATED.to_string())["state"], "completed");
    assert_eq!(story("reactivate")["state"], "completed");
    assert_eq!(story("112")["state"], "needs_attention");
    assert_eq!(story("112")["reasons"], json!(["row_refused", "row_refused"]));
}
