//! Slow chunks, and rows that another session has locked.

use handover::job::State;
use std::time::Duration;

use handover::store::ledger::jobs::Job;
use handover::store::{Settings, Store};
use serde_json::json;

use crate::support::database::settings as database_settings;
use crate::support::people::{begun, leave, owners, reference, start};
use crate::support::world::reasons_of;
use crate::support::{Engine, World, every_engine, on_postgres};

/// Documents of the leaver, numbered from 1.
fn documents(count: u32) -> String {
    format!(
        "CREATE TABLE docs (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT); \
         INSERT INTO docs WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) SELECT i, 9 FROM n;"
    )
}

/// Creates a trigger that delays each row that moves.
fn slow_trigger(engine: Engine) -> &'static str {
    match engine {
        Engine::Postgres => {
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.002); RETURN NEW; END $$; \
             CREATE TRIGGER slow BEFORE UPDATE ON docs FOR EACH ROW EXECUTE FUNCTION slow();"
        }
        Engine::Sqlite => {
            "CREATE TRIGGER slow BEFORE UPDATE ON docs BEGIN \
               SELECT (WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) SELECT count(*) FROM n); END;"
        }
    }
}

/// Five hundred slow documents for two successors in turn, in chunks of two hundred with a target of ten milliseconds.
async fn slow_documents(world: &mut World) {
    world.use_chunks_of(200);
    world.context.limits.chunk_time = Duration::from_millis(10);
    let tables = documents(500) + slow_trigger(world.engine);
    start(world, &tables, &reference("doc", "docs", "disposition = \"transfer\"")).await;
}

#[every_engine]
async fn slow_chunks_shrink_and_shares_stay(world: &mut World) {
    slow_documents(world).await;
    let even = json!({ "logic": "ratio", "shares": [{ "user": "2", "amount": 1 }, { "user": "3", "amount": 1 }] });
    let job = world.hand_over(&leave("9", json!({ "doc": even }))).await;
    assert_eq!(job.state, State::Completed);
    let smallest = "SELECT min(records) FROM handover.chunks WHERE state = 'closed'";
    assert!(world.number(smallest).await < 100, "no chunk was made smaller");
    let expected: Vec<String> = (1..=500).map(|id| format!("{id}:{}", 3 - id % 2)).collect();
    assert_eq!(owners(world, "docs").await, expected, "ranks are unchanged");
    assert_eq!(world.number("SELECT CAST(sum(records) AS bigint) FROM handover.journal").await, 500, "each once");
    assert_eq!(world.number("SELECT CAST(sum(done) AS bigint) FROM handover.chunks").await, 500);
}

#[every_engine]
async fn next_job_reuses_the_learned_chunk_size(world: &mut World) {
    slow_documents(world).await;
    world
        .sql("INSERT INTO docs SELECT 1000 + id, 8 FROM docs; INSERT INTO people VALUES (8, 'Yan', 'y', 'active')")
        .await;
    for user in ["9", "8"] {
        assert_eq!(world.hand_over(&leave(user, json!({ "doc": { "user": "2" } }))).await.state, State::Completed);
    }
    let largest =
        "SELECT max(c.records) FROM handover.chunks c JOIN handover.jobs j ON j.id = c.job_id WHERE j.user_id = '8'";
    assert!(world.number(largest).await < 200, "it was cut without any estimate");
}

/// Returns a request to revert a job.
fn revert(job: &Job) -> serde_json::Value {
    json!({ "type": "revert", "request_id": "back", "requested_by": "1", "job_id": job.id })
}

#[every_engine]
async fn slow_undo_chunks_shrink(world: &mut World) {
    world.use_chunks_of(200);
    world.context.limits.chunk_time = Duration::from_millis(10);
    start(world, &documents(500), &reference("doc", "docs", "disposition = \"transfer\"")).await;
    let job = world.hand_over(&leave("9", json!({ "doc": { "user": "2" } }))).await;
    assert_eq!(job.state, State::Completed);
    world.sql(slow_trigger(world.engine)).await;
    let undo = world.hand_over(&revert(&job)).await;
    assert_eq!(undo.state, State::Completed);
    let of_the_undo = "FROM handover.chunks WHERE journal_id IS NOT NULL";
    assert!(world.number(&format!("SELECT min(records) {of_the_undo}")).await < 100, "no chunk was made smaller");
    assert_eq!(world.number(&format!("SELECT CAST(sum(done) AS bigint) {of_the_undo}")).await, 500, "each once");
    let expected: Vec<String> = (1..=500).map(|id| format!("{id}:9")).collect();
    assert_eq!(owners(world, "docs").await, expected);
}

/// Starts a worker with this lock timeout and twice that as statement timeout, on documents in chunks of twenty.
async fn start_impatient(world: &mut World, attempts: i32, more: &str) {
    let patience = Duration::from_millis(400);
    let settings = Settings {
        lock_timeout: patience,
        statement_timeout: patience * 2,
        ..database_settings(world.worker_url().to_owned())
    };
    world.context.store = Store::open(&settings).await.expect("a store");
    world.use_chunks_of(20);
    let tables = format!("{} {more}", documents(60));
    start(world, &tables, &reference("doc", "docs", "disposition = \"transfer\"")).await;
    world.stop_workers().await;
    world.context.limits.chunk_attempts = attempts;
    world.start_worker().await;
}

/// Delays one row for longer than the statement timeout.
const STUCK: &str = "CREATE FUNCTION stuck() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NEW; END $$; \
             CREATE TRIGGER stuck BEFORE UPDATE ON docs FOR EACH ROW WHEN (OLD.id = 25) EXECUTE FUNCTION stuck();";

fn dealt() -> serde_json::Value {
    let shares = json!([{ "user": "2", "amount": 1 }, { "user": "3", "amount": 1 }]);
    leave("9", json!({ "doc": { "logic": "ratio", "shares": shares } }))
}

/// Returns the owner of each of the sixty documents except one that the leaver keeps.
fn expected_but(kept: u32) -> Vec<String> {
    (1..=60).map(|id| format!("{id}:{}", if id == kept { 9 } else { 3 - id % 2 })).collect()
}

#[on_postgres]
async fn locked_row_waits_while_others_move(world: &mut World) {
    start_impatient(world, 100, "").await;
    let held = begun(world, "UPDATE docs SET id = id WHERE id = 25").await;
    let job = world.send(&dealt()).await;
    let others = expected_but(25);
    world.until("the others are moved", async || (owners(world, "docs").await == others).then_some(())).await;
    held.rollback().await.expect("given up");
    assert_eq!(world.end_of(job).await.state, State::Completed);
    assert_eq!(owners(world, "docs").await, expected_but(0), "it kept its rank");
}

#[on_postgres]
async fn row_locked_too_long_moves_on_resume(world: &mut World) {
    start_impatient(world, 2, "").await;
    let held = begun(world, "UPDATE docs SET id = id WHERE id = 25").await;
    let job = world.hand_over(&dealt()).await;
    assert_eq!(job.state, State::NeedsAttention);
    let keys: Vec<String> = reasons_of(&job).into_iter().flat_map(|reason| reason.concerning.keys).collect();
    assert_eq!((owners(world, "docs").await, keys), (expected_but(25), vec!["25".to_owned()]));
    held.rollback().await.expect("given up");
    let resume = json!({ "type": "resume", "request_id": "on", "requested_by": "1", "job_id": job.id });
    world.send(&resume).await;
    let completed =
        async || (world.job(handover::contract::JobId(job.id)).await?.state == State::Completed).then_some(());
    world.until("the job is completed", completed).await;
    assert_eq!(owners(world, "docs").await, expected_but(0));
}

#[on_postgres]
async fn chunks_are_not_split_for_table_locks(world: &mut World) {
    let constraint =
        "ALTER TABLE people ADD UNIQUE (id); ALTER TABLE docs ADD FOREIGN KEY (owner) REFERENCES people (id);";
    start_impatient(world, 1, constraint).await;
    // Every document for this successor waits for this lock.
    let held = begun(world, "SELECT 1 FROM people WHERE id = 2 FOR UPDATE").await;
    let job = world.send(&dealt()).await;
    let tried = "SELECT count(*) FROM handover.chunks WHERE attempts > 1";
    world.until("a chunk was tried twice", async || (world.number(tried).await > 0).then_some(())).await;
    held.rollback().await.expect("given up");
    assert_eq!(world.end_of(job).await.state, State::Completed);
    assert_eq!(world.number("SELECT count(*) FROM handover.chunks").await, 3);
}

#[on_postgres]
async fn row_exceeding_statement_timeout_is_isolated(world: &mut World) {
    start_impatient(world, 2, STUCK).await;
    let job = world.hand_over(&dealt()).await;
    assert_eq!(job.state, State::NeedsAttention);
    let keys: Vec<String> = reasons_of(&job).into_iter().flat_map(|reason| reason.concerning.keys).collect();
    assert_eq!((owners(world, "docs").await, keys), (expected_but(25), vec!["25".to_owned()]));
}

#[on_postgres]
async fn undo_skips_rows_exceeding_statement_timeout(world: &mut World) {
    start_impatient(world, 2, "").await;
    let job = world.hand_over(&leave("9", json!({ "doc": { "user": "2" } }))).await;
    assert_eq!(job.state, State::Completed);
    world.sql(STUCK).await;
    assert_eq!(world.hand_over(&revert(&job)).await.state, State::NeedsAttention);
    let expected: Vec<String> = (1..=60).map(|id| format!("{id}:{}", if id == 25 { 2 } else { 9 })).collect();
    assert_eq!(owners(world, "docs").await, expected);
}
