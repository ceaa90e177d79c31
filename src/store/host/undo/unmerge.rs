//! Taking a merge back: what was added to a successor's row is subtracted, and the leaver's row is restored.

use std::collections::HashSet;

use async_trait::async_trait;

use super::another_row::is_another;
use super::bisect_writes::{RestoreWrite, bisect};
use super::current_columns::skip_all_if_changed;
use super::move_back::row_lock;
use super::restore_rows::{RowsToRestore, restore_rows};
use super::restored::RestoreOutcome;
use crate::catalog::{Column, Occupied, Reference};
use crate::contract::{SkipReason, UserId};
use crate::store::dialect::ROW_SNAPSHOTS;
use crate::store::dialect::sql::{INT64, Sql, UpdateFrom, column, quoted, table};
use crate::store::host::predicates::touch;
use crate::store::host::row_codec::{BEFORE, id_table, snapshot_rows};
use crate::store::host::user_match::points_at;
use crate::store::{Error, Locking, Result, Session};

/// Rows that were added to those of a successor.
pub struct MergedRows<'a> {
    /// The reference.
    pub reference: &'a Reference,
    /// The successor.
    pub holder: &'a UserId,
    /// The columns that identify the successor's row, besides the user.
    pub occupied: &'a Occupied,
    /// The columns that were added.
    pub columns: &'a [Column],
}

/// Subtracts what was added to the successor's rows, and restores the leaver's rows.
///
/// Locks: the successor's rows and those restored, until the caller commits.
pub async fn unmerge(session: &Session, merged: &MergedRows<'_>, copies: &[i64]) -> Result<RestoreOutcome> {
    let mut outcome = preview_unmerge(session, merged, copies, Locking::Locked).await?;
    let places = std::mem::take(&mut outcome.restored);
    bisect(session, &Subtract { merged, copies }, places, &mut outcome).await?;
    let back: Vec<i64> = outcome.restored.iter().map(|place| copies[*place]).collect();
    let Reference { table, columns, deferrable, .. } = merged.reference;
    let restored = restore_rows(session, &[RowsToRestore { table, columns, deferrable, copies: back }]).await?;
    match restored.iter().all(|restored| restored.skipped.is_empty()) {
        true => Ok(outcome),
        // What was subtracted would be lost: the chunk fails as a whole, and its error names the cause.
        false => Err(Error::unexpected("restoring rows", "a row that was subtracted from another cannot be restored")),
    }
}

/// Returns which rows could be subtracted again from the successor's rows as they are now.
pub async fn preview_unmerge(
    session: &Session,
    merged: &MergedRows<'_>,
    copies: &[i64],
    locking: Locking,
) -> Result<RestoreOutcome> {
    if merged.holder.is_pseudonym() {
        return Ok(RestoreOutcome::all_skipped(SkipReason::Changed, copies.len()));
    }
    if let Some(all) = skip_all_if_changed(session, merged.reference, merged.columns, copies.len()).await? {
        return Ok(all);
    }
    let there = merged.read(session, copies, locking).await?;
    let mut outcome = RestoreOutcome::default();
    for (place, copy) in copies.iter().enumerate() {
        match there.contains(copy) {
            true => outcome.restored.push(place),
            false => outcome.skip(SkipReason::Changed, place),
        }
    }
    Ok(outcome)
}

struct Subtract<'a> {
    merged: &'a MergedRows<'a>,
    copies: &'a [i64],
}

#[async_trait]
impl RestoreWrite for Subtract<'_> {
    fn doing(&self) -> &'static str {
        "subtracting what was added"
    }

    fn statement(&self, session: &Session, places: &[usize]) -> Sql {
        let merged = self.merged;
        let copies: Vec<i64> = places.iter().map(|place| self.copies[*place]).collect();
        let mut sql = session.sql("");
        let rows = snapshot_rows(&mut sql, &merged.snapshot_columns(), &copies);
        let before = merged.before_columns(&mut sql, &copies);
        let from = sql.host(&merged.reference.user, merged.holder.as_str());
        let update = sql.dialect().update_from(&UpdateFrom {
            table: &table(&merged.reference.table),
            alias: "t",
            assignments: &(merged.differences() + &touch(sql.dialect(), merged.reference, "t")),
            from: &format!("{} JOIN {before} ON b.copy_id = {}", rows.table, rows.number),
            condition: &(points_at(&merged.reference.user, "t", &from) + &merged.same_record()),
        });
        sql.add(&update);
        sql
    }
}

impl MergedRows<'_> {
    /// Returns the columns of a snapshot that are needed.
    fn snapshot_columns(&self) -> Vec<&Column> {
        let is_needed = |column: &&Column| self.occupied.0.contains(&column.name) || self.columns.contains(column);
        self.reference.columns.iter().filter(is_needed).collect()
    }

    /// Tests that `t` is the row to which a snapshot `r` was added, except its user.
    fn same_record(&self) -> String {
        self.occupied.0.iter().map(|name| format!(" AND {} = {}", column("t", name), column("r", name))).collect()
    }

    /// Returns the assignments of the differences. A column that was empty before and holds only what was added becomes
    /// empty again.
    fn differences(&self) -> String {
        let difference = |(index, add): (usize, &Column)| {
            let (now, added) = (column("t", &add.name), column("r", &add.name));
            format!(
                "{} = CASE WHEN {added} IS NULL THEN {now} WHEN b.empty{index} = 1 AND {now} = {added} THEN NULL \
                 ELSE {now} - {added} END",
                quoted(&add.name)
            )
        };
        self.columns.iter().enumerate().map(difference).collect::<Vec<_>>().join(", ")
    }

    /// Returns which columns of the successor's rows were empty before, by snapshot, as a table `b`: `empty0`, `empty1` and so on.
    fn before_columns(&self, sql: &mut Sql, ids: &[i64]) -> String {
        let ids = id_table(sql, ids);
        let dialect = sql.dialect();
        let empty = self.columns.iter().enumerate().map(|(index, add)| {
            let before = dialect.json_text("c.content", &[BEFORE, &add.name]);
            format!(", CASE WHEN ({before}) IS NULL THEN 1 ELSE 0 END AS empty{index}")
        });
        let empty: String = empty.collect();
        format!("(SELECT c.id AS copy_id{empty} FROM {ids} JOIN {ROW_SNAPSHOTS} c ON c.id = i.id) b")
    }

    /// Returns the snapshots whose rows are still added to one of the successor's.
    async fn read(&self, session: &Session, copies: &[i64], locking: Locking) -> Result<HashSet<i64>> {
        let mut sql = session.sql("");
        let rows = snapshot_rows(&mut sql, &self.snapshot_columns(), copies);
        let from = sql.host(&self.reference.user, self.holder.as_str());
        let is_another = is_another(sql.dialect(), self.reference, "w.at");
        sql.add(&format!(
            "SELECT CAST({number} AS {INT64}) AS copy_id FROM {rows} JOIN {ROW_SNAPSHOTS} w ON w.id = {number} \
             JOIN {host} t ON {is_theirs}{same} WHERE NOT ({is_another}){lock}",
            number = rows.number,
            rows = rows.table,
            host = table(&self.reference.table),
            is_theirs = points_at(&self.reference.user, "t", &from),
            same = self.same_record(),
            lock = row_lock(session, locking),
        ));
        let rows = session.all("reading rows that were added to", sql).await?;
        rows.iter().map(|row| row.get("copy_id")).collect()
    }
}
