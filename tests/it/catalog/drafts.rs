//! From an unknown database to a working catalog: the scan without foreign keys, and the draft.

use handover::job::State;
use std::process::{Command, Output};

use serde_json::json;

use crate::support::people::{leave, owners, start};
use crate::support::world::{catalog_source, certificate_of, result_of};
use crate::support::{World, every_engine};

/// Runs a command of the binary on the world's database and returns its exit code and output.
fn handover(world: &World, catalog: &str, arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_handover"));
    command.args(arguments).env("HANDOVER_DATABASE__URL", world.database_url()).env("HANDOVER_CATALOG", catalog);
    let Output { status, stdout, stderr } = tokio::task::block_in_place(|| command.output()).expect("the binary");
    let stderr = String::from_utf8_lossy(&stderr);
    let faults = stderr.lines().filter(|line| !line.starts_with("database: "));
    let reported = String::from_utf8_lossy(&stdout).into_owned() + &faults.collect::<Vec<_>>().join("\n");
    (status.code().expect("a code"), reported)
}

/// Writes a catalog to a file.
fn written(source: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("catalog.toml");
    std::fs::write(&file, source).expect("a file");
    let name = file.to_str().expect("a name").to_owned();
    (folder, name)
}

#[every_engine]
async fn scan_suggests_columns_without_foreign_keys(world: &mut World) {
    world
        .sql(
            "CREATE TABLE stray (id bigint PRIMARY KEY, assignee bigint, approved_by text, reviewer_id bigint, amount bigint, \
             author_name text, owner_id bigint, owner_type text); \
             INSERT INTO stray VALUES (1, 53, '11', NULL, 53, 'Ann', 53, 'User'), (2, 0, '', NULL, 11, 'Ben', 999999, 'Thing'), (3, 11, '999999', NULL, 12, '', NULL, NULL); \
             CREATE TABLE walls (id bigint PRIMARY KEY, painted_by bigint); INSERT INTO walls VALUES (1, 999999);",
        )
        .await;
    let (code, reported) = handover(world, "keap", &["catalog", "scan", "--json"]);
    let found: Vec<serde_json::Value> = serde_json::from_str(&reported).expect(&reported);
    let why = |column: &str| {
        let found = found.iter().find(|found| found["table"] == "stray" && found["column"] == column);
        found.and_then(|found| found["why"].as_str()).unwrap_or("").to_owned()
    };
    assert_eq!(code, 1);
    assert_eq!(found.len(), 4, "{reported}");
    assert_eq!(why("assignee"), "`assignee` in its name, 2 of 2 values are users");
    assert_eq!(why("approved_by"), "`by` in its name, ids perhaps stored as text, 1 of 2 values are users");
    assert_eq!(why("reviewer_id"), "`reviewer` in its name, no values yet");
    assert!(why("owner_id").ends_with("`owner_type` may say what it points at"), "{reported}");
    let (_, reported) = handover(world, "keap", &["catalog", "scan"]);
    assert!(reported.contains("stray.assignee may hold user ids: `assignee` in its name"), "{reported}");
    assert!(reported.contains("0 foreign keys not covered, 4 columns may hold user ids"), "{reported}");
}

#[every_engine]
async fn draft_for_reference_crm_covers_foreign_keys(world: &mut World) {
    let (code, draft) = handover(world, "none", &["catalog", "draft"]);
    assert_eq!(code, 0, "{draft}");
    let (_folder, file) = written(&draft);
    let (code, reported) = handover(world, &file, &["catalog", "check"]);
    assert_eq!(code, 0, "{reported}\n{draft}");
    let (_, reported) = handover(world, &file, &["catalog", "scan"]);
    assert!(reported.contains("0 foreign keys not covered, 0 columns"), "{reported}");
    let about = |table: &str| {
        let of_table = draft.split("[[reference]]").find(|part| part.contains(&format!("table = \"{table}\"\n")));
        of_table.unwrap_or_else(|| panic!("{table} is missing in: {draft}")).to_owned()
    };
    assert!(about("users").contains("status = { column = \"status\", active = \"active\", inactive = \"inactive\" }"));
    assert!(about("sessions").contains("disposition = \"detach\"\nat = \"start\""));
    assert!(about("contacts").contains("user = \"owner_id\"\n# guess: this is work"), "{draft}");
    assert!(draft.contains("[license]\ntable = \"licenses\""));
    assert!(draft.lines().filter(|line| line.starts_with("disposition")).count() > 20);
}

/// An application without foreign keys, and with unusual names.
const STRANGE: &str = r#"CREATE TABLE "Crew" ("crewNo" TEXT NOT NULL PRIMARY KEY, "Display Name" TEXT, "Mail" TEXT, active INTEGER NOT NULL);
    INSERT INTO "Crew" VALUES ('k-1', 'Ann', 'a@example.com', 1), ('k-2', 'Ben', 'b@example.com', 1), ('k-9', 'Zoe', 'z@example.com', 1), ('k-4', 'Dan', 'd@example.com', 0);
    CREATE TABLE "Work Orders" (no BIGINT NOT NULL PRIMARY KEY, "assignedTo" TEXT, created_by TEXT, say TEXT);
    INSERT INTO "Work Orders" VALUES (1, 'k-9', 'k-9', 'a'), (2, 'k-9', 'k-1', 'b'), (3, 'k-2', 'k-9', 'c'), (4, '', NULL, 'd');
    CREATE TABLE login_tokens (token TEXT NOT NULL PRIMARY KEY, "user" TEXT); INSERT INTO login_tokens VALUES ('x', 'k-9'), ('y', 'k-1');
    CREATE TABLE crew_followers (follower TEXT NOT NULL, thing BIGINT NOT NULL, PRIMARY KEY (follower, thing));
    INSERT INTO crew_followers VALUES ('k-9', 1), ('k-2', 1);
    CREATE TABLE heap (said_by TEXT, what TEXT); INSERT INTO heap VALUES ('k-9', 'hm');
    CREATE TABLE paint (no BIGINT NOT NULL PRIMARY KEY, mixed_by TEXT); INSERT INTO paint VALUES (1, 'a machine');"#;

#[every_engine]
async fn draft_for_a_strange_schema_works(world: &mut World) {
    world.sql(STRANGE).await;
    let (code, draft) = handover(world, "none", &["catalog", "draft", "--users", "Crew"]);
    assert_eq!(code, 0, "{draft}");
    let heap = "table = \"heap\"\n# guess: no unique columns that are never NULL.";
    assert!(draft.contains(heap) && draft.contains("\nkey = []\nuser = \"said_by\""), "{draft}");
    assert!(!draft.contains("paint"), "its values are not users: {draft}");
    let (_folder, file) = written(&draft);
    let (code, reported) = handover(world, &file, &["catalog", "check"]);
    assert_eq!(code, 0, "{reported}\n{draft}");

    world.use_catalog(&draft).await;
    world.start_worker().await;
    let request = json!({ "type": "deactivate", "request_id": "r1", "user_id": "k-9", "requested_by": "k-1", "reassign": { "work_order": { "user": "k-2" } } });
    let certificate = certificate_of(&world.hand_over(&request).await);
    assert_eq!(result_of(&certificate, "work_order").moved, Some(2));
    assert_eq!(world.number("SELECT count(*) FROM \"Work Orders\" WHERE \"assignedTo\" = 'k-2'").await, 3);
    assert_eq!(world.number("SELECT count(*) FROM login_tokens WHERE \"user\" = 'k-9'").await, 0);
    assert_eq!(
        world.number("SELECT count(*) FROM \"Work Orders\" WHERE created_by = 'k-9'").await,
        2,
        "it does not change"
    );
    assert_eq!(world.number("SELECT active FROM \"Crew\" WHERE \"crewNo\" = 'k-9'").await, 0);
}

#[every_engine]
async fn draft_without_users_table_explains_the_flag(world: &mut World) {
    let (code, reported) = handover(world, "none", &["catalog", "draft", "--users", "nobody"]);
    assert_eq!(code, 1);
    assert!(reported.contains("the database has no table `nobody`"), "{reported}");
    let (code, reported) = handover(world, "none", &["catalog", "draft", "--users", "notes"]);
    assert_eq!(code, 1);
    assert!(reported.contains("say with --users where the users are"), "{reported}");
}

#[every_engine]
async fn non_unique_key_is_refused_with_hint(world: &mut World) {
    world.sql("CREATE TABLE heap (owner_id bigint, what text)").await;
    let schema = handover::store::host::read_schema(&world.store.reader()).await.expect("the schema");
    let heap = "\n[[reference]]\nkind = \"heap\"\ntable = \"heap\"\nkey = \"what\"\nuser = \"owner_id\"\ndisposition = \"transfer\"\n";
    let source = catalog_source("keap") + heap;
    let faults = handover::catalog::check("test", &source, &schema).expect_err("a fault").to_string();
    let expected = "heap has no unique index over columns that are never NULL: add one and name its columns, or say that there is none, key = []";
    assert!(faults.contains(expected), "{faults}");
    let (code, reported) = handover(world, "keap", &["catalog", "scan"]);
    assert!(
        code == 1 && reported.contains("heap.owner_id may hold user ids"),
        "it is not reported as forgotten: {reported}"
    );
}

/// Memberships with a partial and an expression index, both unique. Ben is already an active member of 1, and has the
/// code of 3 in other letter case.
const PAIRS: &str = "CREATE TABLE members (id BIGINT NOT NULL PRIMARY KEY, doc BIGINT NOT NULL, owner BIGINT NOT NULL, code TEXT, ended INTEGER NOT NULL); \
     CREATE UNIQUE INDEX one_active ON members (doc, owner) WHERE ended = 0; \
     CREATE UNIQUE INDEX one_code ON members (owner, lower(code)); \
     INSERT INTO members VALUES (1, 1, 9, 'a', 0), (2, 2, 9, 'b', 0), (3, 3, 9, 'c', 0), (4, 4, 9, 'd', 1), (5, 1, 2, 'z', 0), (6, 6, 2, 'C', 0), (7, 4, 2, 'y', 1);";

#[every_engine]
async fn rows_refused_by_special_indexes_are_reported(world: &mut World) {
    let reference = crate::support::people::reference("member", "members", "disposition = \"transfer\"");
    start(world, PAIRS, &reference).await;
    let job = world.hand_over(&leave("9", json!({ "member": { "user": "2" } }))).await;
    assert_eq!(job.state, State::NeedsAttention);
    let reasons = crate::support::world::reasons_of(&job);
    let keys: Vec<(&str, &str)> =
        reasons.iter().map(|reason| (reason.code.name(), reason.concerning.keys[0].as_str())).collect();
    assert_eq!(keys, [("row_refused", "1"), ("row_refused", "3")]);
    assert_eq!(owners(world, "members").await, ["1:9", "2:2", "3:9", "4:2", "5:2", "6:2", "7:2"]);
}
