//! The pace of the movers: they pause, and never hold up the host.

use handover::job::State;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

use crate::support::keap::{ADMIN, LEAVER, SUPPORT, to};
use crate::support::people::{USERS, leave, reference};
use crate::support::process::{WorkerProcess, borrowed, settings};
use crate::support::world::read;
use crate::support::{World, every_engine, on_postgres};

const CLOSED: &str = "SELECT count(*) FROM handover.chunks WHERE state = 'closed'";

/// A worker process with a readable log.
struct Logged {
    worker: WorkerProcess,
    log: tempfile::NamedTempFile,
}

impl Logged {
    fn start(world: &World, catalog: &str, more: &[(&str, &str)]) -> Logged {
        let log = tempfile::NamedTempFile::new().expect("a file");
        let set = settings(world);
        let own = [("HANDOVER_LOG__FORMAT", "json"), ("HANDOVER_CATALOG", catalog)];
        let all = [borrowed(&set), own.to_vec(), more.to_vec()].concat();
        let worker = WorkerProcess::start_with_log(&all, log.reopen().expect("the file"));
        Logged { worker, log }
    }

    /// Returns the lines with this message.
    fn said(&self, message: &str) -> Vec<Value> {
        said(&std::fs::read_to_string(self.log.path()).expect("a log"), message)
    }

    /// Drains the worker and returns its whole log.
    fn stop(self) -> String {
        assert_eq!(tokio::task::block_in_place(|| self.worker.stop()), 0);
        std::fs::read_to_string(self.log.path()).expect("a log")
    }
}

/// Returns the log lines with this message. The last line may be incomplete.
fn said(log: &str, message: &str) -> Vec<Value> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["message"] == message).collect()
}

/// Returns a request that gives everything of the demo's leaver to one successor.
fn giant() -> Value {
    let to = to(SUPPORT);
    json!({ "type": "deactivate", "request_id": "giant", "org_id": "1", "user_id": LEAVER, "requested_by": ADMIN,
        "reassign": { "contact": to, "lead": to, "task": to } })
}

#[every_engine]
async fn only_gentle_movers_pause_after_chunks(world: &mut World) {
    let worker =
        Logged::start(world, "keap", &[("HANDOVER_WORKER__PACE", "gentle"), ("HANDOVER_LIMITS__CHUNK_ROWS", "10")]);
    assert_eq!(world.hand_over(&giant()).await.state, State::Completed);
    let closed = world.number(CLOSED).await;
    let rested = said(&worker.stop(), "movers rested");
    assert!(closed > 10, "{closed} chunks");
    assert!(rested[0]["times"].as_i64() >= Some(closed), "pauses {rested:?} after {closed} chunks");

    let worker =
        Logged::start(world, "keap", &[("HANDOVER_WORKER__PACE", "full"), ("HANDOVER_LIMITS__CHUNK_ROWS", "10")]);
    let back = json!({ "request_id": "back", "org_id": "1", "requested_by": ADMIN, "type": "revert",
        "job_id": read(&giant()).job_id() });
    assert_eq!(world.hand_over(&back).await.state, State::Completed);
    assert!(world.number(CLOSED).await > closed, "there was work");
    assert_eq!(said(&worker.stop(), "movers rested"), Vec::<Value>::new());
}

/// Documents of the leaver, and a trigger that delays each one that moves.
fn slow(documents: u32, milliseconds: u32) -> String {
    format!(
        "CREATE TABLE people (id BIGINT PRIMARY KEY, full_name TEXT, mail TEXT, status TEXT); \
         INSERT INTO people SELECT i, 'P', 'p', 'active' FROM generate_series(1, 9) AS i; \
         CREATE TABLE docs (id BIGINT PRIMARY KEY, owner BIGINT); \
         INSERT INTO docs SELECT i, 9 FROM generate_series(1, {documents}) AS i; \
         INSERT INTO docs SELECT 100000 + i, 8 FROM generate_series(1, 5) AS i; \
         CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep({milliseconds} / 1000.0); RETURN NEW; END $$; \
         CREATE TRIGGER slow BEFORE UPDATE ON docs FOR EACH ROW WHEN (OLD.owner = 9) EXECUTE FUNCTION slow();"
    )
}

/// Writes the catalog for them to a file that lasts as long as the test.
async fn slow_host(world: &mut World, documents: u32, milliseconds: u32) -> tempfile::NamedTempFile {
    world.sql(&slow(documents, milliseconds)).await;
    let references = reference("doc", "docs", "disposition = \"transfer\"");
    let catalog = format!("{}{references}", USERS);
    world.use_catalog(&catalog).await;
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), catalog).expect("the file");
    file
}

#[on_postgres]
async fn pausing_movers_delay_no_small_job(world: &mut World) {
    let catalog = slow_host(world, 400, 20).await;
    let more = [
        ("HANDOVER_WORKER__PACE", "0.01"),
        ("HANDOVER_WORKER__GRACE", "5s"),
        ("HANDOVER_WORKER__MOVERS", "1"),
        ("HANDOVER_LIMITS__CHUNK_ROWS", "20"),
    ];
    let worker = Logged::start(world, catalog.path().to_str().expect("UTF-8"), &more);
    let giant = world.send(&leave("9", json!({ "doc": { "user": "2" } }))).await;
    // The mover pauses for ten seconds after a chunk that took 0.4 seconds.
    world.until("a chunk is moved", async || (world.number(CLOSED).await > 0).then_some(())).await;
    let closed = world.number(CLOSED).await;
    let small = world.hand_over(&leave("8", json!({ "doc": { "user": "2" } }))).await;
    assert_eq!(small.state, State::Completed);
    assert!(world.number(CLOSED).await <= closed + 1, "the giant's mover paused meanwhile");
    let log = worker.stop();
    assert_eq!(said(&log, "movers rested").len(), 1, "{log}");
    assert_eq!(said(&log, "grace period exceeded; unfinished work will be redelivered"), Vec::<Value>::new());
    assert_eq!(world.job(giant).await.expect("a job").state, State::Moving);
}

#[on_postgres]
async fn movers_back_off_while_host_waits(world: &mut World) {
    let catalog = slow_host(world, 600, 10).await;
    let more = [
        ("HANDOVER_LIMITS__CHUNK_ROWS", "300"),
        ("HANDOVER_LIMITS__CHUNK_TIME", "1h"),
        ("HANDOVER_LOG__FILTER", "debug"),
    ];
    let worker = Logged::start(world, catalog.path().to_str().expect("UTF-8"), &more);
    world.send(&leave("9", json!({ "doc": { "user": "2" } }))).await;
    // The host waits for the first row of each chunk and gets it when the chunk is closed.
    let url = format!("{}?application_name=host", world.database_url());
    let host = sea_orm::Database::connect(url).await.expect("a connection of the host");
    world
        .until("movers back off", async || {
            let wants = "SELECT id FROM docs WHERE id IN (1, 301) FOR NO KEY UPDATE";
            host.execute_unprepared(wants).await.expect("the rows, at the end");
            (!worker.said("movers back off").is_empty()).then_some(())
        })
        .await;
    world.until("they come back", async || (!worker.said("movers stopped backing off").is_empty()).then_some(())).await;
    host.close().await.expect("closed");
    let said = said(&worker.stop(), "movers back off");
    assert!(said[0]["reasons"].as_str().is_some_and(|why| why.contains("wait for our locks")), "{said:?}");
}

/// Counts the movers that are working on the documents now.
const AT_WORK: &str = "SELECT count(DISTINCT l.pid) FROM pg_locks l JOIN pg_stat_activity o ON o.pid = l.pid \
     WHERE l.relation = CAST('docs' AS regclass) AND l.mode = 'RowExclusiveLock' AND o.application_name = 'handover'";

#[on_postgres]
async fn movers_slow_down_while_host_is_active(world: &mut World) {
    let catalog = slow_host(world, 3000, 1).await;
    let more = [("HANDOVER_LIMITS__CHUNK_TIME", "1h"), ("HANDOVER_LOG__FILTER", "debug")];
    let worker = Logged::start(world, catalog.path().to_str().expect("UTF-8"), &more);
    let job = world.send(&leave("9", json!({ "doc": { "user": "2" } }))).await;
    let host = world.host_at_work().await;
    world
        .until("the host is seen", async || {
            (!worker.said("host is active; movers take turns and move fewer records at a time").is_empty())
                .then_some(())
        })
        .await;
    let large = "SELECT count(*) FROM handover.chunks WHERE records > 100 AND state = 'open'";
    world.until("what was begun before is done", async || (world.number(large).await == 0).then_some(())).await;
    let mut most = 0;
    while world.job(job).await.is_none_or(|job| job.state != State::Completed) {
        most = most.max(world.number(AT_WORK).await);
    }
    assert_eq!(most, 1, "concurrent movers");
    let few = "SELECT count(*) FROM handover.chunks WHERE records BETWEEN 1 AND 100";
    assert!(world.number(few).await >= 10, "two of the three chunks had started before");
    assert_eq!(world.number("SELECT CAST(sum(done) AS bigint) FROM handover.chunks").await, 3000);
    host.abort();
    world
        .until("the host rests", async || {
            (!worker.said("host is idle or movers are done; movers run in parallel again").is_empty()).then_some(())
        })
        .await;
    assert!(!worker.said("mover rested").is_empty(), "after a chunk");
    worker.stop();
}

#[on_postgres]
async fn full_speed_ignores_host_activity(world: &mut World) {
    let catalog = slow_host(world, 2000, 1).await;
    let more = [("HANDOVER_LIMITS__CHUNK_TIME", "1h"), ("HANDOVER_WORKER__PACE", "full")];
    let worker = Logged::start(world, catalog.path().to_str().expect("UTF-8"), &more);
    let host = world.host_at_work().await;
    let ended = world.hand_over(&leave("9", json!({ "doc": { "user": "2" } }))).await;
    assert_eq!(ended.state, State::Completed);
    host.abort();
    assert_eq!(world.number("SELECT count(*) FROM handover.chunks WHERE records = 1000").await, 2);
    assert!(!worker.stop().contains("host is active"));
}
