//! Types of user columns: a user is found however the column writes the id, or the check refuses the column.

use handover::catalog::check;
use handover::store::host::read_schema;
use serde_json::{Value, json};

use crate::support::people::{USERS, leave, owners, reference, reverted};
use crate::support::process::{borrowed, run, settings, text};
use crate::support::world::{certificate_of, result_of};
use crate::support::{Engine, World, every_engine, on_postgres, on_sqlite};

/// Creates users with a key of this type: Ann asks, Ben and Cleo stay, Zoe leaves.
async fn start(world: &mut World, key: &str, ids: [&str; 4], tables: &str, references: &str) {
    let rows: Vec<String> = (ids.iter().zip(["Ann", "Ben", "Cleo", "Zoe"]))
        .map(|(id, name)| format!("('{id}', '{name}', '{name}@example.com', 'active')"))
        .collect();
    world
        .sql(&format!(
            "CREATE TABLE people (id {key} NOT NULL PRIMARY KEY, full_name TEXT, mail TEXT, status TEXT); \
             INSERT INTO people VALUES {}; {tables}",
            rows.join(", ")
        ))
        .await;
    world.use_catalog(&format!("{USERS}{references}")).await;
    world.start_worker().await;
}

fn request(leaver: &str, requester: &str, successor: &str) -> Value {
    let mut request = leave(leaver, json!({ "doc": { "user": successor } }));
    request["requested_by"] = json!(requester);
    request
}

const UUIDS: [&str; 4] = [
    "aaaaaaaa-0000-4000-8000-000000000001",
    "aaaaaaaa-0000-4000-8000-000000000002",
    "aaaaaaaa-0000-4000-8000-000000000003",
    "aaaaaaaa-0000-4000-8000-000000000009",
];

fn docs(owner: &str, values: &[&str]) -> String {
    let rows: Vec<String> = values.iter().enumerate().map(|(id, value)| format!("({id}, {value})")).collect();
    format!(
        "CREATE TABLE docs (id BIGINT NOT NULL PRIMARY KEY, owner {owner}); CREATE INDEX docs_owner ON docs (owner); \
         INSERT INTO docs VALUES {};",
        rows.join(", ")
    )
}

fn transfer() -> String {
    reference("doc", "docs", "disposition = \"transfer\"")
}

/// Moves the leaver's documents and asserts how many there are. Then takes them back.
async fn assert_moves(world: &World, request: &Value, moved: u64) {
    let before = owners(world, "docs").await;
    let job = world.hand_over(request).await;
    let result = result_of(&certificate_of(&job), "doc");
    assert_eq!((result.found, result.moved), (Some(moved), Some(moved)), "{before:?}");
    let back = result_of(&reverted(world, &job).await, "doc");
    assert_eq!((back.restored, back.skipped.len()), (Some(moved), 0), "{back:?}");
}

#[every_engine(also_in_chunks_of = 2)]
async fn uuids_in_text_move_in_any_spelling(world: &mut World) {
    let values = [
        "'AAAAAAAA-0000-4000-8000-000000000009'",
        "'aaaaaaaa000040008000000000000009'",
        "'{Aaaaaaaa-0000-4000-8000-000000000009}'",
        "'aaaaaaaa-0000-4000-8000-000000000009'",
        "'AAAAAAAA-0000-4000-8000-000000000002'",
        "'nobody'",
        "''",
        "NULL",
    ];
    start(world, "UUID", UUIDS, &docs("VARCHAR(40)", &values), &transfer()).await;
    assert_moves(world, &request(UUIDS[3], UUIDS[0], UUIDS[1]), 4).await;
}

#[every_engine(also_in_chunks_of = 2)]
async fn numbers_in_text_move_with_leading_zeros(world: &mut World) {
    let values = ["'9'", "'0009'", "'90'", "'0'", "''", "'nine'", "NULL"];
    start(world, "BIGINT", ["1", "2", "3", "9"], &docs("TEXT", &values), &transfer()).await;
    assert_moves(world, &request("9", "1", "2"), 2).await;
}

#[every_engine]
async fn request_ids_may_have_another_spelling(world: &mut World) {
    start(world, "UUID", UUIDS, &docs("UUID", &["'AAAAAAAA-0000-4000-8000-000000000009'"]), &transfer()).await;
    let upper = UUIDS.map(str::to_uppercase);
    let first = world.hand_over(&request(UUIDS[3], UUIDS[0], UUIDS[1])).await;
    certificate_of(&first);
    let mut again = request(&upper[3], &upper[0], &upper[1]);
    again["request_id"] = json!(first.request_id);
    assert_eq!(world.hand_over(&again).await.id, first.id, "the same request in other letters is the same job");
    assert!(world.client.next_dead_letter(std::time::Duration::from_millis(300)).await.is_none());
}

#[every_engine]
async fn submit_knows_requests_in_another_spelling(world: &mut World) {
    start(world, "UUID", UUIDS, &docs("UUID", &["'AAAAAAAA-0000-4000-8000-000000000009'"]), &transfer()).await;
    let folder = tempfile::tempdir().expect("a folder");
    let (catalog, file) = (folder.path().join("catalog.toml"), folder.path().join("request.json"));
    let upper = UUIDS.map(str::to_uppercase);
    std::fs::write(&catalog, format!("{USERS}{}", transfer())).expect("a file");
    std::fs::write(&file, request(&upper[3], &upper[0], &upper[1]).to_string()).expect("a file");
    let settings = settings(world);
    let environment = [borrowed(&settings), vec![("HANDOVER_CATALOG", text(&catalog))]].concat();
    for _ in ["first", "again"] {
        let submit = || run(&environment, &["submit", text(&file), "--wait", "--yes"]);
        let done = tokio::task::block_in_place(submit).expect(0);
        assert!(done.out.contains("completed"), "{}", done.out);
    }
}

#[on_postgres]
async fn domains_are_as_their_base(world: &mut World) {
    world.sql("CREATE DOMAIN user_ref AS uuid CHECK (VALUE IS NOT NULL)").await;
    let values = [format!("'{}'", UUIDS[3]), format!("'{}'", UUIDS[1])];
    let tables = docs("user_ref", &values.each_ref().map(String::as_str));
    start(world, "user_ref", UUIDS, &tables, &transfer()).await;
    assert_moves(world, &request(&UUIDS[3].to_uppercase(), UUIDS[0], UUIDS[1]), 1).await;
    world.send(&request("zoe", UUIDS[0], UUIDS[1])).await;
    assert_eq!(world.next_dead_letter().await.reason(), "invalid_id");
}

#[on_postgres]
async fn citext_ids_match_in_any_case(world: &mut World) {
    world.sql("CREATE EXTENSION citext SCHEMA public").await;
    let tables = docs("CITEXT", &["'ZOE'", "'Zoe'", "'ben'"])
        + " ALTER TABLE people ALTER status TYPE CITEXT; UPDATE people SET status = 'Active';";
    start(world, "CITEXT", ["ann", "Ben", "cleo", "Zoe"], &tables, &transfer()).await;
    assert_moves(world, &request("zoe", "Ann", "BEN"), 2).await;
}

#[on_sqlite]
async fn nocase_ids_match_in_any_case(world: &mut World) {
    let tables = docs("TEXT", &["'ZOE'", "'Zoe'", "'ben'"]);
    start(world, "TEXT COLLATE NOCASE", ["ann", "Ben", "cleo", "Zoe"], &tables, &transfer()).await;
    assert_moves(world, &request("zoe", "Ann", "BEN"), 2).await;
}

#[on_sqlite]
async fn untyped_columns_hold_ids_of_any_type(world: &mut World) {
    for (owner, options) in [("", ""), ("BLOB", ""), ("ANY", " STRICT")] {
        world.sql("DROP TABLE IF EXISTS people; DROP TABLE IF EXISTS docs").await;
        let tables = format!(
            "CREATE TABLE docs (id INTEGER NOT NULL PRIMARY KEY, owner {owner}, done {owner}){options}; \
             INSERT INTO docs VALUES (1, 9, 0), (2, '9', 0), (3, 2, 0), (4, 9, 1);"
        );
        let open = reference("doc", "docs", "disposition = \"transfer\"\nwhere = { done = 0 }");
        let done = reference("done", "docs", "disposition = \"keep\"");
        world.stop_workers().await;
        start(world, "INTEGER", ["1", "2", "3", "9"], &tables, &format!("{open}{done}")).await;
        let mut request = request("9", "1", "2");
        request["request_id"] = json!(format!("leave {owner}"));
        let job = world.hand_over(&request).await;
        assert_eq!(result_of(&certificate_of(&job), "doc").moved, Some(2), "{owner}");
        assert_eq!(owners(world, "docs").await, ["1:2", "2:2", "3:2", "4:9"], "{owner}");
    }
}

#[on_postgres]
async fn ids_wider_than_their_column_are_no_error(world: &mut World) {
    let ids = ["1", "2", "3", "9000000000"];
    start(world, "BIGINT", ids, &docs("INTEGER", &["2", "1"]), &transfer()).await;
    let job = world.hand_over(&request("9000000000", "1", "2")).await;
    assert_eq!(result_of(&certificate_of(&job), "doc").found, Some(0));
}

#[every_engine]
async fn columns_that_cannot_hold_users_are_faults(world: &mut World) {
    let array = if world.engine == Engine::Postgres { "BIGINT[]" } else { "JSON" };
    world
        .sql(&format!(
            "CREATE TABLE people (id BIGINT NOT NULL PRIMARY KEY, full_name TEXT, mail TEXT, status TEXT); \
             CREATE TABLE leads (id BIGINT NOT NULL PRIMARY KEY); \
             CREATE TABLE docs (id BIGINT NOT NULL PRIMARY KEY, reviewers {array}, prefs JSON, made_at TIMESTAMP, \
               lead_id BIGINT REFERENCES leads, is_mine BOOLEAN, letter TEXT CHECK (letter IN ('a', 'b')), \
               owner BIGINT, twice BIGINT GENERATED ALWAYS AS (owner * 2) STORED)"
        ))
        .await;
    let schema = read_schema(&world.store.reader()).await.expect("the schema");
    for (column, cause) in [
        ("reviewers", "it holds several ids in one value"),
        ("prefs", "it holds several ids in one value"),
        ("made_at", "cannot hold users: it holds dates"),
        ("is_mine", "cannot hold users: it allows only"),
        ("letter", "cannot hold users: it allows only a, b"),
        ("lead_id", "points at leads.id, not at people.id"),
        ("twice", "computed by the database"),
    ] {
        let source = format!("{USERS}{}", transfer().replace("\"owner\"", &format!("\"{column}\"")));
        let faults = check("test", &source, &schema).expect_err(column).to_string();
        assert!(faults.contains(cause) && faults.contains("line 11:"), "{column}: {faults}");
    }
}
