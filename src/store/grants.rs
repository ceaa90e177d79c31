//! The rights of the worker's role.

use std::borrow::Cow;

use super::driver;
use super::error::Result;
use super::host::Strategy;
use super::session::Session;
use crate::catalog::Rights;

/// Writes the statements that grant a role these rights and revoke any others in these schemas. The owner of the tables runs
/// them. Fails for a database without roles.
pub async fn script(session: &Session, rights: &Rights, role: &str) -> Result<String> {
    driver::of(session).grants(session, &needed(session, rights), role).await
}

/// Returns the role of this connection, and each right that it lacks, such as `SELECT on users (email)`. Nothing for a
/// database without roles.
pub async fn missing(session: &Session, rights: &Rights) -> Result<(String, Vec<String>)> {
    driver::of(session).missing_rights(session, &needed(session, rights)).await
}

/// Returns the rights that the strategy of a database needs: one that locks rows before it deletes them may need more.
fn needed<'r>(session: &Session, rights: &'r Rights) -> Cow<'r, Rights> {
    match Strategy::of(session) {
        Strategy::JournalFirst if session.capabilities().locks_need_update => Cow::Owned(rights.with_locks()),
        Strategy::JournalFirst | Strategy::SingleStatement => Cow::Borrowed(rights),
    }
}
