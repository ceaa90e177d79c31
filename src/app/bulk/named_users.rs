//! Finds the users whom the cells of a row name.

use super::directory::{Addressed, Directory};
use super::reason::{FileCode, Read, RowReason, cell};
use crate::catalog::{Catalog, Family};
use crate::contract::{Allotment, DeadLetterCode, InvalidId, ReasonCode, Recipient, Share, UserId};
use crate::plan::normalize_user;

/// The users of an organization, as the cells of its rows name them.
#[derive(Clone, Copy)]
pub struct NamedUsers<'u> {
    /// The catalog.
    pub catalog: &'u Catalog,
    /// The organization; empty if the host has none.
    pub org: &'u str,
    /// The users who were looked up.
    pub directory: &'u Directory,
}

/// A cell: the name of its column in the file, and its text.
#[derive(Debug, Clone, Copy)]
pub struct NamedCell<'c> {
    /// The column.
    pub column: &'c str,
    /// The text.
    pub text: &'c str,
}

impl NamedUsers<'_> {
    /// Returns the leaver, by id or by email address. Returns several users if all of them are inactive and have the address:
    /// one of them may have left by this row before.
    pub fn leavers(&self, id: NamedCell<'_>, email: NamedCell<'_>) -> Read<Vec<UserId>> {
        if id.text.is_empty() && email.text.is_empty() {
            let what = format!("it is empty, and so is `{}`", email.column);
            return Err(cell(FileCode::MissingCell, id.column, &what, "fill in who leaves"));
        }
        if id.text.is_empty() {
            return match self.directory.addressed(self.org, email.text) {
                Addressed::SeveralInactive(users) => Ok(users),
                Addressed::Nobody | Addressed::One(_) | Addressed::Several(_) => Ok(vec![self.with_address(email)?]),
            };
        }
        let user = self.with_id(id)?;
        let with_address = self.directory.with_email(self.org, email.text);
        if !email.text.is_empty() && !with_address.iter().any(|person| person.id == user) {
            let what = format!("{} is not the address of user {user}", email.text);
            let hint = format!("correct `{}` or `{}`, or leave one of them out", id.column, email.column);
            return Err(cell(FileCode::OtherUser, email.column, &what, &hint));
        }
        Ok(vec![user])
    }

    /// Returns a user, by id or by email address.
    pub fn person(&self, named: NamedCell<'_>) -> Read<UserId> {
        // A text id may look like an email address.
        let may_be_id = self.catalog.users.key.family == Family::Text;
        match named.text.contains('@') {
            true if may_be_id && self.directory.with_email(self.org, named.text).is_empty() => self.with_id(named),
            true => self.with_address(named),
            false => self.with_id(named),
        }
    }

    /// Reads an id as the users' table writes it, so that two spellings are one user.
    fn with_id(&self, named: NamedCell<'_>) -> Read<UserId> {
        read_id(self.catalog, named).map(|user| self.directory.stored(self.org, user))
    }

    fn with_address(&self, NamedCell { column, text }: NamedCell<'_>) -> Read<UserId> {
        let several = |what: &str, users: Vec<UserId>, hint| {
            let ids: Vec<&str> = users.iter().map(UserId::as_str).collect();
            let what = format!("{text} is the address of several users{what}: {}", ids.join(", "));
            cell(FileCode::AmbiguousAddress, column, &what, hint)
        };
        match self.directory.addressed(self.org, text) {
            Addressed::One(user) => Ok(user),
            Addressed::Several(users) => Err(several("", users, "write the user's id")),
            Addressed::SeveralInactive(users) => {
                Err(several(", and none of them is active", users, "write the id of an active user"))
            }
            Addressed::Nobody => {
                let what = format!("nobody of the organization has the address {text}");
                Err(cell(FileCode::UnknownAddress, column, &what, "correct the address, or write the user's id"))
            }
        }
    }

    /// Reads an allotment: a user, `manager`, or `round_robin: GROUP`.
    pub fn allotment(&self, named: NamedCell<'_>) -> Read<Allotment> {
        match without_user(named.text) {
            Some(allotment) => Ok(allotment),
            None => self.person(named).map(Allotment::User),
        }
    }
}

/// Reads an allotment that names no user: `manager`, or `round_robin: GROUP`.
pub fn without_user(text: &str) -> Option<Allotment> {
    if text.eq_ignore_ascii_case("manager") {
        return Some(Allotment::Manager);
    }
    let (how, group) = text.split_once(':')?;
    (how.trim().to_lowercase().replace([' ', '-'], "_") == "round_robin").then(|| {
        let to = Recipient::RoundRobin(group.trim().to_owned());
        Allotment::Ratio(vec![Share { to, amount: 1 }])
    })
}

/// Returns the reason for a leaver whose address only users have who left.
pub fn all_inactive(email: NamedCell<'_>, users: &[UserId]) -> RowReason {
    let ids: Vec<&str> = users.iter().map(UserId::as_str).collect();
    let what = format!("the users with the address {} are inactive already: {}", email.text, ids.join(", "));
    *cell(ReasonCode::AlreadyInactive, email.column, &what, "nothing needs to be done")
}

/// Reads an id in the form of the key's type: `007` as 7.
pub fn read_id(catalog: &Catalog, NamedCell { column, text }: NamedCell<'_>) -> Read<UserId> {
    let mut user = UserId::try_from(text.to_owned()).map_err(|what| bad_id(column, &what))?;
    let normalized = normalize_user(&catalog.users.key, &mut user, column);
    normalized.map_err(|fault| {
        cell(fault.code, column, &fault.detail, &format!("{}, or write the user's email address", fault.hint))
    })?;
    Ok(user)
}

/// Returns the reason for an invalid id.
pub fn bad_id(column: &str, what: &InvalidId) -> Box<RowReason> {
    cell(DeadLetterCode::InvalidId, column, &what.to_string(), what.hint())
}
