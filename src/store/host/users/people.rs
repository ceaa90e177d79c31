//! Users as people know them: by id or email address, with their names.

use std::collections::HashMap;

use super::columns::{read_status, status_columns};
use crate::catalog::Catalog;
use crate::contract::UserId;
use crate::plan::UserStatus;
use crate::store::dialect::Type;
use crate::store::dialect::sql::{ColumnArray, Sql, as_text, column, table};
use crate::store::{Result, Row, Session};

/// A user of an organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The id.
    pub id: UserId,
    /// The name; empty if the host has none.
    pub name: String,
    /// The email address; empty if the host has none.
    pub email: String,
    /// The status.
    pub status: UserStatus,
}

/// Returns those of these users who exist in an organization, in key order.
pub async fn users_with_ids(session: &Session, catalog: &Catalog, org: &str, ids: &[&UserId]) -> Result<Vec<Person>> {
    let users = &catalog.users;
    let mut sql = session.sql("");
    let in_org = in_org(&mut sql, catalog, org);
    let list = sql.host_list(&users.key, ids.iter().map(|id| id.as_str()));
    let key = column("u", &users.key.name);
    let person = columns_of(&mut sql, catalog);
    let host = table(&users.table);
    sql.add(&format!("SELECT {person} FROM {host} u WHERE {key} IN {list}{in_org} ORDER BY {key}"));
    session.all("reading users", sql).await?.iter().map(read).collect()
}

/// Returns the users of an organization who have these email addresses, by address in lower case and in key order. Several
/// users may share one.
pub async fn users_with_emails(
    session: &Session,
    catalog: &Catalog,
    org: &str,
    emails: &[String],
) -> Result<HashMap<String, Vec<Person>>> {
    let users = &catalog.users;
    let mut sql = session.sql("");
    let in_org = in_org(&mut sql, catalog, org);
    let asked = sql.table("a", vec![ColumnArray::new(Type::Text, "email", emails.iter().map(Some))]);
    let person = columns_of(&mut sql, catalog);
    sql.add(&format!(
        "SELECT a.email AS asked, {person} FROM {asked} JOIN {host} u ON lower({address}) = lower(a.email){in_org} \
         ORDER BY {key}",
        host = table(&users.table),
        address = column("u", &users.email.name),
        key = column("u", &users.key.name),
    ));
    let mut found: HashMap<String, Vec<Person>> = HashMap::new();
    for row in session.all("looking for email addresses", sql).await? {
        let asked: String = row.get("asked")?;
        found.entry(asked.to_lowercase()).or_default().push(read(&row)?);
    }
    Ok(found)
}

/// Returns the condition that a user belongs to an organization.
fn in_org(sql: &mut Sql, catalog: &Catalog, org: &str) -> String {
    let of = catalog.users.org.as_ref();
    of.map_or(String::new(), |of| format!(" AND {} = {}", column("u", &of.name), sql.host(of, org)))
}

fn columns_of(sql: &mut Sql, catalog: &Catalog) -> String {
    let users = &catalog.users;
    let text = |name: &str| as_text(&column("u", name));
    format!(
        "{} AS id, {} AS name, {} AS email, {}",
        text(&users.key.name),
        text(&users.name.name),
        text(&users.email.name),
        status_columns(sql, users, "u")
    )
}

fn read(row: &Row) -> Result<Person> {
    let text = |column: &str| row.get::<Option<String>>(column).map(Option::unwrap_or_default);
    Ok(Person {
        id: UserId::try_from(text("id")?).map_err(|what| row.invalid(what.to_string()))?,
        name: text("name")?,
        email: text("email")?,
        status: read_status(row)?,
    })
}
