//! Taking back what `transfer`, `remove` and `set` did: moving records back, putting rows back, setting values back.
//!
//! Nothing is taken back that the host has changed since: each statement asks again whether the row still stands as the job
//! left it, under the row's lock. What the database refuses (a key is occupied, a parent is gone) is found by halving what
//! was tried, within a savepoint: the others come back all the same.
//!
//! Locks: row locks on what comes back, until the caller commits.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::content_match::{ContentMatch, Found, images};
use super::current_columns::{CurrentColumns, TABLE_CHANGED, skip_all_if_changed};
use super::cut::read_key;
use super::predicates::{Key, key_has_user, raise_version, unset, user_column};
use super::restore_rows::RowsToRestore;
use super::row_codec::copied_rows;
use super::set::kept_columns;
use super::transfer::touch;
use super::unmerge::MergedRows;
use crate::catalog::{Column, Engine, Reference, SetValue};
use crate::contract::UserId;
use crate::store::dialect::Type;
use crate::store::dialect::sql::{ColumnArray, Sql, cast, column, quoted, table};
use crate::store::{Cause, Error, Locking, Result, Session};

/// What became of things that were to come back, each by its place in what was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RestoreOutcome {
    /// Those that are back.
    pub restored: Vec<usize>,
    /// Those that were left alone, by reason.
    pub skipped: BTreeMap<&'static str, Vec<usize>>,
}

impl RestoreOutcome {
    /// Adds what became of others.
    pub fn add(&mut self, others: RestoreOutcome) {
        self.restored.extend(others.restored);
        self.restored.sort_unstable();
        for (reason, places) in others.skipped {
            self.skipped.entry(reason).or_default().extend(places);
        }
    }

    /// Leaves one alone, for a reason.
    pub fn skip(&mut self, reason: &'static str, place: usize) {
        self.skipped.entry(reason).or_default().push(place);
    }
}

/// Moves records from the successor who holds them back to the leaver.
pub async fn move_back(
    session: &Session,
    reference: &Reference,
    holder: &UserId,
    leaver: &UserId,
    keys: &[Key],
) -> Result<RestoreOutcome> {
    let mut returned = preview_move_back(session, reference, holder, leaver, keys, Locking::Locked).await?;
    let there = std::mem::take(&mut returned.restored);
    let act = RestoreWrite::Records { reference, holder, leaver, keys };
    act.isolated(session, there, &mut returned).await?;
    Ok(returned)
}

/// Which records could go back, as they stand now.
pub async fn preview_move_back(
    session: &Session,
    reference: &Reference,
    holder: &UserId,
    leaver: &UserId,
    keys: &[Key],
    locking: Locking,
) -> Result<RestoreOutcome> {
    let mut returned = RestoreOutcome::default();
    if holder.is_pseudonym() {
        // Who held them then was forgotten: whoever holds them now is somebody else, as far as anybody knows.
        (0..keys.len()).for_each(|place| returned.skip("changed", place));
        return Ok(returned);
    }
    if let Some(all) = skip_all_if_changed(session, reference, [], keys.len()).await? {
        return Ok(all);
    }
    let holders = read_holders(session, reference, holder, keys, locking).await?;
    for place in 0..keys.len() {
        match holders.get(&place) {
            Some(found) if *found == holder.as_str() => returned.restored.push(place),
            Some(found) if *found == leaver.as_str() => returned.skip("back_already", place),
            Some(_) => returned.skip("changed", place),
            None => returned.skip("gone", place),
        }
    }
    Ok(returned)
}

/// Sets columns back to what their copies hold, where they are still as they were set.
pub async fn set_back(
    session: &Session,
    reference: &Reference,
    values: &[(Column, SetValue)],
    copies: &[i64],
) -> Result<RestoreOutcome> {
    if reference.keyless {
        return ContentMatch::set(reference, values, copies).restore(session).await;
    }
    let mut returned = preview_set_back(session, reference, values, copies, Locking::Locked).await?;
    let there = std::mem::take(&mut returned.restored);
    let act = RestoreWrite::Values { reference, values, copies };
    act.isolated(session, there, &mut returned).await?;
    Ok(returned)
}

/// Which rows could be set back, as they stand now.
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
    if let Some(all) =
        skip_all_if_changed(session, reference, values.iter().map(|(column, _)| column), copies.len()).await?
    {
        return Ok(all);
    }
    let mut returned = RestoreOutcome::default();
    let standing = read_set(session, reference, values, copies, locking).await?;
    for (place, copy) in copies.iter().enumerate() {
        match standing.get(copy) {
            Some(true) => returned.restored.push(place),
            Some(false) => returned.skip("changed", place),
            None => returned.skip("gone", place),
        }
    }
    Ok(returned)
}

/// Which of a reference's rows could be put back, as its table stands now: those whose key is free. What else the database
/// would refuse, only trying tells.
pub async fn preview_restore(session: &Session, reference: &Reference, copies: &[i64]) -> Result<RestoreOutcome> {
    if let Some(all) = skip_all_if_changed(session, reference, [], copies.len()).await? {
        return Ok(all);
    }
    let unfit = CurrentColumns::of(session, &reference.table).await?.fits(session, copies).await?.unfit;
    let taken = match reference.keyless {
        true => HashSet::new(),
        false => read_taken(session, reference, copies).await?,
    };
    let mut returned = RestoreOutcome::default();
    for (place, copy) in copies.iter().enumerate() {
        match (unfit.contains(copy), taken.contains(copy)) {
            (true, _) => returned.skip(TABLE_CHANGED, place),
            (false, true) => returned.skip("occupied", place),
            (false, false) => returned.restored.push(place),
        }
    }
    Ok(returned)
}

/// The copies whose keys have a row.
async fn read_taken(session: &Session, reference: &Reference, copies: &[i64]) -> Result<HashSet<i64>> {
    let doing = "looking whether rows can be put back";
    let host = table(&reference.table);
    let mut sql = session.sql("");
    let rows = copied_rows(&mut sql, &reference.key.iter().collect::<Vec<_>>(), copies);
    sql.add(&format!(
        "SELECT CAST(r.copy_id AS bigint) AS copy_id FROM {rows} JOIN {host} t ON {}",
        same_copied_key(reference)
    ));
    let mut taken = HashSet::new();
    for row in session.all(doing, sql).await? {
        taken.insert(row.try_get::<i64>("", "copy_id").map_err(|error| Error::unexpected(doing, error.to_string()))?);
    }
    Ok(taken)
}

/// One of them, on some of what was asked for.
pub enum RestoreWrite<'a> {
    Sums { merged: &'a MergedRows<'a>, copies: &'a [i64] },
    Records { reference: &'a Reference, holder: &'a UserId, leaver: &'a UserId, keys: &'a [Key] },
    Rows { rows: &'a RowsToRestore<'a>, columns: &'a [Column] },
    Values { reference: &'a Reference, values: &'a [(Column, SetValue)], copies: &'a [i64] },
    Recognized { sought: &'a ContentMatch<'a>, found: &'a Found },
}

impl RestoreWrite<'_> {
    /// Acts on all that the database allows. What lacks a parent is tried again after others have come back: the parent may
    /// be among them.
    pub async fn isolated(&self, session: &Session, places: Vec<usize>, returned: &mut RestoreOutcome) -> Result<()> {
        let mut waiting = places;
        while !waiting.is_empty() {
            let before = returned.restored.len();
            self.halved(session, waiting, returned).await?;
            waiting = match returned.restored.len() > before {
                true => returned.skipped.remove(PARENT_GONE).unwrap_or_default(),
                false => Vec::new(),
            };
        }
        returned.restored.sort_unstable();
        Ok(())
    }

    /// Acts on all at once where the database allows it; else on halves, down to those that it refuses.
    async fn halved(&self, session: &Session, places: Vec<usize>, returned: &mut RestoreOutcome) -> Result<()> {
        let mut open = vec![places];
        while let Some(places) = open.pop() {
            if places.is_empty() {
                continue;
            }
            session.savepoint().await?;
            let refused = match session.run(self.doing(), self.statement(session, &places)).await {
                Ok(changed) if self.is_ignored(changed, places.len()) => "refused",
                Ok(_) => {
                    let lacking = self.lacking(session, &places).await?;
                    if lacking.is_empty() {
                        session.forget_savepoint().await?;
                        returned.restored.extend(places);
                        continue;
                    }
                    session.back_to_savepoint().await?;
                    open.push(places.into_iter().filter(|place| !lacking.contains(place)).collect());
                    lacking.into_iter().for_each(|place| returned.skip(PARENT_GONE, place));
                    continue;
                }
                Err(Error { cause: Cause::Refused { code, .. }, .. }) => reason_of(&code),
                Err(error) => return Err(error),
            };
            session.back_to_savepoint().await?;
            match places.as_slice() {
                [place] => returned.skip(refused, *place),
                places => {
                    let (left, right) = places.split_at(places.len() / 2);
                    open.extend([right.to_vec(), left.to_vec()]);
                }
            }
        }
        Ok(())
    }

    /// Whether a trigger of the host has kept rows as they were, without an error. Of rows that are put back one may have put
    /// them elsewhere instead, as triggers of partitions do.
    fn is_ignored(&self, changed: u64, places: usize) -> bool {
        matches!(self, RestoreWrite::Records { .. } | RestoreWrite::Values { .. }) && changed < places as u64
    }

    fn doing(&self) -> &'static str {
        match self {
            RestoreWrite::Sums { .. } => "taking out what was added",
            RestoreWrite::Records { .. } => "moving records back",
            RestoreWrite::Rows { .. } => "putting rows back",
            RestoreWrite::Values { .. } => "setting values back",
            RestoreWrite::Recognized { .. } => "bringing back what was recognized",
        }
    }

    fn statement(&self, session: &Session, places: &[usize]) -> Sql {
        let mut sql = session.sql("");
        match self {
            RestoreWrite::Sums { merged, copies } => {
                let ids: Vec<i64> = places.iter().map(|place| copies[*place]).collect();
                return merged.take_out(session, &ids);
            }
            RestoreWrite::Recognized { sought, found } => return sought.back(session, found, places),
            RestoreWrite::Records { reference, holder, leaver, keys } => {
                let keys = key_table(&mut sql, reference, keys, places);
                let (to, from) =
                    (sql.host(&reference.user, leaver.as_str()), sql.host(&reference.user, holder.as_str()));
                sql.add(&format!(
                    "UPDATE {host} AS t SET {user} = {to}{touch} FROM {keys} WHERE {same}t.{user} = {from}",
                    host = table(&reference.table),
                    user = user_column(reference),
                    touch = touch(reference, session.engine(), "t"),
                    same = same_key(reference),
                ));
            }
            RestoreWrite::Rows { rows: RowsToRestore { table: host, copies, .. }, columns } => {
                let host = table(host);
                let ids: Vec<i64> = places.iter().map(|place| copies[*place]).collect();
                let rows = copied_rows(&mut sql, &columns.iter().collect::<Vec<_>>(), &ids);
                let listed: Vec<String> = columns.iter().map(|listed| quoted(&listed.name)).collect();
                let picked: Vec<String> = columns.iter().map(|picked| column("r", &picked.name)).collect();
                // A row takes back the very number that the database gave it.
                let overriding = match session.engine() {
                    Engine::Postgres => "OVERRIDING SYSTEM VALUE ",
                    Engine::Sqlite => "",
                };
                sql.add(&format!(
                    "INSERT INTO {host} ({}) {overriding}SELECT {} FROM {rows}",
                    listed.join(", "),
                    picked.join(", "),
                ));
            }
            RestoreWrite::Values { reference, values, copies } => {
                let host = table(&reference.table);
                let ids: Vec<i64> = places.iter().map(|place| copies[*place]).collect();
                let rows = copied_rows(&mut sql, &kept_columns(reference, values), &ids);
                let assign: Vec<String> = (values.iter())
                    .map(|(set, _)| format!("{} = {}", quoted(&set.name), column("r", &set.name)))
                    .collect();
                sql.add(&format!(
                    "UPDATE {host} AS t SET {}{raise_version} FROM {rows} WHERE {}",
                    assign.join(", "),
                    same_copied_key(reference),
                    raise_version = raise_version(reference, "t"),
                ));
            }
        }
        sql
    }
}

pub const PARENT_GONE: &str = "parent_gone";

/// Why the database refused a single row, by its SQLSTATE or SQLite's extended code.
fn reason_of(code: &str) -> &'static str {
    match code {
        // unique_violation, exclusion_violation; SQLITE_CONSTRAINT_PRIMARYKEY, _ROWID, _UNIQUE
        "23505" | "23P01" | "1555" | "2579" | "2067" => "occupied",
        // foreign_key_violation; SQLITE_CONSTRAINT_FOREIGNKEY
        "23503" | "787" => PARENT_GONE,
        // not_null_violation, undefined_column; SQLITE_CONSTRAINT_NOTNULL
        "23502" | "42703" | "1299" => TABLE_CHANGED,
        _ => "refused",
    }
}

/// Keys as a table `x`: `n`, their place, and `k0`, `k1` and so on.
pub fn key_table(sql: &mut Sql, reference: &Reference, keys: &[Key], places: &[usize]) -> String {
    let mut arrays = vec![ColumnArray::new(Type::Int64, "n", places.iter().map(Some))];
    for (index, key) in reference.key.iter().enumerate() {
        let values: Vec<Option<String>> = places.iter().map(|place| keys[*place].get(index).cloned()).collect();
        arrays.push(ColumnArray::of_some(&format!("k{index}"), key, values));
    }
    sql.table("x", arrays)
}

/// That a row has a journaled key, but for the user in it, who has changed. With `AND` behind each test.
pub fn same_key(reference: &Reference) -> String {
    let others = reference.key.iter().enumerate().filter(|(_, key)| key.name != reference.user.name);
    others.map(|(index, key)| format!("{} = x.k{index} AND ", column("t", &key.name))).collect()
}

/// That a row has the key that its copy holds.
pub fn same_copied_key(reference: &Reference) -> String {
    let equal = reference.key.iter().map(|key| format!("{} = {}", column("t", &key.name), column("r", &key.name)));
    equal.collect::<Vec<_>>().join(" AND ")
}

/// Who holds each record now, by its place; a record that is gone is not there.
async fn read_holders(
    session: &Session,
    reference: &Reference,
    holder: &UserId,
    keys: &[Key],
    locking: Locking,
) -> Result<HashMap<usize, String>> {
    let doing = "looking where records are";
    let mut sql = session.sql("");
    let all: Vec<usize> = (0..keys.len()).collect();
    let keys = key_table(&mut sql, reference, keys, &all);
    let user = user_column(reference);
    // Where the user is part of the key, only the holder's own row is known to be the record.
    let holders = match key_has_user(reference) {
        true => format!("t.{user} = {}", sql.host(&reference.user, holder.as_str())),
        false => "TRUE".to_owned(),
    };
    let lock = if locking.applies(session.capabilities()) { " FOR UPDATE OF t" } else { "" };
    sql.add(&format!(
        "SELECT CAST(x.n AS bigint) AS n, {text} AS holder FROM {keys} JOIN {host} t ON {same}{holders}{lock}",
        text = cast(&format!("t.{user}"), "text"),
        host = table(&reference.table),
        same = same_key(reference),
    ));
    let mut found = HashMap::new();
    for row in session.all(doing, sql).await? {
        let read = || -> std::result::Result<(i64, Option<String>), sea_orm::DbErr> {
            Ok((row.try_get("", "n")?, row.try_get("", "holder")?))
        };
        let (n, holder) = read().map_err(|error| Error::unexpected(doing, error.to_string()))?;
        found.insert(n as usize, holder.unwrap_or_default());
    }
    Ok(found)
}

/// Of copies whose rows are there: whether each still stands as it was set.
async fn read_set(
    session: &Session,
    reference: &Reference,
    values: &[(Column, SetValue)],
    copies: &[i64],
    locking: Locking,
) -> Result<HashMap<i64, bool>> {
    let doing = "looking how rows stand";
    let mut sql = session.sql("");
    let host = table(&reference.table);
    let rows = copied_rows(&mut sql, &kept_columns(reference, values), copies);
    let unset = unset(&mut sql, values, "t");
    let lock = if locking.applies(session.capabilities()) { " FOR UPDATE OF t" } else { "" };
    sql.add(&format!(
        "SELECT CAST(r.copy_id AS bigint) AS copy_id, CAST(CASE WHEN {unset} THEN 0 ELSE 1 END AS bigint) AS stands \
         FROM {rows} JOIN {host} t ON {}{lock}",
        same_copied_key(reference)
    ));
    let mut found = HashMap::new();
    for row in session.all(doing, sql).await? {
        let read = || -> std::result::Result<(i64, i64), sea_orm::DbErr> {
            Ok((row.try_get("", "copy_id")?, row.try_get("", "stands")?))
        };
        let (copy, stands) = read().map_err(|error| Error::unexpected(doing, error.to_string()))?;
        found.insert(copy, stands == 1);
    }
    Ok(found)
}

/// The keys of the rows that copies hold, in the order of the copies; of rows without a key, what they looked like.
pub async fn snapshot_keys(session: &Session, reference: &Reference, copies: &[i64]) -> Result<Vec<Key>> {
    if copies.is_empty() {
        return Ok(Vec::new());
    }
    if reference.keyless {
        return images(session, copies).await;
    }
    let doing = "reading the keys of copies";
    let mut sql = session.sql("");
    let rows = copied_rows(&mut sql, &reference.key.iter().collect::<Vec<_>>(), copies);
    let texts = crate::store::dialect::sql::as_texts(&reference.key, "r");
    sql.add(&format!("SELECT CAST(r.copy_id AS bigint) AS copy_id, {texts} FROM {rows}"));
    let mut keys: HashMap<i64, Key> = HashMap::new();
    for row in session.all(doing, sql).await? {
        let id: i64 = row.try_get("", "copy_id").map_err(|error| Error::unexpected(doing, error.to_string()))?;
        keys.insert(id, read_key(doing, reference, &row)?);
    }
    Ok(copies.iter().filter_map(|id| keys.remove(id)).collect())
}
