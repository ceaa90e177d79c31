//! The key of a record is used again after the record was deleted: an undo does not take the new row.

use handover::contract::SkipReason;
use serde_json::json;

use crate::support::people::{PEOPLE, USERS, leave, owners, reference, reverted};
use crate::support::world::{certificate_of, result_of};
use crate::support::{Engine, World, every_engine};

/// A column that holds when a row was created: its type, its name in the catalog, a time in the past and one in the future.
type Form = (&'static str, &'static str, &'static str, &'static str);

fn forms(engine: Engine) -> &'static [Form] {
    match engine {
        Engine::Postgres => &[
            ("TIMESTAMPTZ", "\"made\"", "'2026-01-01'", "'2096-01-01'"),
            ("DATE", "\"made\"", "'2026-01-01'", "'2096-01-01'"),
            ("BIGINT", "{ column = \"made\", as = \"milliseconds\" }", "1767225600000", "3976214400000"),
        ],
        Engine::Sqlite => &[
            ("TIMESTAMP", "\"made\"", "'2026-01-01 00:00:00'", "'2096-01-01T00:00:00.5Z'"),
            ("INTEGER", "{ column = \"made\", as = \"seconds\" }", "1767225600", "3976214400"),
        ],
    }
}

/// Promise: with `created`, an undo reports a row with a record's key as changed if it was created after the job, and leaves it
/// as it is; the others come back.
#[every_engine]
async fn row_created_after_the_job_is_not_taken(world: &mut World) {
    world.sql(PEOPLE).await;
    for (of, created, past, future) in forms(world.engine) {
        let table = |name: &str| {
            format!(
                "DROP TABLE IF EXISTS {name}; CREATE TABLE {name} (id INTEGER PRIMARY KEY, owner BIGINT, state TEXT, made {of}); \
                 INSERT INTO {name} VALUES (1, 9, 'open', {past}), (2, 9, 'open', {past}), (3, 9, 'open', NULL);"
            )
        };
        world.sql(&[table("docs"), table("marks")].concat()).await;
        let references = [
            reference("doc", "docs", &format!("disposition = \"transfer\"\ncreated = {created}")),
            reference(
                "mark",
                "marks",
                &format!("disposition = \"set\"\nset = {{ state = \"closed\" }}\ncreated = {created}"),
            ),
        ];
        world.use_catalog(&format!("{USERS}{}", references.concat())).await;
        world.start_worker().await;
        let mut request = leave("9", json!({ "doc": { "user": "2" } }));
        request["request_id"] = json!(of);
        let job = world.hand_over(&request).await;
        certificate_of(&job);
        let again = format!(
            "DELETE FROM docs WHERE id = 2; DELETE FROM marks WHERE id = 2; INSERT INTO docs VALUES (2, 2, 'new', {future}); \
             INSERT INTO marks VALUES (2, 9, 'closed', {future});"
        );
        world.sql(&again).await;
        let certificate = reverted(world, &job).await;
        for kind in ["doc", "mark"] {
            let result = result_of(&certificate, kind);
            let changed = result.skipped.get(&SkipReason::Changed).copied();
            assert_eq!((result.restored, changed), (Some(2), Some(1)), "{of} {result:?}");
        }
        assert_eq!(owners(world, "docs").await, ["1:9", "2:2", "3:9"], "{of}");
        let states = world.texts("SELECT state AS t FROM marks ORDER BY id").await;
        assert_eq!(states, ["open", "closed", "open"], "{of}");
        world.stop_workers().await;
    }
}
