//! The organizations of the host: those that have a user.

use crate::catalog::{Catalog, Column};
use crate::store::dialect::sql::{column, table};
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
