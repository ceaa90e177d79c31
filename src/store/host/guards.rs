//! Facts about records for the guards: rows that block, rows that are shared, and lines of report.

use std::collections::{HashMap, HashSet};

use super::keys::read_key;
use super::predicates::{filter, in_org, key_columns, row_tests, sole_test};
use super::user_match::{equal, is_among, is_user, points_at};
use crate::catalog::{Catalog, Reference};
use crate::contract::UserId;
use crate::store::dialect::RowLock;
use crate::store::dialect::sql::{as_text, as_texts, column, table};
use crate::store::{Result, Session};

/// Returns the keys of the first few rows that block a leaver, for the reason. Rows without a key have none to show.
pub async fn blocking_keys(
    session: &Session,
    catalog: &Catalog,
    reference: &Reference,
    leaver: &UserId,
) -> Result<Vec<String>> {
    if reference.keyless {
        return Ok(Vec::new());
    }
    let mut sql = session.sql("");
    let user = sql.host(&reference.user, leaver.as_str());
    let tests =
        row_tests(&mut sql, reference, "t") + &sole_test(&mut sql, catalog, reference, "t", &[leaver.to_string()]);
    sql.add(&format!(
        "SELECT {texts} FROM {host} t WHERE {is_theirs}{tests} ORDER BY {order} LIMIT 5",
        texts = as_texts(&reference.key, "t"),
        host = table(&reference.table),
        is_theirs = points_at(&reference.user, "t", &user),
        order = key_columns(reference, "t"),
    ));
    let rows = session.all(&format!("reading {}", reference.kind), sql).await?;
    rows.iter().map(|row| read_key(reference, row).map(|key| key.join(","))).collect()
}

/// Locks the rows of everybody who shares a group with a leaver, if a guard asks for the last of it. Of two who leave at once,
/// the second waits, and then finds the first one gone.
///
/// Locks: the group's rows, in key order. A database without row locks has one writer, and needs none.
pub async fn lock_group_rows(session: &Session, reference: &Reference, leavers: &[&UserId]) -> Result<()> {
    let Some(sole_in) = reference.disposition.sole_in() else { return Ok(()) };
    if !session.capabilities().row_locks {
        return Ok(());
    }
    let mut sql = session.sql("");
    let ids = leavers.iter().map(|leaver| leaver.as_str());
    let is_theirs = is_among(&mut sql, &reference.user, &column("l", &reference.user.name), ids);
    let mut tests =
        |alias: &str| in_org(&mut sql, reference.within.as_ref(), alias) + &filter(&mut sql, &reference.filter, alias);
    let (sharing, theirs) = (tests("t"), tests("l"));
    sql.add(&format!(
        "SELECT 1 FROM {host} t WHERE {group} IN (SELECT {inner} FROM {host} l WHERE {is_theirs}{theirs}){sharing} \
         ORDER BY {keys}{lock}",
        host = table(&reference.table),
        group = column("t", &sole_in.name),
        inner = column("l", &sole_in.name),
        keys = key_columns(reference, "t"),
        lock = sql.dialect().row_lock(RowLock::Wait, None),
    ));
    session.all(&format!("locking {}", reference.kind), sql).await?;
    Ok(())
}

/// Returns the keys of records named in a request that are not the leaver's.
pub async fn not_owned<'k>(
    session: &Session,
    reference: &Reference,
    leaver: &UserId,
    keys: impl IntoIterator<Item = &'k str>,
) -> Result<Vec<String>> {
    let keys: Vec<&str> = keys.into_iter().collect();
    let [key] = reference.key.as_slice() else { return Ok(Vec::new()) };
    let mut sql = session.sql("");
    let user = sql.host(&reference.user, leaver.as_str());
    let list = sql.host_list(key, keys.iter().copied());
    let tests = row_tests(&mut sql, reference, "t");
    sql.add(&format!(
        "SELECT {text} AS k0 FROM {host} t WHERE {column} IN {list} AND {is_theirs}{tests}",
        text = as_text(&column("t", &key.name)),
        host = table(&reference.table),
        column = column("t", &key.name),
        is_theirs = points_at(&reference.user, "t", &user),
    ));
    let mut owned = HashSet::new();
    for row in session.all(&format!("looking for the named records of {}", reference.kind), sql).await? {
        owned.extend(read_key(reference, &row)?);
    }
    Ok(keys.into_iter().filter(|key| !owned.contains(*key)).map(str::to_owned).collect())
}

/// Returns for each of these users who is below the leaver in a hierarchy on the users' own table: the leaver's direct report
/// above them, or the users themselves. A hierarchy with a circle ends where it repeats.
pub async fn direct_reports_above(
    session: &Session,
    catalog: &Catalog,
    reference: &Reference,
    leaver: &UserId,
    users: &[&UserId],
) -> Result<HashMap<UserId, String>> {
    let key = &catalog.users.key;
    let mut sql = session.sql("");
    let list = sql.host_list(key, users.iter().map(|user| user.as_str()));
    let leaver = sql.host(&reference.user, leaver.as_str());
    let in_org = in_org(&mut sql, catalog.users.within.as_ref(), "u");
    sql.add(&format!(
        "WITH RECURSIVE up AS (\
           SELECT {id} AS start, {id} AS at, {boss} AS boss FROM {host} u WHERE {id} IN {list}{in_org} \
           UNION SELECT up.start, {id}, {boss} FROM up JOIN {host} u ON {is_boss}{in_org} WHERE NOT ({is_leaver})) \
         SELECT {start} AS start, {report} AS report FROM up WHERE {is_leaver}",
        id = column("u", &key.name),
        boss = column("u", &reference.user.name),
        is_leaver = equal("up.boss", &leaver, &reference.user),
        is_boss = is_user(&column("u", &key.name), key, "up.boss", &reference.user),
        host = table(&reference.table),
        start = as_text("up.start"),
        report = as_text("up.at"),
    ));
    let rows = session.all(&format!("looking above the successors of {}", reference.kind), sql).await?;
    let read = |row: &crate::store::Row| {
        let start = UserId::try_from(row.get::<String>("start")?).map_err(|what| row.invalid(what.to_string()))?;
        Ok((start, row.get("report")?))
    };
    rows.iter().map(read).collect()
}
