//! Rows that follow the rows which a disposition removes: they are removed, too, or the columns that point are emptied.

use super::schema::{Column, ForeignKey, KeyAction, TableName};

/// A table among those that lose rows, by its position in [`Followers::tables`]. None is the reference's own table.
pub type Place = Option<usize>;

/// The tables that `with` names, and every link along which their rows follow the removed ones.
#[derive(Debug, Clone, Default)]
pub struct Followers {
    /// The tables.
    pub tables: Vec<Follower>,
    /// The links among them and the reference's own table.
    pub links: Vec<Link>,
}

/// A table whose rows follow.
#[derive(Debug, Clone)]
pub struct Follower {
    /// The table.
    pub table: TableName,
    /// The columns that identify a row: its key, or else its physical address, which is valid for one transaction.
    pub key: Vec<Column>,
    /// True if its rows have no key. Then no rows follow them.
    pub keyless: bool,
    /// Every column that statements write.
    pub columns: Vec<Column>,
    /// The foreign keys that can be checked at the commit.
    pub deferrable: Vec<ForeignKey>,
}

/// Columns by which rows of a table point at rows that are removed.
#[derive(Debug, Clone)]
pub struct Link {
    /// The table of the rows that are removed.
    pub parent: Place,
    /// The table of the rows that point.
    pub child: Place,
    /// The columns that point.
    pub points: Vec<Column>,
    /// The columns pointed at.
    pub at: Vec<Column>,
    /// The effect on the rows that point.
    pub effect: Following,
}

/// The effect of a removal on the rows that point at the removed ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Following {
    /// They are removed.
    Removed,
    /// The database empties the columns that point.
    Emptied,
}

impl From<KeyAction> for Following {
    /// A row that would refuse the delete is removed first.
    fn from(action: KeyAction) -> Following {
        match action {
            KeyAction::Cascade | KeyAction::Refuse => Following::Removed,
            KeyAction::Empty => Following::Emptied,
        }
    }
}

impl Followers {
    /// True if no rows follow.
    pub fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// Lists the links with this effect.
    pub fn with_effect(&self, effect: Following) -> impl Iterator<Item = &Link> {
        self.links.iter().filter(move |link| link.effect == effect)
    }

    /// True if rows of this table are removed because they follow others.
    pub fn removes_from(&self, place: Place) -> bool {
        self.with_effect(Following::Removed).any(|link| link.child == place)
    }
}
