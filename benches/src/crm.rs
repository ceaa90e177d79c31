//! The second host: a CRM without foreign keys, with the tables of Handover and of the Celery worker.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::{Map, Value, json};

use crate::data::{ADMINISTRATOR, FIRST_LEAVER, FIRST_OF_TWENTY, LEAVER, SUCCESSOR};
use crate::server::{Database, Server};
use crate::worker::Setup;

const SCHEMA: &str = include_str!("../crm/schema.sql");
const PEER_SCHEMA: &str = include_str!("../peer/schema.sql");
const CATALOG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/crm/catalog.toml");
const FOLLOWS: &str = include_str!("../crm/follows.toml");

/// The tables whose records move, each with its kind and the condition for them.
pub const TABLES: [(&str, &str, &str); 3] =
    [("contact", "contacts", "true"), ("lead", "leads", "true"), ("task", "tasks", "status = 'pending'")];

/// Who receives the records of a leaver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Successors {
    One,
    Twenty,
}

impl Successors {
    pub fn first(self) -> u64 {
        match self {
            Successors::One => SUCCESSOR,
            Successors::Twenty => FIRST_OF_TWENTY,
        }
    }

    pub fn count(self) -> u64 {
        match self {
            Successors::One => 1,
            Successors::Twenty => 20,
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            Successors::One => "to one",
            Successors::Twenty => "dealt to twenty",
        }
    }

    fn allotment(self) -> Value {
        let share = |user: u64| json!({ "user": user.to_string(), "amount": 1 });
        match self {
            Successors::One => json!({ "user": SUCCESSOR.to_string() }),
            Successors::Twenty => {
                let shares: Vec<Value> = (self.first()..self.first() + self.count()).map(share).collect();
                json!({ "logic": "ratio", "shares": shares })
            }
        }
    }
}

/// Returns the catalog file, with the two references to follows or without.
pub fn catalog(has_follows: bool) -> Result<PathBuf> {
    if !has_follows {
        return Ok(CATALOG.into());
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench");
    std::fs::create_dir_all(&folder)?;
    let file = folder.join("catalog-with-follows.toml");
    std::fs::write(&file, std::fs::read_to_string(CATALOG)? + FOLLOWS)?;
    Ok(file)
}

/// Creates a database with the host, the tables of each contestant, and the staff.
pub async fn host(server: &Server, name: &str) -> Result<Database> {
    let database = server.create(name).await?;
    database.run(SCHEMA).await?;
    database.run(PEER_SCHEMA).await?;
    let setup = Setup { database: &database.url, broker: "local", prefix: "bench", catalog: CATALOG, extra: &[] };
    setup.run(&["migrate"])?;
    database.run(&hired(&format!("generate_series(1, {LEAVER} + 9) AS i"))).await?;
    Ok(database)
}

/// Creates contacts, a tenth as many leads, and a twentieth as many pending tasks. A third of each belongs to the leaver, the rest to
/// nine colleagues.
pub async fn fill_big(database: &Database, contacts: u64) -> Result<()> {
    let owner = format!("CASE WHEN i % 3 = 0 THEN {LEAVER} ELSE 41 + i / 3 % 9 END");
    let insert = |table: &str, columns: &str, values: &str, count: u64| {
        let all = count * 3;
        format!(
            "INSERT INTO {table} (org_id, owner_id, {columns}) SELECT 1, {owner}, {values} FROM generate_series(1, {all}) AS i;"
        )
    };
    let contact = "'Contact ' || i, 'c' || i || '@example.net', 'Company ' || i % 1000";
    let script = [
        insert("contacts", "name, email, company", contact, contacts),
        insert(
            "leads",
            "name, stage, value",
            "'Lead ' || i, (ARRAY['new', 'open', 'won'])[1 + i % 3], i % 9000",
            contacts / 10,
        ),
        insert(
            "tasks",
            "title, status, due_on",
            "'Call ' || i, 'pending', date '2026-01-01' + (i % 365)::int",
            contacts / 20,
        ),
    ];
    database.run(&script.concat()).await?;
    database.vacuum().await
}

/// Creates leavers with 33 rows each: 20 contacts, 3 leads, 3 pending and a completed task, and 6 followed leavers. Each is also
/// followed by 6 of them, and wrote 2 notes that stay.
pub async fn fill_team(database: &Database, leavers: u64) -> Result<()> {
    let all = format!("generate_series({FIRST_LEAVER}, {}) AS i", FIRST_LEAVER + leavers - 1);
    // In rounds, not by leaver: a leaver's rows are scattered, as in a host that has been in use.
    let owned = |table: &str, each: u64, columns: &str, values: &str| {
        format!(
            "INSERT INTO {table} (org_id, owner_id, {columns}) SELECT 1, i, {values} FROM generate_series(1, {each}) AS n, {all} \
               ORDER BY n, i;"
        )
    };
    let script = [
        hired(&all),
        owned(
            "contacts",
            20,
            "name, email, company",
            "'Contact', i || '.' || n || '@example.net', 'Company ' || i % 1000",
        ),
        owned("leads", 3, "name, stage", "'Lead', 'new'"),
        owned("tasks", 3, "title, status, due_on", "'Call', 'pending', date '2026-01-01' + (i % 365)::int"),
        owned("tasks", 1, "title, status, completed_at", "'Mail', 'completed', now()"),
        format!(
            "INSERT INTO notes (contact_id, author_id, body) SELECT n, i, 'Note' FROM generate_series(1, 2) AS n, {all};"
        ),
        format!(
            "INSERT INTO follows (follower_id, followed_id) \
               SELECT i, {FIRST_LEAVER} + (i - {FIRST_LEAVER} + n) % {leavers} FROM generate_series(1, 6) AS n, {all};"
        ),
    ];
    database.run(&script.concat()).await?;
    database.vacuum().await
}

/// Returns the statements that create users with these numbers, with a license each.
fn hired(all: &str) -> String {
    format!(
        "INSERT INTO users (id, org_id, name, email, status, role) \
           SELECT i, 1, 'User ' || i, 'user' || i || '@example.com', 'active', \
             CASE i WHEN {ADMINISTRATOR} THEN 'admin' ELSE 'member' END FROM {all}; \
         INSERT INTO licenses (org_id, user_id) SELECT 1, i FROM {all};"
    )
}

/// Returns the requests for this many leavers of a team.
pub fn team_requests(leavers: u64, to: Successors) -> Vec<Value> {
    (FIRST_LEAVER..FIRST_LEAVER + leavers).map(|leaver| request(leaver, to)).collect()
}

/// Returns the request that reassigns everything of a leaver.
pub fn request(leaver: u64, to: Successors) -> Value {
    let reassign: Map<String, Value> = TABLES.iter().map(|(kind, ..)| ((*kind).to_owned(), to.allotment())).collect();
    json!({
        "type": "deactivate", "request_id": format!("bench-{leaver}"), "org_id": "1", "user_id": leaver.to_string(),
        "requested_by": ADMINISTRATOR.to_string(), "reassign": reassign,
    })
}

/// Returns the number of leavers who are active or own something that should have moved, from the given user on.
pub async fn left_over(database: &Database, first: u64, last: u64) -> Result<u64> {
    let owned = TABLES.map(|(_, table, condition)| {
        format!("OR EXISTS (SELECT FROM {table} t WHERE t.owner_id = u.id AND {condition})")
    });
    let query = format!(
        "SELECT CAST(count(*) AS text) AS v FROM users u WHERE id BETWEEN {first} AND {last} AND (u.status = 'active' {})",
        owned.concat()
    );
    Ok(database.text(&query).await?.parse()?)
}
