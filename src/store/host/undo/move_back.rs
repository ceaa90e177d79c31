//! Moving records back to the leaver.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use time::OffsetDateTime;

use super::another_row::is_another;
use super::bisect_writes::{RestoreWrite, bisect};
use super::current_columns::skip_all_if_changed;
use super::orphans::{checks_late, is_orphan, read_numbers};
use super::restored::RestoreOutcome;
use crate::catalog::Reference;
use crate::contract::{SkipReason, UserId};
use crate::store::dialect::sql::{ColumnArray, INT64, Sql, UpdateFrom, column, table};
use crate::store::dialect::{RowLock, Type};
use crate::store::host::item::Key;
use crate::store::host::predicates::{key_has_user, touch, user_column};
use crate::store::host::user_match::points_at;
use crate::store::{Locking, Result, Session};

/// Records that a job has moved.
pub struct MovedRows<'a> {
    /// The reference.
    pub reference: &'a Reference,
    /// The successor who has received them.
    pub holder: &'a UserId,
    /// The leaver.
    pub leaver: &'a UserId,
    /// Their keys.
    pub keys: &'a [Key],
    /// The time of the move.
    pub at: OffsetDateTime,
}

/// Moves records from the successor who holds them back to the leaver.
pub async fn move_back(session: &Session, moved: &MovedRows<'_>) -> Result<RestoreOutcome> {
    let mut outcome = preview_move_back(session, moved, Locking::Locked).await?;
    let places = std::mem::take(&mut outcome.restored);
    bisect(session, moved, places, &mut outcome).await?;
    Ok(outcome)
}

/// Returns which records could move back now.
pub async fn preview_move_back(session: &Session, moved: &MovedRows<'_>, locking: Locking) -> Result<RestoreOutcome> {
    let MovedRows { reference, holder, keys, .. } = moved;
    if holder.is_pseudonym() {
        // The holder of that time was forgotten: the present holder counts as another user.
        return Ok(RestoreOutcome::all_skipped(SkipReason::Changed, keys.len()));
    }
    if let Some(all) = skip_all_if_changed(session, reference, [], keys.len()).await? {
        return Ok(all);
    }
    let holders = moved.read_holders(session, locking).await?;
    let mut outcome = RestoreOutcome::default();
    for place in 0..keys.len() {
        match holders.get(&place) {
            Some(Holder::Successor) => outcome.restored.push(place),
            Some(Holder::Leaver) => outcome.skip(SkipReason::BackAlready, place),
            Some(Holder::Other) => outcome.skip(SkipReason::Changed, place),
            None => outcome.skip(SkipReason::Gone, place),
        }
    }
    Ok(outcome)
}

#[async_trait]
impl RestoreWrite for MovedRows<'_> {
    fn doing(&self) -> &'static str {
        "moving records back"
    }

    fn statement(&self, session: &Session, places: &[usize]) -> Sql {
        let MovedRows { reference, holder, leaver, keys, .. } = self;
        let mut sql = session.sql("");
        let keys = key_table(&mut sql, reference, keys, places);
        let (to, from) = (sql.host(&reference.user, leaver.as_str()), sql.host(&reference.user, holder.as_str()));
        let user = user_column(reference);
        let update = sql.dialect().update_from(&UpdateFrom {
            table: &table(&reference.table),
            alias: "t",
            assignments: &format!("{user} = {to}{}", touch(sql.dialect(), reference, "t")),
            from: &keys,
            condition: &format!("{}{}", same_key(reference), points_at(&reference.user, "t", &from)),
        });
        sql.add(&update);
        sql
    }

    fn changes_each(&self) -> bool {
        true
    }

    async fn is_redirected(&self, session: &Session, places: &[usize]) -> Result<bool> {
        let MovedRows { reference, leaver, keys, .. } = self;
        if !reference.fires.on_update {
            return Ok(false);
        }
        let mut sql = session.sql("");
        let rows = key_table(&mut sql, reference, keys, places);
        let to = sql.host(&reference.user, leaver.as_str());
        sql.add(&format!(
            "SELECT CAST(count(*) AS {INT64}) AS n FROM {rows} JOIN {host} t ON {same}{is_theirs}",
            host = table(&reference.table),
            same = same_key(reference),
            is_theirs = points_at(&reference.user, "t", &to),
        ));
        let back = session.one(self.doing(), sql).await?.map_or(Ok(0), |row| row.count("n"))?;
        Ok(back < places.len() as u64)
    }

    async fn orphans(&self, session: &Session, places: &[usize]) -> Result<HashSet<usize>> {
        let MovedRows { reference, leaver, keys, .. } = self;
        if !checks_late(session, &reference.deferrable) {
            return Ok(HashSet::new());
        }
        let mut sql = session.sql("");
        let rows = key_table(&mut sql, reference, keys, places);
        let to = sql.host(&reference.user, leaver.as_str());
        sql.add(&format!(
            "SELECT CAST(x.n AS {INT64}) AS n FROM {rows} JOIN {host} t ON {same}{is_theirs} WHERE {orphan}",
            host = table(&reference.table),
            same = same_key(reference),
            is_theirs = points_at(&reference.user, "t", &to),
            orphan = is_orphan(&reference.deferrable, "t"),
        ));
        Ok(read_numbers(session, sql).await?.into_iter().map(|place| place as usize).collect())
    }
}

/// Returns keys as a table `x`: `n`, their position, and `k0`, `k1` and so on.
fn key_table(sql: &mut Sql, reference: &Reference, keys: &[Key], places: &[usize]) -> String {
    let mut arrays = vec![ColumnArray::new(Type::Int64, "n", places.iter().map(Some))];
    for (index, key) in reference.key.iter().enumerate() {
        let values: Vec<Option<String>> = places.iter().map(|place| keys[*place].get(index).cloned()).collect();
        arrays.push(ColumnArray::of_some(&format!("k{index}"), key, values));
    }
    sql.table("x", arrays)
}

/// Tests that a row has a journaled key, except the user in it, who has changed. Each test has `AND` after it.
fn same_key(reference: &Reference) -> String {
    let others = reference.key.iter().enumerate().filter(|(_, key)| key.name != reference.user.name);
    others.map(|(index, key)| format!("{} = x.k{index} AND ", column("t", &key.name))).collect()
}

/// The user who holds a record now.
#[derive(Clone, Copy)]
enum Holder {
    Successor,
    Leaver,
    Other,
}

impl MovedRows<'_> {
    /// Returns the present holder of each record, by its position. Records that are gone are left out.
    async fn read_holders(&self, session: &Session, locking: Locking) -> Result<HashMap<usize, Holder>> {
        let MovedRows { reference, holder, leaver, keys, at } = self;
        let mut sql = session.sql("");
        let all: Vec<usize> = (0..keys.len()).collect();
        let keys = key_table(&mut sql, reference, keys, &all);
        let is_holder = points_at(&reference.user, "t", &sql.host(&reference.user, holder.as_str()));
        // A pseudonym is no value of the column.
        let is_leaver = match leaver.is_pseudonym() {
            true => "FALSE".to_owned(),
            false => points_at(&reference.user, "t", &sql.host(&reference.user, leaver.as_str())),
        };
        // If the user is part of the key, only the holder's own row is known to be the record.
        let holders = if key_has_user(reference) { is_holder.as_str() } else { "TRUE" };
        let at = sql.bind(*at);
        let is_another = is_another(sql.dialect(), reference, &at);
        sql.add(&format!(
            "SELECT CAST(x.n AS {INT64}) AS n, \
             CAST(CASE WHEN {is_another} THEN 0 WHEN {is_holder} THEN 1 WHEN {is_leaver} THEN 2 ELSE 0 END AS {INT64}) AS holder \
             FROM {keys} JOIN {host} t ON {same}{holders}{lock}",
            host = table(&reference.table),
            same = same_key(reference),
            lock = row_lock(session, locking),
        ));
        let rows = session.all("reading who holds records", sql).await?;
        let read = |row: &crate::store::Row| {
            let holder = match row.get::<i64>("holder")? {
                1 => Holder::Successor,
                2 => Holder::Leaver,
                _ => Holder::Other,
            };
            Ok((row.count("n")? as usize, holder))
        };
        rows.iter().map(read).collect()
    }
}

/// Returns the clause that locks the rows `t`, if they are to be locked.
pub fn row_lock(session: &Session, locking: Locking) -> String {
    match locking {
        Locking::Locked => session.dialect().row_lock(RowLock::Wait, Some("t")),
        Locking::Unlocked => String::new(),
    }
}
