//! The organizations of the host, and who belongs to them.

use std::collections::{BTreeSet, HashMap};

use crate::catalog::{Catalog, Column};
use crate::contract::UserId;
use crate::store::dialect::sql::{as_text, column, table};
use crate::store::host::predicates::{in_org, org_of};
use crate::store::{Result, Session};

/// Returns true if an organization has a user. `org` is the catalog's column of the organization.
pub async fn has_organization(session: &Session, catalog: &Catalog, org: &Column, id: &str) -> Result<bool> {
    let mut sql = session.sql("");
    let id = sql.host(org, id);
    let (host, org) = (table(&catalog.users.table), column("u", &org.name));
    sql.add(&format!("SELECT 1 AS one FROM {host} u WHERE {org} = {id} LIMIT 1"));
    Ok(session.one("looking for an organization", sql).await?.is_some())
}

/// Counts the organizations that have users.
pub async fn count_organizations(session: &Session, catalog: &Catalog, org: &Column) -> Result<u64> {
    let doing = "counting organizations";
    let (host, org) = (table(&catalog.users.table), column("u", &org.name));
    let row = session.one(doing, session.sql(&format!("SELECT count(DISTINCT {org}) AS n FROM {host} u"))).await?;
    row.map_or(Ok(0), |row| row.count("n"))
}

/// Returns the organization of each of these users who exists.
pub async fn organizations_of<'u>(
    session: &Session,
    catalog: &Catalog,
    users: impl IntoIterator<Item = &'u UserId>,
) -> Result<HashMap<String, String>> {
    let users: BTreeSet<&str> = users.into_iter().map(UserId::as_str).collect();
    if users.is_empty() {
        return Ok(HashMap::new());
    }
    let key = &catalog.users.key;
    let mut sql = session.sql("");
    let list = sql.host_list(key, users);
    let in_org = in_org(&mut sql, catalog.users.within.as_ref(), "u");
    let (id, org) = (as_text(&column("u", &key.name)), org_of(catalog, "u"));
    let host = table(&catalog.users.table);
    sql.add(&format!(
        "SELECT {id} AS id, {org} AS org FROM {host} u WHERE {column} IN {list}{in_org}",
        column = column("u", &key.name),
    ));
    let rows = session.all("looking up the organizations of users", sql).await?;
    rows.iter().map(|row| Ok((row.get("id")?, row.get("org")?))).collect()
}
