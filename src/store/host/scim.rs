//! The host's users as identity providers read and write them.
//!
//! Locks: the row that is found to be changed, until the caller commits.

mod conditions;
mod scope;

use self::conditions::{is_active, tests};
pub use self::scope::ScimScope;
use self::scope::external_id;
use super::predicates::{in_org, meets};
use super::users::{parse_user, read_status, status_columns, user_text};
use crate::catalog::{Column, NameColumns};
use crate::contract::UserId;
use crate::plan::UserStatus;
use crate::scim::Condition;
use crate::store::dialect::sql::{INT64, Sql, as_text, column, quoted, table};
use crate::store::dialect::{RowLock, SCIM_LINKS};
use crate::store::{Locking, Result, Row, Session};

/// A user, as the host has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScimUser {
    /// The id.
    pub id: UserId,
    /// The user name.
    pub user_name: Option<String>,
    /// The whole name, if it is one column.
    pub name: Option<String>,
    /// The given name, if it has a column.
    pub given_name: Option<String>,
    /// The family name, if it has a column.
    pub family_name: Option<String>,
    /// The email address.
    pub email: Option<String>,
    /// The title, if it is mapped.
    pub title: Option<String>,
    /// The manager, if they are mapped.
    pub manager: Option<UserId>,
    /// The provider's key.
    pub external_id: Option<String>,
    /// The status.
    pub status: UserStatus,
    /// True if no connection may change them.
    pub is_protected: bool,
}

/// Counts the users who pass a condition.
pub async fn count_scim_users(session: &Session, scope: ScimScope<'_>, condition: &Condition) -> Result<u64> {
    let mut sql = session.sql("");
    let tests = tests(&mut sql, scope, condition);
    let within = visible(&mut sql, scope);
    sql.add(&format!("SELECT count(*) AS n FROM {} u WHERE {tests}{within}", table(&scope.catalog.users.table)));
    session.one("counting users for a provider", sql).await?.map_or(Ok(0), |row| row.count("n"))
}

/// Lists the users who pass a condition, in key order: after a number of users, at most `limit` of them.
pub async fn list_scim_users(
    session: &Session,
    scope: ScimScope<'_>,
    condition: &Condition,
    (skip, limit): (u64, u64),
) -> Result<Vec<ScimUser>> {
    let mut sql = session.sql("");
    select(&mut sql, scope);
    let tests = tests(&mut sql, scope, condition);
    let within = visible(&mut sql, scope);
    let (limit, skip) = (sql.bind(limit as i64), sql.bind(i64::try_from(skip).unwrap_or(i64::MAX)));
    let key = column("u", &scope.catalog.users.key.name);
    sql.add(&format!(" WHERE {tests}{within} ORDER BY {key} LIMIT {limit} OFFSET {skip}"));
    session.all("listing users for a provider", sql).await?.iter().map(|row| read(row, scope)).collect()
}

/// Returns a user, if the organization has them.
pub async fn find_scim_user(
    session: &Session,
    scope: ScimScope<'_>,
    id: &UserId,
    locking: Locking,
) -> Result<Option<ScimUser>> {
    let users = &scope.catalog.users;
    let mut sql = session.sql("");
    select(&mut sql, scope);
    let id = sql.host(&users.key, id.as_str());
    let within = visible(&mut sql, scope);
    sql.add(&format!(" WHERE {} = {id}{within}", column("u", &users.key.name)));
    if locking.applies(session.capabilities()) {
        sql.add(&session.dialect().row_lock(RowLock::Wait, Some("u")));
    }
    session.one("reading a user for a provider", sql).await?.map(|row| read(&row, scope)).transpose()
}

/// Writes columns of a user. Returns false if the organization does not have them.
pub async fn write_scim_user(
    session: &Session,
    scope: ScimScope<'_>,
    id: &UserId,
    values: &[(&Column, Option<String>)],
) -> Result<bool> {
    let users = &scope.catalog.users;
    let mut sql = session.sql("");
    let assignments: Vec<String> = (values.iter())
        .map(|(column, value)| {
            let value = value.as_ref().map_or("NULL".to_owned(), |value| sql.host(column, value));
            format!("{} = {value}", quoted(&column.name))
        })
        .collect();
    let id = sql.host(&users.key, id.as_str());
    let within = in_org(&mut sql, users.within.as_ref(), "u");
    sql.add(&format!(
        "UPDATE {host} AS u SET {assignments} WHERE {key} = {id}{within}",
        host = table(&users.table),
        assignments = assignments.join(", "),
        key = column("u", &users.key.name),
    ));
    Ok(session.run("writing a user for a provider", sql).await? == 1)
}

/// Writes the SELECT of users `u`, up to its FROM.
fn select(sql: &mut Sql, scope: ScimScope<'_>) {
    let ScimScope { catalog, scim, .. } = scope;
    let users = &catalog.users;
    let text = |of: &Column| as_text(&column("u", &of.name));
    let optional = |of: Option<&Column>| of.map_or("NULL".to_owned(), text);
    let (name, given, family) = match &scim.name {
        NameColumns::Whole(whole) => (text(whole), "NULL".to_owned(), "NULL".to_owned()),
        NameColumns::Parts { given, family } => ("NULL".to_owned(), text(given), text(family)),
    };
    let manager = match &scim.manager {
        Some(manager) => user_text(sql, users, &column("u", &manager.name), manager),
        None => "NULL".to_owned(),
    };
    let external_id = external_id(sql, scope);
    let status = status_columns(sql, users, "u");
    let protected = match &scim.protected {
        Some(condition) => meets(sql, condition, "u"),
        None => "FALSE".to_owned(),
    };
    sql.add(&format!(
        "SELECT {id} AS id, {user_name} AS user_name, {name} AS name, {given} AS given_name, {family} AS family_name, \
         {email} AS email, {title} AS title, {manager} AS manager, {external_id} AS external_id, {status}, \
         CAST(CASE WHEN {protected} THEN 1 ELSE 0 END AS {INT64}) AS is_protected FROM {host} u",
        id = text(&users.key),
        user_name = text(&scim.user_name),
        email = text(&scim.email),
        title = optional(scim.title.as_ref()),
        host = table(&users.table),
    ));
}

/// Tests that a connection sees the user `u`: they are of its organization, and it has not removed them while they are inactive.
fn visible(sql: &mut Sql, scope: ScimScope<'_>) -> String {
    let within = in_org(sql, scope.catalog.users.within.as_ref(), "u");
    let (org, connection) = (sql.bind(scope.org), sql.bind(scope.connection));
    let active = is_active(sql, scope, true);
    format!(
        "{within} AND (NOT EXISTS (SELECT 1 FROM {SCIM_LINKS} r WHERE r.org = {org} AND r.connection = {connection} \
         AND r.user_key = {} AND r.removed_at IS NOT NULL) OR {active})",
        as_text(&column("u", &scope.catalog.users.key.name))
    )
}

fn read(row: &Row, scope: ScimScope<'_>) -> Result<ScimUser> {
    // An empty text is no value: RFC 7643, section 2.5.
    let text = |name: &str| Ok(row.get::<Option<String>>(name)?.filter(|text| !text.trim().is_empty()));
    Ok(ScimUser {
        id: UserId::try_from(row.get::<String>("id")?).map_err(|what| row.invalid(what.to_string()))?,
        user_name: text("user_name")?,
        name: text("name")?,
        given_name: text("given_name")?,
        family_name: text("family_name")?,
        email: text("email")?,
        title: text("title")?,
        manager: text("manager")?.and_then(|manager| parse_user(scope.catalog, manager)),
        external_id: text("external_id")?,
        status: read_status(row)?,
        is_protected: row.get::<i64>("is_protected")? != 0,
    })
}
