//! Taking back what `merge` did: what was added to a successor's row is taken out of it, and the leaver's row is put back.
//!
//! Locks: the successors' rows and those put back, until the caller commits.

use std::collections::HashSet;

use super::current_columns::skip_all_if_changed;
use super::predicates::user_column;
use super::restore_rows::{RowsToRestore, restore_rows};
use super::row_codec::{copied_rows, json_path};
use super::transfer::touch;
use super::undo::{RestoreOutcome, RestoreWrite};
use crate::catalog::{Column, Engine, Occupied, Reference};
use crate::contract::UserId;
use crate::store::dialect::Type;
use crate::store::dialect::sql::{ColumnArray, Sql, column, quoted, table};
use crate::store::{Error, Locking, Result, Row, Session};

/// What is to be taken back of rows that were added to those of a successor.
pub struct MergedRows<'a> {
    /// The reference.
    pub reference: &'a Reference,
    /// Whose rows were added to.
    pub holder: &'a UserId,
    /// What tells such a row, beside the user.
    pub occupied: &'a Occupied,
    /// The columns that were added up.
    pub columns: &'a [Column],
}

/// Takes what was added from the successor's rows again, and puts the leaver's rows back.
pub async fn unmerge(session: &Session, merged: &MergedRows<'_>, copies: &[i64]) -> Result<RestoreOutcome> {
    let mut returned = preview_unmerge(session, merged, copies, Locking::Locked).await?;
    let there = std::mem::take(&mut returned.restored);
    RestoreWrite::Sums { merged, copies }.isolated(session, there, &mut returned).await?;
    let back: Vec<i64> = returned.restored.iter().map(|place| copies[*place]).collect();
    let Reference { table, columns, deferrable, .. } = merged.reference;
    let put = restore_rows(session, &[RowsToRestore { table, columns, deferrable, copies: back }]).await?;
    match put.iter().all(|put| put.skipped.is_empty()) {
        true => Ok(returned),
        // What was taken out would be nowhere: the chunk fails as a whole, and a person sees why.
        false => Err(Error::unexpected("putting rows back", "a row that was taken out of another cannot be put back")),
    }
}

/// Which rows could be taken out again, as the successor's rows stand now.
pub async fn preview_unmerge(
    session: &Session,
    merged: &MergedRows<'_>,
    copies: &[i64],
    locking: Locking,
) -> Result<RestoreOutcome> {
    let mut returned = RestoreOutcome::default();
    if merged.holder.is_pseudonym() {
        (0..copies.len()).for_each(|place| returned.skip("changed", place));
        return Ok(returned);
    }
    if let Some(all) = skip_all_if_changed(session, merged.reference, merged.columns, copies.len()).await? {
        return Ok(all);
    }
    let there = read_merged(session, merged, copies, locking).await?;
    for (place, copy) in copies.iter().enumerate() {
        match there.contains(copy) {
            true => returned.restored.push(place),
            false => returned.skip("changed", place),
        }
    }
    Ok(returned)
}

impl MergedRows<'_> {
    /// The statement that takes out what these copies were added.
    pub fn take_out(&self, session: &Session, copies: &[i64]) -> Sql {
        let mut sql = session.sql("");
        let host = table(&self.reference.table);
        let rows = copied_rows(&mut sql, &self.copied_columns(), copies);
        let before = before_columns(&mut sql, self, copies);
        let from = sql.host(&self.reference.user, self.holder.as_str());
        sql.add(&format!(
            "UPDATE {host} AS t SET {left}{touch} FROM {rows} JOIN {before} ON b.copy_id = r.copy_id \
             WHERE t.{user} = {from}{same}",
            left = self.left(),
            touch = touch(self.reference, session.engine(), "t"),
            user = user_column(self.reference),
            same = self.same(),
        ));
        sql
    }

    /// The columns of a copy that are asked for.
    fn copied_columns(&self) -> Vec<&Column> {
        let asked = |column: &&Column| self.occupied.0.contains(&column.name) || self.columns.contains(column);
        self.reference.columns.iter().filter(asked).collect()
    }

    /// That `t` is the row that a copy `r` was added to, but for its user.
    fn same(&self) -> String {
        self.occupied.0.iter().map(|name| format!(" AND {} = {}", column("t", name), column("r", name))).collect()
    }

    /// The columns without what was added; one that was empty before, and holds no more than that, is empty again.
    fn left(&self) -> String {
        let left = self.columns.iter().enumerate().map(|(index, add)| {
            let (now, added) = (column("t", &add.name), column("r", &add.name));
            format!(
                "{} = CASE WHEN {added} IS NULL THEN {now} WHEN b.empty{index} = 1 AND {now} = {added} THEN NULL \
                 ELSE {now} - {added} END",
                quoted(&add.name)
            )
        });
        left.collect::<Vec<_>>().join(", ")
    }
}

/// Which columns of the successors' rows were empty before, by copy, as a table `b`: `empty0`, `empty1` and so on.
fn before_columns(sql: &mut Sql, merged: &MergedRows<'_>, ids: &[i64]) -> String {
    let ids = sql.table("i", vec![ColumnArray::new(Type::Int64, "id", ids.iter().map(Some))]);
    let engine = sql.engine();
    let empty = merged.columns.iter().enumerate().map(|(index, add)| {
        let before = match engine {
            Engine::Postgres => format!("c.content -> '$before' ->> '{}'", add.name.replace('\'', "''")),
            Engine::Sqlite => format!("c.content -> {} ->> {}", json_path("$before"), json_path(&add.name)),
        };
        format!(", CASE WHEN ({before}) IS NULL THEN 1 ELSE 0 END AS empty{index}")
    });
    format!(
        "(SELECT c.id AS copy_id{} FROM {ids} JOIN handover.row_snapshots c ON c.id = i.id) b",
        empty.collect::<String>()
    )
}

/// Copies whose rows are still added to one of the successor's, with that row locked.
async fn read_merged(
    session: &Session,
    merged: &MergedRows<'_>,
    copies: &[i64],
    locking: Locking,
) -> Result<HashSet<i64>> {
    let doing = "looking for rows that were added to";
    let mut sql = session.sql("");
    let host = table(&merged.reference.table);
    let rows = copied_rows(&mut sql, &merged.copied_columns(), copies);
    let from = sql.host(&merged.reference.user, merged.holder.as_str());
    let lock = if locking.applies(session.capabilities()) { " FOR UPDATE OF t" } else { "" };
    sql.add(&format!(
        "SELECT CAST(r.copy_id AS bigint) AS copy_id FROM {rows} JOIN {host} t ON t.{user} = {from}{same}{lock}",
        user = user_column(merged.reference),
        same = merged.same(),
    ));
    let read = |row: &Row| row.try_get::<i64>("", "copy_id");
    let found: std::result::Result<HashSet<i64>, sea_orm::DbErr> =
        session.all(doing, sql).await?.iter().map(read).collect();
    found.map_err(|error| Error::unexpected(doing, error.to_string()))
}
