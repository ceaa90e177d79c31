//! Users inside values: the scan and the draft look into arrays, JSON and lists in texts.

use handover::app::catalogs::{draft, scan};

use crate::support::people::{PEOPLE, USERS, reference};
use crate::support::{Engine, World, every_engine};

#[every_engine]
async fn users_inside_values_are_found(world: &mut World) {
    let (array, ids) = match world.engine {
        Engine::Postgres => ("BIGINT[]", ["'{9,2}'", "'{9}'"]),
        Engine::Sqlite => ("JSON", ["'[9, 2]'", "'[9]'"]),
    };
    world
        .sql(&format!(
            "{PEOPLE} CREATE TABLE reviews (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, reviewer_ids {array}, approver_ids TEXT, \
               assignees JSON, sizes JSON); \
             INSERT INTO reviews VALUES (1, 9, {}, '2,9', '[9, 2]', '{{\"width\": 9}}'), (2, 9, {}, '2,3', '[9]', NULL); \
             CREATE TABLE rules (id BIGINT NOT NULL PRIMARY KEY, actions JSON); \
             INSERT INTO rules VALUES (1, '[{{\"do\": \"assign\", \"to\": 9}}]')",
            ids[0], ids[1]
        ))
        .await;
    let ignored = "[scan]\nignore = [\"reviews.assignees\"]\n";
    world.use_catalog(&format!("{USERS}{ignored}{}", reference("review", "reviews", "disposition = \"keep\""))).await;
    let found = scan(&world.store, &world.context.catalogs.current()).await.expect("a scan").suspected;
    let in_reviews = |name: &str| found.iter().any(|found| found.table == "reviews" && found.column == name);
    assert_eq!(
        ["reviewer_ids", "approver_ids", "assignees", "sizes"].map(in_reviews),
        [true, true, false, false],
        "the catalog ignores one, and a width is no user"
    );
    assert!(found.iter().any(|found| found.table == "rules" && found.column == "actions"));
    world.sql("CREATE TABLE prefs (id BIGINT NOT NULL PRIMARY KEY, settings TEXT, remark TEXT, form TEXT CHECK (form <> '')); \
         INSERT INTO prefs VALUES (1, '{\"assignee\": 9}', 'see 9, 2', '[9]')").await;
    let found = scan(&world.store, &world.context.catalogs.current()).await.expect("a scan").suspected;
    let in_prefs: Vec<&str> =
        found.iter().filter(|found| found.table == "prefs").map(|found| found.column.as_str()).collect();
    match world.engine {
        Engine::Postgres => assert!(in_prefs.is_empty(), "PostgreSQL has a type for documents: {in_prefs:?}"),
        Engine::Sqlite => assert_eq!(in_prefs, ["settings", "form"], "documents in texts, and no lists"),
    }
    let draft = draft(&world.store, Some("people")).await.expect("a draft");
    assert!(draft.contains("# not covered: rules.actions holds several values in one"), "{draft}");
}
