//! Undo against resistance of the database or the host: what cannot return is reported, and the rest returns.

use handover::contract::ReferenceResult;
use handover::job::State;
use handover::store::ledger::jobs::Job;
use serde_json::json;

use crate::support::people::{PEOPLE, USERS, host, leave, owners, reference, reverted, reverts_to, start};
use crate::support::world::{certificate_of, codes_of, result_of};
use crate::support::{Engine, World, every_engine, on_postgres};

/// Deactivates user 9; Ben (2) receives all records of these kinds.
async fn leaves(world: &World, kinds: &[&str]) -> Job {
    let reassign: serde_json::Map<_, _> =
        kinds.iter().map(|kind| ((*kind).to_owned(), json!({ "user": "2" }))).collect();
    let job = world.hand_over(&leave("9", reassign.into())).await;
    certificate_of(&job);
    job
}

/// Returns the restored count of a kind, and the skipped counts by reason.
fn reported(result: &ReferenceResult) -> (Option<u64>, Vec<(&str, u64)>) {
    (result.restored, result.skipped.iter().map(|(reason, count)| (reason.name(), *count)).collect())
}

/// Documents, each watched by a user at most once. Ben already watches the first.
const WATCHED: &str = "CREATE TABLE watched (doc BIGINT NOT NULL, owner BIGINT NOT NULL, note TEXT, PRIMARY KEY (doc, owner)); \
     INSERT INTO watched VALUES (1, 9, 'mine'), (2, 9, 'b'), (3, 9, 'c'), (4, 9, 'd'), (1, 2, 'his'), (7, 2, 'g');";

const WATCH: &str = "[[reference]]\nkind = \"watch\"\ntable = \"watched\"\nkey = [\"doc\", \"owner\"]\nuser = \"owner\"\n\
     disposition = \"transfer\"\non_conflict = \"drop\"\n";

#[every_engine(also_in_chunks_of = 2)]
async fn row_dropped_on_conflict_is_restored(world: &mut World) {
    start(world, WATCHED, WATCH).await;
    let before = host(world).await;
    let job = leaves(world, &["watch"]).await;
    assert_eq!(world.number("SELECT count(*) FROM watched").await, 5);
    reverts_to(world, &job, &before).await;
}

#[every_engine(also_in_chunks_of = 2)]
async fn occupied_pair_is_skipped(world: &mut World) {
    start(world, WATCHED, WATCH).await;
    let job = leaves(world, &["watch"]).await;
    // Both the dropped pair and one that moved.
    world.sql("INSERT INTO watched VALUES (1, 9, 'new'), (3, 9, 'new')").await;
    let watch = result_of(&reverted(world, &job).await, "watch");
    assert_eq!(reported(&watch), (Some(2), vec![("occupied", 2)]));
    let rows = "SELECT CAST(doc AS text) || ':' || CAST(owner AS text) || ':' || note AS t FROM watched ORDER BY 1";
    assert_eq!(world.texts(rows).await, ["1:2:his", "1:9:new", "2:9:b", "3:2:c", "3:9:new", "4:9:d", "7:2:g"]);
}

#[every_engine(also_in_chunks_of = 2)]
async fn rows_refused_by_special_indexes_are_occupied(world: &mut World) {
    let tables = "CREATE TABLE members (id BIGINT NOT NULL PRIMARY KEY, doc BIGINT NOT NULL, owner BIGINT NOT NULL, code TEXT, ended INTEGER NOT NULL); \
         CREATE UNIQUE INDEX one_active ON members (doc, owner) WHERE ended = 0; \
         CREATE UNIQUE INDEX one_code ON members (owner, lower(code)); \
         INSERT INTO members VALUES (1, 1, 9, 'a', 0), (2, 2, 9, 'b', 0), (3, 3, 9, 'C', 0), (4, 4, 9, 'd', 1), (5, 5, 9, 'e', 0);";
    start(world, tables, &reference("member", "members", "disposition = \"transfer\"")).await;
    let job = leaves(world, &["member"]).await;
    world.sql("INSERT INTO members VALUES (11, 1, 9, 'x', 0), (13, 13, 9, 'c', 0), (14, 4, 9, 'z', 0)").await;
    let member = result_of(&reverted(world, &job).await, "member");
    assert_eq!(reported(&member), (Some(3), vec![("occupied", 2)]), "an ended membership occupies nothing");
    assert_eq!(owners(world, "members").await, ["1:2", "2:9", "3:2", "4:9", "5:9", "11:9", "13:9", "14:9"]);
}

#[every_engine(also_in_chunks_of = 3)]
async fn rows_refused_by_checks_are_reported(world: &mut World) {
    let tables = "CREATE TABLE docs (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, size BIGINT, CHECK (owner <> 9 OR size > 0)); \
         INSERT INTO docs VALUES (1, 9, 1), (2, 9, 2), (3, 9, 3), (4, 9, 4), (5, 9, 5);";
    start(world, tables, &reference("doc", "docs", "disposition = \"transfer\"")).await;
    let job = leaves(world, &["doc"]).await;
    world.sql("UPDATE docs SET size = 0 WHERE id IN (2, 5)").await;
    assert_eq!(reported(&result_of(&reverted(world, &job).await, "doc")), (Some(3), vec![("refused", 2)]));
    assert_eq!(owners(world, "docs").await, ["1:9", "2:2", "3:9", "4:9", "5:2"]);
}

#[every_engine(also_in_chunks_of = 3)]
async fn rows_kept_by_triggers_are_refused(world: &mut World) {
    let tables = "CREATE TABLE docs (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT); \
         INSERT INTO docs VALUES (1, 9), (2, 9), (3, 9), (4, 9), (5, 9); \
         CREATE TABLE flags (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, size BIGINT); \
         INSERT INTO flags VALUES (1, 9, 7), (2, 9, 7), (3, 9, 7), (4, 9, 7);";
    let flags = reference("flag", "flags", "disposition = \"set\"\nset = { size = 0 }");
    start(world, tables, &[reference("doc", "docs", "disposition = \"transfer\""), flags].concat()).await;
    let job = leaves(world, &["doc"]).await;
    for (table, place) in [("docs", 0), ("flags", 1)] {
        let kept = match world.engine {
            Engine::Sqlite => format!(
                "CREATE TRIGGER kept{place} BEFORE UPDATE ON {table} WHEN OLD.id = 2 BEGIN SELECT RAISE(IGNORE); END;"
            ),
            Engine::Postgres => format!(
                "CREATE FUNCTION kept{place}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                   IF OLD.id = 2 THEN RETURN NULL; END IF; RETURN NEW; END $$; \
                 CREATE TRIGGER kept BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION kept{place}();"
            ),
        };
        world.sql(&kept).await;
    }
    let certificate = reverted(world, &job).await;
    assert_eq!(reported(&result_of(&certificate, "doc")), (Some(4), vec![("refused", 1)]));
    assert_eq!(reported(&result_of(&certificate, "flag")), (Some(3), vec![("refused", 1)]));
    assert_eq!(owners(world, "docs").await, ["1:9", "2:2", "3:9", "4:9", "5:9"]);
    assert_eq!(world.number("SELECT CAST(sum(size) AS bigint) FROM flags").await, 21);
}

/// A unique constraint, a foreign key and a trigger, all deferred to the commit.
async fn rows_refused_at_commit(world: &mut World) {
    let tables = "CREATE TABLE shelves (id BIGINT PRIMARY KEY, keeper BIGINT, UNIQUE (id, keeper)); \
         INSERT INTO shelves SELECT n, 9 FROM generate_series(1, 8) n; INSERT INTO shelves SELECT n, 2 FROM generate_series(11, 18) n; \
         CREATE TABLE docs (id BIGINT PRIMARY KEY, owner BIGINT, slot BIGINT, UNIQUE (owner, slot) DEFERRABLE INITIALLY DEFERRED); \
         CREATE TABLE tags (id BIGINT PRIMARY KEY, owner BIGINT, shelf BIGINT REFERENCES shelves (id) DEFERRABLE INITIALLY DEFERRED); \
         CREATE FUNCTION no_four() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
           IF NEW.id = 4 AND NEW.owner = 9 AND NEW.slot = 0 THEN RAISE EXCEPTION 'not this one' USING ERRCODE = '23514'; END IF; RETURN NULL; END $$; \
         CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON docs DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION no_four(); \
         INSERT INTO docs SELECT n, 9, n FROM generate_series(1, 8) n; INSERT INTO tags SELECT n, 9, n FROM generate_series(1, 8) n;";
    let references =
        [reference("doc", "docs", "disposition = \"transfer\""), reference("tag", "tags", "disposition = \"detach\"")];
    start(world, tables, &references.concat()).await;
    let job = leaves(world, &["doc"]).await;
    world.sql("INSERT INTO docs VALUES (20, 9, 2)").await;
    world.sql("UPDATE docs SET slot = 0 WHERE id = 4").await;
    world.sql("DELETE FROM shelves WHERE id = 6").await;
    let certificate = reverted(world, &job).await;
    assert_eq!(reported(&result_of(&certificate, "doc")), (Some(6), vec![("occupied", 1), ("refused", 1)]));
    assert_eq!(reported(&result_of(&certificate, "tag")), (Some(7), vec![("parent_gone", 1)]));
    assert_eq!(owners(world, "docs").await, ["1:9", "2:2", "3:9", "4:2", "5:9", "6:9", "7:9", "8:9", "20:9"]);
    assert_eq!(world.number("SELECT count(*) FROM tags WHERE id <> 6").await, 7);
}

#[on_postgres]
async fn rows_refused_at_commit_are_reported(world: &mut World) {
    rows_refused_at_commit(world).await;
}

#[on_postgres]
async fn rows_refused_at_commit_are_reported_in_chunks(world: &mut World) {
    world.use_chunks_of(3);
    rows_refused_at_commit(world).await;
}

#[every_engine(also_in_chunks_of = 2)]
async fn set_column_changed_since_is_skipped(world: &mut World) {
    let tables = "CREATE TABLE seats (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, access TEXT, note TEXT); \
         INSERT INTO seats VALUES (1, 9, 'full', 'a'), (2, 9, NULL, 'b'), (3, 9, '', 'c'), (4, 9, 'full', 'd'), (5, 2, 'read', 'e');";
    start(world, tables, &reference("seat", "seats", "disposition = \"set\"\nset = { access = \"read\" }")).await;
    let job = leaves(world, &[]).await;
    world.sql("UPDATE seats SET access = 'none', note = 'theirs' WHERE id = 1").await;
    world.sql("UPDATE seats SET note = 'new' WHERE id = 3").await;
    world.sql("DELETE FROM seats WHERE id = 4").await;
    assert_eq!(
        reported(&result_of(&reverted(world, &job).await, "seat")),
        (Some(2), vec![("changed", 1), ("gone", 1)])
    );
    let rows = "SELECT CAST(id AS text) || ':' || COALESCE(access, 'NULL') || ':' || note AS t FROM seats ORDER BY id";
    assert_eq!(world.texts(rows).await, ["1:none:theirs", "2:NULL:b", "3::new", "5:read:e"]);
}

/// Orders with lines, lines with remarks, and folders within folders.
const TREES: &str = "CREATE TABLE orders (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT); \
     CREATE TABLE lines (id BIGINT NOT NULL PRIMARY KEY, order_id BIGINT NOT NULL REFERENCES orders (id) ON DELETE CASCADE, \
       after BIGINT REFERENCES lines (id), size BIGINT); \
     CREATE TABLE remarks (id BIGINT NOT NULL PRIMARY KEY, line_id BIGINT REFERENCES lines (id) ON DELETE SET NULL, said TEXT); \
     INSERT INTO orders VALUES (1, 9), (2, 9), (3, 2), (4, 9); \
     INSERT INTO lines VALUES (10, 1, NULL, 1), (11, 1, 10, 2), (12, 1, 11, 3), (20, 2, NULL, 4), (30, 3, NULL, 5), (19, 2, 20, 6); \
     INSERT INTO remarks VALUES (1, 10, 'a'), (2, 12, 'b'), (3, 19, ''), (4, 30, 'd'), (5, NULL, 'e');";

#[every_engine(also_in_chunks_of = 1)]
async fn cascaded_rows_return_after_their_parents(world: &mut World) {
    let with = "disposition = \"detach\"\nwith = [\"lines\", \"remarks\"]";
    start(world, TREES, &reference("order", "orders", with)).await;
    let before = host(world).await;
    let job = leaves(world, &[]).await;
    assert_eq!(world.number("SELECT count(*) FROM lines").await, 1);
    // A remark outlives its line, without pointing at it.
    assert_eq!(world.number("SELECT count(*) FROM remarks WHERE line_id IS NULL").await, 4);
    reverts_to(world, &job, &before).await;
}

#[every_engine]
async fn refused_tree_row_skips_only_its_branch(world: &mut World) {
    let tables = "CREATE TABLE folders (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, parent BIGINT REFERENCES folders (id), code TEXT UNIQUE); \
         INSERT INTO folders VALUES (1, 9, NULL, 'a'), (2, 9, 1, 'b'), (3, 9, 2, 'c'), (4, 9, 3, 'd'), (5, 9, 4, 'e'), (6, 9, 5, 'f'), \
           (7, 9, 1, 'g'), (8, 9, 7, 'h'), (9, 2, NULL, 'i');";
    start(world, tables, &reference("folder", "folders", "disposition = \"detach\"\nwith = [\"folders\"]")).await;
    let before = host(world).await;
    let job = leaves(world, &[]).await;
    assert_eq!(world.number("SELECT count(*) FROM folders").await, 1);
    let mut again = leave("9", json!({}));
    again["request_id"] = json!("again");
    reverts_to(world, &job, &before).await;
    let job = world.hand_over(&again).await;
    certificate_of(&job);
    // Someone took the codes of two folders: one has no children, one has a folder.
    world.sql("INSERT INTO folders VALUES (16, 2, NULL, 'f'), (17, 2, NULL, 'g')").await;
    let folder = result_of(&reverted(world, &job).await, "folder");
    assert_eq!(reported(&folder), (Some(5), vec![("occupied", 2), ("parent_gone", 1)]));
    assert_eq!(owners(world, "folders").await, ["1:9", "2:9", "3:9", "4:9", "5:9", "9:2", "16:2", "17:2"]);
}

/// Zoe (9) and Cleo (3) manage each other, and each has two documents.
async fn prepare_managers(world: &mut World) {
    world
        .sql(&format!(
            "{PEOPLE} ALTER TABLE people ADD COLUMN boss BIGINT; UPDATE people SET boss = 12 - id WHERE id IN (3, 9); \
             CREATE TABLE docs (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT); INSERT INTO docs VALUES (1, 9), (2, 3), (3, 9), (4, 3);"
        ))
        .await;
    let users = USERS.replace("email =", "manager = \"boss\"\nemail =");
    let boss =
        "[[reference]]\nkind = \"report\"\ntable = \"people\"\nkey = \"id\"\nuser = \"boss\"\ndisposition = \"keep\"\n";
    let doc = reference("doc", "docs", "disposition = \"transfer\"");
    world.use_catalog(&format!("{users}{doc}{boss}")).await;
}

/// Asserts that no leaver keeps documents, and that a rejected job has its reason.
async fn assert_no_leaver_keeps_documents(world: &World, jobs: [handover::contract::JobId; 2]) {
    let mut completed = 0;
    for job in jobs {
        let job = world.end_of(job).await;
        if job.state == State::Completed {
            completed += 1;
            continue;
        }
        assert_eq!(job.state, State::Rejected, "{:?}", job.reasons);
        assert!(codes_of(&job).iter().all(|code| code.starts_with("successor_")), "{:?}", job.reasons);
    }
    assert!(completed < 2, "the second has no successor");
    let left = "SELECT count(*) FROM docs WHERE owner IN (SELECT id FROM people WHERE status <> 'active')";
    assert_eq!(world.number(left).await, 0);
    assert_eq!(world.number("SELECT count(*) FROM people WHERE status <> 'active'").await, completed);
}

#[every_engine]
async fn mutual_managers_cannot_both_use_manager(world: &mut World) {
    prepare_managers(world).await;
    let manager = json!({ "doc": { "manager": true } });
    let jobs = [world.send(&leave("9", manager.clone())).await, world.send(&leave("3", manager)).await];
    world.start_worker().await;
    assert_no_leaver_keeps_documents(world, jobs).await;
}

#[every_engine(also_in_chunks_of = 1)]
async fn second_of_mutual_managers_is_refused(world: &mut World) {
    prepare_managers(world).await;
    world.start_worker().await;
    let manager = json!({ "doc": { "manager": true } });
    certificate_of(&world.hand_over(&leave("9", manager.clone())).await);
    let second = world.hand_over(&leave("3", manager)).await;
    assert_eq!((second.state, codes_of(&second)), (State::Rejected, vec!["successor_inactive".to_owned()]));
    assert_eq!(owners(world, "docs").await, ["1:3", "2:3", "3:3", "4:3"]);
}

#[on_postgres]
async fn mutual_managers_in_two_transactions_never_deadlock(world: &mut World) {
    prepare_managers(world).await;
    world.context.limits.group = 1;
    for pair in 0..15 {
        let (one, other) = (100 + 2 * pair, 101 + 2 * pair);
        world
            .sql(&format!(
                "INSERT INTO people VALUES ({one}, 'P', 'p@example.com', 'active', {other}), ({other}, 'P', 'p@example.com', 'active', {one}); \
                 INSERT INTO docs VALUES ({one}, {one}), ({other}, {other});"
            ))
            .await;
    }
    let mut jobs = Vec::new();
    for id in 100..130 {
        jobs.push(world.send(&leave(&id.to_string(), json!({ "doc": { "manager": true } }))).await);
    }
    world.start_worker().await;
    world.start_worker().await;
    for pair in jobs.chunks(2) {
        for job in pair {
            let state = world.end_of(*job).await.state;
            assert!([State::Completed, State::Rejected].contains(&state), "{state}");
        }
    }
    let left = "SELECT count(*) FROM docs WHERE owner IN (SELECT id FROM people WHERE status <> 'active')";
    assert_eq!(world.number(left).await, 0);
    let pairs = "SELECT count(*) FROM people p JOIN people q ON q.id = p.boss WHERE p.status <> 'active' AND q.status <> 'active'";
    assert_eq!(world.number(pairs).await, 0, "of each pair at least one remains");
}

/// Promise: an undo compares a time that the job has set with the time that the row holds now.
#[every_engine(also_in_chunks_of = 1)]
async fn time_changed_since_it_was_set_stays(world: &mut World) {
    let time = if world.engine == Engine::Sqlite { "TEXT" } else { "TIMESTAMPTZ" };
    let tables = format!(
        "CREATE TABLE frozen (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, frozen_at {time}, note TEXT); \
         INSERT INTO frozen VALUES (1, 9, NULL, 'a'), (2, 9, NULL, 'b');"
    );
    let set = "disposition = \"set\"\nset = { frozen_at = { now = true }, note = \"gone\" }";
    start(world, &tables, &reference("frozen", "frozen", set)).await;
    let job = leaves(world, &[]).await;
    world.sql("UPDATE frozen SET frozen_at = '2030-01-01 00:00:00' WHERE id = 1").await;
    let frozen = result_of(&reverted(world, &job).await, "frozen");
    assert_eq!(reported(&frozen), (Some(1), vec![("changed", 1)]));
    let left = "SELECT CAST(id AS text) || note AS t FROM frozen WHERE frozen_at IS NOT NULL";
    assert_eq!(world.texts(left).await, ["1gone"]);
}
