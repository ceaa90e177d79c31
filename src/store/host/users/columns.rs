//! The meaning of the columns of the users' table.

use uuid::Uuid;

use crate::catalog::{Catalog, Column, Family, SetValue, Spelling, Status, Users};
use crate::contract::UserId;
use crate::plan::UserStatus;
use crate::store::dialect::Type;
use crate::store::dialect::sql::{ColumnArray, Sql, as_text, column, table};
use crate::store::host::predicates::{has_status, in_org};
use crate::store::host::user_match::is_user;
use crate::store::{Error, Result, Row};

/// Reads the user that a column of the host points at. Returns nothing for an empty text, and for a value that no user's
/// key can have: some hosts store 0 for "nobody".
pub fn parse_user(catalog: &Catalog, text: String) -> Option<UserId> {
    let text = match catalog.users.key.family {
        Family::Integer { .. } => text.trim().parse::<i64>().ok()?.to_string(),
        Family::Uuid => text.trim().parse::<Uuid>().ok()?.to_string(),
        Family::Number
        | Family::Boolean
        | Family::Text
        | Family::Time
        | Family::Any
        | Family::Other
        | Family::Opaque => text,
    };
    UserId::try_from(text).ok()
}

/// Returns the id of the user at whom a column points, as the users' table writes it, or else as the column does.
pub fn user_text(sql: &mut Sql, users: &Users, written: &str, of: &Column) -> String {
    let is_written_alike = of.spelling == Spelling::One && of.family == users.key.family && of.cast == users.key.cast;
    if is_written_alike {
        return as_text(written);
    }
    let key = column("known", &users.key.name);
    let in_org = in_org(sql, users.within.as_ref(), "known");
    format!(
        "COALESCE((SELECT {id} FROM {host} known WHERE {is_user}{in_org} LIMIT 1), {text})",
        id = as_text(&key),
        host = table(&users.table),
        is_user = is_user(&key, &users.key, written, of),
        text = as_text(written),
    )
}

/// Returns the columns of a SELECT that [`read_status`] reads: the status of the user `alias` in the catalog's terms, and the
/// host's own value.
pub fn status_columns(sql: &mut Sql, users: &Users, alias: &str) -> String {
    let status = &users.status;
    let named = [("active", Some(&status.active)), ("inactive", Some(&status.inactive))];
    let named = named.into_iter().chain([("invited", status.invited.as_ref())]);
    let cases: String = named
        .filter_map(|(name, value)| Some(format!(" WHEN {} THEN '{name}'", has_status(sql, status, alias, value?))))
        .collect();
    format!("CASE{cases} END AS standing, {} AS status", as_text(&column(alias, &status.column.name)))
}

/// Reads a status in the catalog's terms.
pub fn read_status(row: &Row) -> Result<UserStatus> {
    Ok(match row.get::<Option<String>>("standing")?.as_deref() {
        Some("active") => UserStatus::Active,
        Some("inactive") => UserStatus::Inactive,
        Some("invited") => UserStatus::Invited,
        Some(_) | None => UserStatus::Other(row.get::<Option<String>>("status")?.unwrap_or_default()),
    })
}

/// Returns the host's value for a status.
pub fn status_value<'s>(known: &'s Status, status: &UserStatus) -> Result<&'s SetValue> {
    let value = match status {
        UserStatus::Active => Some(&known.active),
        UserStatus::Inactive => Some(&known.inactive),
        UserStatus::Invited => known.invited.as_ref(),
        UserStatus::Other(_) => None,
    };
    value.ok_or_else(|| Error::unexpected("setting a user's status", "the catalog has no value for this status"))
}

/// Returns a table `p` of the leavers' ids, in its column `leaver`.
pub fn leaver_table(sql: &mut Sql, leavers: &[&UserId]) -> String {
    sql.small_table("p", vec![ColumnArray::new(Type::Text, "leaver", leavers.iter().map(Some))])
}
