//! A small application for a test of its own: people, and whatever tables the test adds. User 1 asks, 9 leaves, 2 and 3
//! stay.

use serde_json::{Value, json};

use super::World;

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
