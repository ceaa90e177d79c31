//! Putting rows back into their tables, parents and children together.
//!
//! Foreign keys that can wait for the commit wait until all rows are there: parents and children may point at each other.
//! Then whoever points at nobody is found, by its own foreign keys and not by the commit, which would name no row: the
//! others come back without it. What is moved or set back in its own table, in SQLite, is asked about in the same way.
//!
//! Locks: the rows put back, until the caller commits.

use std::collections::HashSet;

use super::current_columns::{CurrentColumns, TABLE_CHANGED};
use super::predicates::user_column;
use super::row_codec::copied_rows;
use super::set::kept_columns;
use super::undo::{PARENT_GONE, RestoreOutcome, RestoreWrite, key_table, same_copied_key, same_key};
use crate::catalog::{Column, Engine, ForeignKey, TableName};
use crate::store::dialect::sql::{Sql, column, quoted, table};
use crate::store::{Error, Result, Session};

/// Rows of one table that are to be put back from their copies.
pub struct RowsToRestore<'a> {
    /// The table.
    pub table: &'a TableName,
    /// Its columns.
    pub columns: &'a [Column],
    /// Its foreign keys that can wait for the commit.
    pub deferrable: &'a [ForeignKey],
    /// The copies.
    pub copies: Vec<i64>,
}

/// Puts rows back, table by table in this order; what became of each table's copies. Columns that a copy does not know take
/// their defaults.
pub async fn restore_rows(session: &Session, tables: &[RowsToRestore<'_>]) -> Result<Vec<RestoreOutcome>> {
    let mut orphans: Vec<HashSet<usize>> = tables.iter().map(|_| HashSet::new()).collect();
    if tables.iter().all(|rows| rows.deferrable.is_empty()) {
        return put_back_but(session, tables, &orphans).await;
    }
    loop {
        session.savepoint().await?;
        session.defer_constraints(&names(tables)).await?;
        let mut returned = put_back_but(session, tables, &orphans).await?;
        let mut found = 0;
        for ((rows, back), orphans) in tables.iter().zip(&returned).zip(&mut orphans) {
            let lacking = lacking(session, rows, &back.restored).await?;
            found += lacking.len();
            orphans.extend(lacking);
        }
        if found == 0 {
            session.check_constraints_at_once().await?;
            session.forget_savepoint().await?;
            for (back, orphans) in returned.iter_mut().zip(orphans) {
                orphans.into_iter().for_each(|place| back.skip(PARENT_GONE, place));
            }
            return Ok(returned);
        }
        // Without these others may lack a parent.
        session.back_to_savepoint().await?;
    }
}

async fn put_back_but(
    session: &Session,
    tables: &[RowsToRestore<'_>],
    orphans: &[HashSet<usize>],
) -> Result<Vec<RestoreOutcome>> {
    let mut all = Vec::new();
    for (rows, orphans) in tables.iter().zip(orphans) {
        let live = CurrentColumns::of(session, rows.table).await?;
        let fits = live.fits(session, &rows.copies).await?;
        let mut returned = RestoreOutcome::default();
        let of = |some: &HashSet<i64>| -> Vec<usize> {
            let is_one = |place: &usize| !orphans.contains(place) && some.contains(&rows.copies[*place]);
            (0..rows.copies.len()).filter(is_one).collect()
        };
        of(&fits.unfit).into_iter().for_each(|place| returned.skip(TABLE_CHANGED, place));
        for (lacks, some) in &fits.lacking {
            let columns = live.known(lacks);
            let act = RestoreWrite::Rows { rows, columns: &columns };
            let mut back = RestoreOutcome::default();
            act.isolated(session, of(some), &mut back).await?;
            returned.add(back);
        }
        all.push(returned);
    }
    Ok(all)
}

/// The constraints' names, quoted, with the schemas of their tables.
fn names(tables: &[RowsToRestore<'_>]) -> Vec<String> {
    let of = |rows: &RowsToRestore<'_>, key: &ForeignKey| {
        let name = key.name.clone()?;
        Some(table(&TableName { schema: rows.table.schema.clone(), name }))
    };
    tables.iter().flat_map(|rows| rows.deferrable.iter().filter_map(|key| of(rows, key)).collect::<Vec<_>>()).collect()
}

/// Which of the rows put back point at a parent that is not there.
async fn lacking(session: &Session, rows: &RowsToRestore<'_>, places: &[usize]) -> Result<Vec<usize>> {
    if rows.deferrable.is_empty() || places.is_empty() {
        return Ok(Vec::new());
    }
    let points = |column: &&Column| rows.deferrable.iter().any(|key| key.columns.contains(&column.name));
    let columns: Vec<&Column> = rows.columns.iter().filter(points).collect();
    let ids: Vec<i64> = places.iter().map(|place| rows.copies[*place]).collect();
    let mut sql = session.sql("");
    let copied = copied_rows(&mut sql, &columns, &ids);
    let orphaned = orphaned(rows.deferrable, "r");
    sql.add(&format!("SELECT CAST(r.copy_id AS bigint) AS n FROM {copied} WHERE {orphaned}"));
    let found = read_numbers(session, sql).await?;
    Ok(places.iter().copied().filter(|place| found.contains(&rows.copies[*place])).collect())
}

impl RestoreWrite<'_> {
    /// SQLite: which of them now point at a parent that is gone, by a foreign key that the commit would refuse. Where the
    /// rows of several tables come back together, that is asked when all of them are there.
    pub async fn lacking(&self, session: &Session, places: &[usize]) -> Result<HashSet<usize>> {
        let reference = match self {
            RestoreWrite::Records { reference, .. } | RestoreWrite::Values { reference, .. } => reference,
            RestoreWrite::Sums { .. } | RestoreWrite::Rows { .. } | RestoreWrite::Recognized { .. } => {
                return Ok(HashSet::new());
            }
        };
        if session.engine() == Engine::Postgres || reference.deferrable.is_empty() {
            return Ok(HashSet::new());
        }
        let mut sql = session.sql("");
        let (place, rows, same) = match self {
            RestoreWrite::Values { values, copies, .. } => {
                let ids: Vec<i64> = places.iter().map(|place| copies[*place]).collect();
                let rows = copied_rows(&mut sql, &kept_columns(reference, values), &ids);
                ("r.copy_id", rows, same_copied_key(reference))
            }
            RestoreWrite::Records { leaver, keys, .. } => {
                let rows = key_table(&mut sql, reference, keys, places);
                let to = sql.host(&reference.user, leaver.as_str());
                ("x.n", rows, format!("{}t.{} = {to}", same_key(reference), user_column(reference)))
            }
            RestoreWrite::Sums { .. } | RestoreWrite::Rows { .. } | RestoreWrite::Recognized { .. } => {
                return Ok(HashSet::new());
            }
        };
        let orphaned = orphaned(&reference.deferrable, "t");
        sql.add(&format!(
            "SELECT CAST({place} AS bigint) AS n FROM {rows} JOIN {host} t ON {same} WHERE {orphaned}",
            host = table(&reference.table),
        ));
        let found = read_numbers(session, sql).await?;
        Ok(match self {
            RestoreWrite::Values { copies, .. } => {
                places.iter().copied().filter(|place| found.contains(&copies[*place])).collect()
            }
            _ => found.into_iter().map(|place| place as usize).collect(),
        })
    }
}

/// That `alias` points at a row that is not there, by one of these foreign keys.
fn orphaned(keys: &[ForeignKey], alias: &str) -> String {
    let one = |key: &ForeignKey| {
        let points: Vec<String> =
            key.columns.iter().map(|name| format!("{} IS NOT NULL", column(alias, name))).collect();
        let meets: Vec<String> = (key.columns.iter().zip(&key.target))
            .map(|(name, target)| format!("above.{} = {}", quoted(target), column(alias, name)))
            .collect();
        format!(
            "({} AND NOT EXISTS (SELECT 1 FROM {} above WHERE {}))",
            points.join(" AND "),
            table(&key.table),
            meets.join(" AND ")
        )
    };
    keys.iter().map(one).collect::<Vec<_>>().join(" OR ")
}

/// The numbers that a query gives as `n`.
async fn read_numbers(session: &Session, sql: Sql) -> Result<HashSet<i64>> {
    let doing = "looking for parents";
    let rows = session.all(doing, sql).await?;
    let numbers: std::result::Result<HashSet<i64>, sea_orm::DbErr> =
        rows.iter().map(|row| row.try_get("", "n")).collect();
    numbers.map_err(|error| Error::unexpected(doing, error.to_string()))
}
