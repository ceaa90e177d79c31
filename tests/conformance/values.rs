//! Bound values: placeholders, casts, tables of values, and JSON.

use handover::catalog::{Column, Family, Spelling, TimeForm};
use handover::store::dialect::sql::{ColumnArray, INT64, Sql, TEXT, UpdateFrom};
use handover::store::dialect::{LedgerTable, Type};
use handover::store::{Row, Session};
use uuid::Uuid;

use crate::support::{World, every_engine};

/// Texts that break a statement whose text they reach.
const ODD: [&str; 8] = ["", "it's", "say \"hi\"", "back\\slash", "$1 ?1 {x}", "a,b\n{NULL}", "NULL", "\u{1F980} ß"];

async fn one(session: &Session, sql: Sql) -> Row {
    session.one("testing values", sql).await.expect("a statement").expect("a row")
}

#[every_engine]
async fn placeholders_work_in_any_order(world: &mut World) {
    let session = world.store.reader();
    let mut sql = session.sql("");
    let (first, second) = (sql.bind("first"), sql.bind("second"));
    let text = |bound: &str| session.dialect().cast(bound, &Type::Text);
    sql.add(&format!("SELECT {} AS a, {} AS b, {} AS c", text(&second), text(&first), text(&second)));
    let row = one(&session, sql).await;
    let read = |column: &str| row.get::<String>(column).expect("a text");
    assert_eq!([read("a"), read("b"), read("c")], ["second", "first", "second"]);
}

#[every_engine]
async fn casts_read_texts_as_their_type(world: &mut World) {
    let session = world.store.reader();
    let mut sql = session.sql("");
    let id = Uuid::from_u128(7);
    let arrays = vec![
        ColumnArray::new(Type::Int64, "big", [Some(i64::MAX)]),
        ColumnArray::new(Type::Int32, "small", [Some(-1)]),
        ColumnArray::new(Type::Text, "words", [Some("12")]),
        ColumnArray::new(Type::Uuid, "id", [Some(id)]),
        ColumnArray::new(Type::Bool, "flag", [Some(true)]),
        ColumnArray::new(Type::Int64, "absent", [None::<i64>]),
    ];
    let table = sql.table("t", arrays);
    sql.add(&format!("SELECT t.big, t.small, t.words, t.id, t.flag, t.absent FROM {table}"));
    let row = one(&session, sql).await;
    assert_eq!(row.get::<i64>("big").expect("an integer"), i64::MAX);
    assert_eq!(row.get::<i32>("small").expect("an integer"), -1);
    assert_eq!(row.get::<String>("words").expect("a text"), "12");
    assert_eq!(row.get::<Uuid>("id").expect("a UUID"), id);
    assert!(row.get::<bool>("flag").expect("a flag"));
    assert_eq!(row.get::<Option<i64>>("absent").expect("NULL"), None);
}

#[every_engine]
async fn value_tables_keep_every_row(world: &mut World) {
    let session = world.store.reader();
    for size in [0, 1, ODD.len()] {
        for is_small in [false, true] {
            let mut sql = session.sql("");
            let arrays = vec![
                ColumnArray::new(Type::Int64, "n", (0..size).map(Some)),
                ColumnArray::new(Type::Text, "v", ODD.iter().take(size).map(Some)),
            ];
            let table = if is_small { sql.small_table("t", arrays) } else { sql.table("t", arrays) };
            sql.add(&format!("SELECT t.n, t.v FROM {table} ORDER BY t.n"));
            let rows = session.all("testing value tables", sql).await.expect("rows");
            let values: Vec<String> = rows.iter().map(|row| row.get("v").expect("a text")).collect();
            assert_eq!(values, ODD[..size], "small: {is_small}");
        }
    }
}

#[every_engine]
async fn in_lists_find_exactly_their_values(world: &mut World) {
    let session = world.store.reader();
    let column = Column {
        name: "v".into(),
        cast: "text".into(),
        family: Family::Text,
        spelling: Spelling::One,
        time: TimeForm::OfType,
    };
    for asked in [&ODD[..0], &ODD[1..3], &ODD[..]] {
        let mut sql = session.sql("");
        let table = sql.table("t", vec![ColumnArray::new(Type::Text, "v", ODD.iter().map(Some))]);
        let list = sql.host_list(&column, asked.iter().copied());
        sql.add(&format!("SELECT count(*) AS n FROM {table} WHERE t.v IN {list}"));
        assert_eq!(one(&session, sql).await.count("n").expect("a count"), asked.len() as u64);
    }
}

#[every_engine]
async fn json_keeps_texts_and_names(world: &mut World) {
    let session = world.store.reader();
    let dialect = session.dialect();
    for (text, name) in ODD.into_iter().zip(["a", "it's", "b c", "$.d", "$1 ?1 {x}", "e.f", "[0]", "g"]) {
        let mut sql = session.sql("");
        let bound = sql.bind(text);
        let array = dialect.json_array(&[dialect.cast(&bound, &Type::Text), dialect.cast(&bound, &Type::Text)]);
        let all = dialect.json_array_of_texts("t.v");
        let table = sql.table("t", vec![ColumnArray::new(Type::Text, "v", [Some(text)])]);
        let json = serde_json::json!({ "outer": { name: text } }).to_string();
        let json = sql.bind(json);
        let json = dialect.cast(&json, &Type::Json);
        let inner = dialect.json_text(&json, &["outer", name]);
        sql.add(&format!(
            "SELECT CAST({array} AS text) AS two, CAST({all} AS text) AS every_one, {inner} AS inside FROM {table}"
        ));
        let row = one(&session, sql).await;
        let read = |column: &str| {
            serde_json::from_str::<Vec<String>>(&row.get::<String>(column).expect("a text")).expect("an array")
        };
        assert_eq!((read("two"), read("every_one")), (vec![text.to_owned(); 2], vec![text.to_owned()]));
        assert_eq!(row.get::<String>("inside").expect("a text"), text);
    }
}

#[every_engine]
async fn contains_matches_literally(world: &mut World) {
    let session = world.store.reader();
    for (text, part, expected) in [("100 %", "%", true), ("100", "%", false), ("a_b", "_", true), ("ab", "_", false)] {
        let mut sql = session.sql("");
        let (bound, part) = (sql.bind(text), sql.bind(part));
        let text = |bound: &str| session.dialect().cast(bound, &Type::Text);
        let test = session.dialect().contains(&text(&bound), &text(&part));
        sql.add(&format!("SELECT CASE WHEN {test} THEN 1 ELSE 0 END AS found"));
        assert_eq!(one(&session, sql).await.get::<i32>("found").expect("a number") == 1, expected);
    }
}

#[every_engine]
async fn ledger_tables_are_found_by_name(world: &mut World) {
    let session = world.store.reader();
    for table in LedgerTable::ALL {
        let sql = session.sql(&format!("SELECT count(*) AS n FROM {table}"));
        one(&session, sql).await.count("n").expect("a count");
    }
}

#[every_engine]
async fn json_is_read_by_names_and_positions(world: &mut World) {
    let session = world.store.reader();
    let dialect = session.dialect();
    let mut sql = session.sql("");
    let json = sql.bind(serde_json::json!({ "list": ["a", "b"], "it's": { "x": 1 } }).to_string());
    let json = dialect.cast(&json, &Type::Json);
    let second = dialect.json_item_text(&format!("({})", dialect.json_member(&json, "list")), 1);
    let member = dialect.json_member(&json, "it's");
    sql.add(&format!("SELECT {second} AS second, CAST({member} AS {TEXT}) AS member"));
    let row = one(&session, sql).await;
    assert_eq!(row.get::<String>("second").expect("a text"), "b");
    let member: serde_json::Value = serde_json::from_str(&row.get::<String>("member").expect("a text")).expect("JSON");
    assert_eq!(member, serde_json::json!({ "x": 1 }));
}

#[every_engine]
async fn values_differ_as_null_does(world: &mut World) {
    let session = world.store.reader();
    for (left, right, expected) in [("1", "1", 0), ("1", "2", 1), ("NULL", "1", 1), ("NULL", "NULL", 0)] {
        let int = |value: &str| format!("CAST({value} AS {INT64})");
        let differs = session.dialect().differs(&int(left), &int(right));
        let sql = session.sql(&format!("SELECT CAST(CASE WHEN {differs} THEN 1 ELSE 0 END AS {INT64}) AS n"));
        assert_eq!(one(&session, sql).await.get::<i64>("n").expect("a number"), expected, "{left} and {right}");
    }
}

#[every_engine]
async fn updates_take_values_of_other_rows(world: &mut World) {
    world.sql("CREATE TABLE shelf (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT)").await;
    world.sql("INSERT INTO shelf VALUES (1, 9), (2, 9), (3, 9)").await;
    let session = world.store.begin("test").await.expect("a transaction");
    let mut sql = session.sql("");
    let arrays = vec![
        ColumnArray::new(Type::Int64, "id", [Some(1), Some(3)]),
        ColumnArray::new(Type::Int64, "owner", [Some(7), Some(8)]),
    ];
    let rows = sql.table("x", arrays);
    let update = session.dialect().update_from(&UpdateFrom {
        table: "shelf",
        alias: "t",
        assignments: "owner = x.owner",
        from: &rows,
        condition: "t.id = x.id",
    });
    sql.add(&update);
    assert_eq!(session.run("testing an update", sql).await.expect("an update"), 2);
    session.commit().await.expect("committed");
    assert_eq!(world.texts("SELECT CAST(owner AS text) AS t FROM shelf ORDER BY id").await, ["7", "9", "8"]);
}
