//! Users' access: their status.
//!
//! Locks: the rows of the users whose status changes, until the caller commits.

use std::collections::{HashMap, HashSet};

use super::columns::{read_status, status_columns, status_value};
use crate::catalog::Catalog;
use crate::contract::UserId;
use crate::plan::UserStatus;
use crate::store::dialect::JOBS;
use crate::store::dialect::sql::{as_text, column, quoted, table};
use crate::store::host::predicates::{LEAVES, has_status, in_org, open_states, org_of};
use crate::store::host::statements::new_value;
use crate::store::{Error, Result, Session};

/// Ends the leavers' access: sets them from active to inactive.
///
/// Fails with contention if one of them is not active any more, because the host has changed it, and as refused if a trigger of
/// the host keeps one active. The transaction must not go on then.
pub async fn lock_out(session: &Session, catalog: &Catalog, leavers: &[&UserId]) -> Result<()> {
    let users = &catalog.users;
    let doing = "locking the leavers out";
    let mut sql = session.sql("");
    let inactive = new_value(&mut sql, &users.table, &users.status.column, &users.status.inactive);
    let is_active = has_status(&mut sql, &users.status, "u", &users.status.active);
    let list = sql.host_list(&users.key, leavers.iter().map(|user| user.as_str()));
    let in_org = in_org(&mut sql, users.within.as_ref(), "u");
    let (host, key, status) = (table(&users.table), quoted(&users.key.name), quoted(&users.status.column.name));
    sql.add(&format!("UPDATE {host} AS u SET {status} = {inactive} WHERE {key} IN {list}{in_org} AND {is_active}"));
    let changed = session.run(doing, sql).await?;
    check_none_is_kept(session, catalog, leavers, &UserStatus::Active, doing).await?;
    match changed == leavers.len() as u64 {
        true => Ok(()),
        false => Err(Error::contention(doing, "the status of a leaver has changed meanwhile")),
    }
}

/// Fails as refused if one of these users has a status still that a statement of this transaction has replaced: a trigger of the
/// host keeps it.
async fn check_none_is_kept(
    session: &Session,
    catalog: &Catalog,
    users: &[&UserId],
    replaced: &UserStatus,
    doing: &str,
) -> Result<()> {
    let statuses = read_statuses(session, catalog, users).await?;
    let kept = users.iter().filter(|user| statuses.get(user.as_str()) == Some(replaced)).count() as u64;
    match kept {
        0 => Ok(()),
        kept => Err(Error::ignored(doing, users.len() as u64 - kept, users.len() as u64)),
    }
}

/// Sets a user from one status to another.
///
/// Fails with contention if the user does not have the expected status any more, and as refused if a trigger of the host keeps
/// it. The transaction must not go on then.
pub async fn set_status(
    session: &Session,
    catalog: &Catalog,
    user: &UserId,
    from: UserStatus,
    to: UserStatus,
) -> Result<()> {
    let doing = "setting a user's status";
    let users = &catalog.users;
    let mut sql = session.sql("");
    let key = sql.host(&users.key, user.as_str());
    let is_from = has_status(&mut sql, &users.status, "u", status_value(&users.status, &from)?);
    let to = new_value(&mut sql, &users.table, &users.status.column, status_value(&users.status, &to)?);
    let in_org = in_org(&mut sql, users.within.as_ref(), "u");
    sql.add(&format!(
        "UPDATE {host} AS u SET {status} = {to} WHERE {column} = {key} AND {is_from}{in_org}",
        host = table(&users.table),
        status = quoted(&users.status.column.name),
        column = quoted(&users.key.name),
    ));
    let changed = session.run(doing, sql).await?;
    check_none_is_kept(session, catalog, &[user], &from, doing).await?;
    match changed {
        1 => Ok(()),
        _ => Err(Error::contention(doing, "the status of a user has changed meanwhile")),
    }
}

/// Returns those of these users who can receive nothing of an organization now: they are not active, they are not of the
/// organization any more, or an open job has ended their access.
pub async fn gone_among(session: &Session, catalog: &Catalog, org: &str, users: &[&UserId]) -> Result<Vec<UserId>> {
    let table_of = &catalog.users;
    let mut sql = session.sql("");
    let list = sql.host_list(&table_of.key, users.iter().map(|user| user.as_str()));
    let is_active = has_status(&mut sql, &table_of.status, "u", &table_of.status.active);
    let in_org = in_org(&mut sql, table_of.within.as_ref(), "u");
    let id = as_text(&column("u", &table_of.key.name));
    let of_org = sql.bind(org);
    sql.add(&format!(
        "SELECT {id} AS id FROM {host} u WHERE {key} IN {list}{in_org} AND {is_active} AND {org} = {of_org} \
         AND NOT EXISTS (SELECT 1 FROM {JOBS} j WHERE j.org = {org} AND j.user_id = {id} AND j.state IN ({open}) AND {LEAVES} \
         AND j.access_ended_at IS NOT NULL)",
        host = table(&table_of.table),
        key = column("u", &table_of.key.name),
        org = org_of(catalog, "u"),
        open = open_states(),
    ));
    let rows = session.all("looking at the successors", sql).await?;
    let here: HashSet<String> = rows.iter().map(|row| row.get("id")).collect::<Result<_>>()?;
    Ok(users.iter().filter(|user| !here.contains(user.as_str())).map(|user| (*user).clone()).collect())
}

/// Returns those of these users who are not active now.
pub async fn inactive_among(session: &Session, catalog: &Catalog, users: &[&UserId]) -> Result<Vec<UserId>> {
    let statuses = read_statuses(session, catalog, users).await?;
    let is_active = |user: &UserId| statuses.get(user.as_str()) == Some(&UserStatus::Active);
    Ok(users.iter().filter(|user| !is_active(user)).map(|user| (*user).clone()).collect())
}

async fn read_statuses(session: &Session, catalog: &Catalog, ids: &[&UserId]) -> Result<HashMap<String, UserStatus>> {
    let users = &catalog.users;
    let mut sql = session.sql("");
    let list = sql.host_list(&users.key, ids.iter().map(|user| user.as_str()));
    let in_org = in_org(&mut sql, users.within.as_ref(), "u");
    let status = status_columns(&mut sql, users, "u");
    sql.add(&format!(
        "SELECT {id} AS id, {status} FROM {host} u WHERE {key} IN {list}{in_org}",
        id = as_text(&column("u", &users.key.name)),
        host = table(&users.table),
        key = column("u", &users.key.name),
    ));
    let rows = session.all("reading users' statuses", sql).await?;
    rows.iter().map(|row| Ok((row.get("id")?, read_status(row)?))).collect()
}
