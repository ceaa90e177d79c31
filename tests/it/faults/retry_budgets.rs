//! Every retry has a budget (invariant 11): a row that the host holds or protects, or a statement that takes too long, is trouble of
//! one job. The others go on, and the job ends with the cause.

use std::collections::BTreeMap;
use std::time::Duration;

use handover::contract::{JobId, ReplyOutcome};
use handover::job::State;
use handover::store::{Settings, Store};
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use serde_json::{Value, json};

use crate::contract::replies::Client;
use crate::support::database::settings as database_settings;
use crate::support::people::{begun, leave, owners, reference, start};
use crate::support::world::{codes_of, reasons_of};
use crate::support::{Engine, World, every_engine, on_postgres};

/// Documents of three leavers, 7 to 9, and a session of each, which goes at the start.
const TABLES: &str = "INSERT INTO people VALUES (8, 'Yan', 'y', 'active'), (7, 'Xia', 'x', 'active'); \
    CREATE TABLE docs (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT REFERENCES people (id)); \
    INSERT INTO docs VALUES (1, 9), (2, 9), (3, 9), (4, 8), (5, 8), (6, 8), (7, 7), (8, 7), (9, 7); \
    CREATE TABLE visits (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT); INSERT INTO visits VALUES (7, 7), (8, 8), (9, 9);";

/// Starts a worker that waits briefly for locks and statements. `rows` is the size of a chunk.
async fn start_impatient(world: &mut World, more: &str, rows: u64, deferrals: u32) {
    let patience = Duration::from_millis(300);
    let settings = Settings {
        lock_timeout: patience,
        statement_timeout: patience * 2,
        ..database_settings(world.worker_url().to_owned())
    };
    if world.engine == Engine::Postgres {
        world.context.store = Store::open(&settings).await.expect("a store");
    }
    world.use_chunks_of(rows);
    world.context.limits.deferrals = deferrals;
    // The deferral alone brings a step back.
    world.context.limits.stalled_after = Duration::from_secs(600);
    let references = [
        reference("doc", "docs", "disposition = \"transfer\""),
        reference("visit", "visits", "disposition = \"detach\"\nat = \"start\""),
    ];
    start(world, &format!("{TABLES} {more}"), &references.concat()).await;
    world.stop_workers().await;
}

fn to_ben(user: &str) -> Value {
    leave(user, json!({ "doc": { "user": "2" } }))
}

/// Sends requests while no worker runs, so that one planner takes them in one group; then starts a worker.
async fn send_together(world: &mut World, users: &[&str]) -> Vec<JobId> {
    let mut jobs = Vec::new();
    for user in users {
        jobs.push(world.send(&to_ben(user)).await);
    }
    world.start_worker().await;
    jobs
}

async fn completes(world: &World, job: JobId) {
    let completed = async || world.job(job).await.filter(|job| job.state == State::Completed);
    world.until("the job completes", completed).await;
}

async fn is_active(world: &World, user: u32) -> bool {
    world.number(&format!("SELECT count(*) FROM people WHERE id = {user} AND status = 'active'")).await == 1
}

/// A trigger that keeps the status of user 9 without an error.
fn keeping_trigger(engine: Engine) -> &'static str {
    match engine {
        Engine::Postgres => {
            "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
               IF OLD.id = 9 THEN RETURN NULL; END IF; RETURN NEW; END $$; \
             CREATE TRIGGER keep BEFORE UPDATE ON people FOR EACH ROW EXECUTE FUNCTION keep();"
        }
        Engine::Sqlite => {
            "CREATE TRIGGER keep BEFORE UPDATE ON people WHEN OLD.id = 9 BEGIN SELECT RAISE(IGNORE); END;"
        }
    }
}

/// Sends three requests in one group, of which that of user 9 cannot succeed. Returns the detail of its dead letter.
async fn only_one_is_set_aside(world: &mut World, more: &str) -> String {
    start_impatient(world, more, 1_000, 1).await;
    let jobs = send_together(world, &["9", "8", "7"]).await;
    for job in &jobs[1..] {
        completes(world, *job).await;
    }
    let dead_letter = world.next_dead_letter().await;
    assert_eq!(dead_letter.reason(), "failed");
    assert!(String::from_utf8_lossy(&dead_letter.body).contains("9 leaves"));
    assert!(world.job(jobs[0]).await.is_none() && is_active(world, 9).await, "nothing is half done");
    assert!(world.client.next_dead_letter(Duration::from_millis(100)).await.is_none());
    dead_letter.headers["x-handover-detail"].clone()
}

#[every_engine]
async fn kept_status_sets_only_its_request_aside(world: &mut World) {
    let detail = only_one_is_set_aside(world, keeping_trigger(world.engine)).await;
    assert!(
        detail.contains("(handover): a trigger of the table ignores it"),
        "no database has raised an error: {detail}"
    );
}

/// A trigger that takes longer than a statement may, for user 9.
const SLOW: &str = "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
      IF OLD.id = 9 THEN PERFORM pg_sleep(2); END IF; RETURN NEW; END $$; \
    CREATE TRIGGER slow BEFORE UPDATE ON people FOR EACH ROW EXECUTE FUNCTION slow();";

#[on_postgres]
async fn slow_statement_sets_only_its_request_aside(world: &mut World) {
    let detail = only_one_is_set_aside(world, SLOW).await;
    assert!(detail.contains("statement timeout"), "{detail}");
}

#[every_engine]
async fn start_that_cannot_succeed_needs_attention(world: &mut World) {
    let trigger = keeping_trigger(world.engine);
    start_impatient(world, trigger, 1_000, 10).await;
    world.start_worker().await;
    let mut later = to_ben("9");
    later["effective_at"] = json!("2199-01-01T00:00:00Z");
    let job = world.send(&later).await;
    world.until("it is scheduled", async || world.job(job).await).await;
    world.make_due(job).await;
    let job = world.end_of(job).await;
    assert_eq!((job.state, codes_of(&job)), (State::NeedsAttention, vec!["step_failed".to_owned()]));
    assert!(reasons_of(&job)[0].message.contains("a trigger of the table ignores it"), "{:?}", reasons_of(&job));
}

#[on_postgres]
async fn open_insert_delays_only_the_records(world: &mut World) {
    start_impatient(world, "", 1_000, 10).await;
    // A foreign key holds the leaver's row, though not against the end of access.
    let held = begun(world, "INSERT INTO docs VALUES (10, 9)").await;
    let jobs = send_together(world, &["9", "8", "7"]).await;
    let is_out = async || (!is_active(world, 9).await).then_some(());
    world.until("access has ended", is_out).await;
    for job in &jobs[1..] {
        completes(world, *job).await;
    }
    let open = world.job(jobs[0]).await.expect("a job");
    assert!(!open.state.is_final(), "the leaver's rows cannot be counted yet");
    held.commit().await.expect("committed");
    completes(world, jobs[0]).await;
    assert_eq!(owners(world, "docs").await.last().map(String::as_str), Some("10:2"), "the late row has moved");
}

#[on_postgres]
async fn held_row_of_the_leaver_delays_only_their_request(world: &mut World) {
    start_impatient(world, "", 1_000, 10).await;
    let held = begun(world, "UPDATE people SET mail = 'new' WHERE id = 9").await;
    let jobs = send_together(world, &["9", "8", "7"]).await;
    for job in &jobs[1..] {
        completes(world, *job).await;
    }
    assert!(world.job(jobs[0]).await.is_none());
    held.commit().await.expect("committed");
    completes(world, jobs[0]).await;
    assert!(!is_active(world, 9).await);
}

/// The request waits in the outbox. What the sender wrote beside the body comes back with it.
#[on_postgres]
async fn request_held_too_long_is_set_aside(world: &mut World) {
    start_impatient(world, "", 1_000, 1).await;
    let mut client = Client::with_a_queue(world).await;
    let held = begun(world, "UPDATE people SET mail = 'new' WHERE id = 9").await;
    let headers = FieldTable::from(BTreeMap::from([("mine".into(), AMQPValue::LongString("kept".into()))]));
    let properties = BasicProperties::default()
        .with_message_id("m1".into())
        .with_reply_to(client.queue.as_str().into())
        .with_correlation_id("c1".into())
        .with_headers(headers);
    world.client.send_with(to_ben("9").to_string().into_bytes(), properties).await;
    world.start_worker().await;
    let dead_letter = world.next_dead_letter().await;
    assert_eq!(dead_letter.reason(), "failed");
    let header = |name: &str| dead_letter.headers.get(name).map(String::as_str);
    assert!(header("x-handover-detail").is_some_and(|detail| detail.contains("lock timeout")), "{dead_letter:?}");
    assert_eq!((header("x-handover-message-id"), header("mine")), (Some("m1"), Some("kept")));
    assert_eq!(header("x-handover-exchange"), Some(world.prefix.as_str()));
    assert_eq!(header("x-handover-routing-key"), Some("request.deactivate"));
    assert_eq!(header("x-handover-deferrals"), None);
    let (reply, delivery) = client.next().await;
    assert_eq!(reply.outcome, ReplyOutcome::Parked);
    assert_eq!(delivery.properties.correlation_id().as_ref().map(|id| id.as_str()), Some("c1"));
    held.rollback().await.expect("given up");
}

/// Two planners hold two requests each. Five requests are blocked, and the sixth is taken.
#[on_postgres]
async fn blocked_requests_leave_room_for_others(world: &mut World) {
    let crowd = "INSERT INTO people SELECT i, 'Many', 'm', 'active' FROM generate_series(100, 104) i;";
    start_impatient(world, crowd, 1_000, 10).await;
    world.context.limits.group = 1;
    let held = begun(world, "UPDATE people SET mail = 'new' WHERE id >= 100").await;
    let blocked = send_together(world, &["100", "101", "102", "103", "104"]).await;
    let job = world.send(&to_ben("9")).await;
    completes(world, job).await;
    held.commit().await.expect("committed");
    for job in blocked {
        completes(world, job).await;
    }
}

/// A sender cannot use up the budget of its own request, or answer for another sender, by our headers.
#[on_postgres]
async fn headers_of_a_sender_are_not_ours(world: &mut World) {
    start_impatient(world, "", 1_000, 1).await;
    let header = |name: &str, value: &str| (name.into(), AMQPValue::LongString(value.into()));
    let headers = BTreeMap::from([header("x-handover-deferrals", "7"), header("x-handover-message-id", "forged")]);
    let properties = BasicProperties::default().with_message_id("m1".into()).with_headers(FieldTable::from(headers));
    world.client.send_with(b"no request".to_vec(), properties).await;
    world.start_worker().await;
    let dead_letter = world.next_dead_letter().await;
    assert_eq!(dead_letter.headers["x-handover-message-id"], "m1");
}

/// Two leavers' rows are held while their large jobs end. A third job completes; the two are put off, and then need attention.
#[on_postgres]
async fn held_ends_do_not_stop_other_jobs(world: &mut World) {
    start_impatient(world, "", 2, 3).await;
    let held = begun(world, "INSERT INTO docs VALUES (10, 9), (11, 8)").await;
    let jobs = send_together(world, &["9", "8"]).await;
    for job in &jobs {
        let finalizing = async || world.job(*job).await.filter(|job| job.state == State::Finalizing);
        world.until("the end is tried", finalizing).await;
    }
    let third = world.hand_over(&to_ben("7")).await;
    assert_eq!(third.state, State::Completed);
    for id in &jobs {
        let job = world.end_of(*id).await;
        assert_eq!((job.state, codes_of(&job)), (State::NeedsAttention, vec!["step_failed".to_owned()]));
        assert!(reasons_of(&job)[0].message.contains("lock timeout"), "{:?}", reasons_of(&job));
    }
    held.commit().await.expect("committed");
    let resume = json!({ "type": "resume", "request_id": "on", "requested_by": "1", "job_id": jobs[0] });
    world.send(&resume).await;
    completes(world, jobs[0]).await;
}
