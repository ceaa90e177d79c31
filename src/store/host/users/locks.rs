//! Locks on users. They keep two jobs from planning with the same person at the same time.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use crate::catalog::Catalog;
use crate::contract::UserId;
use crate::store::dialect::sql::{ColumnArray, Sql, quoted, table};
use crate::store::dialect::{RowLock, Type};
use crate::store::host::predicates::in_org;
use crate::store::{Result, Session};

/// The most users that a transaction locks one by one. The server has room for some thousands of locks, for all sessions together.
const MOST_USERS: usize = 256;

/// Locks users until the transaction ends: leavers exclusively, receivers shared with other receivers.
///
/// Locks: a number for each user, a hash of organization and user, and one for each organization, shared. Above `MOST_USERS`,
/// only the organizations, exclusively. One statement takes all of them in ascending order, so no two transactions wait for each
/// other. The host's own rows are not locked, and its inserts do not wait. A database without such locks has one writer, and needs
/// none.
pub async fn lock_users(session: &Session, leavers: &[(&str, &UserId)], receivers: &[(&str, &UserId)]) -> Result<()> {
    if !session.capabilities().advisory_locks {
        return Ok(());
    }
    lock(session, "locking users", &locks_on(leavers, receivers)).await
}

/// Takes locks in ascending order, by one statement.
async fn lock(session: &Session, doing: &str, locks: &BTreeMap<i64, bool>) -> Result<()> {
    let mut sql = session.sql("");
    let locks = lock_table(&mut sql, locks);
    sql.add(&format!("SELECT count({}) FROM {locks}", sql.dialect().advisory_lock("l.key", "l.exclusive")));
    session.one(doing, sql).await?;
    Ok(())
}

/// Locks users of an organization in shared mode until the transaction ends, without waiting. Returns false if another transaction
/// plans for one of them as a leaver: then nobody knows yet whether they may still receive something.
///
/// Locks: as [`lock_users`]. It does not wait, so the caller may hold other locks, such as a chunk's.
pub async fn try_lock_receivers(session: &Session, org: &str, receivers: &[&UserId]) -> Result<bool> {
    if !session.capabilities().advisory_locks || receivers.is_empty() {
        return Ok(true);
    }
    let receivers: Vec<_> = receivers.iter().map(|user| (org, *user)).collect();
    let mut sql = session.sql("");
    let locks = lock_table(&mut sql, &locks_on(&[], &receivers));
    let is_locked = sql.dialect().try_advisory_lock("l.key", "l.exclusive");
    sql.add(&format!("SELECT 1 AS refused FROM {locks} WHERE NOT {is_locked}"));
    Ok(session.all("locking the successors", sql).await?.is_empty())
}

/// Locks the rows that two users of one of these organizations may share, until the transaction ends. Two leavers who follow each
/// other want the same rows, by different references and so in another order: here, and only here, their transactions wait for each
/// other.
///
/// Locks: a number for each organization, in ascending order. Take it after the locks on users, and before any row of the host.
pub async fn lock_shared_rows(session: &Session, orgs: &BTreeSet<&str>) -> Result<()> {
    if !session.capabilities().advisory_locks || orgs.is_empty() {
        return Ok(());
    }
    let locks = orgs.iter().map(|org| (lock_key(&format!("handover shared rows:{org}")), true)).collect();
    lock(session, "locking shared rows", &locks).await
}

/// Returns the locks on users, each with true if it is exclusive.
fn locks_on(leavers: &[(&str, &UserId)], receivers: &[(&str, &UserId)]) -> BTreeMap<i64, bool> {
    let mut users: BTreeMap<i64, bool> = receivers.iter().map(|(org, user)| (user_lock(org, user), false)).collect();
    users.extend(leavers.iter().map(|(org, user)| (user_lock(org, user), true)));
    let are_too_many = users.len() > MOST_USERS;
    let orgs: BTreeSet<&str> = leavers.iter().chain(receivers).map(|(org, _)| *org).collect();
    let mut locks: BTreeMap<i64, bool> = if are_too_many { BTreeMap::new() } else { users };
    locks.extend(orgs.into_iter().map(|org| (org_lock(org), are_too_many)));
    locks
}

/// Returns a table `l` of locks, in the order in which they are taken.
fn lock_table(sql: &mut Sql, locks: &BTreeMap<i64, bool>) -> String {
    let arrays = vec![
        ColumnArray::new(Type::Int64, "key", locks.keys().map(Some)),
        ColumnArray::new(Type::Bool, "exclusive", locks.values().map(Some)),
    ];
    sql.small_table("l", arrays)
}

fn user_lock(org: &str, user: &UserId) -> i64 {
    lock_key(&format!("handover:{}:{org}:{user}", org.len()))
}

fn org_lock(org: &str) -> i64 {
    lock_key(&format!("handover organization:{org}"))
}

fn lock_key(text: &str) -> i64 {
    let digest = Sha256::digest(text);
    let mut key = [0; 8];
    key.copy_from_slice(&digest[..8]);
    i64::from_be_bytes(key)
}

/// Locks the leavers' own rows. The host's inserts that hold a foreign key to them finish first, so that what they insert
/// is counted afterwards.
///
/// Locks: the leavers' rows in the users' table, in key order. A database without row locks has one writer, and needs none.
pub async fn lock_leaver_rows(session: &Session, catalog: &Catalog, leavers: &[&UserId]) -> Result<()> {
    if !session.capabilities().row_locks {
        return Ok(());
    }
    let key = &catalog.users.key;
    let mut sql = session.sql("");
    let list = sql.host_list(key, leavers.iter().map(|user| user.as_str()));
    let in_org = in_org(&mut sql, catalog.users.within.as_ref(), "u");
    let (host, column) = (table(&catalog.users.table), quoted(&key.name));
    let lock = sql.dialect().row_lock(RowLock::Wait, None);
    sql.add(&format!("SELECT 1 FROM {host} u WHERE {column} IN {list}{in_org} ORDER BY {column}{lock}"));
    session.all("locking the leavers' rows", sql).await?;
    Ok(())
}
