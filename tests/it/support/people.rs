//! A small application for a test of its own: people, and whatever tables the test adds. User 1 asks, 9 leaves, 2 and 3
//! stay.

use std::collections::BTreeMap;

use handover::contract::Certificate;
use handover::store::ledger::jobs::Job;
use serde_json::{Value, json};

use super::World;
use super::world::certificate_of;

/// The people's table.
pub const PEOPLE: &str = "CREATE TABLE people (id BIGINT NOT NULL PRIMARY KEY, full_name TEXT, mail TEXT, status TEXT); \
     INSERT INTO people VALUES (1, 'Ann', 'ann@example.com', 'active'), (2, 'Ben', 'ben@example.com', 'active'), \
     (3, 'Cleo', 'cleo@example.com', 'active'), (9, 'Zoe', 'zoe@example.com', 'active');";

/// The catalog's part for it.
pub const USERS: &str = "[users]\ntable = \"people\"\nkey = \"id\"\nname = \"full_name\"\nemail = \"mail\"\n\
     status = { column = \"status\", active = \"active\", inactive = \"inactive\" }\n";

/// Creates the people and the test's own tables, uses a catalog of these references and starts a worker.
pub async fn start(world: &mut World, tables: &str, references: &str) {
    world.sql(&format!("{PEOPLE} {tables}")).await;
    world.use_catalog(&format!("{USERS}{references}")).await;
    world.context.limits.chunk_attempts = 1;
    world.start_worker().await;
}

/// A request: this user leaves.
pub fn leave(user: &str, reassign: Value) -> Value {
    json!({ "request_id": format!("{user} leaves"), "user_id": user, "requested_by": "1", "reassign": reassign })
}

/// A reference of the rows of a table: `owner` has the user, `id` is the key.
pub fn reference(kind: &str, table: &str, rest: &str) -> String {
    format!("[[reference]]\nkind = \"{kind}\"\ntable = \"{table}\"\nkey = \"id\"\nuser = \"owner\"\n{rest}\n")
}

/// Each row of a table with an owner, as `id:owner`.
pub async fn owners(world: &World, table: &str) -> Vec<String> {
    let row = "CAST(id AS text) || ':' || COALESCE(CAST(owner AS text), '')";
    world.texts(&format!("SELECT {row} AS t FROM {table} ORDER BY id")).await
}

/// Every row of the application, to the last column.
pub async fn host(world: &World) -> BTreeMap<String, Vec<String>> {
    let mut tables = world.everything().await;
    tables.retain(|table, _| !table.contains("handover"));
    tables
}

/// A request: this job is to be reverted.
pub fn revert(job: &Job) -> Value {
    let mut order = json!({ "type": "revert", "request_id": format!("{} comes back", job.id), "requested_by": job.requested_by,
        "job_id": job.id });
    if !job.org.is_empty() {
        order["org_id"] = json!(job.org);
    }
    order
}

/// Reverts a job; the undo's certificate.
pub async fn reverted(world: &World, job: &Job) -> Certificate {
    certificate_of(&world.hand_over(&revert(job)).await)
}

/// Reverts a job that has changed something: everything comes back, and stands as it stood before to the last column.
pub async fn reverts_to(world: &World, job: &Job, before: &BTreeMap<String, Vec<String>>) {
    let after = host(world).await;
    assert_ne!(after, *before, "nothing was changed");
    let certificate = reverted(world, job).await;
    for result in &certificate.references {
        assert!(result.skipped.is_empty(), "{}: {:?}", result.kind, result.skipped);
        assert!(result.found.is_none() || result.found == result.restored, "{result:?}");
    }
    for (table, rows) in host(world).await {
        assert_eq!(rows, before[&table], "{table}");
    }
}
