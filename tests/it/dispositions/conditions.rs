//! Which rows a reference covers, and for which leavers.

use handover::contract::Certificate;
use handover::job::State;
use serde_json::json;

use super::{HOST, leave, owners, reference, table};
use crate::support::world::{codes_of, reasons_of, result_of};
use crate::support::{World, every_engine};

const ITEMS: &str = "CREATE TABLE items (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, stage TEXT, archived TEXT, urgent BOOLEAN); \
    INSERT INTO items VALUES (1, 9, 'new', NULL, TRUE), (2, 9, 'open', NULL, FALSE), (3, 9, 'open', 'yes', TRUE), \
    (4, 9, 'closed', NULL, NULL), (5, 9, NULL, NULL, TRUE), (6, 9, 'closed', 'yes', TRUE), (7, 2, 'new', NULL, TRUE), (8, 9, NULL, 'yes', FALSE);";

#[every_engine(also_in_chunks_of = 2)]
async fn where_accepts_lists_and_nulls(world: &mut World) {
    let references = [
        reference(
            "open",
            "items",
            "where = { stage = [\"new\", \"open\"], archived = { null = true } }\ndisposition = \"transfer\"",
        ),
        reference("archived", "items", "where = { archived = { null = false } }\ndisposition = \"keep\""),
        reference("rest", "items", "disposition = \"detach\""),
    ];
    HOST.start(world, ITEMS, &references.concat()).await;
    let certificate = world.certificate(&leave(json!({ "open": { "user": "2" } }))).await;
    assert_eq!(owners(world, "items").await, ["1:2", "2:2", "3:9", "6:9", "7:2", "8:9"]);
    assert_eq!(result_of(&certificate, "open").moved, Some(2));
    assert_eq!(result_of(&certificate, "archived").kept, Some(3));
    assert_eq!(result_of(&certificate, "rest").removed, Some(2));
}

#[every_engine(also_in_chunks_of = 2)]
async fn where_accepts_booleans(world: &mut World) {
    let references = [
        reference("urgent", "items", "where = { urgent = true }\ndisposition = \"transfer\""),
        reference("other", "items", "disposition = \"purge\""),
    ];
    HOST.start(world, ITEMS, &references.concat()).await;
    let certificate = world.certificate(&leave(json!({ "urgent": { "user": "3" } }))).await;
    assert_eq!(owners(world, "items").await, ["1:3", "3:3", "5:3", "6:3", "7:2"]);
    assert_eq!(result_of(&certificate, "other").purged, Some(3));
}

#[every_engine(also_in_chunks_of = 2)]
async fn conditional_reference_skips_other_leavers(world: &mut World) {
    let references = [
        reference("led", "docs", "when = { column = \"can_lead\", equals = true }\ndisposition = \"detach\""),
        reference("other", "docs", "when = { column = \"can_lead\", equals = false }\ndisposition = \"keep\""),
    ];
    HOST.start(world, &table("docs"), &references.concat()).await;
    world.sql("INSERT INTO docs VALUES (7, 3, 'g')").await;
    let certificate = world.certificate(&leave(json!({}))).await;
    assert_eq!(kinds(&certificate), ["led"]);
    assert_eq!(owners(world, "docs").await, ["6:2", "7:3"]);
    let mut request = leave(json!({}));
    (request["request_id"], request["user_id"]) = (json!("r2"), json!("3"));
    let certificate = world.certificate(&request).await;
    assert_eq!(kinds(&certificate), ["other"]);
    assert_eq!(owners(world, "docs").await, ["6:2", "7:3"]);
}

#[every_engine(also_in_chunks_of = 2)]
async fn row_belongs_to_first_matching_reference(world: &mut World) {
    let references = [
        reference("led", "docs", "when = { column = \"can_lead\", equals = true }\ndisposition = \"transfer\""),
        reference("other", "docs", "disposition = \"purge\""),
    ];
    HOST.start(world, &table("docs"), &references.concat()).await;
    let certificate = world.certificate(&leave(json!({ "led": { "user": "3" } }))).await;
    assert_eq!(owners(world, "docs").await, ["1:3", "2:3", "3:3", "4:3", "5:3", "6:2"]);
    assert_eq!(result_of(&certificate, "other").purged, Some(0));
    assert_eq!(
        world.number("SELECT count(*) FROM handover.chunks WHERE position = 1").await,
        0,
        "no one else may receive them"
    );
}

#[every_engine(also_in_chunks_of = 2)]
async fn uncovered_rows_prevent_completion(world: &mut World) {
    // Two rows with a NULL stage and one that is closed.
    let references = [
        reference("open", "items", "where = { stage = [\"new\", \"open\"] }\ndisposition = \"transfer\""),
        "[license]\ntable = \"seats\"\nuser = \"holder\"\n".to_owned(),
    ];
    let seats = "CREATE TABLE seats (id BIGINT NOT NULL PRIMARY KEY, holder BIGINT); INSERT INTO seats VALUES (1, 9);";
    HOST.start(world, &[ITEMS, seats].concat(), &references.concat()).await;
    let job = world.hand_over(&leave(json!({ "open": { "user": "2" } }))).await;
    assert_eq!((job.state, codes_of(&job)), (State::NeedsAttention, vec!["orphans_left".to_owned()]));
    assert_eq!(reasons_of(&job)[0].concerning.count, Some(4));
    assert!(reasons_of(&job)[0].message.contains("items.owner"), "{}", reasons_of(&job)[0].message);
    assert!(job.certificate.is_none());
    assert_eq!(world.number("SELECT count(*) FROM seats WHERE holder = 9").await, 1, "nothing is claimed");
    assert_eq!(owners(world, "items").await, ["1:2", "2:2", "3:2", "4:9", "5:9", "6:9", "7:2", "8:9"]);
}

/// Returns the kinds in a certificate.
fn kinds(certificate: &Certificate) -> Vec<&str> {
    certificate.references.iter().map(|reference| reference.kind.as_str()).collect()
}
