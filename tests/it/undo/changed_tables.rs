//! Undo after the application changed its tables: columns were added, dropped or renamed.

use std::collections::BTreeMap;

use handover::contract::{Certificate, ReferenceResult, SkipReason};
use handover::stages::undo::preview;
use handover::store::ledger::jobs::Job;
use serde_json::json;

use crate::support::people::{USERS, host, leave, owners, reference, reverted, start};
use crate::support::world::{certificate_of, result_of};
use crate::support::{World, every_engine};

/// Four tables with the same rows, one for each disposition. One row has no value in `what`.
fn tables() -> String {
    let columns = "owner BIGINT, what TEXT, size BIGINT";
    let table = |name: &str, key: &str| {
        format!(
            "CREATE TABLE {name} (id BIGINT{key}, {columns}); INSERT INTO {name} VALUES (1, 9, 'a', 10), (2, 9, NULL, 20), (3, 2, 'c', 30);"
        )
    };
    let keyed = ["gone", "done", "frozen", "moved"].map(|name| table(name, " NOT NULL PRIMARY KEY"));
    keyed.concat() + &table("heap", "")
}

fn references() -> String {
    [
        reference("gone", "gone", "disposition = \"detach\""),
        reference("done", "done", "disposition = \"purge\"\nkeep_copy = \"30d\""),
        reference("frozen", "frozen", "disposition = \"set\"\nset = { what = \"z\" }"),
        reference("moved", "moved", "disposition = \"transfer\""),
        reference("heap", "heap", "disposition = \"detach\"").replace("key = \"id\"", "key = []"),
    ]
    .concat()
}

async fn left(world: &mut World) -> Job {
    start(world, &tables(), &references()).await;
    let job = world.hand_over(&leave("9", json!({ "moved": { "user": "2" } }))).await;
    certificate_of(&job);
    job
}

/// Applies a change to every table.
async fn change(world: &mut World, statements: &str) {
    for table in ["gone", "done", "frozen", "moved", "heap"] {
        world.sql(&statements.replace("{table}", table)).await;
    }
    world.grant_more().await;
}

/// A worker that read the catalog before the change, or one that reads it now.
async fn start_anew(world: &mut World) {
    world.stop_workers().await;
    world.use_catalog(&format!("{USERS}{}", references())).await;
    world.start_worker().await;
}

/// Previews and runs the undo, and asserts that both agree.
async fn previewed_and_reverted(world: &World, job: &Job) -> Certificate {
    let foreseen = preview::revert(&world.context, job, &"1".to_owned().try_into().expect("an id")).await;
    let undone = reverted(world, job).await;
    let reported = |results: &[ReferenceResult]| -> Vec<(String, Option<u64>, BTreeMap<SkipReason, u64>)> {
        results.iter().map(|result| (result.kind.clone(), result.restored, result.skipped.clone())).collect()
    };
    assert_eq!(reported(&foreseen.expect("a preview").references), reported(&undone.references));
    undone
}

async fn rows(world: &World, table: &str, columns: &str) -> Vec<String> {
    let texts = columns.split(", ").map(|name| format!("COALESCE(CAST({name} AS text), '-')"));
    let row = texts.collect::<Vec<_>>().join(" || ' ' || ");
    world.texts(&format!("SELECT {row} AS t FROM {table} WHERE owner = 9 ORDER BY id")).await
}

fn reported(certificate: &Certificate, kind: &str) -> (Option<u64>, Option<u64>) {
    let result = result_of(certificate, kind);
    (result.restored, result.skipped.get(&SkipReason::TableChanged).copied())
}

#[every_engine(also_in_chunks_of = 1)]
async fn new_columns_take_their_defaults(world: &mut World) {
    for is_read_anew in [false, true] {
        let job = match is_read_anew {
            false => left(world).await,
            true => {
                let mut again = leave("9", json!({ "moved": { "user": "2" } }));
                again["request_id"] = json!("again");
                world.hand_over(&again).await
            }
        };
        let name = if is_read_anew { "tall" } else { "wide" };
        change(world, &format!("ALTER TABLE {{table}} ADD COLUMN {name} BIGINT NOT NULL DEFAULT 7")).await;
        if is_read_anew {
            start_anew(world).await;
        }
        let undone = previewed_and_reverted(world, &job).await;
        for table in ["gone", "done", "frozen", "heap"] {
            assert_eq!(reported(&undone, table), (Some(2), None), "{table}");
            let columns = format!("id, what, size, wide, {name}");
            assert_eq!(rows(world, table, &columns).await, ["1 a 10 7 7", "2 - 20 7 7"], "{table}");
        }
        assert_eq!(reported(&undone, "moved"), (Some(2), None));
    }
}

/// Recreates the table with a required column that has no default.
const REBUILT: &str = "CREATE TABLE {table}2 (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, what TEXT, size BIGINT, must TEXT NOT NULL); \
     INSERT INTO {table}2 SELECT id, owner, what, size, 'x' FROM {table}; DROP TABLE {table}; ALTER TABLE {table}2 RENAME TO {table};";

#[every_engine(also_in_chunks_of = 1)]
async fn new_required_column_prevents_restoring(world: &mut World) {
    let job = left(world).await;
    world.sql(&REBUILT.replace("{table}", "gone")).await;
    world.grant_more().await;
    let undone = reverted(world, &job).await;
    assert_eq!(reported(&undone, "gone"), (Some(0), Some(2)));
    for table in ["done", "frozen", "moved", "heap"] {
        assert_eq!(reported(&undone, table), (Some(2), None), "{table}");
    }
    assert_eq!(world.number("SELECT count(*) FROM people WHERE id = 9 AND status = 'active'").await, 1);
}

async fn nothing_goes_into_a_column_that_is_gone(world: &mut World, change_to: &str, is_read_anew: bool) {
    let job = left(world).await;
    for table in ["gone", "done", "heap"] {
        world.sql(&change_to.replace("{table}", table)).await;
    }
    world.grant_more().await;
    if is_read_anew {
        start_anew(world).await;
    }
    let undone = previewed_and_reverted(world, &job).await;
    for table in ["gone", "done", "heap"] {
        assert_eq!(reported(&undone, table), (Some(1), Some(1)), "{table}");
        assert_eq!(rows(world, table, "id, size").await, ["2 20"], "the row without a value there");
    }
    for table in ["frozen", "moved"] {
        assert_eq!(reported(&undone, table), (Some(2), None), "{table}");
    }
}

#[every_engine(also_in_chunks_of = 1)]
async fn dropped_column_prevents_restoring(world: &mut World) {
    nothing_goes_into_a_column_that_is_gone(world, "ALTER TABLE {table} DROP COLUMN what", false).await;
}

#[every_engine]
async fn renamed_column_prevents_restoring(world: &mut World) {
    nothing_goes_into_a_column_that_is_gone(world, "ALTER TABLE {table} RENAME COLUMN what TO said", true).await;
}

#[every_engine(also_in_chunks_of = 1)]
async fn dropped_user_column_leaves_rows_as_they_are(world: &mut World) {
    let job = left(world).await;
    world.sql("ALTER TABLE frozen DROP COLUMN what; ALTER TABLE moved RENAME COLUMN owner TO holder").await;
    let undone = previewed_and_reverted(world, &job).await;
    for table in ["frozen", "moved"] {
        assert_eq!(reported(&undone, table), (Some(0), Some(2)), "{table}");
    }
    for table in ["gone", "done", "heap"] {
        assert_eq!(reported(&undone, table), (Some(2), None), "{table}");
    }
}

/// A document that the leaver owns and made: it moves to Ben, and is deleted because of its maker.
const MADE: &str = "CREATE TABLE docs (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, maker BIGINT); \
     INSERT INTO docs VALUES (1, 9, 9), (2, 9, 3), (3, 3, 9), (4, 9, 9);";

#[every_engine(also_in_chunks_of = 1)]
async fn rows_moved_and_then_removed_return(world: &mut World) {
    let made =
        "[[reference]]\nkind = \"made\"\ntable = \"docs\"\nkey = \"id\"\nuser = \"maker\"\ndisposition = \"purge\"\n";
    start(world, MADE, &format!("{}{made}", reference("doc", "docs", "disposition = \"transfer\""))).await;
    let before = host(world).await;
    let job = world.hand_over(&leave("9", json!({ "doc": { "user": "2" } }))).await;
    certificate_of(&job);
    assert_eq!(owners(world, "docs").await, ["2:2"]);
    let undone = previewed_and_reverted(world, &job).await;
    assert!(undone.references.iter().all(|result| result.skipped.is_empty()), "{:?}", undone.references);
    assert_eq!(host(world).await, before);
}
