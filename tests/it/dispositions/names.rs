//! Names of tables and columns.

use serde_json::json;

use super::{DRAFTS, HOST, Host, copies, leave, owners, reference, table};
use crate::support::world::{counts, result_of, successors_of};
use crate::support::{Engine, World, every_engine, on_postgres};

#[every_engine(also_in_chunks_of = 2)]
async fn names_may_need_quotes(world: &mut World) {
    let create = |name: &str| {
        format!(
            "CREATE TABLE \"{name}\" (\"line no\" BIGINT NOT NULL PRIMARY KEY, \"owner id\" BIGINT, \"order\" TEXT, \"it's \"\"so\"\"\" TEXT); \
         INSERT INTO \"{name}\" VALUES (1, 9, 'a', 'x'), (2, 9, 'b', 'y'), (3, 9, 'c', NULL), (4, 2, 'd', 'z');"
        )
    };
    let of = |kind: &str, table: &str, rest: &str| {
        format!(
            "[[reference]]\nkind = \"{kind}\"\ntable = \"{table}\"\nkey = \"line no\"\nuser = \"owner id\"\n{rest}\n"
        )
    };
    let references = [
        of("line", "Order Lines", "disposition = \"transfer\"\nwhere = { \"it's \\\"so\\\"\" = { null = false } }"),
        of("empty_line", "Order Lines", "disposition = \"keep\""),
        of("share", "Shared Lines", "disposition = \"detach\""),
        of("mark", "select", "disposition = \"set\"\nset = { \"it's \\\"so\\\"\" = \"it's\", order = \"$1; --\" }"),
    ];
    let tables = [create("Order Lines"), create("Shared Lines"), create("select")];
    HOST.start(world, &tables.concat(), &references.concat()).await;
    let shares = json!([{ "user": "2", "amount": 1 }, { "user": "3", "amount": 1 }]);
    let certificate = world.certificate(&leave(json!({ "line": { "logic": "ratio", "shares": shares } }))).await;
    assert_eq!(successors_of(&certificate, "line"), counts([(2, 1), (3, 1)]));
    assert_eq!(result_of(&certificate, "empty_line").kept, Some(1));
    assert_eq!(world.number("SELECT count(*) FROM \"Shared Lines\"").await, 1);
    assert!(copies(world, "share").await.iter().any(|copy| copy["it's \"so\""] == json!("x")));
    assert_eq!(
        world
            .number("SELECT count(*) FROM \"select\" WHERE \"it's \"\"so\"\"\" = 'it''s' AND \"order\" = '$1; --'")
            .await,
        3
    );
    let old = copies(world, "mark").await;
    assert!(old.contains(&json!({ "line no": "1", "order": "a", "it's \"so\"": "x" })), "{old:?}");
}

#[every_engine(also_in_chunks_of = 2)]
async fn table_may_share_a_name_with_the_ledger(world: &mut World) {
    HOST.start(world, &table("jobs"), &reference("job", "jobs", "disposition = \"transfer\"")).await;
    let certificate = world.certificate(&leave(json!({ "job": { "user": "2" } }))).await;
    assert_eq!(result_of(&certificate, "job").moved, Some(5));
    let jobs = if world.engine == Engine::Postgres { "public.jobs" } else { "jobs" };
    assert_eq!(owners(world, jobs).await, ["1:2", "2:2", "3:2", "4:2", "5:2", "6:2"]);
}

#[on_postgres]
async fn tables_may_be_in_another_schema(world: &mut World) {
    for rows in [1000, 2] {
        world.stop_workers().await;
        world
            .sql("DROP SCHEMA IF EXISTS shop CASCADE; CREATE SCHEMA shop; CREATE TABLE IF NOT EXISTS docs (id BIGINT)")
            .await;
        world.use_chunks_of(rows);
        let host = Host { schema: "shop.", ..HOST };
        let references = [
            reference("doc", "shop.docs", "disposition = \"transfer\""),
            reference("share", "shop.shares", "disposition = \"detach\""),
            reference("draft", "shop.drafts", "disposition = \"purge\"\nwith = [\"shop.lines\", \"shop.remarks\"]"),
        ];
        let drafts = DRAFTS
            .replace("TABLE ", "TABLE shop.")
            .replace("INTO ", "INTO shop.")
            .replace("REFERENCES ", "REFERENCES shop.");
        let tables = [table("shop.docs"), table("shop.shares"), drafts];
        host.start(world, &tables.concat(), &references.concat()).await;
        let mut request = leave(json!({ "doc": { "user": "2" } }));
        request["request_id"] = json!(format!("r{rows}"));
        let certificate = world.certificate(&request).await;
        assert_eq!(result_of(&certificate, "doc").moved, Some(5));
        assert_eq!(owners(world, "shop.docs").await, ["1:2", "2:2", "3:2", "4:2", "5:2", "6:2"]);
        assert_eq!(owners(world, "shop.shares").await, ["6:2"]);
        assert_eq!(world.number("SELECT count(*) FROM shop.remarks").await, 1);
    }
}
