//! Detach, purge and set.

use handover::contract::Certificate;
use handover::job::State;
use handover::worker::Role;
use serde_json::{Value, json};

use super::{DRAFTS, HOST, copies, journaled, leave, owners, reference, table};
use crate::support::world::{certificate_of, result_of};
use crate::support::{Engine, World, every_engine};

#[every_engine]
async fn access_ends_before_any_record_moves(world: &mut World) {
    world.use_chunks_of(2);
    let references = [
        reference("doc", "docs", "disposition = \"transfer\""),
        reference("key", "door_keys", "disposition = \"detach\"\nat = \"start\""),
        reference("draft", "drafts", "disposition = \"purge\"\nat = \"start\""),
        reference("access", "accesses", "disposition = \"set\"\nset = { note = \"none\" }\nat = \"start\""),
    ];
    let tables = [table("docs"), table("door_keys"), table("drafts"), table("accesses")];
    HOST.create(world, &tables.concat(), &references.concat()).await;
    world.start_roles(&[Role::Planner]).await;
    let id = world.send(&leave(json!({ "doc": { "user": "2" } }))).await;
    let job = world.until("the request is accepted", async || world.job(id).await).await;
    assert_eq!(job.state, State::Cutting);
    assert_eq!(world.number("SELECT count(*) FROM docs WHERE owner = 9").await, 5);
    assert_eq!(world.number("SELECT count(*) FROM door_keys WHERE owner = 9").await, 0);
    assert_eq!(world.number("SELECT count(*) FROM drafts WHERE owner = 9").await, 0);
    assert_eq!(world.number("SELECT count(*) FROM accesses WHERE owner = 9 AND note = 'none'").await, 5);
    world.start_worker().await;
    let certificate = certificate_of(&world.end_of(id).await);
    assert_eq!(result_of(&certificate, "key").removed, Some(5));
    assert_eq!(result_of(&certificate, "access").set, Some(5));
    assert_eq!(result_of(&certificate, "doc").moved, Some(5));
}

async fn children_go(world: &mut World, disposition: &str) -> Certificate {
    let with = format!("disposition = \"{disposition}\"\nwith = [\"lines\", \"remarks\"]");
    HOST.start(world, DRAFTS, &reference("draft", "drafts", &with)).await;
    let certificate = world.certificate(&leave(json!({}))).await;
    for (table, left) in [("drafts", "4"), ("lines", "14"), ("remarks", "23")] {
        assert_eq!(world.texts(&format!("SELECT CAST(id AS text) AS t FROM {table}")).await, [left], "{table}");
    }
    certificate
}

#[every_engine(also_in_chunks_of = 2)]
async fn purge_snapshots_cascaded_rows(world: &mut World) {
    let certificate = children_go(world, "purge").await;
    assert_eq!(result_of(&certificate, "draft").purged, Some(3));
    let copies = copies(world, "draft").await;
    let of = |field: &str, value: Value| copies.iter().filter(|copy| copy[field] == value).count();
    assert_eq!(copies.len(), 8, "three drafts, three lines, two remarks: {copies:?}");
    assert_eq!((of("name", json!("a")), of("draft", json!("1")), of("line", json!("12"))), (1, 2, 1));
    let until = world.number("SELECT count(*) FROM handover.row_snapshots WHERE keep_until > at").await;
    assert_eq!(until, 8);
}

#[every_engine(also_in_chunks_of = 2)]
async fn detach_snapshots_cascaded_rows(world: &mut World) {
    let certificate = children_go(world, "detach").await;
    assert_eq!(result_of(&certificate, "draft").removed, Some(3));
    assert_eq!(copies(world, "draft").await.len(), 8);
    assert_eq!(world.number("SELECT count(*) FROM handover.row_snapshots WHERE keep_until IS NOT NULL").await, 0);
}

#[every_engine(also_in_chunks_of = 2)]
async fn purge_without_keep_copy_makes_no_snapshot(world: &mut World) {
    HOST.start(world, &table("docs"), &reference("doc", "docs", "disposition = \"purge\"\nkeep_copy = \"0d\"")).await;
    let certificate = world.certificate(&leave(json!({}))).await;
    assert_eq!(result_of(&certificate, "doc").purged, Some(5));
    assert_eq!(owners(world, "docs").await, ["6:2"]);
    assert_eq!(world.number("SELECT count(*) FROM handover.row_snapshots").await, 0);
    assert_eq!(journaled(world, "doc").await.len(), 5);
}

#[every_engine(also_in_chunks_of = 2)]
async fn cascade_without_keep_copy_makes_no_snapshot(world: &mut World) {
    let gone = "disposition = \"purge\"\nkeep_copy = \"0d\"\nwith = [\"lines\", \"remarks\"]";
    HOST.start(world, DRAFTS, &reference("draft", "drafts", gone)).await;
    world.certificate(&leave(json!({}))).await;
    assert_eq!(world.number("SELECT count(*) FROM remarks").await, 1);
    assert_eq!(world.number("SELECT count(*) FROM handover.row_snapshots").await, 0);
}

#[every_engine(also_in_chunks_of = 2)]
async fn set_keeps_the_old_values(world: &mut World) {
    let set = "disposition = \"set\"\nset = { note = \"frozen\" }\nrestore = true";
    HOST.start(world, &table("docs"), &reference("doc", "docs", set)).await;
    world.sql("UPDATE docs SET note = NULL WHERE id = 2").await;
    world.sql("UPDATE docs SET note = 'frozen' WHERE id = 3").await;
    let certificate = world.certificate(&leave(json!({}))).await;
    assert_eq!(result_of(&certificate, "doc").set, Some(4), "one had the value already");
    assert_eq!(
        world.texts("SELECT note AS t FROM docs ORDER BY id").await,
        ["frozen", "frozen", "frozen", "frozen", "frozen", "f"]
    );
    assert_eq!(owners(world, "docs").await, ["1:9", "2:9", "3:9", "4:9", "5:9", "6:2"]);
    let mut copies = copies(world, "doc").await;
    copies.sort_by_key(|copy| copy["id"].to_string());
    let old = |id: i64, note: Value| json!({ "id": id.to_string(), "note": note });
    assert_eq!(copies, [old(1, json!("a")), old(2, Value::Null), old(4, json!("d")), old(5, json!("e"))]);
}

#[every_engine(also_in_chunks_of = 2)]
async fn set_takes_now_numbers_and_booleans(world: &mut World) {
    let time = if world.engine == Engine::Sqlite { "TEXT" } else { "TIMESTAMPTZ" };
    let tables = format!(
        "CREATE TABLE docs (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, frozen {time}, level INTEGER, open BOOLEAN); \
         INSERT INTO docs VALUES (1, 9, NULL, 5, TRUE), (2, 9, '2001-02-03 04:05:06', 0, FALSE), (3, 9, NULL, NULL, NULL), (4, 2, NULL, 5, TRUE);"
    );
    let set = "disposition = \"set\"\nset = { frozen = { now = true }, level = 0, open = false }";
    HOST.start(world, &tables, &reference("doc", "docs", set)).await;
    let certificate = world.certificate(&leave(json!({}))).await;
    assert_eq!(result_of(&certificate, "doc").set, Some(2), "the second had the value already");
    assert_eq!(
        world
            .number("SELECT count(*) FROM docs WHERE owner = 9 AND frozen IS NOT NULL AND level = 0 AND NOT open")
            .await,
        3
    );
    assert_eq!(world.number("SELECT count(*) FROM docs WHERE id = 2 AND frozen < '2002-01-01'").await, 1);
    assert_eq!(
        world.number("SELECT count(*) FROM docs WHERE id = 4 AND frozen IS NULL AND level = 5 AND open").await,
        1
    );
}

#[every_engine(also_in_chunks_of = 2)]
async fn restorable_detached_rows_keep_their_snapshots(world: &mut World) {
    HOST.start(world, &table("docs"), &reference("doc", "docs", "disposition = \"detach\"\nrestore = true")).await;
    world.certificate(&leave(json!({}))).await;
    assert!(copies(world, "doc").await.contains(&json!({ "id": "1", "owner": "9", "note": "a" })));
    assert_eq!(world.number("SELECT count(*) FROM handover.row_snapshots WHERE keep_until IS NULL").await, 5);
}
