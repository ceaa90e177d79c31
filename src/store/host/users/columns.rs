//! The meaning of the columns of the users' table.

use uuid::Uuid;

use crate::catalog::{Catalog, Family, Status};
use crate::contract::UserId;
use crate::plan::UserStatus;
use crate::store::dialect::Type;
use crate::store::dialect::sql::{ColumnArray, Sql};
use crate::store::{Error, Result};

/// Reads the user that a column of the host points at. Returns nothing for an empty text, and for a value that no user's
/// key can have: some hosts store 0 for "nobody".
pub fn parse_user(catalog: &Catalog, text: String) -> Option<UserId> {
    let text = match catalog.users.key.family {
        Family::Integer { .. } => text.trim().parse::<i64>().ok()?.to_string(),
        Family::Uuid => text.trim().parse::<Uuid>().ok()?.to_string(),
        Family::Number | Family::Boolean | Family::Text | Family::Time | Family::Other | Family::Opaque => text,
    };
    UserId::try_from(text).ok()
}

/// Reads a status in the catalog's terms.
pub fn parse_status(catalog: &Catalog, status: Option<String>) -> UserStatus {
    let known = &catalog.users.status;
    match status {
        Some(status) if status == known.active => UserStatus::Active,
        Some(status) if status == known.inactive => UserStatus::Inactive,
        Some(status) if known.invited.as_ref() == Some(&status) => UserStatus::Invited,
        other => UserStatus::Other(other.unwrap_or_default()),
    }
}

/// Returns the host's value for a status.
pub fn status_value<'s>(known: &'s Status, status: &UserStatus) -> Result<&'s str> {
    let value = match status {
        UserStatus::Active => Some(known.active.as_str()),
        UserStatus::Inactive => Some(known.inactive.as_str()),
        UserStatus::Invited => known.invited.as_deref(),
        UserStatus::Other(_) => None,
    };
    value.ok_or_else(|| Error::unexpected("setting a user's status", "the catalog has no value for this status"))
}

/// Returns a table `p` of the leavers' ids, in its column `leaver`.
pub fn leaver_table(sql: &mut Sql, leavers: &[&UserId]) -> String {
    sql.small_table("p", vec![ColumnArray::new(Type::Text, "leaver", leavers.iter().map(Some))])
}
