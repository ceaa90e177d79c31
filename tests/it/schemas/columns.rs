//! Unusual columns: version counters, ids as text, and values that mean "no one".

use handover::store::ledger::jobs::Job;
use serde_json::json;

use crate::support::people::{PEOPLE, USERS, host, leave, owners, reference, reverted, reverts_to, start};
use crate::support::world::{certificate_of, codes_of, counts, result_of, successors_of};
use crate::support::{Engine, World, every_engine};

#[every_engine(also_in_chunks_of = 2)]
async fn version_increases_on_move_and_set(world: &mut World) {
    let tables = "CREATE TABLE docs (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, lock_version INTEGER); \
                  INSERT INTO docs VALUES (1, 9, 0), (2, 9, 7), (3, 9, NULL), (4, 2, 5); \
                  CREATE TABLE seats (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, access TEXT, version BIGINT NOT NULL); \
                  INSERT INTO seats VALUES (1, 9, 'full', 1), (2, 9, 'read', 1), (3, 9, 'full', 4), (4, 2, 'full', 1);";
    let references = [
        reference("doc", "docs", "disposition = \"transfer\"\nversion_column = \"lock_version\""),
        reference("seat", "seats", "disposition = \"set\"\nset = { access = \"read\" }\nversion_column = \"version\""),
    ];
    start(world, tables, &references.concat()).await;
    let shares = json!([{ "user": "2", "amount": 1 }, { "user": "3", "amount": 1 }]);
    let job = world.hand_over(&leave("9", json!({ "doc": { "logic": "ratio", "shares": shares } }))).await;
    certificate_of(&job);
    let docs = "SELECT CAST(id AS text) || ':' || CAST(owner AS text) || ':' || CAST(lock_version AS text) AS t FROM docs ORDER BY id";
    assert_eq!(world.texts(docs).await, ["1:2:1", "2:3:8", "3:2:1", "4:2:5"]);
    let seats = "SELECT CAST(id AS text) || ':' || CAST(version AS text) AS t FROM seats ORDER BY id";
    assert_eq!(world.texts(seats).await, ["1:2", "2:1", "3:5", "4:1"], "rows that had the value are unchanged");
    // A revert increases the version too, like any other change.
    reverted(world, &job).await;
    assert_eq!(world.texts(docs).await, ["1:9:2", "2:9:9", "3:9:2", "4:2:5"]);
    assert_eq!(world.texts(seats).await, ["1:3", "2:1", "3:6", "4:1"]);
    assert_eq!(world.number("SELECT count(*) FROM seats WHERE access = 'full'").await, 3);
}

#[every_engine(also_in_chunks_of = 2)]
async fn touch_applies_on_revert(world: &mut World) {
    let time = if world.engine == Engine::Sqlite { "TEXT" } else { "TIMESTAMPTZ" };
    let tables = format!(
        "CREATE TABLE docs (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, moved_at {time}); \
         INSERT INTO docs VALUES (1, 9, NULL), (2, 9, '2001-02-03 04:05:06'), (3, 9, NULL), (4, 2, '2001-02-03 04:05:06');"
    );
    start(world, &tables, &reference("doc", "docs", "disposition = \"transfer\"\ntouch = \"moved_at\"")).await;
    let job = world.hand_over(&leave("9", json!({ "doc": { "user": "2" } }))).await;
    certificate_of(&job);
    let touched = "SELECT count(*) FROM docs WHERE moved_at > '2020-01-01 00:00:00'";
    assert_eq!(world.number(touched).await, 3);
    world.sql("UPDATE docs SET moved_at = '2001-02-03 04:05:06'").await;
    reverted(world, &job).await;
    assert_eq!(owners(world, "docs").await, ["1:9", "2:9", "3:9", "4:2"]);
    assert_eq!(world.number(touched).await, 3, "a revert counts as a move");
}

#[every_engine(also_in_chunks_of = 2)]
async fn version_increases_for_a_single_successor(world: &mut World) {
    let tables = "CREATE TABLE docs (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, lock_version INTEGER NOT NULL); \
                  INSERT INTO docs VALUES (1, 9, 0), (2, 9, 7), (3, 9, 0);";
    start(world, tables, &reference("doc", "docs", "disposition = \"transfer\"\nversion_column = \"lock_version\""))
        .await;
    certificate_of(&world.hand_over(&leave("9", json!({ "doc": { "user": "2" } }))).await);
    assert_eq!(world.number("SELECT sum(lock_version) FROM docs WHERE owner = 2").await, 10);
}

#[every_engine(also_in_chunks_of = 2)]
async fn ids_may_be_kept_as_text(world: &mut World) {
    let tables = "CREATE TABLE docs (id BIGINT NOT NULL PRIMARY KEY, owner TEXT, team TEXT); \
                  INSERT INTO docs VALUES (1, '9', 'a'), (2, '9', 'a'), (3, '9', 'b'), (4, '99', 'a'), (5, '', 'a'), (6, 'nobody', 'a'), (7, NULL, 'a'); \
                  CREATE TABLE watched (id BIGINT NOT NULL PRIMARY KEY, owner TEXT); INSERT INTO watched VALUES (1, '9'), (2, ''); \
                  CREATE TABLE leads_of (id BIGINT NOT NULL PRIMARY KEY, owner TEXT, team TEXT); \
                  INSERT INTO leads_of VALUES (1, '9', 'a'), (2, '', 'a'), (3, 'x', 'a'), (4, '2', 'a');";
    let references = [
        reference("doc", "docs", "disposition = \"transfer\""),
        reference("watch", "watched", "disposition = \"detach\""),
        reference("team_lead", "leads_of", "disposition = \"block\"\nsole_in = \"team\""),
        reference("led", "leads_of", "disposition = \"keep\""),
    ];
    start(world, tables, &references.concat()).await;
    let before = host(world).await;
    let shares = json!([{ "user": "2", "amount": 1 }, { "user": "3", "amount": 1 }]);
    let job = world.hand_over(&leave("9", json!({ "doc": { "logic": "ratio", "shares": shares } }))).await;
    let certificate = certificate_of(&job);
    assert_eq!(successors_of(&certificate, "doc"), counts([(2, 2), (3, 1)]));
    assert_eq!(owners(world, "docs").await, ["1:2", "2:3", "3:2", "4:99", "5:", "6:nobody", "7:"]);
    assert_eq!(owners(world, "watched").await, ["2:"]);
    reverts_to(world, &job, &before).await;
}

#[every_engine]
async fn last_member_with_text_id_is_blocked(world: &mut World) {
    let tables = "CREATE TABLE leads_of (id BIGINT NOT NULL PRIMARY KEY, owner TEXT, team TEXT); \
                  INSERT INTO leads_of VALUES (1, '9', 'a'), (2, '', 'a'), (3, 'x', 'a'), (4, '0', 'a');";
    let references = [
        reference("team_lead", "leads_of", "disposition = \"block\"\nsole_in = \"team\""),
        reference("led", "leads_of", "disposition = \"keep\""),
    ];
    start(world, tables, &references.concat()).await;
    let job = world.hand_over(&leave("9", json!({}))).await;
    assert_eq!(codes_of(&job), ["blocked"], "the other rows have no user");
}

#[every_engine(also_in_chunks_of = 2)]
async fn target_table_may_be_in_another_column(world: &mut World) {
    let tables = "CREATE TABLE files (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, owner_type TEXT); \
                  INSERT INTO files VALUES (1, 9, 'User'), (2, 9, 'Company'), (3, 9, 'User'), (4, 9, NULL), (5, 2, 'User'), (6, 9, 'User');";
    let references = [
        reference("file", "files", "where = { owner_type = \"User\" }\ndisposition = \"transfer\""),
        reference("file_of_others", "files", "disposition = \"keep\""),
    ];
    start(world, tables, &references.concat()).await;
    let before = host(world).await;
    let job = world.hand_over(&leave("9", json!({ "file": { "user": "3" } }))).await;
    assert_eq!(result_of(&certificate_of(&job), "file").moved, Some(3));
    assert_eq!(owners(world, "files").await, ["1:3", "2:9", "3:3", "4:9", "5:2", "6:3"]);
    reverts_to(world, &job, &before).await;
}

/// Free seats, empty team places and missing bosses are stored as 0.
async fn start_with_zeros(world: &mut World, nobody: &str, free: &str) {
    let sql_type = if nobody.starts_with('\'') { "TEXT" } else { "BIGINT" };
    world
        .sql(&format!(
            "{PEOPLE} ALTER TABLE people ADD COLUMN boss {sql_type}; UPDATE people SET boss = {nobody}; \
             CREATE TABLE seats (id BIGINT NOT NULL PRIMARY KEY, holder {sql_type} NOT NULL); \
             INSERT INTO seats VALUES (1, {nobody}), (2, '9'), (3, '2'); \
             CREATE TABLE places (team TEXT, member {sql_type}); INSERT INTO places VALUES ('west', {nobody}), ('west', '2'), ('west', NULL); \
             CREATE TABLE docs (id BIGINT NOT NULL PRIMARY KEY, owner {sql_type}); INSERT INTO docs VALUES (1, '9'), (2, {nobody}), (3, '9');"
        ))
        .await;
    let users = USERS.replace("email =", "manager = \"boss\"\nemail =");
    let sections = format!(
        "[license]\ntable = \"seats\"\nuser = \"holder\"\n{free}\n[groups]\ntable = \"places\"\ngroup = \"team\"\nuser = \"member\"\n"
    );
    let references = [
        reference("doc", "docs", "disposition = \"transfer\""),
        "[[reference]]\nkind = \"report\"\ntable = \"people\"\nkey = \"id\"\nuser = \"boss\"\ndisposition = \"transfer\"\n".into(),
    ];
    world.use_catalog(&format!("{users}{sections}{}", references.concat())).await;
    world.start_worker().await;
}

async fn nobody_is_nobody(world: &mut World) -> Job {
    let manager = world.hand_over(&leave("9", json!({ "doc": { "manager": true } }))).await;
    assert_eq!(codes_of(&manager), ["no_manager"]);
    let turns = json!({ "logic": "ratio", "shares": [{ "round_robin": "west", "amount": 1 }] });
    let mut again = leave("9", json!({ "doc": turns, "report": { "user": "3" } }));
    again["request_id"] = json!("again");
    let job = world.hand_over(&again).await;
    let certificate = certificate_of(&job);
    assert_eq!(successors_of(&certificate, "doc"), counts([(2, 2)]), "a placeholder user receives nothing");
    assert_eq!(certificate.license, handover::contract::LicenseOutcome::Freed);
    job
}

/// Asserts that a returning user gets one of the free seats and their documents.
async fn assert_no_slowdown(world: &World, job: &Job) {
    reverted(world, job).await;
    let seats = "SELECT CAST(holder AS text) AS t FROM seats WHERE CAST(holder AS text) IN ('2', '9') ORDER BY 1";
    assert_eq!(world.texts(seats).await, ["2", "9"]);
    assert_eq!(world.number("SELECT count(*) FROM docs WHERE CAST(owner AS text) = '9'").await, 2);
    assert_eq!(world.number("SELECT count(*) FROM people WHERE status = 'active'").await, 4);
}

#[every_engine]
async fn a_zero_may_mean_nobody(world: &mut World) {
    start_with_zeros(world, "0", "free = 0").await;
    let job = nobody_is_nobody(world).await;
    assert_eq!(world.number("SELECT count(*) FROM seats WHERE holder = 0").await, 2);
    assert_eq!(owners(world, "docs").await, ["1:2", "2:0", "3:2"]);
    assert_no_slowdown(world, &job).await;
}

#[every_engine]
async fn an_empty_text_may_mean_nobody(world: &mut World) {
    start_with_zeros(world, "''", "free = \"\"").await;
    let job = nobody_is_nobody(world).await;
    assert_eq!(world.number("SELECT count(*) FROM seats WHERE holder = ''").await, 2);
    assert_eq!(owners(world, "docs").await, ["1:2", "2:", "3:2"]);
    assert_no_slowdown(world, &job).await;
}

#[every_engine]
async fn unfreeable_license_is_a_fault_with_hint(world: &mut World) {
    world.sql(&format!("{PEOPLE} CREATE TABLE seats (id BIGINT PRIMARY KEY, holder BIGINT NOT NULL);")).await;
    let schema = handover::store::host::read_schema(&world.store.reader()).await.expect("the schema");
    let source = format!("{USERS}[license]\ntable = \"seats\"\nuser = \"holder\"\n");
    let faults = handover::catalog::check("test", &source, &schema).expect_err("a fault").to_string();
    assert!(faults.contains("set `free`"), "{faults}");
}
