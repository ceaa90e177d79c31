//! Users' licenses: rows of the host that point at the user who holds them, or at nobody.
//!
//! Locks: the rows of the licenses that change, until the caller commits.

use std::collections::BTreeSet;

use crate::catalog::{Catalog, Column, License};
use crate::contract::UserId;
use crate::store::dialect::RowLock;
use crate::store::dialect::sql::{Sql, as_text, quoted, table};
use crate::store::host::predicates::in_org;
use crate::store::{Result, Row, Session};

const FREEING: &str = "freeing licenses";

/// Frees the leavers' licenses and returns the leavers who held one. The rows stay, and point at nobody.
///
/// Locks: the leavers' licenses, in no order: the caller has locked the leavers.
pub async fn free_licenses(session: &Session, catalog: &Catalog, leavers: &[&UserId]) -> Result<Vec<UserId>> {
    let Some(license) = catalog.license.as_ref().filter(|_| !leavers.is_empty()) else {
        return Ok(Vec::new());
    };
    match session.capabilities().writable_ctes {
        true => free_at_once(session, license, leavers).await,
        false => free_after_reading(session, license, leavers).await,
    }
}

/// Frees and reads in one statement: both parts see the rows as they were when it began.
async fn free_at_once(session: &Session, license: &License, leavers: &[&UserId]) -> Result<Vec<UserId>> {
    let (host, user) = (table(&license.table), quoted(&license.user.name));
    let mut sql = session.sql("");
    let held = held_by(&mut sql, license, leavers.iter().map(|user| user.as_str()));
    let nobody = nobody(&mut sql, license);
    sql.add(&format!(
        "WITH freed AS (UPDATE {host} AS l SET {user} = {nobody} WHERE {held}) \
         SELECT DISTINCT {holder} AS holder FROM {host} l WHERE {held}",
        holder = as_text(&user),
    ));
    let rows = session.all(FREEING, sql).await?;
    rows.iter().map(read_holder).collect()
}

/// Reads the holders, with their licenses locked, and frees these.
async fn free_after_reading(session: &Session, license: &License, leavers: &[&UserId]) -> Result<Vec<UserId>> {
    let (host, user) = (table(&license.table), quoted(&license.user.name));
    let mut sql = session.sql("");
    let held = held_by(&mut sql, license, leavers.iter().map(|user| user.as_str()));
    let lock = sql.dialect().row_lock(RowLock::Wait, None);
    sql.add(&format!("SELECT {} AS holder FROM {host} l WHERE {held}{lock}", as_text(&user)));
    let rows = session.all(FREEING, sql).await?;
    let holders = rows.iter().map(read_holder).collect::<Result<BTreeSet<UserId>>>()?;
    if !holders.is_empty() {
        let mut sql = session.sql("");
        let nobody = nobody(&mut sql, license);
        let held = held_by(&mut sql, license, holders.iter().map(UserId::as_str));
        sql.add(&format!("UPDATE {host} AS l SET {user} = {nobody} WHERE {held}"));
        session.run(FREEING, sql).await?;
    }
    Ok(holders.into_iter().collect())
}

fn read_holder(row: &Row) -> Result<UserId> {
    UserId::try_from(row.get::<String>("holder")?).map_err(|what| row.invalid(what.to_string()))
}

/// Tests that a license `l` is held by one of these users.
fn held_by<'u>(sql: &mut Sql, license: &License, users: impl Iterator<Item = &'u str>) -> String {
    let list = sql.host_list(&license.user, users);
    format!("{} IN {list}{}", quoted(&license.user.name), in_org(sql, license.within.as_ref(), "l"))
}

/// Returns the value of a license that nobody holds.
fn nobody(sql: &mut Sql, license: &License) -> String {
    license.free.as_ref().map_or("NULL".to_owned(), |free| sql.host(&license.user, free))
}

/// Gives a user a license, and returns true if they hold one afterwards.
///
/// Locks: one free license. Waits for a transaction that frees or takes the last one.
pub async fn take_license(session: &Session, catalog: &Catalog, org: &str, user: &UserId) -> Result<bool> {
    let doing = "taking a license";
    let Some(license) = &catalog.license else { return Ok(true) };
    let (host, holder) = (table(&license.table), quoted(&license.user.name));
    let mut sql = session.sql("");
    let held = held_by(&mut sql, license, std::iter::once(user.as_str()));
    sql.add(&format!("SELECT 1 FROM {host} l WHERE {held} LIMIT 1"));
    if session.one(doing, sql).await?.is_some() {
        return Ok(true);
    }
    let keys: Vec<String> = license.key.iter().map(|key| quoted(&key.name)).collect();
    let keys = keys.join(", ");
    let mut sql = session.sql("");
    let user = sql.host(&license.user, user.as_str());
    let of_org = of_org(&mut sql, license.org.as_ref(), org);
    let free = is_free(&mut sql, license);
    let lock = sql.dialect().row_lock(RowLock::Wait, None);
    sql.add(&format!(
        "UPDATE {host} SET {holder} = {user} WHERE ({keys}) IN \
         (SELECT {keys} FROM {host} WHERE {free}{of_org} ORDER BY {keys} LIMIT 1{lock}) AND {free}"
    ));
    Ok(session.run(doing, sql).await? == 1)
}

/// Returns true if a user could take a license now: they hold one, or one is free.
pub async fn can_take_license(session: &Session, catalog: &Catalog, org: &str, user: &UserId) -> Result<bool> {
    let Some(license) = &catalog.license else { return Ok(true) };
    let (host, holder) = (table(&license.table), quoted(&license.user.name));
    let mut sql = session.sql("");
    let user = sql.host(&license.user, user.as_str());
    let free = is_free(&mut sql, license);
    let of_org = of_org(&mut sql, license.org.as_ref(), org);
    sql.add(&format!("SELECT 1 FROM {host} WHERE {holder} = {user} OR {free}{of_org} LIMIT 1"));
    Ok(session.one("looking for a license", sql).await?.is_some())
}

/// Tests that nobody holds a license.
fn is_free(sql: &mut Sql, license: &License) -> String {
    let holder = quoted(&license.user.name);
    match &license.free {
        Some(free) => format!("({holder} IS NULL OR {holder} = {})", sql.host(&license.user, free)),
        None => format!("{holder} IS NULL"),
    }
}

/// Tests that a row is of an organization, if its table says so.
pub fn of_org(sql: &mut Sql, column: Option<&Column>, org: &str) -> String {
    column.map_or(String::new(), |column| format!(" AND {} = {}", quoted(&column.name), sql.host(column, org)))
}
