//! The host changes its schema while workers run.

use handover::job::State;
use serde_json::{Value, json};

use crate::support::keap::{SUPPORT, deactivation, to};
use crate::support::people::{host, leave, reference, reverted, reverts_to, start};
use crate::support::world::result_of;
use crate::support::{Engine, World, every_engine, on_postgres};

const DOCS: &str = "CREATE TABLE docs (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, title TEXT); \
     INSERT INTO docs VALUES (1, 9, 'a'), (2, 9, 'b'), (3, 2, 'c');";

fn detached() -> String {
    reference("doc", "docs", "disposition = \"detach\"")
}

/// Proves that a removed row comes back with a column that the worker did not see at its start.
#[every_engine(also_in_chunks_of = 1)]
async fn columns_added_meanwhile_come_back(world: &mut World) {
    start(world, DOCS, &detached()).await;
    world.sql("ALTER TABLE docs ADD COLUMN remark TEXT; UPDATE docs SET remark = 'signed'").await;
    world.grant_more().await;
    let before = host(world).await;
    let job = world.hand_over(&leave("9", json!({}))).await;
    assert_eq!(world.number("SELECT count(*) FROM docs").await, 1);
    reverts_to(world, &job, &before).await;
}

/// Proves that jobs under way go on while columns, indexes and partitions come and go, and that an undo of them restores all.
#[every_engine]
async fn jobs_go_on_while_the_schema_changes(world: &mut World) {
    let rows = |table: &str| -> String {
        (1..=60).map(|id| format!("INSERT INTO {table} VALUES ({id}, 9, 't{id}', 'o');")).collect()
    };
    let partitioned = match world.engine {
        Engine::Postgres => {
            " PARTITION BY RANGE (id); CREATE TABLE docs_1 PARTITION OF docs FOR VALUES FROM (0) TO (100)"
        }
        Engine::Sqlite => "",
    };
    let tables = format!(
        "CREATE TABLE docs (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, title TEXT, old TEXT){partitioned}; \
         CREATE TABLE papers (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, title TEXT, old TEXT); {}{}",
        rows("docs"),
        rows("papers")
    );
    world.use_chunks_of(2);
    let references = [
        reference("doc", "docs", "disposition = \"transfer\""),
        reference("note", "papers", "disposition = \"detach\""),
    ];
    start(world, &tables, &references.concat()).await;
    let mut changes = vec![
        "ALTER TABLE docs ADD COLUMN fresh TEXT DEFAULT 'x'",
        "CREATE INDEX by_title ON papers (title)",
        "ALTER TABLE docs DROP COLUMN old",
        "CREATE INDEX by_owner ON docs (owner, id)",
        "DROP INDEX by_title",
        "DROP INDEX by_owner",
    ];
    if world.engine == Engine::Postgres {
        changes.push("CREATE TABLE docs_2 PARTITION OF docs FOR VALUES FROM (100) TO (200)");
    }
    let job = world.send(&leave("9", json!({ "doc": { "user": "2" } }))).await;
    for change in changes {
        world.sql(change).await;
    }
    let job = world.end_of(job).await;
    assert_eq!(job.state, State::Completed, "{:?}", job.reasons);
    let left = "SELECT (SELECT count(*) FROM docs WHERE owner = 9) + (SELECT count(*) FROM papers)";
    assert_eq!(world.number(left).await, 0);
    let undone = reverted(world, &job).await;
    let restored = ["doc", "note"].map(|kind| result_of(&undone, kind).restored);
    assert_eq!(restored, [Some(60), Some(60)]);
    assert_eq!(world.number("SELECT count(*) FROM papers WHERE old = 'o' AND title = 't' || id").await, 60);
}

/// Proves that rows which a new foreign key would delete are not lost: the job stops instead.
#[every_engine]
async fn foreign_key_added_meanwhile_stops_deletions(world: &mut World) {
    start(world, DOCS, &detached()).await;
    world
        .sql(
            "CREATE TABLE kids (id BIGINT NOT NULL PRIMARY KEY, doc BIGINT REFERENCES docs (id) ON DELETE CASCADE); \
             INSERT INTO kids VALUES (1, 1)",
        )
        .await;
    let job = world.hand_over(&leave("9", json!({}))).await;
    assert_eq!(job.state, State::NeedsAttention);
    assert!(job.reasons.expect("reasons").to_string().contains("schema of docs has changed"));
    let left = "SELECT (SELECT count(*) FROM kids) + (SELECT count(*) FROM docs WHERE owner = 9)";
    assert_eq!(world.number(left).await, 3);
}

/// Proves that statements prepared for another schema are prepared again, instead of failing requests.
#[on_postgres]
async fn prepared_statements_survive_changed_types(world: &mut World) {
    for user in 101..=108 {
        world.hire(user, 1).await;
    }
    world.start_worker().await;
    let leaves = |user: u32| -> Value {
        deactivation(&format!("{user} leaves"), &user.to_string()).contacts(to(SUPPORT)).clone()
    };
    for users in [101..=104, 105..=108] {
        let mut jobs = Vec::new();
        for user in users.clone() {
            jobs.push(world.send(&leaves(user)).await);
        }
        for job in jobs {
            assert_eq!(world.end_of(job).await.state, State::Completed);
        }
        if *users.start() == 101 {
            world.sql("ALTER TABLE users ALTER COLUMN name TYPE varchar(300)").await;
            world.sql("ALTER TABLE handover.requests ADD COLUMN more int").await;
        }
    }
    assert_eq!(world.number("SELECT count(*) FROM contacts WHERE owner_id BETWEEN 101 AND 108").await, 0);
}
