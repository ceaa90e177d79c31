//! Hosts whose names are like ours: tables that begin with `handover_`, and columns of the ledger's and statements' names.

use serde_json::json;

use crate::support::people::{host, leave, reference, reverted, reverts_to, start};
use crate::support::world::{certificate_of, result_of};
use crate::support::{World, every_engine};

#[every_engine(also_in_chunks_of = 2)]
async fn names_like_ours_are_the_hosts(world: &mut World) {
    let columns = "n BIGINT NOT NULL PRIMARY KEY, owner BIGINT, item TEXT, chunk TEXT, leaver BIGINT, successor TEXT, k0 TEXT, x TEXT, \
         t TEXT, key TEXT, at TIMESTAMP, job_id TEXT, sole TEXT";
    let rows: Vec<String> =
        (1..=5).map(|n| format!("({n}, 9, 'i', 'c', {n}, 's', 'k', 'x', 't', 'open', NULL, 'j', 's')")).collect();
    let table = |name: &str| format!("CREATE TABLE {name} ({columns}); INSERT INTO {name} VALUES {};", rows.join(", "));
    let tables = [table("handover_notes"), table("marks")].concat();
    let tests =
        "where = { item = \"i\", chunk = \"c\", key = [\"open\", \"k0\"], t = \"t\", leaver = { null = false } }";
    let references = [
        reference("note", "handover_notes", &format!("{tests}\ndisposition = \"transfer\"\ntouch = \"at\"")),
        reference(
            "mark",
            "marks",
            &format!("{tests}\ndisposition = \"set\"\nset = {{ at = {{ now = true }}, chunk = \"c\" }}"),
        ),
        reference("rest", "handover_notes", "disposition = \"keep\""),
        reference("other_mark", "marks", "disposition = \"keep\""),
    ];
    start(world, &tables, &references.concat().replace("key = \"id\"", "key = \"n\"")).await;
    let job = world.hand_over(&leave("9", json!({ "note": { "user": "2" } }))).await;
    let certificate = certificate_of(&job);
    assert_eq!((result_of(&certificate, "note").moved, result_of(&certificate, "mark").set), (Some(5), Some(5)));
    let moved = "SELECT count(*) FROM handover_notes WHERE owner = 2 AND at IS NOT NULL";
    assert_eq!(world.number(moved).await, 5);
    let undone = reverted(world, &job).await;
    assert_eq!((result_of(&undone, "note").restored, result_of(&undone, "mark").restored), (Some(5), Some(5)));
}

/// Names that occur in our statements, and names that need quotes.
const NAMES: [&str; 22] = [
    "copy_id",
    "key",
    "k0",
    "t",
    "o",
    "p",
    "c",
    "item",
    "chunk",
    "successor",
    "leaver",
    "row",
    "is",
    "was",
    "image",
    "holder",
    "a0",
    "UPPER",
    "we\"ird",
    "it's",
    "a.b c",
    "%s{}$1?",
];

/// Promise: whatever a host calls its columns, rows are moved, merged, removed with others, and set, and all of it is undone.
#[every_engine(also_in_chunks_of = 1)]
async fn names_of_columns_never_matter(world: &mut World) {
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let columns: String = NAMES.iter().map(|name| format!(", {} TEXT", quoted(name))).collect();
    let values: String = NAMES.iter().map(|name| format!(", '{}'", name.replace('\'', "''"))).collect();
    let user = quoted("own\"er's");
    let table = |name: &str, more: &str| {
        format!("CREATE TABLE {name} (id BIGINT NOT NULL PRIMARY KEY, {user} BIGINT{columns}{more});")
    };
    let tables = [
        table("moved", ""),
        table("removed", ""),
        table(
            "kids",
            ", \"key \"\"x\" BIGINT REFERENCES removed (id) ON DELETE CASCADE, \"copy_id \" BIGINT REFERENCES removed (id) ON DELETE SET NULL",
        ),
        table("changed", ", \"at's\" TIMESTAMP"),
        table("sums", &format!(", \"n \"\"x\" BIGINT, UNIQUE ({user}, \"it's\")")),
        format!("CREATE TABLE keyless ({user} BIGINT{columns});"),
        format!(
            "INSERT INTO moved VALUES (1, 9{values}), (2, 9{values}); INSERT INTO removed VALUES (1, 9{values}), (2, 9{values});"
        ),
        format!(
            "INSERT INTO kids VALUES (1, 2{values}, 1, NULL), (2, 2{values}, NULL, 2); INSERT INTO changed VALUES (1, 9{values}, NULL);"
        ),
        format!(
            "INSERT INTO sums VALUES (1, 9{values}, 5), (2, 2{values}, 7); INSERT INTO keyless VALUES (9{values}), (9{values});"
        ),
    ];
    let kids = "with = [\"kids\"]";
    let set = r#"disposition = "set"
set = { "we\"ird" = "gone", "at's" = { now = true }, is = { null = true } }"#;
    let add = r#"disposition = "transfer"
on_conflict = { add = ["n \"x"] }"#;
    let references = [
        reference(
            "moved",
            "moved",
            "disposition = \"transfer\"\nwhere = { \"it's\" = \"it's\", \"we\\\"ird\" = \"we\\\"ird\" }",
        ),
        reference("moved_rest", "moved", "disposition = \"keep\""),
        reference("removed", "removed", &format!("disposition = \"detach\"\n{kids}")),
        reference("changed", "changed", set),
        reference("sum", "sums", add),
        reference("keyless", "keyless", "disposition = \"transfer\"").replace("\"id\"", "[]"),
    ];
    start(world, &tables.concat(), &references.concat().replace("user = \"owner\"", r#"user = "own\"er's""#)).await;
    let before = host(world).await;
    let reassign = json!({ "moved": { "user": "2" }, "sum": { "user": "2" }, "keyless": { "user": "3" } });
    let job = world.hand_over(&leave("9", reassign)).await;
    let certificate = certificate_of(&job);
    let done = ["moved", "keyless", "removed", "changed", "sum"].map(|kind| result_of(&certificate, kind));
    assert_eq!(
        (done[0].moved, done[1].moved, done[2].removed, done[3].set, done[4].merged),
        (Some(2), Some(2), Some(2), Some(1), Some(1))
    );
    reverts_to(world, &job, &before).await;
}
