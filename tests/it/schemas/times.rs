//! The time of a change, in the form in which a column keeps times.

use handover::catalog::check;
use handover::store::host::read_schema;
use serde_json::json;

use crate::support::people::{PEOPLE, USERS, leave, reference, start};
use crate::support::world::certificate_of;
use crate::support::{Engine, World, every_engine, on_sqlite};

#[every_engine]
async fn numbers_take_the_time_in_their_unit(world: &mut World) {
    let tables = "CREATE TABLE docs (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, changed BIGINT NOT NULL, gone BIGINT); \
         INSERT INTO docs VALUES (1, 9, 1764500000000, NULL), (2, 9, 1764500000000, NULL);";
    let touch =
        "where = { id = 1 }\ndisposition = \"transfer\"\ntouch = { column = \"changed\", as = \"milliseconds\" }";
    let set = "disposition = \"set\"\nset = { gone = { now = true, as = \"seconds\" } }";
    start(world, tables, &[reference("doc", "docs", touch), reference("rest", "docs", set)].concat()).await;
    certificate_of(&world.hand_over(&leave("9", json!({ "doc": { "user": "2" } }))).await);
    let (now, hour) = (time::OffsetDateTime::now_utc().unix_timestamp(), 3600);
    let changed = world.number("SELECT changed FROM docs WHERE id = 1").await;
    assert!((changed / 1000 - now).abs() < hour, "{changed}");
    let gone = world.number("SELECT gone FROM docs WHERE id = 2").await;
    assert!((gone - now).abs() < hour, "{gone}");
}

#[on_sqlite]
async fn columns_without_types_keep_their_form(world: &mut World) {
    for (held, is_form) in [
        ("1764500000000", "typeof(changed) = 'integer' AND changed > 1764500000000"),
        ("1764500000", "typeof(changed) = 'integer' AND changed BETWEEN 1764500001 AND 9999999999"),
        ("2460000.5", "typeof(changed) = 'real' AND changed > 2460001"),
        ("'2025-01-02'", "length(changed) = 10 AND changed > '2026'"),
        ("'2025-01-02 03:04:05'", "length(changed) = 19 AND changed > '2026' AND changed LIKE '% %'"),
        ("'2025-01-02T03:04:05.000Z'", "length(changed) = 24 AND changed LIKE '2%T%Z' AND changed > '2026'"),
    ] {
        world.stop_workers().await;
        world.sql("DROP TABLE IF EXISTS people; DROP TABLE IF EXISTS docs").await;
        let tables = format!(
            "CREATE TABLE docs (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, changed DATETIME); \
             INSERT INTO docs VALUES (1, 9, {held}), (2, 9, NULL);"
        );
        start(world, &tables, &reference("doc", "docs", "disposition = \"transfer\"\ntouch = \"changed\"")).await;
        let mut request = leave("9", json!({ "doc": { "user": "2" } }));
        request["request_id"] = json!(held);
        certificate_of(&world.hand_over(&request).await);
        let right = format!("SELECT count(*) FROM docs WHERE {is_form}");
        assert_eq!(world.number(&right).await, 2, "{held}");
    }
}

#[every_engine]
async fn columns_that_hold_no_time_are_faults(world: &mut World) {
    let tables = "CREATE TABLE docs (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT, size BIGINT, small SMALLINT, is_new BOOLEAN, \
         made_at TIMESTAMP, prefs JSON, note TEXT)";
    world.sql(&format!("{PEOPLE} {tables}")).await;
    let schema = read_schema(&world.store.reader()).await.expect("the schema");
    let mut wrong = vec![
        ("\"size\"", "say of what, as = \"seconds\""),
        ("\"is_new\"", "it holds true or false"),
        ("\"prefs\"", "it holds values of another type"),
        ("{ column = \"made_at\", as = \"seconds\" }", "`as` is for columns of numbers"),
        ("{ column = \"size\", as = \"hours\" }", "write the name of a column, or { column = \"updated_at\""),
    ];
    if world.engine == Engine::Postgres {
        wrong.extend([("\"note\"", "it holds text"), ("{ column = \"small\", as = \"seconds\" }", "too small")]);
    }
    for (touch, cause) in wrong {
        let of =
            format!("{USERS}{}", reference("doc", "docs", &format!("disposition = \"transfer\"\ntouch = {touch}")));
        let faults = check("test", &of, &schema).expect_err(touch).to_string();
        assert!(faults.contains("line 13:") && faults.contains(cause), "{touch}: {faults}");
    }
    let set = reference("doc", "docs", "disposition = \"set\"\nset = { size = { now = true } }");
    let faults = check("test", &format!("{USERS}{set}"), &schema).expect_err("a fault").to_string();
    assert!(faults.contains("cannot take the time: it holds whole numbers"), "{faults}");
}
