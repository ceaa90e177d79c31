//! References whose rows count only if their parent row matches a condition.

use handover::job::State;
use std::collections::BTreeMap;

use serde_json::json;

use crate::support::people::{USERS, host, leave, owners, reference, reverted, reverts_to, start};
use crate::support::world::{certificate_of, codes_of, result_of};
use crate::support::{World, every_engine};

/// Leads, all open except 2 and 5, and the leaver's calls on each. Call 8 has no lead.
const LEADS: &str = "CREATE TABLE leads (id BIGINT NOT NULL PRIMARY KEY, stage TEXT NOT NULL); \
     INSERT INTO leads VALUES (1, 'open'), (2, 'lost'), (3, 'open'), (4, 'open'), (5, 'lost'); \
     CREATE TABLE calls (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, lead_id TEXT); \
     INSERT INTO calls VALUES (1, 9, '1'), (2, 9, '2'), (3, 9, '3'), (4, 9, '4'), (5, 9, '5'), (6, 2, '1'), (7, 9, '1'), (8, 9, NULL);";

fn of_leads(kind: &str, stage: &str, rest: &str) -> String {
    let parent =
        format!("parent = {{ table = \"leads\", on = {{ lead_id = \"id\" }}, where = {{ stage = \"{stage}\" }} }}");
    reference(kind, "calls", &format!("{parent}\n{rest}"))
}

#[every_engine(also_in_chunks_of = 2)]
async fn row_moves_only_if_parent_matches(world: &mut World) {
    let rest = reference("other_call", "calls", "disposition = \"keep\"");
    start(world, LEADS, &(of_leads("call", "open", "disposition = \"transfer\"") + &rest)).await;
    let before = host(world).await;
    let job = world.hand_over(&leave("9", json!({ "call": { "user": "2" } }))).await;
    let certificate = certificate_of(&job);
    assert_eq!(owners(world, "calls").await, ["1:2", "2:9", "3:2", "4:2", "5:9", "6:2", "7:2", "8:9"]);
    let call = result_of(&certificate, "call");
    assert_eq!((call.found, call.moved, call.left_behind), (Some(4), Some(4), Some(0)));
    assert_eq!(result_of(&certificate, "other_call").kept, Some(3));
    // A row that moved while its parent matched returns although the parent no longer does.
    world.sql("UPDATE leads SET stage = 'won' WHERE id = 3").await;
    assert_eq!(result_of(&reverted(world, &job).await, "call").restored, Some(4));
    world.sql("UPDATE leads SET stage = 'open' WHERE id = 3").await;
    assert_eq!(host(world).await, before);
}

#[every_engine(also_in_chunks_of = 2)]
async fn disposition_may_depend_on_the_parent(world: &mut World) {
    let references = [
        of_leads("open_call", "open", "disposition = \"transfer\""),
        of_leads("lost_call", "lost", "disposition = \"purge\""),
        reference("call_of_nothing", "calls", "disposition = \"detach\""),
    ];
    start(world, LEADS, &references.concat()).await;
    let shares = json!([{ "user": "2", "amount": 1 }, { "user": "3", "amount": 1 }]);
    let ratio = json!({ "open_call": { "logic": "ratio", "shares": shares } });
    let before = host(world).await;
    let job = world.hand_over(&leave("9", ratio)).await;
    let certificate = certificate_of(&job);
    assert_eq!(owners(world, "calls").await, ["1:2", "3:3", "4:2", "6:2", "7:3"]);
    assert_eq!(result_of(&certificate, "lost_call").purged, Some(2));
    assert_eq!(
        result_of(&certificate, "call_of_nothing").removed,
        Some(1),
        "rows of earlier references are not counted again"
    );
    reverts_to(world, &job, &before).await;
}

#[every_engine(also_in_chunks_of = 2)]
async fn row_with_unmatched_parent_is_an_orphan(world: &mut World) {
    start(world, LEADS, &of_leads("call", "open", "disposition = \"transfer\"")).await;
    let job = world.hand_over(&leave("9", json!({ "call": { "user": "2" } }))).await;
    assert_eq!((job.state, codes_of(&job)), (State::NeedsAttention, vec!["orphans_left".to_owned()]));
    assert_eq!(world.number("SELECT count(*) FROM calls WHERE owner = 9").await, 3);
}

#[every_engine]
async fn only_rows_with_matching_parent_block(world: &mut World) {
    let rest = reference("other_call", "calls", "disposition = \"keep\"");
    start(world, LEADS, &(of_leads("call", "lost", "disposition = \"block\"") + &rest)).await;
    let job = world.hand_over(&leave("9", json!({}))).await;
    assert_eq!(codes_of(&job), ["blocked"]);
    let reasons: Vec<BTreeMap<String, serde_json::Value>> =
        serde_json::from_value(job.reasons.expect("reasons")).expect("a list");
    assert_eq!(reasons[0]["concerning"], json!({ "kind": "call", "count": 2, "keys": ["2", "5"] }));
    world.sql("UPDATE leads SET stage = 'won' WHERE id IN (2, 5)").await;
    let mut again = leave("9", json!({}));
    again["request_id"] = json!("again");
    certificate_of(&world.hand_over(&again).await);
}

#[every_engine]
async fn unknown_parent_is_a_catalog_fault(world: &mut World) {
    world.sql(&format!("{} {LEADS}", crate::support::people::PEOPLE)).await;
    let schema = handover::store::host::read_schema(&world.store.reader()).await.expect("the schema");
    let check = |parent: &str| {
        let rest = format!("parent = {parent}\ndisposition = \"transfer\"");
        let source = format!("{USERS}{}", reference("call", "calls", &rest));
        handover::catalog::check("test", &source, &schema).map(drop).map_err(|faults| faults.to_string())
    };
    let good = r#"{ table = "leads", on = { lead_id = "id" }, where = { stage = "open" } }"#;
    assert_eq!(check(good), Ok(()));
    for (from, to, says) in [
        ("leads", "lead", "no table `lead`"),
        ("lead_id", "lead", "calls has no column `lead`"),
        ("\"id\"", "\"key\"", "leads has no column `key`"),
        ("stage", "phase", "leads has no column `phase`"),
        ("{ lead_id = \"id\" }", "{}", "`parent` needs the columns"),
    ] {
        let faults = check(&good.replace(from, to)).expect_err(says);
        assert!(faults.contains(says), "{faults}");
    }
}
