//! The licenses that jobs have freed: which ones, and giving them back.
//!
//! A snapshot of each is kept among those of the job, under a name that no kind of a catalog has.
//!
//! Locks: the rows of the licenses that change, until the caller commits.

use std::collections::BTreeSet;

use time::OffsetDateTime;
use uuid::Uuid;

use super::licenses::{held_by, is_free, nobody, of_org};
use crate::catalog::{Catalog, License};
use crate::contract::UserId;
use crate::store::dialect::sql::{ColumnArray, Sql, as_text, column, quoted, table};
use crate::store::dialect::{ROW_SNAPSHOTS, RowLock, Type};
use crate::store::host::predicates::in_org;
use crate::store::host::row_codec::{snapshot_json, snapshot_rows};
use crate::store::host::user_match::points_at;
use crate::store::ledger::row_snapshots::LICENSE;
use crate::store::{Error, Result, Row, Session};

const GIVING_BACK: &str = "giving licenses back";

/// Frees the licenses of the leavers of jobs, which keep a snapshot of each, and returns the leavers who held one. The rows stay,
/// and point at nobody.
///
/// Locks: the leavers' licenses, in no order: the caller has locked the leavers.
pub async fn free_licenses(
    session: &Session,
    catalog: &Catalog,
    leavers: &[(Uuid, &UserId)],
    now: OffsetDateTime,
) -> Result<BTreeSet<UserId>> {
    let doing = "freeing licenses";
    let Some(license) = catalog.license.as_ref().filter(|_| !leavers.is_empty()) else {
        return Ok(BTreeSet::new());
    };
    let held = session.all(doing, snapshots_of(session, license, leavers, now)).await?;
    let holders = held.iter().map(read_holder).collect::<Result<BTreeSet<UserId>>>()?;
    if holders.is_empty() {
        return Ok(holders);
    }
    let mut sql = session.sql("");
    let nobody = nobody(&mut sql, license);
    let of_holders = held_by(&mut sql, license, holders.iter().map(UserId::as_str));
    let (host, user) = (table(&license.table), quoted(&license.user.name));
    sql.add(&format!("UPDATE {host} AS l SET {user} = {nobody} WHERE {of_holders}"));
    let freed = session.run(doing, sql).await?;
    match freed == held.len() as u64 {
        true => Ok(holders),
        false => Err(Error::ignored(doing, freed, held.len() as u64)),
    }
}

/// Takes snapshots of the licenses that leavers of jobs hold, and locks these. Returns the holder of each.
fn snapshots_of(session: &Session, license: &License, leavers: &[(Uuid, &UserId)], now: OffsetDateTime) -> Sql {
    let mut sql = session.sql("");
    let kept: Vec<_> = license.key.iter().chain(&license.of).collect();
    let content = snapshot_json(sql.dialect(), &kept, "l");
    let users = || leavers.iter().map(|(_, user)| user.as_str());
    let arrays = vec![
        ColumnArray::new(Type::Uuid, "job", leavers.iter().map(|(job, _)| Some(job))),
        ColumnArray::new(Type::Text, "name", users().map(Some)),
        ColumnArray::of("leaver", &license.user, users()),
    ];
    let (of_jobs, in_org) = (sql.small_table("j", arrays), in_org(&mut sql, license.within.as_ref(), "l"));
    let (host, at) = (sql.bind(license.table.to_string()), sql.bind(now));
    let lock = sql.dialect().row_lock(RowLock::Wait, Some("l"));
    let returning = sql.dialect().returning("from_user AS holder");
    sql.add(&format!(
        "INSERT INTO {ROW_SNAPSHOTS} (job_id, from_user, content, kind, table_name, at) \
         SELECT j.job, j.name, {content}, '{LICENSE}', {host}, {at} FROM {of_jobs} \
         JOIN {licenses} l ON {is_theirs}{in_org}{lock}{returning}",
        licenses = table(&license.table),
        is_theirs = points_at(&license.user, "l", "j.leaver"),
    ));
    sql
}

fn read_holder(row: &Row) -> Result<UserId> {
    UserId::try_from(row.get::<String>("holder")?).map_err(|what| row.invalid(what.to_string()))
}

/// Licenses of one product that are missing for a user.
struct Missing {
    /// The product, where the catalog names its column.
    product: Option<String>,
    count: u64,
}

/// Returns true if a user can get the licenses back that these snapshots hold, or others of the same product.
pub async fn can_restore_licenses(
    session: &Session,
    catalog: &Catalog,
    org: &str,
    user: &UserId,
    snapshots: &[i64],
) -> Result<bool> {
    let Some(license) = &catalog.license else { return Ok(true) };
    for missing in missing(session, license, user, snapshots).await? {
        let mut sql = session.sql("");
        let host = table(&license.table);
        let (free, of_org) = (is_free(&mut sql, license), of_org(&mut sql, license.org.as_ref(), org));
        let of_product = of_product(&mut sql, license, missing.product.as_deref());
        sql.add(&format!("SELECT count(*) AS n FROM {host} WHERE {free}{of_org}{of_product}"));
        let row = session.one("counting free licenses", sql).await?;
        if row.map_or(Ok(0), |row| row.count("n"))? < missing.count {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Gives a user the licenses back that these snapshots hold; where one is taken, another of the same product. Call
/// [`can_restore_licenses`] before: fails as contention if others have taken the last ones since.
///
/// Locks: these licenses.
pub async fn restore_licenses(
    session: &Session,
    catalog: &Catalog,
    org: &str,
    user: &UserId,
    snapshots: &[i64],
) -> Result<()> {
    let Some(license) = &catalog.license else { return Ok(()) };
    let (host, holder, keys) = (table(&license.table), quoted(&license.user.name), keys(license));
    let mut sql = session.sql("");
    let (to, free) = (sql.host(&license.user, user.as_str()), is_free(&mut sql, license));
    let rows = snapshot_rows(&mut sql, &license.key.iter().collect::<Vec<_>>(), snapshots).table;
    sql.add(&format!(
        "UPDATE {host} SET {holder} = {to} WHERE {free} \
         AND ({keys}) IN (SELECT {keys} FROM {rows})"
    ));
    session.run(GIVING_BACK, sql).await?;
    for missing in missing(session, license, user, snapshots).await? {
        let mut sql = session.sql("");
        let (to, free) = (sql.host(&license.user, user.as_str()), is_free(&mut sql, license));
        let of_org = of_org(&mut sql, license.org.as_ref(), org);
        let of_product = of_product(&mut sql, license, missing.product.as_deref());
        let lock = sql.dialect().row_lock(RowLock::Wait, None);
        sql.add(&format!(
            "UPDATE {host} SET {holder} = {to} WHERE ({keys}) IN \
             (SELECT {keys} FROM {host} WHERE {free}{of_org}{of_product} ORDER BY {keys} LIMIT {count}{lock}) AND {free}",
            count = missing.count
        ));
        if session.run(GIVING_BACK, sql).await? != missing.count {
            return Err(Error::contention(GIVING_BACK, "others have taken the last free licenses"));
        }
    }
    Ok(())
}

/// Counts the licenses of these snapshots that the user does not hold, by product.
async fn missing(session: &Session, license: &License, user: &UserId, snapshots: &[i64]) -> Result<Vec<Missing>> {
    let mut sql = session.sql("");
    let kept: Vec<_> = license.key.iter().chain(&license.of).collect();
    let rows = snapshot_rows(&mut sql, &kept, snapshots).table;
    let held = held_by(&mut sql, license, std::iter::once(user.as_str()));
    let same = license.key.iter().map(|key| format!("{} = {}", column("l", &key.name), column("r", &key.name)));
    let same = same.collect::<Vec<_>>().join(" AND ");
    let product = license.of.as_ref().map_or("NULL".to_owned(), |of| as_text(&column("r", &of.name)));
    let lacks = format!("NOT EXISTS (SELECT 1 FROM {} l WHERE {same} AND {held})", table(&license.table));
    sql.add(&format!(
        "SELECT m.product, count(*) AS n FROM (SELECT {product} AS product FROM {rows} WHERE {lacks}) m GROUP BY m.product"
    ));
    let rows = session.all("counting missing licenses", sql).await?;
    rows.iter().map(|row| Ok(Missing { product: row.get("product")?, count: row.count("n")? })).collect()
}

/// Tests that a license is of a product, where the catalog names the column of products.
fn of_product(sql: &mut Sql, license: &License, product: Option<&str>) -> String {
    match (&license.of, product) {
        (None, _) => String::new(),
        (Some(of), None) => format!(" AND {} IS NULL", quoted(&of.name)),
        (Some(of), Some(product)) => format!(" AND {} = {}", quoted(&of.name), sql.host(of, product)),
    }
}

fn keys(license: &License) -> String {
    license.key.iter().map(|key| quoted(&key.name)).collect::<Vec<_>>().join(", ")
}
