//! Users' licenses: rows of the host that point at the user who holds them, or at nobody.
//!
//! Locks: the rows of the licenses that change, until the caller commits.

use crate::catalog::{Catalog, Column, License};
use crate::contract::UserId;
use crate::store::dialect::RowLock;
use crate::store::dialect::sql::{Sql, quoted, table};
use crate::store::host::predicates::in_org;
use crate::store::host::user_match::is_among;
use crate::store::{Result, Session};

/// Tests that a license `l` is held by one of these users.
pub(super) fn held_by<'u>(sql: &mut Sql, license: &License, users: impl Iterator<Item = &'u str>) -> String {
    let held = is_among(sql, &license.user, &quoted(&license.user.name), users);
    held + &in_org(sql, license.within.as_ref(), "l")
}

/// Returns the value of a license that nobody holds.
pub(super) fn nobody(sql: &mut Sql, license: &License) -> String {
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

/// Tests that nobody holds a license.
pub(super) fn is_free(sql: &mut Sql, license: &License) -> String {
    let holder = quoted(&license.user.name);
    match &license.free {
        Some(free) => format!("({holder} IS NULL OR {holder} = {})", sql.host(&license.user, free)),
        None => format!("{holder} IS NULL"),
    }
}

/// Tests that a row is of an organization, if its table says so.
pub(super) fn of_org(sql: &mut Sql, column: Option<&Column>, org: &str) -> String {
    column.map_or(String::new(), |column| format!(" AND {} = {}", quoted(&column.name), sql.host(column, org)))
}
