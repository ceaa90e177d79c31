//! Dispositions and other rules of a catalog, each over a small application of the test.

mod block;
mod conditions;
mod counts;
mod keys;
mod names;
mod removal;
mod secret;
mod status;
mod transfer;

use serde_json::{Value, json};

use crate::support::World;

/// An application with a users table and the test's own tables. User 1 sends requests, 9 leaves, 2 and 3 stay, 4 has
/// left.
struct Host {
    /// The users' ids, in the order 1, 2, 3, 4, 9.
    ids: [&'static str; 5],
    /// The SQL type of the ids.
    key: &'static str,
    /// The SQL type of the status and its two values. TOML writes the values the same, except for quotes.
    status: (&'static str, &'static str, &'static str),
    /// The schema prefix of every table, with its dot.
    schema: &'static str,
}

const HOST: Host =
    Host { ids: ["1", "2", "3", "4", "9"], key: "BIGINT", status: ("TEXT", "'active'", "'inactive'"), schema: "" };

impl Host {
    /// Creates the users and the test's tables, uses a catalog of these references and starts a worker.
    async fn start(&self, world: &mut World, tables: &str, references: &str) {
        self.create(world, tables, references).await;
        world.start_worker().await;
    }

    async fn create(&self, world: &mut World, tables: &str, references: &str) {
        let Host { key, status: (status, active, inactive), schema, .. } = self;
        let quote = if *key == "BIGINT" { "" } else { "'" };
        let people: Vec<String> = (self.ids.iter().zip(["Ann", "Ben", "Cleo", "Dan", "Zoe"]))
            .map(|(id, name)| {
                let status = if name == "Dan" { inactive } else { active };
                let leads = if ["Ben", "Zoe"].contains(&name) { "TRUE" } else { "FALSE" };
                format!("({quote}{id}{quote}, '{name}', '{name}@example.com', {status}, {leads})")
            })
            .collect();
        world.sql(&format!(
            "CREATE TABLE {schema}people (id {key} NOT NULL PRIMARY KEY, full_name TEXT, mail TEXT, status {status}, can_lead BOOLEAN NOT NULL); \
             INSERT INTO {schema}people VALUES {}; {tables}",
            people.join(", ")
        )).await;
        let toml = |value: &str| value.replace('\'', "\"").to_lowercase();
        world
            .use_catalog(&format!(
                "[users]\ntable = \"{schema}people\"\nkey = \"id\"\nname = \"full_name\"\nemail = \"mail\"\n\
             status = {{ column = \"status\", active = {}, inactive = {} }}\n{references}",
                toml(active),
                toml(inactive)
            ))
            .await;
    }

    /// Returns a request to deactivate the leaver.
    fn leave(&self, reassign: Value) -> Value {
        json!({ "type": "deactivate", "request_id": "r1", "user_id": self.ids[4], "requested_by": self.ids[0], "reassign": reassign })
    }
}

fn leave(reassign: Value) -> Value {
    HOST.leave(reassign)
}

/// Returns a reference to the leaver's rows: `owner` holds the user, `id` is the key.
fn reference(kind: &str, table: &str, rest: &str) -> String {
    format!("[[reference]]\nkind = \"{kind}\"\ntable = \"{table}\"\nkey = \"id\"\nuser = \"owner\"\n{rest}\n")
}

/// Returns a table of numbered rows with an owner: five of the leaver, one of user 2.
fn table(name: &str) -> String {
    format!(
        "CREATE TABLE {name} (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, note TEXT); \
         INSERT INTO {name} VALUES (1, 9, 'a'), (2, 9, 'b'), (3, 9, 'c'), (4, 9, 'd'), (5, 9, 'e'), (6, 2, 'f');"
    )
}

/// Returns each row of a table with an owner, as `id:owner`.
async fn owners(world: &World, table: &str) -> Vec<String> {
    let row = "CAST(id AS text) || ':' || COALESCE(CAST(owner AS text), '')";
    world.texts(&format!("SELECT {row} AS t FROM {table} ORDER BY id")).await
}

/// Returns the snapshots of a kind's rows and of those that followed them, unordered because several movers write at once. Numbers become texts, as in
/// PostgreSQL's snapshots.
async fn copies(world: &World, kind: &str) -> Vec<Value> {
    let query = format!(
        "SELECT CAST(content AS text) AS t FROM handover.row_snapshots WHERE kind = '{kind}' OR kind LIKE '{kind}/%' ORDER BY id"
    );
    let mut copies: Vec<Value> =
        world.texts(&query).await.iter().map(|text| serde_json::from_str(text).expect("JSON")).collect();
    for value in copies.iter_mut().filter_map(Value::as_object_mut).flat_map(|copy| copy.values_mut()) {
        if let Value::Number(number) = value {
            *value = number.to_string().into();
        }
    }
    copies
}

/// Returns the journaled keys of a kind, sorted.
async fn journaled(world: &World, kind: &str) -> Vec<Value> {
    let query = format!("SELECT CAST(keys AS text) AS t FROM handover.journal WHERE kind = '{kind}' ORDER BY id");
    let lists = world.texts(&query).await;
    let lists = lists.iter().map(|text| serde_json::from_str::<Vec<Value>>(text).expect("a list"));
    let mut keys: Vec<Value> = lists.flatten().collect();
    keys.sort_by_key(Value::to_string);
    keys
}

/// Documents and their members.
const MEMBERS: &str = "CREATE TABLE members (doc BIGINT NOT NULL, owner BIGINT NOT NULL, since TEXT, PRIMARY KEY (doc, owner)); \
    INSERT INTO members VALUES (1, 9, 'x'), (2, 9, 'x'), (3, 9, 'x'), (1, 2, 'y'), (4, 2, 'y'), (3, 3, 'z');";

fn members(rest: &str) -> String {
    reference("member", "members", &format!("disposition = \"transfer\"\n{rest}"))
        .replace("key = \"id\"", "key = [\"doc\", \"owner\"]")
}

/// Drafts with lines, and remarks on the lines. Foreign keys delete both by cascade.
const DRAFTS: &str = "CREATE TABLE drafts (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, name TEXT); \
    CREATE TABLE lines (id BIGINT NOT NULL PRIMARY KEY, draft BIGINT NOT NULL REFERENCES drafts (id) ON DELETE CASCADE, body TEXT); \
    CREATE TABLE remarks (id BIGINT NOT NULL PRIMARY KEY, line BIGINT NOT NULL REFERENCES lines (id) ON DELETE CASCADE, body TEXT); \
    INSERT INTO drafts VALUES (1, 9, 'a'), (2, 9, 'b'), (3, 9, 'c'), (4, 2, 'd'); \
    INSERT INTO lines VALUES (11, 1, 'l1'), (12, 1, 'l2'), (13, 3, 'l3'), (14, 4, 'l4'); \
    INSERT INTO remarks VALUES (21, 12, 'r1'), (22, 13, 'r2'), (23, 14, 'r3');";
