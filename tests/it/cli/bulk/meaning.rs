//! Ids as the database reads them: those that it refuses, and those in another spelling.

use serde_json::Value;

use super::{Sheet, codes, outcomes};
use crate::support::people::USERS;
use crate::support::process::{binary, borrowed, finish, settings, text};
use crate::support::{Engine, World, every_engine};

#[every_engine]
async fn ids_that_the_database_refuses_fail_alone(world: &mut World) {
    let people = "CREATE TABLE people (id NUMERIC(20) NOT NULL PRIMARY KEY, full_name TEXT, mail TEXT, status TEXT); \
        INSERT INTO people VALUES (1, 'Ann', 'ann@example.com', 'active'), (2, 'Ben', 'ben@example.com', 'active'), \
        (9, 'Zoe', 'zoe@example.com', 'active'); CREATE TABLE docs (id BIGINT NOT NULL PRIMARY KEY, owner NUMERIC(20)); \
        CREATE INDEX docs_owner ON docs (owner); INSERT INTO docs VALUES (1, 9)";
    world.sql(people).await;
    let sheet = Sheet::of("leavers.csv", "user_id,deactivated,successor\nnobody,y,2\n9,y,2\n");
    let rows = rows_of(world, &sheet, "1").await;
    assert_eq!(rows[0]["outcome"], "rejected", "{}", rows[0]);
    assert_eq!((&rows[1]["outcome"], &rows[1]["name"]), (&"ok".into(), &"Zoe".into()), "{}", rows[1]);
}

/// Promise: an id in other letters than the users' table writes it is the same user, as leaver and as successor.
#[every_engine]
async fn ids_in_another_case_are_one_user(world: &mut World) {
    let key = match world.engine {
        Engine::Postgres => {
            world.sql("CREATE EXTENSION citext SCHEMA public").await;
            "CITEXT"
        }
        Engine::Sqlite => "TEXT COLLATE NOCASE",
    };
    let people = format!(
        "CREATE TABLE people (id {key} NOT NULL PRIMARY KEY, full_name TEXT, mail TEXT, status TEXT); \
         INSERT INTO people VALUES ('ann', 'Ann', 'ann@example.com', 'active'), ('Ben', 'Ben', 'ben@example.com', 'active'), \
         ('Cleo', 'Cleo', 'cleo@example.com', 'active'), ('Zoe', 'Zoe', 'zoe@example.com', 'active'); \
         CREATE TABLE docs (id BIGINT NOT NULL PRIMARY KEY, owner {key}); CREATE INDEX docs_owner ON docs (owner); \
         INSERT INTO docs VALUES (1, 'CLEO')"
    );
    world.sql(&people).await;
    let sheet = Sheet::of("leavers.csv", "user_id,deactivated,successor\nZOE,y,ben\nzoe,y,Ben\ncleo,y,BEN\n");
    let rows = rows_of(world, &sheet, "ANN").await;
    assert_eq!(outcomes(&rows[..3]), ["rejected", "rejected", "ok"], "{rows:?}");
    assert!(codes(&rows[0]).contains(&"duplicate_user"), "{}", rows[0]);
    assert_eq!((&rows[2]["user"], &rows[2]["name"]), (&"Cleo".into(), &"Cleo".into()), "{}", rows[2]);
}

/// Evaluates a file for the test's own people and documents, and returns the printed rows with the summary.
async fn rows_of(world: &mut World, sheet: &Sheet, by: &str) -> Vec<Value> {
    let doc =
        "[[reference]]\nkind = \"doc\"\ntable = \"docs\"\nkey = \"id\"\nuser = \"owner\"\ndisposition = \"transfer\"\n";
    let catalog = sheet.file.with_file_name("catalog.toml");
    std::fs::write(&catalog, format!("{USERS}{doc}")).expect("a catalog");
    world.use_catalog(&format!("{USERS}{doc}")).await;
    let mut settings = settings(world);
    settings.push(("HANDOVER_CATALOG".into(), text(&catalog).into()));
    let child =
        binary(&borrowed(&settings), &["bulk", text(&sheet.file), "--by", by, "--json"]).spawn().expect("the binary");
    tokio::task::block_in_place(|| finish(child, b"")).expect(3).json_lines()
}
