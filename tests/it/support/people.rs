//! A small application for a test: people, and the test's own tables. User 1 sends requests, 9 leaves, 2 and 3 stay.

use std::collections::BTreeMap;

use handover::contract::Certificate;
use handover::store::ledger::jobs::Job;
use sea_orm::{ConnectionTrait, DatabaseTransaction, TransactionTrait};
use serde_json::{Value, json};

use super::World;
use super::world::certificate_of;

/// Creates the people.
pub const PEOPLE: &str = "CREATE TABLE people (id BIGINT NOT NULL PRIMARY KEY, full_name TEXT, mail TEXT, status TEXT); \
     INSERT INTO people VALUES (1, 'Ann', 'ann@example.com', 'active'), (2, 'Ben', 'ben@example.com', 'active'), \
     (3, 'Cleo', 'cleo@example.com', 'active'), (9, 'Zoe', 'zoe@example.com', 'active');";

/// The users section of the catalog.
pub const USERS: &str = "[users]\ntable = \"people\"\nkey = \"id\"\nname = \"full_name\"\nemail = \"mail\"\n\
     status = { column = \"status\", active = \"active\", inactive = \"inactive\" }\n";

/// Creates the people and the test's tables, uses a catalog of these references and starts a worker.
pub async fn start(world: &mut World, tables: &str, references: &str) {
    world.sql(&format!("{PEOPLE} {tables}")).await;
    world.use_catalog(&format!("{USERS}{references}")).await;
    world.context.limits.chunk_attempts = 1;
    world.start_worker().await;
}

/// Returns a request to deactivate a user.
pub fn leave(user: &str, reassign: Value) -> Value {
    json!({ "type": "deactivate", "request_id": format!("{user} leaves"), "user_id": user, "requested_by": "1", "reassign": reassign })
}

/// Returns a reference to the rows of a table: `owner` holds the user, `id` is the key.
pub fn reference(kind: &str, table: &str, rest: &str) -> String {
    format!("[[reference]]\nkind = \"{kind}\"\ntable = \"{table}\"\nkey = \"id\"\nuser = \"owner\"\n{rest}\n")
}

/// Runs a statement like a host that forgets to commit.
pub async fn begun(world: &World, statement: &str) -> DatabaseTransaction {
    let url = format!("{}?application_name=host", world.database_url());
    let host = sea_orm::Database::connect(url).await.expect("a connection of the host");
    let begun = host.begin().await.expect("a transaction");
    begun.execute_unprepared(statement).await.expect(statement);
    begun
}

/// Returns each row of a table with an owner, as `id:owner`.
pub async fn owners(world: &World, table: &str) -> Vec<String> {
    let row = "CAST(id AS text) || ':' || COALESCE(CAST(owner AS text), '')";
    world.texts(&format!("SELECT {row} AS t FROM {table} ORDER BY id")).await
}

/// Returns every row of the application, in every column.
pub async fn host(world: &World) -> BTreeMap<String, Vec<String>> {
    let mut tables = world.everything().await;
    tables.retain(|table, _| !table.contains("handover"));
    tables
}

/// Returns a request to revert a job.
pub fn revert(job: &Job) -> Value {
    let mut command = json!({ "type": "revert", "request_id": format!("{} comes back", job.id), "requested_by": job.requested_by,
        "job_id": job.id });
    if !job.org.is_empty() {
        command["org_id"] = json!(job.org);
    }
    command
}

/// Reverts a job and returns the undo's certificate.
pub async fn reverted(world: &World, job: &Job) -> Certificate {
    certificate_of(&world.hand_over(&revert(job)).await)
}

/// Reverts a job and asserts that it had changed something and that every row is restored in every column.
pub async fn reverts_to(world: &World, job: &Job, before: &BTreeMap<String, Vec<String>>) {
    let after = host(world).await;
    assert_ne!(after, *before, "the job changed something");
    let certificate = reverted(world, job).await;
    for result in &certificate.references {
        assert!(result.skipped.is_empty(), "{}: {:?}", result.kind, result.skipped);
        assert!(result.found.is_none() || result.found == result.restored, "{result:?}");
    }
    for (table, rows) in host(world).await {
        assert_eq!(rows, before[&table], "{table}");
    }
}
