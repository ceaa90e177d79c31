//! Rows that the host's database refuses to change. Each is found and reported, and everything else moves.

use handover::contract::ReasonCode;
use handover::job::State;
use serde_json::{Value, json};

use crate::support::people::{leave, owners, reference, reverted, start};
use crate::support::world::{certificate_of, codes_of, reasons_of, result_of};
use crate::support::{Engine, World, every_engine, run};

/// Returns the keys of refused rows in a job's reasons, in order.
fn refused(job: &handover::store::ledger::jobs::Job) -> Vec<String> {
    let refused = reasons_of(job).into_iter().filter(|reason| reason.code == ReasonCode::RowRefused);
    refused.flat_map(|reason| reason.concerning.keys).collect()
}

fn even() -> Value {
    json!({ "logic": "ratio", "shares": [{ "user": "2", "amount": 1 }, { "user": "3", "amount": 1 }] })
}

/// Nine documents of the leaver with a constraint.
fn documents(constraint: &str) -> String {
    let rows: Vec<String> = (1..=9).map(|id| format!("({id}, 9, {})", id * 10)).collect();
    format!(
        "CREATE TABLE docs (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, size BIGINT NOT NULL, {constraint}); \
         INSERT INTO docs VALUES {};",
        rows.join(", ")
    )
}

#[every_engine(also_in_chunks_of = 4)]
async fn rows_refused_by_checks_are_reported(world: &mut World) {
    let tables = documents("CHECK (owner = 9 OR id NOT IN (4, 7))");
    start(world, &tables, &reference("doc", "docs", "disposition = \"transfer\"")).await;
    let job = world.hand_over(&leave("9", json!({ "doc": even() }))).await;
    assert_eq!(job.state, State::NeedsAttention);
    assert_eq!(refused(&job), ["4", "7"]);
    let reason = reasons_of(&job).remove(0);
    assert_eq!(reason.concerning.kind.as_deref(), Some("doc"));
    assert!(reason.message.to_lowercase().contains("check"), "the database's own words: {}", reason.message);
    let expected = ["1:2", "2:3", "3:2", "4:9", "5:2", "6:3", "7:9", "8:3", "9:2"];
    assert_eq!(owners(world, "docs").await, expected, "the deal is the same as without refused rows");
    let journaled = "SELECT CAST(sum(records) AS bigint) FROM handover.journal";
    assert_eq!(world.number(journaled).await, 7, "each once");
}

/// Runs a job while SQLite's RAISE(IGNORE) keeps a row unchanged without an error.
fn run_with_a_row_kept_by_trigger(chunks: Option<u64>, reassign: Value) {
    run(Engine::Sqlite, async |world| {
        if let Some(rows) = chunks {
            world.use_chunks_of(rows);
        }
        let kept = "CREATE TRIGGER kept BEFORE UPDATE ON docs WHEN OLD.id = 5 BEGIN SELECT RAISE(IGNORE); END;";
        let tables = format!("{} {kept}", documents("CHECK (size > 0)"));
        start(world, &tables, &reference("doc", "docs", "disposition = \"transfer\"")).await;
        let job = world.hand_over(&leave("9", json!({ "doc": reassign }))).await;
        assert_eq!((job.state, refused(&job)), (State::NeedsAttention, vec!["5".to_owned()]));
        assert_eq!(world.number("SELECT count(*) FROM docs WHERE owner <> 9").await, 8);
        let journaled = "SELECT CAST(sum(records) AS bigint) FROM handover.journal";
        assert_eq!(world.number(journaled).await, 8, "the row that stayed is not journaled");
    });
}

#[test]
fn row_kept_by_trigger_is_not_journaled() {
    for chunks in [None, Some(4)] {
        run_with_a_row_kept_by_trigger(chunks, json!({ "user": "2" }));
        run_with_a_row_kept_by_trigger(chunks, even());
    }
}

#[test]
fn trigger_may_refuse_removal_and_set() {
    let ways = [("disposition = \"detach\"", "DELETE"), ("disposition = \"set\"\nset = { size = 1 }", "UPDATE")];
    for ((disposition, event), chunks) in ways.into_iter().flat_map(|way| [(way, None), (way, Some(4))]) {
        run(Engine::Sqlite, async |world| {
            if let Some(rows) = chunks {
                world.use_chunks_of(rows);
            }
            let kept =
                format!("CREATE TRIGGER kept BEFORE {event} ON docs WHEN OLD.id = 5 BEGIN SELECT RAISE(IGNORE); END;");
            let tables = format!("{} {kept}", documents("CHECK (size > 0)"));
            start(world, &tables, &reference("doc", "docs", disposition)).await;
            let job = world.hand_over(&leave("9", json!({}))).await;
            assert_eq!((job.state, refused(&job)), (State::NeedsAttention, vec!["5".to_owned()]), "{event}");
            assert_eq!(world.texts("SELECT CAST(size AS text) AS t FROM docs WHERE id = 5").await, ["50"], "{event}");
            let journaled = "SELECT CAST(sum(records) AS bigint) FROM handover.journal";
            assert_eq!(world.number(journaled).await, 8, "{event}: the row that stayed is not journaled");
            assert_eq!(
                world.number("SELECT count(*) FROM handover.row_snapshots").await,
                8,
                "{event}: the row that stayed has no snapshot"
            );
        });
    }
}

#[every_engine(also_in_chunks_of = 4)]
async fn cascading_rows_are_each_journaled(world: &mut World) {
    let above = "above BIGINT REFERENCES docs (id) ON DELETE CASCADE";
    let tables = format!("{} UPDATE docs SET above = id - 1 WHERE id > 1;", documents("CHECK (size > 0)"))
        .replace("size BIGINT NOT NULL,", &format!("size BIGINT NOT NULL, {above},"))
        .replace("INTO docs VALUES", "INTO docs (id, owner, size) VALUES");
    start(world, &tables, &reference("doc", "docs", "disposition = \"detach\"\nwith = [\"docs\"]")).await;
    let job = world.hand_over(&leave("9", json!({}))).await;
    assert_eq!(job.state, State::Completed);
    assert_eq!(world.number("SELECT count(*) FROM docs").await, 0);
}

#[every_engine(also_in_chunks_of = 4)]
async fn rows_refused_at_commit_are_found(world: &mut World) {
    let seats = "CREATE TABLE seats (owner BIGINT NOT NULL, size BIGINT NOT NULL, PRIMARY KEY (owner, size)); \
                 INSERT INTO seats SELECT 9, 10 UNION SELECT 9, 20 UNION SELECT 9, 30 UNION SELECT 9, 40 UNION SELECT 9, 50 UNION \
                   SELECT 9, 60 UNION SELECT 9, 70 UNION SELECT 9, 80 UNION SELECT 9, 90; \
                 INSERT INTO seats SELECT 2, size FROM seats WHERE size <> 60;";
    let tables = format!(
        "{seats} {}",
        documents("FOREIGN KEY (owner, size) REFERENCES seats (owner, size) DEFERRABLE INITIALLY DEFERRED")
    );
    start(world, &tables, &reference("doc", "docs", "disposition = \"transfer\"")).await;
    let job = world.hand_over(&leave("9", json!({ "doc": { "user": "2" } }))).await;
    assert_eq!((job.state, refused(&job)), (State::NeedsAttention, vec!["6".to_owned()]));
    assert_eq!(world.number("SELECT count(*) FROM docs WHERE owner = 2").await, 8);
}

#[every_engine(also_in_chunks_of = 4)]
async fn refused_named_row_does_not_stop_others(world: &mut World) {
    let tables = documents("CHECK (owner = 9 OR id <> 3)");
    start(world, &tables, &reference("doc", "docs", "disposition = \"transfer\"")).await;
    let each: serde_json::Map<String, Value> = (1..=7).map(|id| (id.to_string(), json!("3"))).collect();
    let job = world.hand_over(&leave("9", json!({ "doc": { "each": each, "rest": { "user": "2" } } }))).await;
    assert_eq!((job.state, refused(&job)), (State::NeedsAttention, vec!["3".to_owned()]));
    assert_eq!(owners(world, "docs").await, ["1:3", "2:3", "3:9", "4:3", "5:3", "6:3", "7:3", "8:2", "9:2"]);
}

/// The moment at which the database refuses to delete a pinned document.
enum Refused {
    AtOnce,
    AtCommit,
}

/// Nine documents of the leaver. The fifth one is pinned, so a trigger refuses its removal.
fn pinned(engine: Engine, refused: Refused) -> String {
    let refuse = match (engine, refused) {
        (Engine::Sqlite, Refused::AtOnce) => {
            "CREATE TRIGGER pinned BEFORE DELETE ON docs WHEN EXISTS (SELECT 1 FROM pins WHERE doc = OLD.id) \
             BEGIN SELECT RAISE(ABORT, 'the document is pinned'); END;"
        }
        (Engine::Sqlite, Refused::AtCommit) => {
            "CREATE TABLE marks (doc BIGINT REFERENCES pins (id) DEFERRABLE INITIALLY DEFERRED); \
             CREATE TRIGGER pinned BEFORE DELETE ON docs WHEN EXISTS (SELECT 1 FROM pins WHERE doc = OLD.id) \
             BEGIN INSERT INTO marks VALUES (OLD.id); END;"
        }
        (Engine::Postgres, Refused::AtOnce) => {
            "CREATE FUNCTION refuse_pinned() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN \
               IF EXISTS (SELECT 1 FROM pins WHERE doc = OLD.id) THEN \
                 RAISE 'the document is pinned' USING ERRCODE = 'restrict_violation'; END IF; \
               RETURN OLD; END $$; \
             CREATE TRIGGER pinned BEFORE DELETE ON docs FOR EACH ROW EXECUTE FUNCTION refuse_pinned();"
        }
        (Engine::Postgres, Refused::AtCommit) => {
            "CREATE FUNCTION refuse_pinned() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN \
               IF EXISTS (SELECT 1 FROM pins WHERE doc = OLD.id) THEN \
                 RAISE 'the document is pinned' USING ERRCODE = 'restrict_violation'; END IF; \
               RETURN NULL; END $$; \
             CREATE CONSTRAINT TRIGGER pinned AFTER DELETE ON docs DEFERRABLE INITIALLY DEFERRED \
               FOR EACH ROW EXECUTE FUNCTION refuse_pinned();"
        }
    };
    format!(
        "{} CREATE TABLE pins (id BIGINT NOT NULL PRIMARY KEY, doc BIGINT); INSERT INTO pins VALUES (1, 5); {refuse}",
        documents("CHECK (size > 0)")
    )
}

#[every_engine(also_in_chunks_of = 4)]
async fn unremovable_row_does_not_stop_others(world: &mut World) {
    let tables = pinned(world.engine, Refused::AtOnce);
    start(world, &tables, &reference("doc", "docs", "disposition = \"detach\"")).await;
    let job = world.hand_over(&leave("9", json!({}))).await;
    assert_eq!((job.state, refused(&job)), (State::NeedsAttention, vec!["5".to_owned()]));
    assert_eq!(owners(world, "docs").await, ["5:9"]);
}

#[every_engine(also_in_chunks_of = 4)]
async fn refused_row_does_not_keep_access(world: &mut World) {
    let tables = pinned(world.engine, Refused::AtOnce);
    start(world, &tables, &reference("doc", "docs", "disposition = \"detach\"\nat = \"start\"")).await;
    let job = world.hand_over(&leave("9", json!({}))).await;
    assert_eq!((job.state, refused(&job)), (State::NeedsAttention, vec!["5".to_owned()]));
    assert_eq!(owners(world, "docs").await, ["5:9"]);
    assert_eq!(world.number("SELECT count(*) FROM people WHERE id = 9 AND status = 'active'").await, 0);
}

#[every_engine]
async fn refused_row_does_not_stop_scheduled_job(world: &mut World) {
    let tables = documents("CHECK (owner = 9 OR id <> 4)");
    start(world, &tables, &reference("doc", "docs", "disposition = \"transfer\"")).await;
    let soon = time::OffsetDateTime::now_utc() + std::time::Duration::from_secs(1);
    let mut request = leave("9", json!({ "doc": { "user": "2" } }));
    request["effective_at"] = json!(soon.format(&time::format_description::well_known::Rfc3339).expect("a time"));
    let job = world.hand_over(&request).await;
    assert_eq!((job.state, refused(&job)), (State::NeedsAttention, vec!["4".to_owned()]));
    assert_eq!(world.number("SELECT count(*) FROM docs WHERE owner = 2").await, 8);
}

#[every_engine]
async fn many_refused_rows_are_counted_completely(world: &mut World) {
    let rows: Vec<String> = (1..=60).map(|id| format!("({id}, 9)")).collect();
    let tables = format!(
        "CREATE TABLE docs (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, CHECK (owner = 9 OR id % 2 = 0)); INSERT INTO docs VALUES {};",
        rows.join(", ")
    );
    world.use_chunks_of(20);
    start(world, &tables, &reference("doc", "docs", "disposition = \"transfer\"")).await;
    let job = world.hand_over(&leave("9", json!({ "doc": { "user": "2" } }))).await;
    assert_eq!(world.number("SELECT count(*) FROM docs WHERE owner = 2 AND id % 2 = 0").await, 30, "all that can move");
    let first: Vec<String> = (0..20).map(|n| (2 * n + 1).to_string()).collect();
    assert_eq!(refused(&job), first);
    assert_eq!(codes_of(&job).last().map(String::as_str), Some("more_failed"));
    assert_eq!(reasons_of(&job).last().and_then(|reason| reason.concerning.count), Some(30));
}

#[every_engine]
async fn chunk_is_split_only_after_all_attempts(world: &mut World) {
    let tables = documents("CHECK (owner = 9 OR id <> 9)");
    start(world, &tables, &reference("doc", "docs", "disposition = \"transfer\"")).await;
    world.stop_workers().await;
    world.context.limits.chunk_attempts = 2;
    world.use_chunks_of(8);
    world.start_worker().await;
    let id = world.send(&leave("9", json!({ "doc": { "user": "2" } }))).await;
    let job = world.end_of(id).await;
    assert_eq!(refused(&job), ["9"]);
    assert_eq!(world.number("SELECT count(*) FROM handover.chunks WHERE state = 'closed' AND attempts = 0").await, 1);
    assert_eq!(world.number("SELECT count(*) FROM handover.chunks WHERE state = 'failed' AND attempts = 2").await, 1);
}

/// Nine documents that are removed at the start, one of them pinned, and letters that need a successor.
async fn start_with_pinned(world: &mut World, refused: Refused) {
    let tables = format!(
        "{} CREATE TABLE letters (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT); INSERT INTO letters VALUES (1, 9);",
        pinned(world.engine, refused)
    );
    let references = [
        reference("doc", "docs", "disposition = \"detach\"\nat = \"start\""),
        reference("letter", "letters", "disposition = \"transfer\""),
    ];
    start(world, &tables, &references.concat()).await;
}

/// Locks a user out before anyone has decided who receives the letters.
fn locked_out() -> Value {
    let mut request = leave("9", json!({}));
    request["lock_out"] = json!(true);
    request
}

async fn is_out(world: &crate::support::World) -> bool {
    world.number("SELECT count(*) FROM people WHERE id = 9 AND status = 'active'").await == 0
}

#[every_engine]
async fn lock_out_survives_a_refused_row(world: &mut World) {
    start_with_pinned(world, Refused::AtOnce).await;
    let job = world.hand_over(&locked_out()).await;
    assert_eq!(job.state, State::NeedsAttention);
    assert_eq!(codes_of(&job), ["allotment_missing", "row_refused"]);
    assert_eq!((refused(&job), owners(world, "docs").await), (vec!["5".to_owned()], vec!["5:9".to_owned()]));
    assert!(is_out(world).await);
    // Once the pin is gone, the job completes and can be reverted.
    world.sql("DELETE FROM pins").await;
    let amend = json!({ "type": "amend", "request_id": "letters", "requested_by": "1", "job_id": job.id, "reassign": { "letter": { "user": "2" } } });
    assert_eq!(world.hand_over(&amend).await.state, State::Completed);
    let id = handover::contract::JobId(job.id);
    let ended = async || world.job(id).await.filter(|job| job.state == State::Completed);
    let certificate = certificate_of(&world.until("the job ends", ended).await);
    assert_eq!(result_of(&certificate, "doc").removed, Some(9));
    let undone = reverted(world, &job).await;
    assert_eq!(result_of(&undone, "doc").restored, Some(9));
}

#[every_engine]
async fn lock_out_survives_a_refused_commit(world: &mut World) {
    start_with_pinned(world, Refused::AtCommit).await;
    let job = world.hand_over(&locked_out()).await;
    assert_eq!(job.state, State::NeedsAttention);
    assert!(is_out(world).await);
    match world.engine {
        Engine::Postgres => {
            assert_eq!((codes_of(&job)[1].as_str(), refused(&job)), ("row_refused", vec!["5".to_owned()]))
        }
        // The failed commit names no row, so all rows wait until the job continues.
        Engine::Sqlite => assert_eq!(codes_of(&job), ["allotment_missing", "access_remains"]),
    }
}
