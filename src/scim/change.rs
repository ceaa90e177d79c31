//! What an identity provider asks to change, as typed values.

use super::attribute::{Attribute, Mapped};

/// A change of one attribute. `None` empties it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// `active`
    Active(bool),
    /// `userName`
    UserName(String),
    /// `name.givenName`
    GivenName(Option<String>),
    /// `name.familyName`
    FamilyName(Option<String>),
    /// The email address.
    Email(Option<String>),
    /// `title`
    Title(Option<String>),
    /// The id of the manager.
    Manager(Option<String>),
    /// `externalId`
    ExternalId(Option<String>),
}

impl Change {
    /// Returns the attribute that changes.
    pub fn attribute(&self) -> Attribute {
        match self {
            Change::Active(_) => Attribute::Active,
            Change::UserName(_) => Attribute::UserName,
            Change::GivenName(_) => Attribute::GivenName,
            Change::FamilyName(_) => Attribute::FamilyName,
            Change::Email(_) => Attribute::Email,
            Change::Title(_) => Attribute::Title,
            Change::Manager(_) => Attribute::Manager,
            Change::ExternalId(_) => Attribute::ExternalId,
        }
    }
}

/// The changes of one request, in its order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Patch {
    /// The changes. Of two of the same attribute, the last counts.
    pub changes: Vec<Change>,
    /// The number of attributes that are not kept here, and so did nothing.
    pub ignored: usize,
}

impl Patch {
    /// Moves changes of attributes that the catalog does not map to the ignored ones.
    pub fn only(mut self, mapped: Mapped) -> Patch {
        let before = self.changes.len();
        self.changes.retain(|change| mapped.has(change.attribute()));
        self.ignored += before - self.changes.len();
        self
    }

    /// Returns the asked status, if the request names one.
    pub fn active(&self) -> Option<bool> {
        self.changes.iter().rev().find_map(|change| match change {
            Change::Active(active) => Some(*active),
            Change::UserName(_)
            | Change::GivenName(_)
            | Change::FamilyName(_)
            | Change::Email(_)
            | Change::Title(_)
            | Change::Manager(_)
            | Change::ExternalId(_) => None,
        })
    }
}
