//! Unique keys over a transferred column: a successor has a record if the index says so.

use handover::app::preview::{Capacity, preview};
use handover::catalog::check;
use handover::store::host::read_schema;
use serde_json::json;

use crate::support::people::{PEOPLE, USERS, host, leave, reference, reverts_to};
use crate::support::world::{certificate_of, read, result_of};
use crate::support::{Engine, World, every_engine};

/// Records of the leaver (1 to 4) and of Ben (11 to 14), who has the like of some.
const MEMBERS: &str = "CREATE TABLE members (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT NOT NULL, doc BIGINT, code TEXT, ended INTEGER NOT NULL); \
     INSERT INTO members VALUES (1, 9, 1, 'a', 0), (2, 9, 2, 'b', 0), (3, 9, 3, 'c', 1), (4, 9, NULL, 'd', 0), \
     (11, 2, 1, 'x', 0), (12, 2, 2, 'B', 1), (13, 2, 3, 'y', 0), (14, 2, NULL, 'z', 0);";

/// Indexes, and those of the leaver's records that collide with one of Ben's.
fn indexes(engine: Engine) -> Vec<(&'static str, &'static [&'static str])> {
    let mut indexes: Vec<(&str, &[&str])> = vec![
        ("(doc, owner)", &["1", "2", "3"]),
        ("(doc, owner) WHERE ended = 0", &["1"]),
        ("(owner, lower(code))", &["2"]),
        ("(owner, COALESCE(doc, 0))", &["1", "2", "3", "4"]),
        ("(COALESCE(owner, 0), doc) WHERE owner IS NOT NULL AND ended < 1", &["1"]),
    ];
    match engine {
        Engine::Postgres => indexes.extend::<[(&str, &[&str]); 4]>([
            ("(doc, owner) NULLS NOT DISTINCT", &["1", "2", "3", "4"]),
            // An index that could not be built refuses new rows all the same.
            (
                "(doc, owner); UPDATE pg_index SET indisvalid = FALSE WHERE indexrelid = 'only_one'::regclass",
                &["1", "2", "3"],
            ),
            ("UNIQUE (doc, owner) DEFERRABLE INITIALLY DEFERRED", &["1", "2", "3"]),
            // Overlaps that are not equal.
            (
                "EXCLUDE USING gist (owner WITH =, int8range(doc * 10 + ended * 3, doc * 10 + ended * 3 + 5) WITH &&) \
                 WHERE (doc IS NOT NULL)",
                &["1", "2", "3"],
            ),
        ]),
        Engine::Sqlite => indexes.push(("(owner, code COLLATE NOCASE)", &["2"])),
    }
    indexes
}

#[every_engine(also_in_chunks_of = 2)]
async fn index_decides_which_records_are_dropped(world: &mut World) {
    world.sql(PEOPLE).await;
    let drop = reference("member", "members", "disposition = \"transfer\"\non_conflict = \"drop\"");
    if world.engine == Engine::Postgres {
        world.sql("CREATE EXTENSION btree_gist SCHEMA public").await;
    }
    for (index, colliding) in indexes(world.engine) {
        let index_or_constraint = match index.starts_with('(') {
            true => format!("CREATE UNIQUE INDEX only_one ON members {index}"),
            false => format!("ALTER TABLE members ADD CONSTRAINT only_one {index}"),
        };
        world.sql(&format!("DROP TABLE IF EXISTS members; {MEMBERS} {index_or_constraint}")).await;
        world.use_catalog(&format!("{USERS}{drop}")).await;
        world.start_worker().await;
        let before = host(world).await;
        let mut request = leave("9", json!({ "member": { "user": "2" } }));
        request["request_id"] = json!(index);
        let job = world.hand_over(&request).await;
        let result = result_of(&certificate_of(&job), "member");
        let dropped = colliding.len() as u64;
        assert_eq!((result.dropped.unwrap_or(0), result.moved.unwrap_or(0)), (dropped, 4 - dropped), "{index}");
        let gone = "SELECT CAST(n.id AS text) AS t FROM (SELECT 1 AS id UNION SELECT 2 UNION SELECT 3 UNION SELECT 4) n \
             WHERE n.id NOT IN (SELECT id FROM members) ORDER BY 1";
        assert_eq!(world.texts(gone).await, colliding, "{index}");
        reverts_to(world, &job, &before).await;
        world.stop_workers().await;
    }
}

#[every_engine]
async fn check_and_preview_report_unique_keys(world: &mut World) {
    world.sql(&format!("{PEOPLE} {MEMBERS} CREATE INDEX by_owner ON members (owner)")).await;
    let of = |rest: &str| {
        format!("{USERS}{}", reference("member", "members", &format!("disposition = \"transfer\"\n{rest}")))
    };
    let schema = read_schema(&world.store.reader()).await.expect("the schema");
    let faults = check("test", &of("on_conflict = \"drop\""), &schema).expect_err("no index").to_string();
    assert!(faults.contains("line 13: `on_conflict` has no effect"), "{faults}");
    world.sql("CREATE UNIQUE INDEX only_one ON members (doc, owner) WHERE ended = 0").await;
    let schema = read_schema(&world.store.reader()).await.expect("the schema");
    let checked = check("test", &of(""), &schema).expect("a catalog");
    let warned = checked.warnings.iter().any(|warning| warning.to_string().contains("line 11: a successor may have"));
    assert!(warned, "{:?}", checked.warnings);
    world.use_catalog(&of("")).await;
    let request = read(&leave("9", json!({ "member": { "user": "2" } })));
    let capacity = Capacity { movers: 1, share: 1.0, shared_with_host: None };
    let preview = preview(&world.context, capacity, request, async { false }).await.expect("a preview");
    assert_eq!((preview.references[0].found, preview.references[0].conflicts), (4, 1));
}
