//! Tables without a unique key: transferred, certified and restored in every column, although only their contents
//! distinguish rows.

use handover::job::State;
use std::collections::BTreeMap;

use handover::contract::{ReasonCode, ReferenceResult};
use handover::stages::undo::preview;
use handover::store::failpoint::Point;
use handover::store::host::read_schema;
use handover::worker::Role;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

use crate::support::disturb::{Disturbance, Disturbed, Faults};
use crate::support::people::{PEOPLE, USERS, host, leave, revert, reverted, reverts_to, start};
use crate::support::world::{certificate_of, codes_of, reasons_of, result_of};
use crate::support::{Engine, World, every_engine, on_postgres, on_sqlite, run};

/// Eleven rows of the leaver: three are equal, two hold only NULLs, and two differ only in JSON whitespace or in the
/// spelling of a number. Ben has one that differs from three of the leaver's rows only in its owner.
const HEAP: &str = r#"CREATE TABLE heap (owner BIGINT, what TEXT, size NUMERIC, at TIMESTAMP, extra JSON);
    INSERT INTO heap VALUES
      (9, 'a', 1, '2026-01-02 03:04:05.678', '{"x": 1}'), (9, 'a', 1, '2026-01-02 03:04:05.678', '{"x": 1}'),
      (9, 'a', 1, '2026-01-02 03:04:05.678', '{"x": 1}'), (9, 'a', 1, '2026-01-02 03:04:05.678', '{"x":1}'),
      (9, NULL, NULL, NULL, NULL), (9, NULL, NULL, NULL, NULL), (9, '', 0, NULL, '[]'), (9, 'null', 0.5, NULL, 'null'),
      (9, 'b', 1e20, '1999-12-31 23:59:59', '{"y": [1, 2, {"z": "ä\"''"}]}'), (9, 'c', -7.25, NULL, '"text"'), (9, 'd', 3, NULL, '4'),
      (2, 'a', 1, '2026-01-02 03:04:05.678', '{"x": 1}'), (3, NULL, NULL, NULL, NULL), (NULL, 'a', 1, NULL, NULL);
    CREATE INDEX heap_owner ON heap (owner);"#;

fn heap(rest: &str) -> String {
    format!("[[reference]]\nkind = \"heap\"\ntable = \"heap\"\nkey = []\nuser = \"owner\"\n{rest}\n")
}

fn transfer() -> String {
    heap("disposition = \"transfer\"")
}

fn to_ben() -> Value {
    leave("9", json!({ "heap": { "user": "2" } }))
}

async fn count(world: &World, owner: u64) -> i64 {
    world.number(&format!("SELECT count(*) FROM heap WHERE owner = {owner}")).await
}

fn reported(result: &ReferenceResult) -> (Option<u64>, Vec<(&str, u64)>) {
    (result.restored, result.skipped.iter().map(|(reason, count)| (reason.name(), *count)).collect())
}

#[every_engine(also_in_chunks_of = 3)]
async fn one_successor_and_back_to_every_column(world: &mut World) {
    start(world, HEAP, &transfer()).await;
    let before = host(world).await;
    let job = world.hand_over(&to_ben()).await;
    let certificate = certificate_of(&job);
    let result = result_of(&certificate, "heap");
    assert_eq!((result.found, result.moved), (Some(11), Some(11)));
    assert_eq!((certificate.orphans, count(world, 9).await, count(world, 2).await), (Some(0), 0, 12));
    let keys = "SELECT count(*) FROM handover.journal WHERE keys IS NOT NULL";
    assert_eq!(world.number(keys).await, 0, "no row address is stored");
    reverts_to(world, &job, &before).await;
}

#[every_engine(also_in_chunks_of = 3)]
async fn ratio_and_back(world: &mut World) {
    start(world, HEAP, &transfer()).await;
    let before = host(world).await;
    let ratio = json!({ "logic": "ratio", "shares": [{ "user": "2", "amount": 1 }, { "user": "3", "amount": 2 }] });
    let job = world.hand_over(&leave("9", json!({ "heap": ratio }))).await;
    let expected: BTreeMap<String, u64> = [("2".to_owned(), 4), ("3".to_owned(), 7)].into();
    assert_eq!(result_of(&certificate_of(&job), "heap").successors, expected);
    assert_eq!((count(world, 9).await, count(world, 2).await, count(world, 3).await), (0, 5, 8));
    reverts_to(world, &job, &before).await;
}

#[every_engine(also_in_chunks_of = 3)]
async fn hardcoded_amounts_leave_the_extras(world: &mut World) {
    start(world, HEAP, &transfer()).await;
    let before = host(world).await;
    let some = json!({ "logic": "hardcoded", "shares": [{ "user": "2", "amount": 2 }, { "user": "3", "amount": 3 }] });
    let job = world.hand_over(&leave("9", json!({ "heap": some }))).await;
    let result = result_of(&certificate_of(&job), "heap");
    assert_eq!((result.moved, result.left_behind), (Some(5), Some(6)));
    assert_eq!((count(world, 9).await, count(world, 2).await, count(world, 3).await), (6, 3, 4));
    reverts_to(world, &job, &before).await;
}

#[every_engine]
async fn equal_rows_move_once_with_two_movers(world: &mut World) {
    let rows = vec!["(9, 'same')"; 200].join(", ");
    world.use_chunks_of(7);
    let tables = format!("CREATE TABLE heap (owner BIGINT, what TEXT); INSERT INTO heap VALUES {rows};");
    start(world, &tables, &transfer()).await;
    let before = host(world).await;
    let ratio = json!({ "logic": "ratio", "shares": [{ "user": "2", "amount": 1 }, { "user": "3", "amount": 3 }] });
    let job = world.hand_over(&leave("9", json!({ "heap": ratio }))).await;
    let expected: BTreeMap<String, u64> = [("2".to_owned(), 50), ("3".to_owned(), 150)].into();
    assert_eq!(result_of(&certificate_of(&job), "heap").successors, expected);
    assert_eq!((count(world, 2).await, count(world, 3).await), (50, 150));
    assert_eq!(job.late_passes, 0, "every chunk moved all rows that it was cut for");
    reverts_to(world, &job, &before).await;
}

#[every_engine(also_in_chunks_of = 3)]
async fn revert_skips_rows_changed_since(world: &mut World) {
    start(world, HEAP, &transfer()).await;
    let job = world.hand_over(&to_ben()).await;
    let place = if world.engine == Engine::Sqlite { "rowid" } else { "ctid" };
    // Of four equal rows (one was Ben's own) two are edited, one is reassigned, one is deleted.
    let one = format!("(SELECT min({place}) FROM heap WHERE what = 'a' AND CAST(extra AS text) = '{{\"x\": 1}}')");
    world.sql(&format!("UPDATE heap SET what = 'mine' WHERE {place} = {one}")).await;
    world.sql("UPDATE heap SET owner = 3 WHERE what = 'b'").await;
    world.sql("UPDATE heap SET size = 8 WHERE what = 'c'").await;
    world.sql("DELETE FROM heap WHERE what = 'd'").await;
    let foreseen = preview::revert(&world.context, &job, &"1".to_owned().try_into().expect("an id")).await;
    let foreseen = foreseen.expect("a preview").references;
    let certificate = reverted(world, &job).await;
    let result = result_of(&certificate, "heap");
    assert_eq!(
        reported(&result),
        (Some(8), vec![("changed", 1), ("gone", 2)]),
        "an edited row matches no journaled row"
    );
    assert_eq!((result.found, count(world, 9).await), (Some(11), 8));
    let foreseen = foreseen.iter().find(|reference| reference.kind == "heap").expect("the heap");
    assert_eq!(reported(foreseen), reported(&result), "as the preview said");
    let alone = "SELECT CAST(keys AS text) AS t FROM handover.journal WHERE action = 'skipped_changed'";
    let alone = world.texts(alone).await;
    assert!(alone.len() == 1 && alone[0].contains("1999-12-31"), "its content is reported: {alone:?}");
}

#[every_engine(also_in_chunks_of = 3)]
async fn detached_rows_are_restored(world: &mut World) {
    start(world, HEAP, &heap("disposition = \"detach\"")).await;
    let before = host(world).await;
    let job = world.hand_over(&leave("9", json!({}))).await;
    assert_eq!(certificate_of(&job).orphans, Some(0));
    assert_eq!((count(world, 9).await, world.number("SELECT count(*) FROM heap").await), (0, 3));
    assert_eq!(world.number("SELECT count(*) FROM handover.journal WHERE keys IS NOT NULL").await, 0);
    let certificate = reverted(world, &job).await;
    assert_eq!(reported(&result_of(&certificate, "heap")), (Some(11), vec![]));
    let columns = "SELECT COALESCE(CAST(owner AS text), '-') || ' ' || COALESCE(what, '-') || ' ' || COALESCE(CAST(size AS text), '-') \
                   || ' ' || COALESCE(CAST(at AS text), '-') AS t FROM heap ORDER BY 1";
    let after = world.texts(columns).await;
    assert_eq!(after.len(), before.values().find(|rows| rows.len() == 14).expect("the heap").len());
    assert_eq!(after.iter().filter(|row| row.starts_with("9 a 1 2026-01-02 03:04:05.678")).count(), 4);
    assert_eq!(after.iter().filter(|row| *row == "9 - - -").count(), 2);
}

#[every_engine(also_in_chunks_of = 3)]
async fn purged_rows_are_restored_while_snapshots_last(world: &mut World) {
    start(world, HEAP, &heap("disposition = \"purge\"\nwhere = { what = [\"a\", \"d\"] }")).await;
    world
        .use_catalog(&format!(
            "{USERS}{}{}",
            heap("disposition = \"purge\"\nwhere = { what = [\"a\", \"d\"] }"),
            keep()
        ))
        .await;
    world.stop_workers().await;
    world.start_worker().await;
    let job = world.hand_over(&leave("9", json!({}))).await;
    assert_eq!(result_of(&certificate_of(&job), "heap").purged, Some(5));
    assert_eq!((count(world, 9).await, world.number("SELECT count(*) FROM handover.row_snapshots").await), (6, 5));
    assert_eq!(reported(&result_of(&reverted(world, &job).await, "heap")), (Some(5), vec![]));
    assert_eq!(world.number("SELECT count(*) FROM heap WHERE owner = 9 AND what = 'a'").await, 4);
}

fn keep() -> &'static str {
    "[[reference]]\nkind = \"rest\"\ntable = \"heap\"\nkey = []\nuser = \"owner\"\ndisposition = \"keep\"\n"
}

/// Rows with an access level: two are equal, and one needs no change.
const ACCESS: &str = "CREATE TABLE heap (owner BIGINT, access TEXT, level INTEGER, since TIMESTAMP, version INTEGER); \
     INSERT INTO heap VALUES (9, 'full', 3, NULL, 1), (9, 'full', 3, NULL, 1), (9, NULL, NULL, NULL, NULL), \
     (9, 'read', 3, '2026-01-01 00:00:00', 1), (9, '', 0, NULL, 7), (2, 'full', 3, NULL, 1);";

#[every_engine(also_in_chunks_of = 2)]
async fn set_rows_are_restored_to_every_column(world: &mut World) {
    let set = heap("disposition = \"set\"\nset = { access = \"read\", level = 1, since = { now = true } }");
    start(world, ACCESS, &set).await;
    let before = host(world).await;
    let job = world.hand_over(&leave("9", json!({}))).await;
    certificate_of(&job);
    let done = "SELECT count(*) FROM heap WHERE owner = 9 AND access = 'read' AND level = 1 AND since IS NOT NULL";
    assert_eq!(world.number(done).await, 5);
    reverts_to(world, &job, &before).await;
}

#[every_engine(also_in_chunks_of = 2)]
async fn revert_skips_set_rows_changed_since(world: &mut World) {
    start(world, ACCESS, &heap("disposition = \"set\"\nset = { access = \"none\" }\nversion_column = \"version\""))
        .await;
    let job = world.hand_over(&leave("9", json!({}))).await;
    world.sql("UPDATE heap SET access = 'theirs' WHERE version = 8").await;
    world.sql("DELETE FROM heap WHERE level IS NULL").await;
    assert_eq!(
        reported(&result_of(&reverted(world, &job).await, "heap")),
        (Some(3), vec![("changed", 1), ("gone", 1)])
    );
    let rows = "SELECT access || ':' || CAST(version AS text) AS t FROM heap WHERE owner = 9 ORDER BY 1";
    assert_eq!(
        world.texts(rows).await,
        ["full:3", "full:3", "read:3", "theirs:8"],
        "each change increases the version by one"
    );
}

#[every_engine(also_in_chunks_of = 3)]
async fn refused_row_is_reported_by_content(world: &mut World) {
    let tables = "CREATE TABLE heap (owner BIGINT, what TEXT, CHECK (owner = 9 OR what <> 'stone')); \
         INSERT INTO heap VALUES (9, 'stone'), (9, 'a'), (9, 'a'), (9, 'b'), (9, 'rock'), (9, 'c'), (9, 'stone'), (9, 'd'), (9, 'e');";
    start(world, tables, &transfer()).await;
    let before = host(world).await;
    let job = world.hand_over(&to_ben()).await;
    assert_eq!(job.state, State::NeedsAttention);
    let refused: Vec<_> = reasons_of(&job).into_iter().filter(|reason| reason.code == ReasonCode::RowRefused).collect();
    assert!(!refused.is_empty() && refused[0].concerning.keys[0].contains("stone"), "{refused:?}");
    assert_eq!((count(world, 2).await, count(world, 9).await), (7, 2));
    match world.engine {
        Engine::Sqlite => {
            // This setting belongs to one connection: the worker's writing one.
            let session = world.context.store.begin("host").await.expect("a transaction");
            session.execute_unprepared("PRAGMA ignore_check_constraints = ON").await.expect("a pragma");
            session.commit().await.expect("committed");
        }
        Engine::Postgres => world.sql("ALTER TABLE heap DROP CONSTRAINT heap_check").await,
    }
    let resume = json!({ "type": "resume", "request_id": "on", "requested_by": "1", "job_id": job.id });
    world.send(&resume).await;
    let ended = world.until("the job is completed", async || {
        let job = world.job(handover::contract::JobId(job.id)).await?;
        (job.state == State::Completed).then_some(job)
    });
    let job = ended.await;
    assert_eq!(result_of(&certificate_of(&job), "heap").moved, Some(9));
    reverts_to(world, &job, &before).await;
}

#[every_engine(also_in_chunks_of = 3)]
async fn guard_counts_and_transfers_keyless_rows(world: &mut World) {
    start(world, HEAP, &heap("disposition = \"block\"\nresolve = true")).await;
    let before = host(world).await;
    let job = world.hand_over(&leave("9", json!({}))).await;
    assert_eq!(job.state, State::Rejected);
    let reason = reasons_of(&job).remove(0);
    assert!(reason.concerning.count > Some(0) && reason.concerning.keys.is_empty(), "{reason:?}");
    let mut request = to_ben();
    request["request_id"] = json!("again");
    let job = world.hand_over(&request).await;
    assert_eq!(result_of(&certificate_of(&job), "heap").moved, Some(11));
    reverts_to(world, &job, &before).await;
}

#[every_engine]
async fn keyless_rows_cannot_be_named(world: &mut World) {
    start(world, HEAP, &transfer()).await;
    world.client.send(leave("9", json!({ "heap": { "each": { "1": "2" } } })).to_string().into_bytes()).await;
    let dead_letter = world.next_dead_letter().await;
    assert!(
        format!("{dead_letter:?}").contains("needs a kind whose records have a key of one column"),
        "{dead_letter:?}"
    );
}

#[every_engine]
async fn late_rows_are_moved(world: &mut World) {
    let trigger = match world.engine {
        Engine::Sqlite => {
            "CREATE TRIGGER late AFTER UPDATE ON heap WHEN OLD.what = 'd' AND OLD.owner = 9 BEGIN INSERT INTO heap (owner, what) VALUES (9, 'late'); END;"
        }
        Engine::Postgres => {
            "CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN INSERT INTO heap (owner, what) VALUES (9, 'late'); RETURN NULL; END $$; \
             CREATE TRIGGER late AFTER UPDATE ON heap FOR EACH ROW WHEN (OLD.what = 'd' AND OLD.owner = 9) EXECUTE FUNCTION late();"
        }
    };
    world.use_chunks_of(3);
    start(world, &format!("{HEAP}{trigger}"), &transfer()).await;
    let job = world.hand_over(&to_ben()).await;
    assert_eq!(result_of(&certificate_of(&job), "heap").moved, Some(12));
    assert_eq!((count(world, 9).await, count(world, 2).await), (0, 13));
    // After the end, the recount moves late rows, and the revert returns them with the rest.
    world.sql("INSERT INTO heap (owner, what) VALUES (9, 'after'), (9, 'after')").await;
    let id = world.uuid(handover::contract::JobId(job.id));
    world.change_ledger(&format!("UPDATE handover.jobs SET recount_at = requested_at WHERE id = {id}")).await;
    world.until("it is counted again", async || (count(world, 2).await == 15).then_some(())).await;
    let restored = result_of(&reverted(world, &job).await, "heap");
    assert_eq!((reported(&restored), count(world, 9).await), ((Some(14), vec![]), 14));
}

#[every_engine]
async fn added_or_dropped_columns_allow_restoring(world: &mut World) {
    world.use_chunks_of(4);
    start(world, HEAP, &transfer()).await;
    let job = world.hand_over(&to_ben()).await;
    world.stop_workers().await;
    world.sql("ALTER TABLE heap ADD COLUMN tag TEXT DEFAULT 'new'").await;
    world.sql("ALTER TABLE heap DROP COLUMN size").await;
    world.use_catalog(&format!("{USERS}{}", transfer())).await;
    world.start_worker().await;
    assert_eq!(reported(&result_of(&reverted(world, &job).await, "heap")), (Some(11), vec![]));
    assert_eq!((count(world, 9).await, count(world, 2).await), (11, 1));
}

/// Runs a handover and its revert while every other transaction of each step fails, or every message is repeated.
fn disturbed(engine: Engine, point: Option<Point>, how: Disturbance) {
    run(engine, async |world| {
        world.sql(&format!("{PEOPLE} {HEAP}")).await;
        world.use_catalog(&format!("{USERS}{}", transfer())).await;
        world.use_chunks_of(3);
        let before = host(world).await;
        let faults = point.map_or_else(Faults::none, Faults::at);
        world.context.store = world.store.clone().with_failpoints(faults);
        let (broker, _) = Disturbed::new(world.broker().await, how);
        world.start_roles_on(&Role::ALL, broker);
        let ratio = json!({ "logic": "ratio", "shares": [{ "user": "2", "amount": 1 }, { "user": "3", "amount": 2 }] });
        let id = world.send(&leave("9", json!({ "heap": ratio }))).await;
        let job = ended(world, id).await;
        let expected: BTreeMap<String, u64> = [("2".to_owned(), 4), ("3".to_owned(), 7)].into();
        assert_eq!(result_of(&certificate_of(&job), "heap").successors, expected);
        assert_eq!(world.number("SELECT count(*) FROM handover.row_snapshots").await, 11, "each has one snapshot");
        let undo = ended(world, world.send(&revert(&job)).await).await;
        assert_eq!(reported(&result_of(&certificate_of(&undo), "heap")), (Some(11), vec![]));
        for (table, rows) in host(world).await {
            assert_eq!(rows, before[&table], "{table}");
        }
    });
}

/// Waits for the end of a job while the relay's one-minute leases are cut short.
async fn ended(world: &World, id: handover::contract::JobId) -> handover::store::ledger::jobs::Job {
    let job = world.until("the job ends", async || {
        if world.engine == Engine::Postgres {
            let old = "leased_until < now() + interval '59 seconds'";
            world.change_ledger(&format!("UPDATE handover.outbox SET leased_until = NULL WHERE {old}")).await;
        }
        let job = world.job(id).await?;
        let state = job.state;
        (state.is_final() || state.is_held()).then_some(job)
    });
    job.await
}

#[every_engine]
fn step_failing_before_commit_loses_nothing(engine: Engine) {
    disturbed(engine, Some(Point::BeforeCommit), Disturbance::None);
}

#[every_engine]
fn step_with_unanswered_commit_loses_nothing(engine: Engine) {
    disturbed(engine, Some(Point::AfterCommit), Disturbance::None);
}

#[every_engine]
fn repeated_step_doubles_nothing(engine: Engine) {
    disturbed(engine, None, Disturbance::Twice);
}

async fn faults_of(world: &World, references: &str) -> String {
    let schema = read_schema(&world.store.reader()).await.expect("the schema");
    let checked = handover::catalog::check("test", &format!("{USERS}{references}"), &schema);
    checked.map_or_else(
        |faults| faults.to_string(),
        |checked| {
            let warnings: Vec<String> = checked.warnings.iter().map(ToString::to_string).collect();
            format!("holds; {}", warnings.join("; "))
        },
    )
}

#[every_engine]
async fn catalog_must_declare_keyless_tables(world: &mut World) {
    world.sql(&format!("{PEOPLE} {HEAP}")).await;
    world.sql("CREATE TABLE pairs (a BIGINT NOT NULL, owner BIGINT NOT NULL, PRIMARY KEY (a, owner))").await;
    let reported = faults_of(world, &transfer()).await;
    assert!(
        reported.starts_with("holds; ") && reported.contains("heap has no unique key: rows that are equal"),
        "{reported}"
    );
    let reported = faults_of(world, &transfer().replace("key = []\n", "")).await;
    assert!(reported.contains("missing field `key`: heap has no unique key; write key = []"), "{reported}");
    let reported = faults_of(world, &transfer().replace("\"heap\"\nkey", "\"pairs\"\nkey")).await;
    assert!(reported.contains("the rows of pairs have a key: name it, key = [\"a\", \"owner\"]"), "{reported}");
    let reported = faults_of(world, &transfer().replace("\"heap\"\nkey = []", "\"people\"")).await;
    assert!(reported.contains("missing field `key`, the unique key of people: key = \"id\""), "{reported}");
    for (rest, field) in [
        ("disposition = \"transfer\"\non_conflict = \"drop\"", "`on_conflict`"),
        ("disposition = \"detach\"\nwith = [\"pairs\"]", "`with`"),
        ("disposition = \"block\"\nsole_in = \"what\"\nresolve = true", "`sole_in` with `resolve`"),
    ] {
        let reported = faults_of(world, &heap(rest)).await;
        assert!(reported.contains(&format!("{field} needs a table whose rows have a key")), "{reported}");
    }
}

#[on_postgres]
async fn rows_of_partitions_are_distinguished(world: &mut World) {
    // The first rows of all partitions have the same row address within their partition.
    let tables = "CREATE TABLE heap (owner BIGINT, part INTEGER, what TEXT) PARTITION BY LIST (part); \
         CREATE TABLE heap_1 PARTITION OF heap FOR VALUES IN (1); CREATE TABLE heap_2 PARTITION OF heap FOR VALUES IN (2); \
         INSERT INTO heap SELECT 9, n % 2 + 1, 'same' FROM generate_series(1, 10) n; INSERT INTO heap VALUES (2, 1, 'own');";
    world.use_chunks_of(4);
    start(world, tables, &transfer()).await;
    let before = host(world).await;
    let job = world.hand_over(&to_ben()).await;
    assert_eq!((count(world, 9).await, count(world, 2).await), (0, 11));
    reverts_to(world, &job, &before).await;
}

#[on_sqlite]
async fn columns_named_like_row_addresses_work(world: &mut World) {
    let tables = "CREATE TABLE heap (owner BIGINT, rowid TEXT, oid TEXT, ctid TEXT); \
         INSERT INTO heap VALUES (9, 'same', '1', 'x'), (9, 'same', '1', 'x'), (9, NULL, NULL, NULL);";
    world.use_chunks_of(2);
    start(world, tables, &transfer()).await;
    let before = host(world).await;
    let job = world.hand_over(&to_ben()).await;
    assert_eq!(count(world, 2).await, 3);
    reverts_to(world, &job, &before).await;
    world.sql("CREATE TABLE hidden (owner BIGINT, rowid TEXT, oid TEXT, _ROWID_ TEXT)").await;
    let reported = faults_of(world, &transfer().replace("\"heap\"\nkey", "\"hidden\"\nkey")).await;
    assert!(
        reported.contains("the rows of hidden have no address that a statement can use: add a unique key"),
        "{reported}"
    );
}

#[every_engine]
async fn concurrent_undos_find_each_row_once(world: &mut World) {
    // Rows that a job and its recounts moved are undone concurrently, from the same journal.
    start(world, HEAP, &heap("disposition = \"detach\"")).await;
    let job = world.hand_over(&leave("9", json!({}))).await;
    let id = world.uuid(handover::contract::JobId(job.id));
    for time in 1..=4 {
        world.sql("INSERT INTO heap (owner, what) VALUES (9, 'late'), (9, 'late')").await;
        world.change_ledger(&format!("UPDATE handover.jobs SET recount_at = requested_at WHERE id = {id}")).await;
        let copies = "SELECT count(*) FROM handover.row_snapshots";
        let expected = 11 + 2 * time;
        world.until("they are gone too", async || (world.number(copies).await == expected).then_some(())).await;
    }
    let undone = world.hand_over(&revert(&job)).await;
    assert!(undone.reasons.is_none(), "{:?}", codes_of(&undone));
    assert_eq!(count(world, 9).await, 19, "each was restored once");
}
