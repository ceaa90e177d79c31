//! Every value of every column type is restored exactly, whatever the columns are called.

use serde_json::json;

use crate::support::people::{host, leave, reference, revert, reverts_to, start};
use crate::support::world::certificate_of;
use crate::support::{Engine, World, every_engine, run};

/// A table with a column of every SQLite type, a generated column, and one without a type.
fn of_sqlite(table: &str) -> String {
    format!(
        "CREATE TABLE {table} (id INTEGER NOT NULL PRIMARY KEY, owner BIGINT, bytes BLOB, exact NUMERIC, measure REAL, count INTEGER, \
           said TEXT, anything, doubled BIGINT GENERATED ALWAYS AS (id * 2) STORED, tripled BIGINT AS (id * 3)); \
         INSERT INTO {table} (owner, bytes, exact, measure, count, said, anything) VALUES \
           (9, x'00ff10', 1.50, 0.1 + 0.2, 9007199254740993, '', '12'), (9, x'', 123456789012345678, 9e999, -9223372036854775808, NULL, 12), \
           (9, NULL, NULL, -9e999, NULL, '{{\"real\": \"1\"}}', 1.0), (9, 'text', 'word', 5e-324, 1, '[1]', x'00'), \
           (9, x'01', 0.1, 1.7976931348623157e308, 0, 'it''s \"so\" \\', 9e999), (2, NULL, NULL, 0.5, 1, 'other', NULL), \
           (9, CAST(x'6100ff' AS TEXT), -0.0, -0.0, -0.0, 'a' || char(0) || 'b', char(0)), (9, 9223372036854775807, 1e300, 1e300, 1e300, '007', '1e5'), \
           (9, NULL, NULL, NULL, NULL, CAST(x'ff' AS TEXT), char(8, 9, 31, 127, 133, 8232, 65533, 65534, 128512)); \
         INSERT INTO {table} (owner, measure) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300) \
           SELECT 9, i * 0.7310585786300049 / 3.0e-7 * (i % 7 + 0.1) FROM n;"
    )
}

/// A table with columns of many PostgreSQL types.
fn of_postgres(table: &str) -> String {
    format!(
        "CREATE TABLE {table} (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, owner BIGINT, bytes BYTEA, exact NUMERIC, measure DOUBLE PRECISION, \
           less REAL, at TIMESTAMP, at_zone TIMESTAMPTZ, day DATE, lasting INTERVAL, numbers INTEGER[], words TEXT[], said TEXT, \
           notes JSONB, yes BOOLEAN, code UUID, bits VARBIT, place POINT, reach INT4RANGE, address INET, \
           doubled BIGINT GENERATED ALWAYS AS (owner * 2) STORED); \
         INSERT INTO {table} (owner, bytes, exact, measure, less, at, at_zone, day, lasting, numbers, words, said, notes, yes, code, bits, place, reach, address) VALUES \
           (9, '\\x00ff10', 1.50, 0.1::float8 + 0.2::float8, 0.1, '2026-01-02 03:04:05.678901', '2026-01-02 03:04:05.000001+05:45', '2026-02-28', '1 mon -2 days 03:04:05.6', \
             '{{1,NULL,3}}', ARRAY['', NULL, 'a,b', '\"q\"'], '', '{{\"a\": [1, 2.50, null], \"b\": \"\"}}', true, gen_random_uuid(), B'0101', '(0.1,-7)', '[1,5)', '10.1.2.3/8'), \
           (9, '', 'NaN', 'Infinity', '-Infinity', 'infinity', '-infinity', 'infinity', '0', '{{}}', '{{{{a,b}},{{c,d}}}}', NULL, '[]', false, NULL, B'', NULL, 'empty', '::1'), \
           (9, NULL, 123456789012345678901234567890.123456789000, '-Infinity', 'NaN', '0044-03-15 00:00:00 BC', NULL, '0044-03-15 BC', NULL, NULL, NULL, '{{\"a\": 1}}', NULL, NULL, NULL, NULL, NULL, NULL, NULL), \
           (9, NULL, 1e-30, 5e-324, 1e-45, NULL, NULL, NULL, NULL, NULL, NULL, E'a\\\\b\\n\\t''', '\"text\"', NULL, NULL, NULL, NULL, NULL, NULL); \
         INSERT INTO {table} (owner, measure) SELECT 9, i * 0.7310585786300049::float8 / 3.0e-7 * (i % 7 + 0.1) FROM generate_series(1, 300) i;"
    )
}

#[test]
fn values_without_json_form_are_restored_exactly() {
    for rows in [100, 2] {
        run(Engine::Postgres, async |world| {
            world.use_chunks_of(rows);
            let frozen = "disposition = \"set\"\nset = { exact = 2, measure = 0, said = \"x\", tree = \"7\", \
                 mood = \"calm\", pair = \"(7,7)\", code = \"x\", padded = \"x\", below = \"{1}\", deep = \"{{1,2},{3,4}}\", bit = \"1010\", \
                 price = 7, limit = 7, lasts = \"7 days\", terms = \"x\", short = \"x\" }";
            let references = [
                reference("gone", "gone", "disposition = \"detach\""),
                reference("done", "done", "disposition = \"purge\"\nkeep_copy = \"30d\""),
                reference("frozen", "frozen", frozen),
            ];
            let tables = ["gone", "done", "frozen"]
                .map(|name| include_str!("values/non_json_types.sql").replace("{table}", name));
            start(world, &tables.concat(), &references.concat()).await;
            let before = host(world).await;
            let job = world.hand_over(&leave("9", json!({}))).await;
            certificate_of(&job);
            assert_eq!(world.number("SELECT count(*) FROM gone WHERE owner = 9").await, 0);
            reverts_to(world, &job, &before).await;
        });
    }
}

#[every_engine(also_in_chunks_of = 100)]
async fn values_of_every_type_are_restored_exactly(world: &mut World) {
    let table = if world.engine == Engine::Postgres { of_postgres } else { of_sqlite };
    let references = [
        reference("gone", "gone", "disposition = \"detach\""),
        reference("done", "done", "disposition = \"purge\"\nkeep_copy = \"30d\""),
        reference("frozen", "frozen", "disposition = \"set\"\nset = { measure = 0, exact = 1, said = \"nothing\" }"),
    ];
    let tables = [table("gone"), table("done"), table("frozen")].concat();
    start(world, &tables, &references.concat()).await;
    let before = host(world).await;
    let job = world.hand_over(&leave("9", json!({}))).await;
    certificate_of(&job);
    assert_eq!(world.number("SELECT count(*) FROM gone WHERE owner = 9").await, 0);
    reverts_to(world, &job, &before).await;
}

/// A table whose names need quotes, among other oddities.
fn strangely_named(table: &str) -> String {
    format!(
        r#"CREATE TABLE "{table}" ("Key" BIGINT NOT NULL PRIMARY KEY, "Who Owns" BIGINT, "a""b" TEXT, "it's" TEXT, "Mixed Case" TEXT, "$price" TEXT,
             "[0]" TEXT, "a.b" TEXT, "back\slash" TEXT, "order" TEXT, "$" TEXT, "Größe" TEXT);
           INSERT INTO "{table}" VALUES (1, 9, 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j'), (2, 9, '', NULL, 'c', '', NULL, 'f', '', NULL, 'i', NULL),
             (3, 2, 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j');"#
    )
}

#[every_engine(also_in_chunks_of = 1)]
async fn columns_with_any_name_are_restored(world: &mut World) {
    let named = |kind: &str, table: &str, rest: &str| {
        format!("[[reference]]\nkind = \"{kind}\"\ntable = \"{table}\"\nkey = \"Key\"\nuser = \"Who Owns\"\n{rest}\n")
    };
    let set = r#"disposition = "set"
set = { 'a"b' = "x", "it's" = "x", "Mixed Case" = "x", "$price" = "x", "[0]" = "x", "a.b" = "x", 'back\slash' = "x", order = "x", "$" = "x", "Größe" = "x" }"#;
    let references = [
        named("gone", "Gone Things", "disposition = \"detach\""),
        named("done", "it's done", "disposition = \"purge\"\nkeep_copy = \"30d\""),
        named("frozen", "Frozen", set),
        named("moved", "Moved", "disposition = \"transfer\""),
    ];
    let tables = ["Gone Things", "it's done", "Frozen", "Moved"].map(strangely_named);
    start(world, &tables.concat(), &references.concat()).await;
    let before = host(world).await;
    let job = world.hand_over(&leave("9", json!({ "moved": { "user": "3" } }))).await;
    certificate_of(&job);
    assert_eq!(world.number(r#"SELECT count(*) FROM "Gone Things" WHERE "Who Owns" = 9"#).await, 0);
    assert_eq!(world.number(r#"SELECT count(*) FROM "Frozen" WHERE "a""b" = 'x' AND "$" = 'x'"#).await, 2);
    reverts_to(world, &job, &before).await;
}

#[every_engine]
async fn merged_columns_with_any_name_are_subtracted(world: &mut World) {
    let tables = r#"CREATE TABLE splits (deal BIGINT NOT NULL, owner BIGINT NOT NULL, "$a""b's" BIGINT, PRIMARY KEY (deal, owner));
         INSERT INTO splits VALUES (1, 9, 30), (1, 2, 20), (2, 9, 5), (3, 9, 7), (3, 2, NULL);"#;
    let reference = "[[reference]]\nkind = \"split\"\ntable = \"splits\"\nkey = [\"deal\", \"owner\"]\nuser = \"owner\"\n\
         disposition = \"transfer\"\non_conflict = { add = ['''$a\"b's'''] }\n";
    start(world, tables, reference).await;
    let before = host(world).await;
    let job = world.hand_over(&leave("9", json!({ "split": { "user": "2" } }))).await;
    certificate_of(&job);
    assert_eq!(world.number(r#"SELECT sum("$a""b's") FROM splits WHERE owner = 2"#).await, 62);
    reverts_to(world, &job, &before).await;
}

#[every_engine]
async fn merged_row_gets_new_version_and_time(world: &mut World) {
    let tables = "CREATE TABLE splits (deal BIGINT NOT NULL, owner BIGINT NOT NULL, part BIGINT, version BIGINT, changed TIMESTAMP, \
         PRIMARY KEY (deal, owner)); \
         INSERT INTO splits VALUES (1, 9, 30, 4, '2000-01-01 00:00:00'), (1, 2, 20, 7, '2000-01-01 00:00:00'), (2, 9, 5, 1, '2000-01-01 00:00:00');";
    let reference = "[[reference]]\nkind = \"split\"\ntable = \"splits\"\nkey = [\"deal\", \"owner\"]\nuser = \"owner\"\n\
         disposition = \"transfer\"\non_conflict = { add = [\"part\"] }\nversion_column = \"version\"\ntouch = \"changed\"\n";
    start(world, tables, reference).await;
    let rows = async || {
        let changed = "CASE WHEN changed < '2001-01-01' THEN 'long ago' ELSE 'now' END";
        let row = format!(
            "CAST(deal AS text) || ' ' || CAST(owner AS text) || ' ' || CAST(part AS text) || ' ' || \
            CAST(version AS text) || ' ' || {changed}"
        );
        world.texts(&format!("SELECT {row} AS t FROM splits ORDER BY deal, owner")).await
    };
    let job = world.hand_over(&leave("9", json!({ "split": { "user": "2" } }))).await;
    certificate_of(&job);
    assert_eq!(rows().await, ["1 2 50 8 now", "2 2 5 2 now"]);
    certificate_of(&world.hand_over(&revert(&job)).await);
    assert_eq!(rows().await, ["1 2 20 9 now", "1 9 30 4 long ago", "2 9 5 3 now"]);
}
