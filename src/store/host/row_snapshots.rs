//! Snapshots of rows: copies that the ledger keeps of removed rows and of values that were set.

use super::item::WorkItem;
use crate::catalog::{Column, Family, Reference, Retention, Spelling, TableName, TimeForm};
use crate::store::dialect::ROW_SNAPSHOTS;
use crate::store::dialect::sql::Sql;
use crate::store::driver::{self, CurrentColumn};
use crate::store::{Result, Session};

/// Rows to take snapshots of.
pub struct SnapshotSource<'a> {
    /// The kind of the rows.
    pub kind: &'a str,
    /// The table of the rows.
    pub table: &'a TableName,
    /// A SELECT list of job, chunk, leaver, content and other user, with `SELECT` before it.
    pub select: &'a str,
    /// The FROM clause.
    pub from: &'a str,
}

impl<'a> SnapshotSource<'a> {
    /// Returns the source of a reference's own rows.
    pub fn of(reference: &'a Reference, select: &'a str, from: &'a str) -> SnapshotSource<'a> {
        SnapshotSource { kind: &reference.kind, table: &reference.table, select, from }
    }
}

/// Returns the INSERT of snapshots.
pub fn snapshot_insert(
    sql: &mut Sql,
    items: &[&WorkItem],
    retention: Retention,
    source: &SnapshotSource<'_>,
) -> String {
    let SnapshotSource { kind, table, select, from } = source;
    let kind = sql.bind(*kind);
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

/// Reads the columns that a snapshot of a whole row holds, as the table has them now. They stay until the transaction ends,
/// since the table is locked against changes of its columns.
pub async fn written_columns(session: &Session, table: &TableName) -> Result<Vec<Column>> {
    let written = driver::locked_columns(session, table).await?.into_iter().filter(|column| !column.is_generated);
    let column = |CurrentColumn { name, cast, .. }| Column {
        name,
        cast,
        family: Family::Other,
        spelling: Spelling::One,
        time: TimeForm::OfType,
    };
    Ok(written.map(column).collect())
}
