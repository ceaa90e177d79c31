//! Transfer: records that go to successors.

use handover::job::State;
use serde_json::json;

use super::{HOST, MEMBERS, copies, leave, members, owners, reference, table};
use crate::support::world::{codes_of, reasons_of, result_of};
use crate::support::{Engine, World, every_engine};

#[every_engine(also_in_chunks_of = 2)]
async fn optional_allotment_may_be_omitted(world: &mut World) {
    HOST.start(world, &table("docs"), &reference("doc", "docs", "disposition = \"transfer\"\nrequired = false")).await;
    let certificate = world.certificate(&leave(json!({}))).await;
    let doc = result_of(&certificate, "doc");
    assert_eq!((doc.found, doc.moved, doc.left_behind), (Some(5), Some(0), Some(5)));
    assert_eq!(owners(world, "docs").await, ["1:9", "2:9", "3:9", "4:9", "5:9", "6:2"]);
}

#[every_engine(also_in_chunks_of = 2)]
async fn optional_allotment_moves_when_given(world: &mut World) {
    HOST.start(world, &table("docs"), &reference("doc", "docs", "disposition = \"transfer\"\nrequired = false")).await;
    let certificate = world.certificate(&leave(json!({ "doc": { "user": "3" } }))).await;
    let doc = result_of(&certificate, "doc");
    assert_eq!((doc.moved, doc.left_behind), (Some(5), Some(0)));
}

#[every_engine(also_in_chunks_of = 2)]
async fn eligibility_may_depend_on_a_column(world: &mut World) {
    let eligible = "disposition = \"transfer\"\neligible = { column = \"can_lead\", equals = true }";
    HOST.start(world, &table("docs"), &reference("doc", "docs", eligible)).await;
    let job = world.hand_over(&leave(json!({ "doc": { "user": "3" } }))).await;
    assert_eq!(codes_of(&job), ["successor_not_eligible"]);
    let mut request = leave(json!({ "doc": { "user": "2" } }));
    request["request_id"] = json!("r2");
    assert_eq!(result_of(&world.certificate(&request).await, "doc").moved, Some(5));
}

#[every_engine(also_in_chunks_of = 2)]
async fn drop_on_conflict_removes_the_leavers_row(world: &mut World) {
    HOST.start(world, MEMBERS, &members("on_conflict = \"drop\"")).await;
    let certificate = world.certificate(&leave(json!({ "member": { "user": "2" } }))).await;
    let member = result_of(&certificate, "member");
    assert_eq!((member.found, member.moved, member.dropped), (Some(3), Some(2), Some(1)));
    let rows = world
        .texts("SELECT CAST(doc AS text) || ':' || CAST(owner AS text) || since AS t FROM members ORDER BY doc, owner")
        .await;
    assert_eq!(rows, ["1:2y", "2:2x", "3:2x", "3:3z", "4:2y"]);
    assert_eq!(copies(world, "member").await, [json!({ "doc": "1", "owner": "9", "since": "x" })]);
}

#[every_engine(also_in_chunks_of = 2)]
async fn drop_on_conflict_checks_each_records_successor(world: &mut World) {
    HOST.start(world, MEMBERS, &members("on_conflict = \"drop\"")).await;
    let shares = json!([{ "user": "3", "amount": 2 }, { "user": "2", "amount": 1 }]);
    let certificate = world.certificate(&leave(json!({ "member": { "logic": "ratio", "shares": shares } }))).await;
    let member = result_of(&certificate, "member");
    // 1 and 2 go to user 3, who has neither; 3 goes to user 2, who does not have it.
    assert_eq!((member.moved, member.dropped), (Some(3), None));
    let rows = world
        .texts("SELECT CAST(doc AS text) || ':' || CAST(owner AS text) AS t FROM members ORDER BY doc, owner")
        .await;
    assert_eq!(rows, ["1:2", "1:3", "2:3", "3:2", "3:3", "4:2"]);
}

#[every_engine(also_in_chunks_of = 1)]
async fn conflict_without_rule_needs_attention(world: &mut World) {
    HOST.start(world, MEMBERS, &members("")).await;
    let job = world.hand_over(&leave(json!({ "member": { "user": "2" } }))).await;
    assert_eq!((job.state, codes_of(&job)), (State::NeedsAttention, vec!["row_refused".to_owned()]));
    assert_eq!(reasons_of(&job)[0].concerning.kind.as_deref(), Some("member"));
    assert_eq!(world.number("SELECT count(*) FROM members WHERE owner = 9 AND doc = 1").await, 1);
    assert_eq!(world.number("SELECT count(*) FROM members WHERE owner = 2 AND since = 'y'").await, 2);
}

#[every_engine(also_in_chunks_of = 2)]
async fn touch_sets_the_time_of_the_move(world: &mut World) {
    let time = if world.engine == Engine::Sqlite { "TEXT" } else { "TIMESTAMPTZ" };
    let tables = format!(
        "CREATE TABLE docs (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, changed {time} NOT NULL); \
         INSERT INTO docs VALUES (1, 9, '2001-02-03 04:05:06'), (2, 9, '2001-02-03 04:05:06'), (3, 9, '2001-02-03 04:05:06'), (4, 2, '2001-02-03 04:05:06');"
    );
    HOST.start(world, &tables, &reference("doc", "docs", "disposition = \"transfer\"\ntouch = \"changed\"")).await;
    world.certificate(&leave(json!({ "doc": { "user": "2" } }))).await;
    assert_eq!(world.texts("SELECT CAST(id AS text) AS t FROM docs WHERE changed < '2020-01-01'").await, ["4"]);
}
