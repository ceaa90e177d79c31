//! Setting columns back to their old values.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;

use super::another_row::is_another;
use super::bisect_writes::{RestoreWrite, bisect};
use super::content_match::ContentMatch;
use super::current_columns::skip_all_if_changed;
use super::move_back::row_lock;
use super::orphans::{checks_late, is_orphan, read_numbers};
use super::restored::RestoreOutcome;
use crate::catalog::{Column, Reference, SetValue};
use crate::contract::SkipReason;
use crate::store::dialect::ROW_SNAPSHOTS;
use crate::store::dialect::sql::{INT64, Sql, UpdateFrom, column, quoted, table};
use crate::store::host::predicates::{raise_version, unset};
use crate::store::host::row_codec::{LEFT, SnapshotRows, has_snapshot_key, snapshot_json, snapshot_rows};
use crate::store::host::statements::{set_columns, timed_columns};
use crate::store::{Locking, Result, Session};

/// Sets columns back to what their snapshots hold, if they still have the values that were set.
pub async fn set_back(
    session: &Session,
    reference: &Reference,
    values: &[(Column, SetValue)],
    copies: &[i64],
) -> Result<RestoreOutcome> {
    if reference.keyless {
        return ContentMatch::set(reference, values, copies).restore(session).await;
    }
    let mut outcome = preview_set_back(session, reference, values, copies, Locking::Locked).await?;
    let places = std::mem::take(&mut outcome.restored);
    bisect(session, &SetBack { reference, values, copies }, places, &mut outcome).await?;
    Ok(outcome)
}

/// Returns which rows could be set back now.
pub async fn preview_set_back(
    session: &Session,
    reference: &Reference,
    values: &[(Column, SetValue)],
    copies: &[i64],
    locking: Locking,
) -> Result<RestoreOutcome> {
    if reference.keyless {
        return ContentMatch::set(reference, values, copies).preview(session).await;
    }
    let columns = values.iter().map(|(column, _)| column);
    if let Some(all) = skip_all_if_changed(session, reference, columns, copies.len()).await? {
        return Ok(all);
    }
    let are_set = read_set(session, reference, values, copies, locking).await?;
    let mut outcome = RestoreOutcome::default();
    for (place, copy) in copies.iter().enumerate() {
        match are_set.get(copy) {
            Some(true) => outcome.restored.push(place),
            Some(false) => outcome.skip(SkipReason::Changed, place),
            None => outcome.skip(SkipReason::Gone, place),
        }
    }
    Ok(outcome)
}

struct SetBack<'a> {
    reference: &'a Reference,
    values: &'a [(Column, SetValue)],
    copies: &'a [i64],
}

impl SetBack<'_> {
    fn rows(&self, sql: &mut Sql, places: &[usize]) -> SnapshotRows {
        let ids: Vec<i64> = places.iter().map(|place| self.copies[*place]).collect();
        snapshot_rows(sql, &set_columns(self.reference, self.values), &ids)
    }
}

#[async_trait]
impl RestoreWrite for SetBack<'_> {
    fn doing(&self) -> &'static str {
        "setting values back"
    }

    fn statement(&self, session: &Session, places: &[usize]) -> Sql {
        let mut sql = session.sql("");
        let rows = self.rows(&mut sql, places);
        let assign: Vec<String> = (self.values.iter())
            .map(|(set, _)| format!("{} = {}", quoted(&set.name), column("r", &set.name)))
            .collect();
        let update = sql.dialect().update_from(&UpdateFrom {
            table: &table(&self.reference.table),
            alias: "t",
            assignments: &(assign.join(", ") + &raise_version(self.reference, "t")),
            from: &rows.table,
            condition: &has_snapshot_key(self.reference),
        });
        sql.add(&update);
        sql
    }

    fn changes_each(&self) -> bool {
        true
    }

    async fn orphans(&self, session: &Session, places: &[usize]) -> Result<HashSet<usize>> {
        if !checks_late(session, &self.reference.deferrable) {
            return Ok(HashSet::new());
        }
        let mut sql = session.sql("");
        let rows = self.rows(&mut sql, places);
        sql.add(&format!(
            "SELECT CAST({number} AS {INT64}) AS n FROM {rows} JOIN {host} t ON {has_key} WHERE {orphan}",
            number = rows.number,
            rows = rows.table,
            host = table(&self.reference.table),
            has_key = has_snapshot_key(self.reference),
            orphan = is_orphan(&self.reference.deferrable, "t"),
        ));
        let found = read_numbers(session, sql).await?;
        Ok(places.iter().copied().filter(|place| found.contains(&self.copies[*place])).collect())
    }
}

/// Returns for each snapshot whose row is there if it still has the values that were set.
async fn read_set(
    session: &Session,
    reference: &Reference,
    values: &[(Column, SetValue)],
    copies: &[i64],
    locking: Locking,
) -> Result<HashMap<i64, bool>> {
    let mut sql = session.sql("");
    let rows = snapshot_rows(&mut sql, &set_columns(reference, values), copies);
    let unset = unset(&mut sql, values, "t");
    let timed = timed_columns(values);
    let is_another = is_another(sql.dialect(), reference, "w.at");
    let changed = match timed.is_empty() {
        true => String::new(),
        false => {
            let left = format!("({})", sql.dialect().json_member("w.content", LEFT));
            let now = snapshot_json(sql.dialect(), &timed, "t");
            format!(" OR {now} <> {left}")
        }
    };
    sql.add(&format!(
        "SELECT CAST({number} AS {INT64}) AS copy_id, \
           CAST(CASE WHEN {is_another} OR {unset}{changed} THEN 0 ELSE 1 END AS {INT64}) AS is_set \
         FROM {rows} JOIN {ROW_SNAPSHOTS} w ON w.id = {number} JOIN {host} t ON {has_key}{lock}",
        number = rows.number,
        rows = rows.table,
        host = table(&reference.table),
        has_key = has_snapshot_key(reference),
        lock = row_lock(session, locking),
    ));
    let rows = session.all("reading rows that were set", sql).await?;
    rows.iter().map(|row| Ok((row.get("copy_id")?, row.get::<i64>("is_set")? == 1))).collect()
}
