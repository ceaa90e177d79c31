//! The names of columns, and other spellings of them.

use crate::catalog::Catalog;

/// The meaning of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Column {
    /// The leaver's id.
    UserId,
    /// The leaver's address.
    Email,
    /// The answer that asks for the deactivation.
    Deactivated,
    /// The requester.
    RequestedBy,
    /// The organization.
    OrgId,
    /// The reason.
    Reason,
    /// The start.
    EffectiveAt,
    /// The return.
    ReturnAt,
    /// The request id.
    RequestId,
    /// The successor for every kind that must be transferred.
    Successor,
    /// The successor for one kind.
    Kind(String),
}

/// The documented names.
const NAMES: [(&str, Column); 10] = [
    ("user_id", Column::UserId),
    ("email", Column::Email),
    ("deactivated", Column::Deactivated),
    ("requested_by", Column::RequestedBy),
    ("org_id", Column::OrgId),
    ("reason", Column::Reason),
    ("effective_at", Column::EffectiveAt),
    ("return_at", Column::ReturnAt),
    ("request_id", Column::RequestId),
    ("successor", Column::Successor),
];

/// Other spellings, folded. A kind of the catalog with such a name takes precedence.
const ALIASES: [(&str, Column); 6] = [
    ("user", Column::UserId),
    ("userid", Column::UserId),
    ("e_mail", Column::Email),
    ("e_mail_address", Column::Email),
    ("email_address", Column::Email),
    ("mail", Column::Email),
];

impl Column {
    /// Returns the documented name.
    pub fn name(&self) -> &str {
        match self {
            Column::Kind(kind) => kind,
            Column::UserId
            | Column::Email
            | Column::Deactivated
            | Column::RequestedBy
            | Column::OrgId
            | Column::Reason
            | Column::EffectiveAt
            | Column::ReturnAt
            | Column::RequestId
            | Column::Successor => NAMES.iter().find(|(_, column)| column == self).map_or("", |(name, _)| name),
        }
    }
}

/// Returns the columns that a file can have.
pub fn known(catalog: &Catalog) -> Vec<Column> {
    let kinds = catalog.references.iter().filter(|reference| reference.disposition.is_allotted());
    let kinds = kinds.map(|reference| Column::Kind(reference.kind.clone()));
    NAMES.into_iter().map(|(_, column)| column).chain(kinds).collect()
}

/// Returns the column of this name, except kinds of a catalog.
pub fn named(name: &str) -> Option<Column> {
    let name = folded(name);
    let found = NAMES.iter().chain(&ALIASES).find(|(known, _)| *known == name);
    found.map(|(_, column)| column.clone())
}

/// Folds a name, so that spellings of it are equal: `User ID` is `user_id`.
pub fn folded(name: &str) -> String {
    let name = name.to_lowercase();
    let words = name.split(|c: char| c.is_whitespace() || matches!(c, '-' | '_')).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_name_the_same_column() {
        for name in ["user_id", "User ID", "USER-ID", "userid", "User", " user\u{a0}id ", "User\nID"] {
            assert_eq!(named(name), Some(Column::UserId), "{name:?}");
        }
        for name in ["email", "E-Mail", "e mail", "Mail", "Email Address", "E-Mail-Address"] {
            assert_eq!(named(name), Some(Column::Email), "{name:?}");
        }
        assert_eq!((named("id"), named(""), named("contact")), (None, None, None));
        assert!(NAMES.iter().chain(&ALIASES).all(|(name, _)| folded(name) == *name), "compared as folded");
    }
}
