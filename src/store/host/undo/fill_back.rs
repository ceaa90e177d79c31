//! Filling columns again that the database has emptied, because the rows that they point at were removed.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;

use super::bisect_writes::{RestoreWrite, bisect};
use super::move_back::row_lock;
use super::restored::RestoreOutcome;
use crate::catalog::{Column, ForeignKey, Link, TableName};
use crate::contract::SkipReason;
use crate::store::dialect::ROW_SNAPSHOTS;
use crate::store::dialect::sql::{INT64, Sql, UpdateFrom, column, quoted, table};
use crate::store::host::row_codec::{LEFT, id_table, snapshot_json, snapshot_rows};
use crate::store::host::undo::orphans::{checks_late, is_orphan, read_numbers};
use crate::store::{Locking, Result, Session};

/// Rows of which a link was emptied.
pub struct EmptiedRows<'a> {
    /// Their table.
    pub table: &'a TableName,
    /// Their key.
    pub key: &'a [Column],
    /// The link.
    pub link: &'a Link,
    /// The table's foreign keys that can be checked at the commit.
    pub deferrable: &'a [ForeignKey],
    /// The snapshots.
    pub copies: Vec<i64>,
}

/// Fills the columns again in rows that still are as the removal has left them.
///
/// Locks: these rows, until the caller commits.
pub async fn fill_back(session: &Session, emptied: &EmptiedRows<'_>) -> Result<RestoreOutcome> {
    let mut outcome = preview_fill_back(session, emptied, Locking::Locked).await?;
    let places = std::mem::take(&mut outcome.restored);
    bisect(session, emptied, places, &mut outcome).await?;
    Ok(outcome)
}

/// Returns in which rows the columns could be filled now.
pub async fn preview_fill_back(
    session: &Session,
    emptied: &EmptiedRows<'_>,
    locking: Locking,
) -> Result<RestoreOutcome> {
    let are_left = emptied.read(session, locking).await?;
    let mut outcome = RestoreOutcome::default();
    for (place, copy) in emptied.copies.iter().enumerate() {
        match are_left.get(copy) {
            Some(true) => outcome.restored.push(place),
            Some(false) => outcome.skip(SkipReason::Changed, place),
            None => outcome.skip(SkipReason::Gone, place),
        }
    }
    Ok(outcome)
}

impl EmptiedRows<'_> {
    fn columns(&self) -> Vec<&Column> {
        self.key.iter().chain(&self.link.points).collect()
    }

    fn has_key(&self) -> String {
        let same = self.key.iter().map(|key| format!("{} = {}", column("t", &key.name), column("r", &key.name)));
        same.collect::<Vec<_>>().join(" AND ")
    }

    fn ids(&self, places: &[usize]) -> Vec<i64> {
        places.iter().map(|place| self.copies[*place]).collect()
    }

    /// Returns for each snapshot whose row is there if its columns are as the removal has left them.
    async fn read(&self, session: &Session, locking: Locking) -> Result<HashMap<i64, bool>> {
        let mut sql = session.sql("");
        let rows = snapshot_rows(&mut sql, &self.columns(), &self.copies);
        let ids = id_table(&mut sql, &self.copies);
        let dialect = sql.dialect();
        let left = dialect.json_member("w.content", LEFT);
        let now = snapshot_json(dialect, &self.link.points.iter().collect::<Vec<_>>(), "t");
        sql.add(&format!(
            "SELECT CAST({number} AS {INT64}) AS copy_id, \
               CAST(CASE WHEN {now} = ({left}) THEN 1 ELSE 0 END AS {INT64}) AS is_left \
             FROM {rows} JOIN {ROW_SNAPSHOTS} w ON w.id = {number} JOIN {host} t ON {has_key} \
             WHERE w.id IN (SELECT i.id FROM {ids}){lock}",
            number = rows.number,
            rows = rows.table,
            host = table(self.table),
            has_key = self.has_key(),
            lock = row_lock(session, locking),
        ));
        let rows = session.all("reading rows that were emptied", sql).await?;
        rows.iter().map(|row| Ok((row.get("copy_id")?, row.get::<i64>("is_left")? == 1))).collect()
    }
}

#[async_trait]
impl RestoreWrite for EmptiedRows<'_> {
    fn doing(&self) -> &'static str {
        "filling emptied columns"
    }

    fn statement(&self, session: &Session, places: &[usize]) -> Sql {
        let mut sql = session.sql("");
        let rows = snapshot_rows(&mut sql, &self.columns(), &self.ids(places));
        let assign = self.link.points.iter().map(|set| format!("{} = {}", quoted(&set.name), column("r", &set.name)));
        let update = sql.dialect().update_from(&UpdateFrom {
            table: &table(self.table),
            alias: "t",
            assignments: &assign.collect::<Vec<_>>().join(", "),
            from: &rows.table,
            condition: &self.has_key(),
        });
        sql.add(&update);
        sql
    }

    fn changes_each(&self) -> bool {
        true
    }

    async fn orphans(&self, session: &Session, places: &[usize]) -> Result<HashSet<usize>> {
        if !checks_late(session, self.deferrable) {
            return Ok(HashSet::new());
        }
        let mut sql = session.sql("");
        let rows = snapshot_rows(&mut sql, &self.columns(), &self.ids(places));
        sql.add(&format!(
            "SELECT CAST({number} AS {INT64}) AS n FROM {rows} JOIN {host} t ON {has_key} WHERE {orphan}",
            number = rows.number,
            rows = rows.table,
            host = table(self.table),
            has_key = self.has_key(),
            orphan = is_orphan(self.deferrable, "t"),
        ));
        let found = read_numbers(session, sql).await?;
        Ok(places.iter().copied().filter(|place| found.contains(&self.copies[*place])).collect())
    }
}
