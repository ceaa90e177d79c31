//! Snapshots of rows: copies that the ledger keeps of removed rows and of values that were set.

use super::item::WorkItem;
use crate::catalog::{Reference, Retention, TableName};
use crate::store::dialect::ROW_SNAPSHOTS;
use crate::store::dialect::sql::Sql;

/// Rows to take snapshots of.
pub struct SnapshotSource<'a> {
    /// The table of the rows.
    pub table: &'a TableName,
    /// A SELECT list of job, chunk, leaver, content and other user, with `SELECT` before it.
    pub select: &'a str,
    /// The FROM clause.
    pub from: &'a str,
}

/// Returns the INSERT of snapshots.
pub fn snapshot_insert(
    sql: &mut Sql,
    reference: &Reference,
    items: &[&WorkItem],
    retention: Retention,
    source: &SnapshotSource<'_>,
) -> String {
    let SnapshotSource { table, select, from } = source;
    let kind = sql.bind(reference.kind.as_str());
    let name = sql.bind(table.to_string());
    let at = items.first().map(|item| item.at);
    let until = match retention {
        Retention::Journal => None,
        Retention::For(time) => at.map(|at| at + time),
    };
    let (at, until) = (sql.bind(at), sql.bind(until));
    format!(
        "INSERT INTO {ROW_SNAPSHOTS} \
           (job_id, chunk, from_user, content, other_user, kind, table_name, at, keep_until) \
         {select}, {kind}, {name}, {at}, {until} {from}"
    )
}
