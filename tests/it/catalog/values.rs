//! Values in a catalog: what a column cannot hold is a fault, and what no row has a warning.

use handover::app::catalogs::values_of_no_row;
use handover::catalog::{Checked, Faults, check};
use handover::store::host::read_schema;

use crate::support::people::{PEOPLE, USERS, reference};
use crate::support::{Engine, World, every_engine};

async fn checked(world: &World, references: &str) -> Result<Checked, Faults> {
    let schema = read_schema(&world.store.reader()).await.expect("the schema");
    check("test", &format!("{USERS}{references}"), &schema)
}

fn kept(kind: &str, test: &str) -> String {
    reference(kind, "docs", &format!("disposition = \"keep\"\nwhere = {{ {test} }}"))
}

#[every_engine]
async fn values_that_a_column_cannot_hold_are_faults(world: &mut World) {
    let (uuid, enumeration) = match world.engine {
        Engine::Postgres => ("CREATE TYPE mood AS ENUM ('good', 'bad');", "mood"),
        Engine::Sqlite => ("", "TEXT CHECK (mood IN ('good', 'bad'))"),
    };
    world
        .sql(&format!(
            "{PEOPLE} {uuid} CREATE TABLE docs (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, level SMALLINT, \
             token UUID, made_at TIMESTAMP, mood {enumeration})"
        ))
        .await;
    let mut tests = vec![
        ("mood = \"ugly\"", "never holds \"ugly\"; it allows: good, bad"),
        ("level = []", "the list of `level` is empty"),
        ("id = [1, \"two\"]", "the value \"two\" does not fit"),
    ];
    if world.engine == Engine::Postgres {
        tests.extend([
            ("level = 70000", "cannot hold \"70000\": it holds numbers of 16 bits"),
            ("token = \"abc\"", "cannot hold \"abc\": it is no UUID"),
            ("made_at = \"yesterdayish\"", "cannot hold \"yesterdayish\": write a time"),
            ("made_at = \"2026-02-30\"", "cannot hold \"2026-02-30\": write a time"),
        ]);
    }
    for (test, cause) in tests {
        let faults = checked(world, &kept("doc", test)).await.expect_err(test).to_string();
        assert!(faults.contains("line 13:") && faults.contains(cause), "{test}: {faults}");
    }
    let good = "mood = \"bad\", level = -3, made_at = \"2026-12-31T23:59:59Z\"";
    checked(world, &kept("doc", good)).await.expect(good);
}

#[every_engine]
async fn checks_are_read_right_or_not_at_all(world: &mut World) {
    let tables = "CREATE TABLE docs (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, note TEXT DEFAULT 'ΐΐΐΐΐΐ ıııı', \
         resolution TEXT CHECK (resolution IN ('open', 'won''t fix', 'açık')), severity TEXT CHECK (lower(severity) IN ('high', 'low')), \
         code TEXT CHECK (substr(code, 1, 1) IN ('A', 'B')), part TEXT CHECK (part IN ('x') OR code IS NULL));";
    world.sql(&format!("{PEOPLE} {tables}")).await;
    for test in
        ["resolution = \"won't fix\"", "resolution = \"açık\"", "severity = \"High\"", "code = \"A17\"", "part = \"z\""]
    {
        checked(world, &kept("doc", test)).await.expect(test);
    }
    let faults = checked(world, &kept("doc", "resolution = \"won\"")).await.expect_err("a fault").to_string();
    assert!(faults.contains("it allows: open, won't fix, açık"), "{faults}");
}

#[every_engine]
async fn values_of_no_row_are_warnings(world: &mut World) {
    let tables = "CREATE TABLE docs (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, state TEXT, size BIGINT); \
         INSERT INTO docs VALUES (1, 9, 'Completed', 7);";
    world.sql(&format!("{PEOPLE} {tables}")).await;
    let references =
        [kept("done", "state = \"completed\""), kept("sized", "size = [7, 8]"), kept("rest", "state = \"Completed\"")];
    let expected = checked(world, &references.concat()).await.expect("a catalog").expected;
    let warnings = values_of_no_row(&world.store, &expected).await.expect("an answer");
    let warnings: Vec<String> = warnings.iter().map(|warning| warning.to_string()).collect();
    let starts = [
        "line 6: no row of people has \"inactive\" in `status`",
        "line 13: no row of docs has \"completed\" in `state`",
        "line 20: no row of docs has \"8\" in `size`",
    ];
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    assert!(warnings.iter().zip(starts).all(|(warning, start)| warning.starts_with(start)), "{warnings:?}");
}

#[every_engine]
async fn nullable_groups_of_one_are_warned_of(world: &mut World) {
    world.sql(&format!("{PEOPLE} CREATE TABLE docs (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, team TEXT)")).await;
    let references = [
        reference("lead", "docs", "disposition = \"block\"\nsole_in = \"team\""),
        reference("doc", "docs", "disposition = \"keep\""),
    ];
    let warnings = checked(world, &references.concat()).await.expect("a catalog").warnings;
    let is_told =
        warnings.iter().any(|warning| warning.line == 13 && warning.message.contains("`team` of docs may be NULL"));
    assert!(is_told, "{warnings:?}");
}
