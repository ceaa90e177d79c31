//! Whole users, as POST and PUT send them.

use super::change::{Change, Patch};
use super::failure::Result;
use super::fields::{check_schemas, invalid, read_object};
use super::patch::read_attributes;
use super::schema_ids::USER;

/// Reads the body of a POST: a user with at least a `userName`.
pub fn read_new_user(body: &[u8]) -> Result<Patch> {
    let fields = read_object(body)?;
    check_schemas(&fields, USER)?;
    let patch = read_attributes(&fields)?;
    match patch.changes.iter().any(|change| matches!(change, Change::UserName(_))) {
        true => Ok(patch),
        false => Err(invalid("a user needs `userName`")),
    }
}

/// Reads the body of a PUT.
///
/// An attribute that the body lacks keeps its value: a provider sends only those that it knows, and an absent `active` must not end or
/// give access. The exception is `externalId`, which is the provider's own: a body without it forgets it.
pub fn read_whole_user(body: &[u8]) -> Result<Patch> {
    let mut patch = read_new_user(body)?;
    if !patch.changes.iter().any(|change| matches!(change, Change::ExternalId(_))) {
        patch.changes.push(Change::ExternalId(None));
    }
    Ok(patch)
}
