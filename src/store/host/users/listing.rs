//! The list of users.

use super::columns::{read_status, status_columns};
use crate::catalog::{Catalog, SetValue};
use crate::contract::UserId;
use crate::plan::UserStatus;
use crate::store::dialect::sql::{INT64, Sql, as_text, column, table};
use crate::store::host::predicates::{has_status, in_org, org_of};
use crate::store::host::user_match::is_user;
use crate::store::{Result, Row, Session};

/// A user as they are listed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
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

/// A selection of users: a user must pass every test that is present.
#[derive(Debug, Clone, Default)]
pub struct UserSelection {
    /// With one of these values of the status column; any if there is none.
    pub statuses: Vec<SetValue>,
    /// With this text in the name or the email address, in upper or lower case.
    pub text: Option<String>,
    /// The user with this id.
    pub id: Option<UserId>,
}

impl UserSelection {
    /// Returns the tests of a statement about users `u`.
    fn tests(&self, sql: &mut Sql, catalog: &Catalog) -> String {
        let users = &catalog.users;
        let mut tests = vec!["TRUE".to_owned()];
        if !self.statuses.is_empty() {
            let any: Vec<String> =
                self.statuses.iter().map(|value| has_status(sql, &users.status, "u", value)).collect();
            tests.push(format!("({})", any.join(" OR ")));
        }
        if let Some(text) = &self.text {
            let escaped = text.to_lowercase().replace('!', "!!").replace('%', "!%").replace('_', "!_");
            let holds = |sql: &mut Sql, name: &str| {
                let pattern = sql.bind(format!("%{escaped}%"));
                format!("lower({}) LIKE {pattern} ESCAPE '!'", as_text(&column("u", name)))
            };
            let (name, email) = (holds(sql, &users.name.name), holds(sql, &users.email.name));
            tests.push(format!("({name} OR {email})"));
        }
        if let Some(id) = &self.id {
            tests.push(format!("{} = {}", column("u", &users.key.name), sql.host(&users.key, id.as_str())));
        }
        tests.join(" AND ") + &in_org(sql, users.within.as_ref(), "u")
    }
}

/// Counts the users of a selection.
pub async fn count_users(session: &Session, catalog: &Catalog, selection: &UserSelection) -> Result<u64> {
    let doing = "counting users";
    let mut sql = session.sql("");
    let tests = selection.tests(&mut sql, catalog);
    sql.add(&format!("SELECT count(*) AS n FROM {} u WHERE {tests}", table(&catalog.users.table)));
    session.one(doing, sql).await?.map_or(Ok(0), |row| row.count("n"))
}

/// Lists users of a selection, in key order: after a key and a number of users, at most `limit` of them.
pub async fn list_users(
    session: &Session,
    catalog: &Catalog,
    selection: &UserSelection,
    (after, skip, limit): (Option<&str>, u64, u64),
) -> Result<Vec<UserListing>> {
    let users = &catalog.users;
    let key = column("u", &users.key.name);
    let mut sql = session.sql("");
    let after = after.map_or(String::new(), |after| format!(" AND {key} > {}", sql.host(&users.key, after)));
    let license = catalog.license.as_ref().map_or("FALSE".to_owned(), |license| {
        let held = is_user(&key, &users.key, &column("l", &license.user.name), &license.user);
        let host = table(&license.table);
        let in_org = in_org(&mut sql, license.within.as_ref(), "l");
        format!("EXISTS (SELECT 1 FROM {host} l WHERE {held}{in_org})")
    });
    let status = status_columns(&mut sql, users, "u");
    let tests = selection.tests(&mut sql, catalog);
    let (limit, skip) = (sql.bind(limit as i64), sql.bind(skip as i64));
    sql.add(&format!(
        "SELECT {id} AS id, {org} AS org, {name} AS name, {email} AS email, {status}, \
         CAST(CASE WHEN {license} THEN 1 ELSE 0 END AS {INT64}) AS license \
         FROM {host} u WHERE {tests}{after} ORDER BY {key} LIMIT {limit} OFFSET {skip}",
        id = as_text(&key),
        org = org_of(catalog, "u"),
        name = as_text(&column("u", &users.name.name)),
        email = as_text(&column("u", &users.email.name)),
        host = table(&users.table),
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
