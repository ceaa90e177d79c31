//! The dispositions and their undo, in the planner's transaction and in chunks.

use handover::job::State;
use serde_json::{Value, json};

use crate::support::people::{host, leave, reference, reverts_to, start};
use crate::support::{World, every_engine};

/// A table of numbered rows with an owner: five of the leaver's, one of user 2.
fn table(name: &str) -> String {
    format!(
        "CREATE TABLE {name} (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, note TEXT); \
         INSERT INTO {name} VALUES (1, 9, 'a'), (2, 9, ''), (3, 9, NULL), (4, 9, 'it''s \"d\"'), (5, 9, 'e'), (6, 2, 'f');"
    )
}

/// Moves, and checks that a revert brings every column of every row back.
async fn there_and_back(world: &mut World, kind: &str, rest: &str, reassign: Value, expected: &[&str]) {
    start(world, &table(kind), &reference(kind, kind, rest)).await;
    let before = host(world).await;
    let job = world.hand_over(&leave("9", reassign)).await;
    assert_eq!(job.state, State::Completed, "{:?}", job.reasons);
    let row = "CAST(id AS text) || ':' || COALESCE(CAST(owner AS text), '')";
    assert_eq!(world.texts(&format!("SELECT {row} AS t FROM {kind} ORDER BY id")).await, expected);
    reverts_to(world, &job, &before).await;
}

#[every_engine(also_in_chunks_of = 2)]
pub async fn transfer_moves_and_returns(world: &mut World) {
    let both =
        json!({ "doc": { "logic": "ratio", "shares": [{ "user": "2", "amount": 2 }, { "user": "3", "amount": 1 }] } });
    let dealt = ["1:2", "2:2", "3:3", "4:2", "5:2", "6:2"];
    there_and_back(world, "doc", "disposition = \"transfer\"", both, &dealt).await;
}

#[every_engine(also_in_chunks_of = 2)]
pub async fn detach_removes_and_restores(world: &mut World) {
    there_and_back(world, "share", "disposition = \"detach\"", json!({}), &["6:2"]).await;
}

#[every_engine(also_in_chunks_of = 2)]
pub async fn detach_takes_children_along(world: &mut World) {
    let tables = table("share")
        + " CREATE TABLE pages (id BIGINT NOT NULL PRIMARY KEY, share_id BIGINT REFERENCES share (id)); \
           INSERT INTO pages VALUES (10, 1), (11, 1), (30, 3), (60, 6);";
    start(world, &tables, &reference("share", "share", "disposition = \"detach\"\nwith = [\"pages\"]")).await;
    let before = host(world).await;
    let job = world.hand_over(&leave("9", json!({}))).await;
    assert_eq!(job.state, State::Completed, "{:?}", job.reasons);
    assert_eq!(world.texts("SELECT CAST(id AS text) AS t FROM pages").await, ["60"]);
    reverts_to(world, &job, &before).await;
}

#[every_engine(also_in_chunks_of = 2)]
pub async fn purge_removes_and_restores(world: &mut World) {
    there_and_back(world, "chore", "disposition = \"purge\"\nkeep_copy = \"30d\"", json!({}), &["6:2"]).await;
}

#[every_engine(also_in_chunks_of = 2)]
pub async fn set_changes_and_restores(world: &mut World) {
    let kept = ["1:9", "2:9", "3:9", "4:9", "5:9", "6:2"];
    there_and_back(world, "mark", "disposition = \"set\"\nset = { note = \"left\" }", json!({}), &kept).await;
}
