//! The list of users that the command line shows.

use super::columns::{read_status, status_columns};
use crate::catalog::Catalog;
use crate::plan::UserStatus;
use crate::store::dialect::sql::{INT64, as_text, column, table};
use crate::store::host::predicates::{in_org, org_of};
use crate::store::host::user_match::is_user;
use crate::store::{Result, Row, Session};

/// A user as `handover users` shows them.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct UserListing {
    /// The id.
    pub id: String,
    /// The organization; empty if the host has none.
    pub org: String,
    /// The name.
    pub name: String,
    /// The email address.
    pub email: String,
    /// The status in the catalog's terms, or the host's own value if the catalog does not name it.
    pub status: String,
    /// True if they hold a license.
    pub license: bool,
}

/// Lists users of some statuses (of all, if none is given) after a key, in key order, at most `limit` of them.
pub async fn list_users(
    session: &Session,
    catalog: &Catalog,
    statuses: &[&str],
    after: Option<&str>,
    limit: u64,
) -> Result<Vec<UserListing>> {
    let users = &catalog.users;
    let key = column("u", &users.key.name);
    let mut sql = session.sql("");
    let mut tests = vec!["TRUE".to_owned()];
    if !statuses.is_empty() {
        let list = sql.host_list(&users.status.column, statuses.iter().copied());
        tests.push(format!("{} IN {list}", column("u", &users.status.column.name)));
    }
    if let Some(after) = after {
        tests.push(format!("{key} > {}", sql.host(&users.key, after)));
    }
    let license = catalog.license.as_ref().map_or("FALSE".to_owned(), |license| {
        let held = is_user(&key, &users.key, &column("l", &license.user.name), &license.user);
        let host = table(&license.table);
        let in_org = in_org(&mut sql, license.within.as_ref(), "l");
        format!("EXISTS (SELECT 1 FROM {host} l WHERE {held}{in_org})")
    });
    let limit = sql.bind(limit as i64);
    let in_org = in_org(&mut sql, users.within.as_ref(), "u");
    let status = status_columns(&mut sql, users, "u");
    sql.add(&format!(
        "SELECT {id} AS id, {org} AS org, {name} AS name, {email} AS email, {status}, \
         CAST(CASE WHEN {license} THEN 1 ELSE 0 END AS {INT64}) AS license \
         FROM {host} u WHERE {tests}{in_org} ORDER BY {key} LIMIT {limit}",
        id = as_text(&key),
        org = org_of(catalog, "u"),
        name = as_text(&column("u", &users.name.name)),
        email = as_text(&column("u", &users.email.name)),
        host = table(&users.table),
        tests = tests.join(" AND "),
    ));
    let rows = session.all("listing users", sql).await?;
    rows.iter().map(read_listing).collect()
}

fn read_listing(row: &Row) -> Result<UserListing> {
    let text = |column: &str| row.get::<Option<String>>(column).map(Option::unwrap_or_default);
    let status = match read_status(row)? {
        UserStatus::Active => "active".to_owned(),
        UserStatus::Inactive => "inactive".to_owned(),
        UserStatus::Invited => "invited".to_owned(),
        UserStatus::Other(status) => status,
    };
    Ok(UserListing {
        id: text("id")?,
        org: text("org")?,
        name: text("name")?,
        email: text("email")?,
        status,
        license: row.get::<i64>("license")? != 0,
    })
}
