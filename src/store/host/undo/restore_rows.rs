//! Restoring rows from their snapshots, parents and children together.
//!
//! Foreign keys that can be checked at the commit wait until all rows are there: parents and children may point at each
//! other. Then rows that point at nobody are found by their own foreign keys, for the commit would name no row. The others
//! come back without these.

use std::collections::HashSet;

use async_trait::async_trait;

use super::bisect_writes::{RestoreWrite, bisect};
use super::current_columns::{CurrentColumns, skip_all_if_changed};
use super::orphans::{is_orphan, read_numbers};
use super::restored::RestoreOutcome;
use crate::catalog::{Column, ForeignKey, Reference, TableName};
use crate::contract::SkipReason;
use crate::store::dialect::sql::{INT64, Sql, column, quoted, table};
use crate::store::host::row_codec::snapshot_rows;
use crate::store::{Result, Session};

/// Rows of one table that are to be restored from their snapshots.
pub struct RowsToRestore<'a> {
    /// The table.
    pub table: &'a TableName,
    /// Its columns.
    pub columns: &'a [Column],
    /// Its foreign keys that can be checked at the commit.
    pub deferrable: &'a [ForeignKey],
    /// The snapshots.
    pub copies: Vec<i64>,
}

/// Restores rows, parents before their children, and returns the outcome of each table. Columns that a snapshot does not know
/// take their defaults.
///
/// Locks: the restored rows, until the caller commits.
pub async fn restore_rows(session: &Session, tables: &[RowsToRestore<'_>]) -> Result<Vec<RestoreOutcome>> {
    let mut orphans: Vec<HashSet<usize>> = tables.iter().map(|_| HashSet::new()).collect();
    if tables.iter().all(|rows| rows.deferrable.is_empty()) {
        return restore_except(session, tables, &orphans).await;
    }
    loop {
        session.savepoint().await?;
        session.defer_constraints(&constraint_names(tables)).await?;
        let mut outcomes = restore_except(session, tables, &orphans).await?;
        let mut found = 0;
        for ((rows, outcome), orphans) in tables.iter().zip(&outcomes).zip(&mut orphans) {
            let more = find_orphans(session, rows, &outcome.restored).await?;
            found += more.len();
            orphans.extend(more);
        }
        if found == 0 {
            session.check_constraints_at_once().await?;
            session.forget_savepoint().await?;
            for (outcome, orphans) in outcomes.iter_mut().zip(orphans) {
                orphans.into_iter().for_each(|place| outcome.skip(SkipReason::ParentGone, place));
            }
            return Ok(outcomes);
        }
        // Without these, others may lack a parent.
        session.back_to_savepoint().await?;
    }
}

/// Restores rows in passes: a row that lacks a parent is tried again after rows of other tables have come back.
async fn restore_except(
    session: &Session,
    tables: &[RowsToRestore<'_>],
    orphans: &[HashSet<usize>],
) -> Result<Vec<RestoreOutcome>> {
    let mut outcomes = Vec::new();
    for (rows, orphans) in tables.iter().zip(orphans) {
        let places = (0..rows.copies.len()).filter(|place| !orphans.contains(place)).collect();
        outcomes.push(restore_some(session, rows, places).await?);
    }
    loop {
        let mut came_back = false;
        for (rows, outcome) in tables.iter().zip(&mut outcomes) {
            let waiting = outcome.skipped.remove(&SkipReason::ParentGone).unwrap_or_default();
            if !waiting.is_empty() {
                let more = restore_some(session, rows, waiting).await?;
                came_back |= !more.restored.is_empty();
                outcome.add(more);
            }
        }
        if !came_back {
            return Ok(outcomes);
        }
    }
}

async fn restore_some(session: &Session, rows: &RowsToRestore<'_>, places: Vec<usize>) -> Result<RestoreOutcome> {
    let current = CurrentColumns::read(session, rows.table).await?;
    let fit = current.fit(session, &rows.copies).await?;
    let mut outcome = RestoreOutcome::default();
    let places_of = |some: &HashSet<i64>| -> Vec<usize> {
        places.iter().copied().filter(|place| some.contains(&rows.copies[*place])).collect()
    };
    places_of(&fit.unfit).into_iter().for_each(|place| outcome.skip(SkipReason::TableChanged, place));
    for (lacking, some) in &fit.by_lacking {
        let write = Insert { rows, columns: &current.known_without(lacking)? };
        let mut restored = RestoreOutcome::default();
        bisect(session, &write, places_of(some), &mut restored).await?;
        outcome.add(restored);
    }
    Ok(outcome)
}

/// Returns the constraints' names, quoted, with the schemas of their tables.
fn constraint_names(tables: &[RowsToRestore<'_>]) -> Vec<String> {
    let of = |rows: &RowsToRestore<'_>, key: &ForeignKey| {
        let name = key.name.clone()?;
        Some(table(&TableName { schema: rows.table.schema.clone(), name }))
    };
    tables.iter().flat_map(|rows| rows.deferrable.iter().filter_map(|key| of(rows, key)).collect::<Vec<_>>()).collect()
}

/// Returns the restored rows that point at a parent that is not there.
async fn find_orphans(session: &Session, rows: &RowsToRestore<'_>, places: &[usize]) -> Result<Vec<usize>> {
    if rows.deferrable.is_empty() || places.is_empty() {
        return Ok(Vec::new());
    }
    let points = |column: &&Column| rows.deferrable.iter().any(|key| key.columns.contains(&column.name));
    let columns: Vec<&Column> = rows.columns.iter().filter(points).collect();
    let ids: Vec<i64> = places.iter().map(|place| rows.copies[*place]).collect();
    let mut sql = session.sql("");
    let snapshots = snapshot_rows(&mut sql, &columns, &ids);
    let is_orphan = is_orphan(rows.deferrable, "r");
    let (number, rows_of) = (snapshots.number, snapshots.table);
    sql.add(&format!("SELECT CAST({number} AS {INT64}) AS n FROM {rows_of} WHERE {is_orphan}"));
    let found = read_numbers(session, sql).await?;
    Ok(places.iter().copied().filter(|place| found.contains(&rows.copies[*place])).collect())
}

/// The INSERT of snapshots that know the same columns.
struct Insert<'a> {
    rows: &'a RowsToRestore<'a>,
    columns: &'a [Column],
}

#[async_trait]
impl RestoreWrite for Insert<'_> {
    fn doing(&self) -> &'static str {
        "restoring rows"
    }

    fn statement(&self, session: &Session, places: &[usize]) -> Sql {
        let mut sql = session.sql("");
        let ids: Vec<i64> = places.iter().map(|place| self.rows.copies[*place]).collect();
        let snapshots = snapshot_rows(&mut sql, &self.columns.iter().collect::<Vec<_>>(), &ids);
        let listed: Vec<String> = self.columns.iter().map(|listed| quoted(&listed.name)).collect();
        let picked: Vec<String> = self.columns.iter().map(|picked| column("r", &picked.name)).collect();
        sql.add(&format!(
            "INSERT INTO {host} ({listed}) {overriding}SELECT {picked} FROM {snapshots}",
            host = table(self.rows.table),
            listed = listed.join(", "),
            // A row takes back the number that the database gave it.
            overriding = sql.dialect().overriding_identity(),
            picked = picked.join(", "),
            snapshots = snapshots.table,
        ));
        sql
    }
}

/// Returns which of a reference's rows could be restored now: those whose key is free, and whose values in these unique indexes are.
/// Only trying shows what else the database would refuse.
pub async fn preview_restore(
    session: &Session,
    reference: &Reference,
    uniques: &[Vec<Column>],
    copies: &[i64],
) -> Result<RestoreOutcome> {
    if let Some(all) = skip_all_if_changed(session, reference, [], copies.len()).await? {
        return Ok(all);
    }
    let unfit = CurrentColumns::read(session, &reference.table).await?.fit(session, copies).await?.unfit;
    let mut occupied = HashSet::new();
    for unique in uniques {
        occupied.extend(read_occupied(session, reference, unique, copies).await?);
    }
    let mut outcome = RestoreOutcome::default();
    for (place, copy) in copies.iter().enumerate() {
        match (unfit.contains(copy), occupied.contains(copy)) {
            (true, _) => outcome.skip(SkipReason::TableChanged, place),
            (false, true) => outcome.skip(SkipReason::Occupied, place),
            (false, false) => outcome.restored.push(place),
        }
    }
    Ok(outcome)
}

/// Returns the snapshots whose values in a unique index another row has.
async fn read_occupied(
    session: &Session,
    reference: &Reference,
    unique: &[Column],
    copies: &[i64],
) -> Result<HashSet<i64>> {
    let mut sql = session.sql("");
    let rows = snapshot_rows(&mut sql, &unique.iter().collect::<Vec<_>>(), copies);
    let same = unique.iter().map(|of| format!("{} = {}", column("t", &of.name), column("r", &of.name)));
    sql.add(&format!(
        "SELECT CAST({number} AS {INT64}) AS copy_id FROM {rows} JOIN {host} t ON {same}",
        number = rows.number,
        rows = rows.table,
        host = table(&reference.table),
        same = same.collect::<Vec<_>>().join(" AND "),
    ));
    let rows = session.all("looking for occupied keys", sql).await?;
    rows.iter().map(|row| row.get("copy_id")).collect()
}
