//! Rows in snapshots: whole rows, or some of their columns, as JSON objects that give every value back exactly.

use crate::catalog::{Column, Reference};
use crate::store::dialect::sql::{ColumnArray, MATERIALIZED, Sql, column, quoted};
use crate::store::dialect::{ROW_SNAPSHOTS, SharedDialect, Type};

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

/// Returns the rows that snapshots hold as a table `r`, with these columns in the host's own types, and `copy_id`.
pub fn snapshot_rows(sql: &mut Sql, columns: &[&Column], ids: &[i64]) -> String {
    let ids = id_table(sql, ids);
    let dialect = sql.dialect();
    let picked = |of: &&Column| format!(", {} AS {}", snapshot_value(dialect, "c.content", of), quoted(&of.name));
    let picked: String = columns.iter().map(picked).collect();
    // The snapshots are picked before any value of theirs is cast: those of other tables hold values of other types.
    format!(
        "(WITH c AS {MATERIALIZED}(SELECT s.id, s.content FROM {ids} JOIN {ROW_SNAPSHOTS} s ON i.id = s.id) \
         SELECT c.id AS copy_id{picked} FROM c) r"
    )
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
