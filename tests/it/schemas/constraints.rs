//! Constraints and kinds of tables that the check must know, beyond those of `facts.rs`.

use handover::catalog::{Faults, check};
use handover::job::State;
use handover::store::host::read_schema;
use serde_json::json;

use crate::support::people::{PEOPLE, USERS, leave, owners, reference, start};
use crate::support::world::reasons_of;
use crate::support::{World, every_engine, on_postgres, on_sqlite};

async fn faults(world: &World, references: &str) -> String {
    let schema = read_schema(&world.store.reader()).await.expect("the schema");
    check("test", &format!("{USERS}{references}"), &schema)
        .err()
        .map_or(String::new(), |faults: Faults| faults.to_string())
}

/// Promise: a record for which a CHECK refuses the successor stays and is named; the others move.
#[every_engine(also_in_chunks_of = 2)]
async fn record_refused_by_a_check_is_named(world: &mut World) {
    let docs = "CREATE TABLE docs (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, approver BIGINT, CHECK (owner <> approver)); \
                INSERT INTO docs VALUES (1, 9, 3), (2, 9, 2), (3, 9, NULL);";
    start(world, docs, &reference("doc", "docs", "disposition = \"transfer\"")).await;
    let job = world.hand_over(&leave("9", json!({ "doc": { "user": "2" } }))).await;
    assert_eq!(
        (job.state, owners(world, "docs").await),
        (State::NeedsAttention, ["1:2", "2:9", "3:2"].map(str::to_owned).into())
    );
    let reasons = reasons_of(&job);
    assert!(
        reasons.iter().any(|reason| reason.message.contains('2') && reason.code.to_string() == "row_refused"),
        "{reasons:?}"
    );
}

/// Promise: the values that a domain lists are those of its columns.
#[on_postgres]
async fn values_of_a_domain_are_checked(world: &mut World) {
    world
        .sql(&format!(
            "{PEOPLE} CREATE DOMAIN stage AS text NOT NULL CHECK (VALUE IN ('open', 'closed')); CREATE DOMAIN last_stage AS stage; \
             CREATE TABLE docs (id BIGINT PRIMARY KEY, owner BIGINT, stage last_stage, number BIGINT GENERATED ALWAYS AS IDENTITY)"
        ))
        .await;
    for (value, expected) in [
        ("stage = \"gone\"", "never holds \"gone\"; it allows: open, closed"),
        ("stage = { null = true }", "cannot be NULL"),
        ("number = 7", "computed by the database"),
        ("stage = \"closed\"", ""),
    ] {
        let set = reference("doc", "docs", &format!("disposition = \"set\"\nset = {{ {value} }}"));
        let faults = faults(world, &set).await;
        assert!(faults.contains(expected) && faults.is_empty() == expected.is_empty(), "{value}: {faults}");
    }
}

/// Promise: rows without a key and without a number are refused by the check, not by the first job.
#[on_sqlite]
async fn rows_without_any_address_are_a_fault(world: &mut World) {
    world.sql(&format!("{PEOPLE} CREATE TABLE docs (id PRIMARY KEY, owner BIGINT) WITHOUT ROWID")).await;
    let docs = reference("doc", "docs", "disposition = \"transfer\"").replace("\"id\"", "[]");
    assert!(
        faults(world, &docs).await.contains("have no address that a statement can use"),
        "{}",
        faults(world, &docs).await
    );
}
