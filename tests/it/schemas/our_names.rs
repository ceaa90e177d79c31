//! Hosts whose names are like ours: tables that begin with `handover_`, and columns of the ledger's and statements' names.

use serde_json::json;

use crate::support::people::{leave, reference, reverted, start};
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
