//! The `[scim]` section: which columns of the users' table identity providers read and write.

use super::condition::Condition;
use super::schema::Column;
use crate::scim::Mapped;

/// The columns that identity providers read and write.
#[derive(Debug, Clone)]
pub struct Scim {
    /// The name with which a user signs in.
    pub user_name: Column,
    /// True if the column of the user name compares texts without regard to case.
    pub ignores_case: bool,
    /// The columns of the person's name.
    pub name: NameColumns,
    /// The email address.
    pub email: Column,
    /// The title.
    pub title: Option<Column>,
    /// The manager.
    pub manager: Option<Column>,
    /// The provider's key of the user. Without it, the ledger keeps one for each connection.
    pub external_id: Option<Column>,
    /// True if providers may create users, who are then invited.
    pub create: bool,
    /// The users whom no connection may change.
    pub protected: Option<Condition>,
}

/// The columns of a person's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameColumns {
    /// One column for the whole name. The family name is its last word.
    Whole(Column),
    /// A column for each part.
    Parts {
        /// The given name.
        given: Column,
        /// The family name.
        family: Column,
    },
}

impl Scim {
    /// Returns what discovery advertises.
    pub fn mapped(&self) -> Mapped {
        Mapped {
            name_columns: matches!(self.name, NameColumns::Parts { .. }),
            title: self.title.is_some(),
            manager: self.manager.is_some(),
        }
    }

    /// Lists the columns that are read and written.
    pub fn columns(&self) -> impl Iterator<Item = &Column> {
        let name = match &self.name {
            NameColumns::Whole(whole) => vec![whole],
            NameColumns::Parts { given, family } => vec![given, family],
        };
        let optional = self.title.iter().chain(&self.manager).chain(&self.external_id);
        [&self.user_name, &self.email].into_iter().chain(name).chain(optional)
    }
}
