//! The live schema, as a driver reads it.

use handover::catalog::{Family, KeyAction, Table, TableName};
use handover::store::driver::current_columns;
use handover::store::{clock, host};

use crate::support::{World, every_engine};

async fn read(world: &World, name: &str) -> Table {
    let schema = host::read_schema(&world.store.reader()).await.expect("the schema");
    schema.table(name).expect(name).clone()
}

#[every_engine]
async fn tables_have_columns_keys_and_references(world: &mut World) {
    world.sql("CREATE TABLE boxes (id bigint NOT NULL PRIMARY KEY, label text NOT NULL UNIQUE)").await;
    world
        .sql(
            "CREATE TABLE pens (box_id bigint NOT NULL REFERENCES boxes (id) ON DELETE CASCADE, number integer NOT NULL, \
             color text CHECK (color IN ('red', 'blue')), PRIMARY KEY (box_id, number))",
        )
        .await;
    world.sql("CREATE INDEX pens_color ON pens (color)").await;
    let (boxes, pens) = (read(world, "boxes").await, read(world, "pens").await);
    assert_eq!(boxes.uniques, [vec!["id".to_owned()], vec!["label".to_owned()]]);
    let names: Vec<&str> = pens.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["box_id", "number", "color"]);
    assert!(pens.is_unique(&["box_id", "number"]) && !pens.is_unique(&["box_id"]));
    assert!(pens.has_index_on("color") && pens.has_index_on("box_id") && !pens.has_index_on("number"));
    let color = pens.column("color").expect("a column");
    assert!(color.nullable && color.family == Family::Text);
    assert_eq!(color.values.as_deref(), Some(&["red".to_owned(), "blue".to_owned()][..]));
    assert!(matches!(pens.column("number").expect("a column").family, Family::Integer { .. }));
    let [key] = pens.foreign_keys.as_slice() else { panic!("one foreign key: {:?}", pens.foreign_keys) };
    assert_eq!(
        (&key.columns, &key.table, &key.target),
        (&vec!["box_id".to_owned()], &boxes.name, &vec!["id".to_owned()])
    );
    assert_eq!(key.on_delete, KeyAction::Cascade);
}

#[every_engine]
async fn ledger_is_not_part_of_the_schema(world: &mut World) {
    let schema = host::read_schema(&world.store.reader()).await.expect("the schema");
    let is_ours = |table: &&Table| table.name.to_string().contains("handover") || table.name.name == "row_snapshots";
    assert_eq!(schema.tables.iter().filter(is_ours).count(), 0);
    assert!(schema.table("users").is_some());
}

#[every_engine]
async fn current_columns_follow_the_table(world: &mut World) {
    world
        .sql("CREATE TABLE pens (id bigint NOT NULL PRIMARY KEY, twice bigint GENERATED ALWAYS AS (id * 2) STORED)")
        .await;
    world.sql("ALTER TABLE pens ADD COLUMN color text").await;
    let name = read(world, "pens").await.name;
    let columns = current_columns(&world.store.reader(), &name).await.expect("columns");
    let found: Vec<(&str, bool)> = columns.iter().map(|column| (column.name.as_str(), column.is_generated)).collect();
    assert_eq!(found, [("id", false), ("twice", true), ("color", false)]);
    let gone = TableName { name: "gone".into(), ..name };
    assert!(current_columns(&world.store.reader(), &gone).await.expect("no columns").is_empty());
}

#[every_engine]
async fn version_and_clock_are_reported(world: &mut World) {
    let session = world.store.reader();
    let version = clock::version(&session).await.expect("a version");
    assert!(version.starts_with(session.dialect().name()), "{version}");
    let offset = clock::offset(&session).await.expect("a clock");
    assert_eq!(offset.is_some(), session.capabilities().is_server);
    assert!(offset.is_none_or(|seconds| seconds.abs() < 60.0), "{offset:?}");
}

#[every_engine]
async fn activity_is_visible_where_the_database_shows_it(world: &mut World) {
    let load = world.store.host_load().await.expect("a load");
    assert_eq!(load.answer.is_some(), world.store.capabilities().sees_activity);
    assert_eq!(load.waiting, 0);
}
