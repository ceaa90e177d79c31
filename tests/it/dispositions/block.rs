//! Block: a row that keeps its user from leaving.

use handover::job::State;
use serde_json::json;

use super::{HOST, leave, owners, reference, table};
use crate::support::world::{codes_of, counts, reasons_of, result_of, successors_of};
use crate::support::{World, every_engine};

const BLOCK: &str = "disposition = \"block\"";

#[every_engine(also_in_chunks_of = 2)]
async fn blocking_row_prevents_leaving(world: &mut World) {
    HOST.start(world, &table("docs"), &reference("doc", "docs", BLOCK)).await;
    let job = world.hand_over(&leave(json!({}))).await;
    assert_eq!((job.state, codes_of(&job)), (State::Rejected, vec!["blocked".to_owned()]));
    let reason = &reasons_of(&job)[0];
    assert_eq!(reason.concerning.keys, ["1", "2", "3", "4", "5"]);
    assert_eq!(world.texts("SELECT status AS t FROM people WHERE id = 9").await, ["active"]);
    world.sql("UPDATE docs SET owner = 2").await;
    let mut request = leave(json!({}));
    request["request_id"] = json!("r2");
    world.certificate(&request).await;
}

#[every_engine(also_in_chunks_of = 2)]
async fn resolvable_block_is_transferred(world: &mut World) {
    HOST.start(world, &table("docs"), &reference("doc", "docs", "disposition = \"block\"\nresolve = true")).await;
    assert_eq!(codes_of(&world.hand_over(&leave(json!({}))).await), ["blocked"]);
    let mut request = leave(json!({ "doc": { "each": { "2": "3" }, "rest": { "user": "2" } } }));
    request["request_id"] = json!("r2");
    let certificate = world.certificate(&request).await;
    assert_eq!(successors_of(&certificate, "doc"), counts([(2, 4), (3, 1)]));
    assert_eq!(owners(world, "docs").await, ["1:2", "2:3", "3:2", "4:2", "5:2", "6:2"]);
}

/// The recipients of alerts. 1: the leaver alone; 2: with user 2; 3: with a user who has left; 4: others.
const RECIPIENTS: &str = "CREATE TABLE recipients (alert BIGINT NOT NULL, owner BIGINT NOT NULL, PRIMARY KEY (alert, owner)); \
    INSERT INTO recipients VALUES (1, 9), (2, 9), (2, 2), (3, 9), (3, 4), (4, 2), (4, 3), (5, 9), (5, 3);";

fn recipients(resolve: &str) -> String {
    let of = |kind: &str, rest: &str| {
        reference(kind, "recipients", rest).replace("key = \"id\"", "key = [\"alert\", \"owner\"]")
    };
    let sole = of("sole_recipient", &format!("disposition = \"block\"\nsole_in = \"alert\"\n{resolve}"));
    [sole, of("recipient", "disposition = \"detach\"")].concat()
}

#[every_engine(also_in_chunks_of = 2)]
async fn only_the_last_active_member_is_blocked(world: &mut World) {
    HOST.start(world, RECIPIENTS, &recipients("")).await;
    let job = world.hand_over(&leave(json!({}))).await;
    assert_eq!(codes_of(&job), ["blocked"]);
    assert_eq!(reasons_of(&job)[0].concerning.keys, ["1,9", "3,9"]);
    world.sql("INSERT INTO recipients VALUES (1, 3), (3, 2)").await;
    let mut request = leave(json!({}));
    request["request_id"] = json!("r2");
    let certificate = world.certificate(&request).await;
    assert_eq!(result_of(&certificate, "recipient").removed, Some(4));
    assert_eq!(world.number("SELECT count(*) FROM recipients WHERE owner = 9").await, 0);
    assert_eq!(world.number("SELECT count(*) FROM recipients").await, 7);
}

#[every_engine(also_in_chunks_of = 1)]
async fn last_member_leaves_once_successor_is_named(world: &mut World) {
    HOST.start(world, RECIPIENTS, &recipients("resolve = true")).await;
    let certificate = world.certificate(&leave(json!({ "sole_recipient": { "user": "2" } }))).await;
    let rows = world
        .texts("SELECT CAST(alert AS text) || ':' || CAST(owner AS text) AS t FROM recipients ORDER BY alert, owner")
        .await;
    assert_eq!(rows, ["1:2", "2:2", "3:2", "3:4", "4:2", "4:3", "5:3"]);
    assert_eq!(result_of(&certificate, "sole_recipient").moved, Some(2));
    assert_eq!(result_of(&certificate, "recipient").removed, Some(2));
}

#[every_engine(also_in_chunks_of = 1)]
async fn resolved_block_is_not_removed_later(world: &mut World) {
    let references = [
        reference("split", "docs", "where = { note = { null = false } }\ndisposition = \"block\"\nresolve = true"),
        reference("member", "docs", "disposition = \"detach\""),
    ];
    HOST.start(world, &table("docs"), &references.concat()).await;
    world.sql("UPDATE docs SET note = NULL WHERE id IN (2, 4)").await;
    let certificate = world.certificate(&leave(json!({ "split": { "user": "3" } }))).await;
    assert_eq!(owners(world, "docs").await, ["1:3", "3:3", "5:3", "6:2"]);
    assert_eq!(result_of(&certificate, "split").moved, Some(3));
    assert_eq!(result_of(&certificate, "member").removed, Some(2));
    let cut = "SELECT COALESCE(sum(records), 0) FROM handover.chunks WHERE position = 1";
    assert!(world.number(cut).await <= 2, "no one else may receive them");
}
