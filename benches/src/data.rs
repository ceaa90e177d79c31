//! The contestants' databases: the reference CRM with generated rows.

use anyhow::Result;
use serde_json::{Value, json};

use crate::server::{Database, Server};
use crate::worker::Setup;

/// The administrator who sends the requests.
pub const ADMINISTRATOR: u64 = 1;
/// The single successor.
pub const SUCCESSOR: u64 = 11;
/// The first of twenty successors.
pub const FIRST_OF_TWENTY: u64 = 21;
/// The leaver of a big move.
pub const LEAVER: u64 = 50;
/// The owners of the other contacts, in equal parts.
pub const COLLEAGUES: std::ops::RangeInclusive<u64> = 41..=49;
/// The first of the small leavers.
pub const FIRST_LEAVER: u64 = 1_000;

/// The catalog file.
pub const CATALOG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/catalog.toml");

/// Creates a database with the reference CRM, the ledger and the staff.
pub async fn host(server: &Server, name: &str) -> Result<Database> {
    let database = server.create(name).await?;
    let setup = Setup { database: &database.url, broker: "local", prefix: "bench", catalog: CATALOG, extra: &[] };
    setup.run(&["migrate", "--reference-crm"])?;
    let staff = format!(
        "INSERT INTO organizations (id, name) VALUES (1, 'Bench'); \
         INSERT INTO users (id, org_id, name, username, email, status, role) \
           SELECT i, 1, 'User ' || i, 'user' || i, 'user' || i || '@example.com', 'active', \
             CASE i WHEN {ADMINISTRATOR} THEN 'admin' ELSE 'member' END FROM generate_series(1, {LEAVER} + 9) AS i; \
         INSERT INTO licenses (org_id, user_id) SELECT 1, id FROM users;"
    );
    database.run(&staff).await?;
    Ok(database)
}

/// Creates contacts. Every `share`-th belongs to the leaver, the others to nine colleagues in equal parts.
pub async fn fill_contacts(database: &Database, contacts: u64, share: u64) -> Result<()> {
    database
        .run(&format!(
            "SET session_replication_role = replica; \
             INSERT INTO contacts (org_id, owner_id, created_by, name, email, company) \
               SELECT 1, CASE WHEN i % {share} = 0 THEN {LEAVER} ELSE 41 + i / {share} % 9 END, 1, \
                 'Contact ' || i, 'c' || i || '@example.net', 'Company ' || i % 1000 FROM generate_series(1, {contacts}) AS i;"
        ))
        .await?;
    database.vacuum().await
}

/// Creates small leavers, each with 15 contacts, 4 leads, 4 pending and 4 completed tasks, and 6 followed users.
pub async fn fill_leavers(database: &Database, leavers: u64) -> Result<()> {
    let all = format!("generate_series({FIRST_LEAVER}, {}) AS i", FIRST_LEAVER + leavers - 1);
    // In rounds, not by leaver: a leaver's rows are scattered, as in a host that has been in use.
    let owned = |table: &str, each: u64, columns: &str, values: &str| {
        format!(
            "INSERT INTO {table} (org_id, owner_id, created_by, {columns}) \
               SELECT 1, i, 1, {values} FROM generate_series(1, {each}) AS n, {all} ORDER BY n, i;"
        )
    };
    let script = [
        "SET session_replication_role = replica;".to_owned(),
        hired(&all),
        owned("contacts", 15, "name, email", "'Contact', i || '.' || n || '@example.net'"),
        owned("opportunities", 4, "name, stage", "'Lead', 'new'"),
        owned("tasks", 4, "title, status", "'Call', 'pending'"),
        owned("tasks", 4, "title, status, completed_at", "'Mail', 'completed', now()"),
        format!(
            "INSERT INTO follows (follower_id, followed_id) SELECT i, 11 + n FROM generate_series(1, 6) AS n, {all};"
        ),
    ];
    database.run(&script.concat()).await?;
    database.vacuum().await
}

/// Creates leavers with this many contacts each, and nothing else.
pub async fn fill_owners(database: &Database, leavers: u64, contacts: u64) -> Result<()> {
    let all = format!("generate_series({FIRST_LEAVER}, {}) AS i", FIRST_LEAVER + leavers - 1);
    let script = format!(
        "SET session_replication_role = replica; {} \
         INSERT INTO contacts (org_id, owner_id, created_by, name, email) \
           SELECT 1, i, 1, 'Contact', i || '.' || n || '@example.net' FROM generate_series(1, {contacts}) AS n, {all} \
           ORDER BY n, i;",
        hired(&all)
    );
    database.run(&script).await?;
    database.vacuum().await
}

/// Returns the statements that create users with these numbers, with a license each.
fn hired(all: &str) -> String {
    format!(
        "INSERT INTO users (id, org_id, name, username, email, status, role) \
           SELECT i, 1, 'User ' || i, 'user' || i, 'user' || i || '@example.com', 'active', 'member' FROM {all}; \
         INSERT INTO licenses (org_id, user_id) SELECT 1, i FROM {all};"
    )
}

/// Returns the request for a leaver with contacts only.
pub fn owner_request(leaver: u64) -> Value {
    request(&format!("bench-{leaver}"), leaver, json!({ "contact": { "user": successor_of(leaver).to_string() } }))
}

/// Returns the request for a small leaver.
pub fn small_request(leaver: u64) -> Value {
    let to = json!({ "user": successor_of(leaver).to_string() });
    request(&format!("bench-{leaver}"), leaver, json!({ "contact": to, "lead": to, "task": to }))
}

/// Returns the successor of a small leaver, one of twenty.
pub fn successor_of(leaver: u64) -> u64 {
    FIRST_OF_TWENTY + leaver % 20
}

/// Returns the request that gives all contacts of the big leaver to one successor.
pub fn big_request() -> Value {
    request("bench-big", LEAVER, json!({ "contact": { "user": SUCCESSOR.to_string() } }))
}

/// Returns the request that deals the contacts of the big leaver to twenty successors in turn.
pub fn ratio_request() -> Value {
    let shares: Vec<Value> =
        (0..20).map(|n| json!({ "user": (FIRST_OF_TWENTY + n).to_string(), "amount": 1 })).collect();
    request("bench-ratio", LEAVER, json!({ "contact": { "logic": "ratio", "shares": shares } }))
}

/// Returns the request that gives the contacts of a colleague to one successor, or to twenty.
pub fn colleagues_request(leaver: u64, to_one: bool) -> Value {
    let mut request = if to_one { big_request() } else { ratio_request() };
    request["request_id"] = json!(format!("bench-colleague-{leaver}"));
    request["user_id"] = json!(leaver.to_string());
    request
}

fn request(id: &str, leaver: u64, reassign: Value) -> Value {
    json!({
        "type": "deactivate", "request_id": id, "org_id": "1", "user_id": leaver.to_string(), "requested_by": ADMINISTRATOR.to_string(),
        "reassign": reassign,
    })
}
