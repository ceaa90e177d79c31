//! Rows in snapshots: whole rows, or some of their columns, as JSON objects that give every value back exactly.

use crate::catalog::{Column, RESERVED_NAMES, Reference};
use crate::store::dialect::sql::{ColumnArray, MATERIALIZED, Sql, column, quoted};
use crate::store::dialect::{ROW_SNAPSHOTS, SharedDialect, Type};

/// The name in a snapshot of an emptied row under which the emptied columns stand as the removal has left them.
pub const LEFT: &str = RESERVED_NAMES[0];

/// The name in a snapshot of a merged row under which the successor's columns stand as they were before.
pub const BEFORE: &str = RESERVED_NAMES[1];

/// Returns a whole row as a JSON object.
pub fn row_json(dialect: SharedDialect, columns: &[Column], alias: &str) -> String {
    snapshot_json(dialect, &columns.iter().collect::<Vec<_>>(), alias)
}

/// Returns an object of some columns, under their names, that [`snapshot_rows`] reads back exactly.
pub fn snapshot_json(dialect: SharedDialect, columns: &[&Column], alias: &str) -> String {
    let fields: Vec<(&str, String)> = columns.iter().map(|of| (of.name.as_str(), column(alias, &of.name))).collect();
    dialect.snapshot_object(&fields)
}

/// Returns the value of a column in a snapshot's `content`.
pub fn snapshot_value(dialect: SharedDialect, content: &str, of: &Column) -> String {
    dialect.snapshot_value(content, &of.name, &Type::of(of))
}

/// The rows of snapshots as an item of a FROM.
pub struct SnapshotRows {
    /// The item, a table `r`.
    pub table: String,
    /// The column of it that holds the snapshot's number. No column of the host has its name.
    pub number: String,
}

/// Returns the rows that snapshots hold, with these columns in the host's own types.
pub fn snapshot_rows(sql: &mut Sql, columns: &[&Column], ids: &[i64]) -> SnapshotRows {
    let ids = id_table(sql, ids);
    let dialect = sql.dialect();
    let picked = |of: &&Column| format!(", {} AS {}", snapshot_value(dialect, "c.content", of), quoted(&of.name));
    let picked: String = columns.iter().map(picked).collect();
    let mut number = "copy_id".to_owned();
    while columns.iter().any(|column| column.name.eq_ignore_ascii_case(&number)) {
        number.push('_');
    }
    // The snapshots are picked before any value of theirs is cast: those of other tables hold values of other types.
    let table = format!(
        "(WITH c AS {MATERIALIZED}(SELECT s.id, s.content FROM {ids} JOIN {ROW_SNAPSHOTS} s ON i.id = s.id) \
         SELECT c.id AS {number}{picked} FROM c) r"
    );
    SnapshotRows { table, number: format!("r.{number}") }
}

/// Returns a table `i` of snapshots' ids.
pub fn id_table(sql: &mut Sql, ids: &[i64]) -> String {
    sql.table("i", vec![ColumnArray::new(Type::Int64, "id", ids.iter().map(Some))])
}

/// Tests that a row `t` has the key that its snapshot `r` holds.
pub fn has_snapshot_key(reference: &Reference) -> String {
    let equal = reference.key.iter().map(|key| format!("{} = {}", column("t", &key.name), column("r", &key.name)));
    equal.collect::<Vec<_>>().join(" AND ")
}
