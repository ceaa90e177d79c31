//! Reads rows back that triggers of the host may have changed. The journal says what the database holds, so rows are read back.

use std::collections::BTreeMap;

use super::journal_rows::{JournalIds, journal_rows};
use crate::catalog::{Column, Reference, SetValue};
use crate::contract::UserId;
use crate::store::dialect::sql::{INT64, Sql, as_text, cast, column, table};
use crate::store::host::item::Key;
use crate::store::host::journal_write::Journaled;
use crate::store::host::keys::read_key;
use crate::store::host::predicates::{has_key, key_has_user, unset, user_column};
use crate::store::host::statements::RowChange;
use crate::store::host::user_match::equal;
use crate::store::{Error, Result, Session};

/// Returns the users who have the journaled rows now, by key, if a trigger has given some to others than their successors. If a
/// trigger has kept a row where it was, or has left it to nobody, the move fails: the row is refused.
pub async fn redirected(
    session: &Session,
    change: &RowChange<'_>,
    journaled: &Journaled,
) -> Result<Option<BTreeMap<Key, UserId>>> {
    let (Some(ids), asked) = (journaled.ids, journaled.records()) else { return Ok(None) };
    let (reference, doing) = (change.reference, change.doing());
    let mut sql = session.sql("");
    let moved = moved_rows(&mut sql, reference, ids);
    let holder = format!("t.{}", user_column(reference));
    let is_leaver = equal(&holder, &cast("x.from_user", &reference.user.cast), &reference.user);
    let stays = format!("{holder} IS NULL OR {is_leaver}");
    let elsewhere = sql.dialect().differs(&holder, &cast("x.to_user", &reference.user.cast));
    sql.add(&format!(
        "SELECT {found} AS found, {stay} AS stay, {elsewhere} AS elsewhere FROM {moved}",
        found = number("*"),
        stay = number(&format!("CASE WHEN {stays} THEN 1 END")),
        elsewhere = number(&format!("CASE WHEN {elsewhere} THEN 1 END")),
    ));
    let row = session.one(&doing, sql).await?.ok_or_else(|| Error::unexpected(&doing, "a count has no row"))?;
    let (found, stay) = (row.count("found")?, row.count("stay")?);
    if found < asked || stay > 0 {
        return Err(Error::ignored(&doing, found.saturating_sub(stay), asked));
    }
    match row.count("elsewhere")? {
        0 => Ok(None),
        _ => read_holders(session, reference, ids).await.map(Some),
    }
}

async fn read_holders(session: &Session, reference: &Reference, ids: JournalIds) -> Result<BTreeMap<Key, UserId>> {
    let doing = "reading who has moved records";
    let mut sql = session.sql("");
    let moved = moved_rows(&mut sql, reference, ids);
    let keys: Vec<String> =
        (0..reference.key.len()).map(|index| format!("{} AS k{index}", as_text(&format!("x.k{index}")))).collect();
    let holder = as_text(&format!("t.{}", user_column(reference)));
    sql.add(&format!("SELECT {}, {holder} AS holder FROM {moved}", keys.join(", ")));
    let mut holders = BTreeMap::new();
    for row in session.all(doing, sql).await? {
        let holder = UserId::try_from(row.get::<String>("holder")?);
        let holder = holder.map_err(|fault| Error::unexpected(doing, fault.to_string()))?;
        holders.insert(read_key(reference, &row)?, holder);
    }
    Ok(holders)
}

fn number(of: &str) -> String {
    format!("CAST(count({of}) AS {INT64})")
}

/// Returns the journaled rows `x` with the rows `t` that they name now. If the user is part of the key, only a row of the
/// successor is known to be the one.
fn moved_rows(sql: &mut Sql, reference: &Reference, ids: JournalIds) -> String {
    let rows = journal_rows(sql, reference, ids);
    let host = table(&reference.table);
    let same = match key_has_user(reference) {
        false => has_key(reference, "t", "x"),
        true => {
            let of_key = |(index, key): (usize, &Column)| match key.name == reference.user.name {
                true => format!("{} = {}", column("t", &key.name), cast("x.to_user", &key.cast)),
                false => format!("{} = x.k{index}", column("t", &key.name)),
            };
            reference.key.iter().enumerate().map(of_key).collect::<Vec<_>>().join(" AND ")
        }
    };
    format!("{rows} JOIN {host} t ON {same}")
}

/// Fails if a trigger has kept a column from taking its value.
pub async fn refuse_unset(
    session: &Session,
    change: &RowChange<'_>,
    values: &[(Column, SetValue)],
    ids: JournalIds,
) -> Result<()> {
    let reference = change.reference;
    let mut sql = session.sql("");
    let rows = journal_rows(&mut sql, reference, ids);
    let unset = unset(&mut sql, values, "t");
    sql.add(&format!(
        "SELECT CAST(count(*) AS {INT64}) AS n FROM {rows} JOIN {host} t ON {has_key} WHERE {unset}",
        host = table(&reference.table),
        has_key = has_key(reference, "t", "x"),
    ));
    match session.one(&change.doing(), sql).await?.map_or(Ok(0), |row| row.count("n"))? {
        0 => Ok(()),
        kept => Err(Error::ignored(&change.doing(), 0, kept)),
    }
}
