//! A reference as everything else works with it: a place in the host's tables that points at a user, and what becomes of it.

use std::time::Duration;

use super::condition::{Condition, SomeUsers, When};
use super::model::{Column, OrgScope};
use super::{ForeignKey, TableName};

/// A place in the host's tables that points at a user.
#[derive(Debug, Clone)]
pub struct Reference {
    /// Where it stands in the catalog, from 0.
    pub position: usize,
    /// The catalog's name for it: `contact`.
    pub kind: String,
    /// The table.
    pub table: TableName,
    /// What its rows are known by, in order; unique and not null. Of a table without any unique key, where the database
    /// keeps the row: that is good for one transaction, and never written down.
    pub key: Vec<Column>,
    /// Whether the table has no unique key: its rows are counted, and found again by what they look like.
    pub keyless: bool,
    /// The column that holds the user.
    pub user: Column,
    /// The column that holds the organization, where users are known only together with it.
    pub org: Option<Column>,
    /// The organization that everything is bounded by.
    pub within: Option<OrgScope>,
    /// Every column of the table: what a copy of a row holds.
    pub columns: Vec<Column>,
    /// Its foreign keys that can wait for the commit.
    pub deferrable: Vec<ForeignKey>,
    /// The column of the other user, where a row stands between two and each may bring it back (a follow): it comes back
    /// only when both are there.
    pub other_user: Option<Column>,
    /// Which rows count.
    pub filter: Filter,
    /// Rows of earlier references of the same user column: theirs, and not this one's.
    pub claimed: Vec<ClaimedRows>,
    /// For which leavers and requests it counts.
    pub when: When,
    /// Whether it is done when the request is accepted, not with the other work: access ends then, and what the leaver
    /// alone has is handed on before it can be removed as one of several.
    pub at_start: bool,
    /// Whether the table is the users' own (direct reports).
    pub of_users: bool,
    /// A column that every change of a row counts up, so that whoever read the row before finds their copy outdated.
    pub version_column: Option<Column>,
    /// Whether its row is the leaver's own in the users' table: a guard on the leaver, and nothing that points at them.
    pub own_row: bool,
    /// What becomes of it.
    pub disposition: Disposition,
}

/// Rows that an earlier reference deals with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedRows {
    /// Which rows.
    pub filter: Filter,
    /// Of which users, where the earlier reference counts only for some.
    pub of: Option<SomeUsers>,
}

/// What becomes of a reference when its user leaves.
#[derive(Debug, Clone)]
pub enum Disposition {
    /// Records go to successors.
    Transfer {
        /// Whether records without an allotment are a guard; else they stay.
        required: bool,
        /// Who may receive them.
        eligible: Option<Eligible>,
        /// A column that takes the time of the move.
        touch: Option<Column>,
        /// What happens where the successor holds the record already.
        on_conflict: OnConflict,
    },
    /// Rows go; a copy stays in the journal.
    Detach {
        /// Whether a reactivation brings them back, as undo does.
        restore: bool,
        /// Rows of other tables that go with them.
        with: Vec<Child>,
    },
    /// Columns take a value; the old ones stay in the journal.
    Set {
        /// The columns and what they take.
        values: Vec<(Column, SetValue)>,
        /// Whether a reactivation brings the old values back, as undo does.
        restore: bool,
    },
    /// Rows are deleted; a copy is kept for a while.
    Purge {
        /// How long; zero: no copy at all.
        keep_copy: Duration,
        /// Rows of other tables that go with them.
        with: Vec<Child>,
    },
    /// The user may not leave while such a row exists.
    Block {
        /// Only where theirs is the last row of an active, staying user among those with the same value here.
        sole_in: Option<Column>,
        /// Whether the request may name a successor; then the rows are transferred.
        resolve: bool,
        /// Who may be named.
        eligible: Option<Eligible>,
        /// What happens where the successor holds the record already.
        on_conflict: OnConflict,
        /// How to fix it, in the catalog's own words.
        hint: Option<String>,
    },
    /// Rows stay, on purpose.
    Keep,
}

impl Disposition {
    /// The word that stands in catalogs and certificates.
    pub fn name(&self) -> &'static str {
        match self {
            Disposition::Transfer { .. } => "transfer",
            Disposition::Detach { .. } => "detach",
            Disposition::Set { .. } => "set",
            Disposition::Purge { .. } => "purge",
            Disposition::Block { .. } => "block",
            Disposition::Keep => "keep",
        }
    }

    /// Rows of other tables that go with the rows removed.
    pub fn children(&self) -> &[Child] {
        match self {
            Disposition::Detach { with, .. } | Disposition::Purge { with, .. } => with,
            _ => &[],
        }
    }

    /// Whether a reactivation brings rows or values back.
    pub fn restores(&self) -> bool {
        matches!(self, Disposition::Detach { restore: true, .. } | Disposition::Set { restore: true, .. })
    }

    /// Whether a request may say who receives the records.
    pub fn is_allotted(&self) -> bool {
        matches!(self, Disposition::Transfer { .. } | Disposition::Block { resolve: true, .. })
    }
}

/// Who may receive a reference's records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Eligible {
    /// Members of a group (Keap: "needs to be added to the Sales Rep group").
    Group(String),
    /// Users who meet a condition.
    Users(Condition),
}

/// What happens to a record that the successor holds already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnConflict {
    /// The move fails.
    Fail,
    /// The leaver's row goes, journaled. Each entry is a unique index over the user column: its other columns.
    Drop(Vec<Occupied>),
    /// The leaver's row goes, journaled, and what its columns hold is added to the successor's row.
    Add {
        /// The one unique index over the user column: its other columns.
        occupied: Occupied,
        /// The columns that are added up.
        columns: Vec<Column>,
    },
}

/// The columns, beside the user's, that a unique index holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occupied(pub Vec<String>);

/// What a column takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetValue {
    /// This value.
    Text(String),
    /// The time of the change.
    Now,
}

/// A table whose rows go with the rows of a reference: they would be deleted or forgotten by the database otherwise.
#[derive(Debug, Clone)]
pub struct Child {
    /// The table.
    pub table: TableName,
    /// Every column of it: what a copy holds.
    pub columns: Vec<Column>,
    /// Its foreign keys that can wait for the commit.
    pub deferrable: Vec<ForeignKey>,
    /// The columns that point.
    pub points: Vec<String>,
    /// What they point at, in the parent.
    pub at: Vec<String>,
    /// The parent: another child, by its place in the list, or the reference itself.
    pub parent: Option<usize>,
}

/// Tests that a row passes, all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter(pub Vec<Test>);

/// A test of one column, or of the row that a row belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// The column has one of these values.
    OneOf(Column, Vec<String>),
    /// The column is NULL, or is not.
    Null(Column, bool),
    /// A row of another table that this row points at passes tests of its own.
    Parent(Parent),
}

/// The row that a row belongs to, and what it must be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    /// Its table.
    pub table: TableName,
    /// The columns that point, each with what it points at in the parent's table.
    pub on: Vec<(Column, Column)>,
    /// Whether a row has one parent at most.
    pub sole: bool,
    /// The tests.
    pub filter: Filter,
}

impl Reference {
    /// Whether every row that passes the filter is this reference's, and none of a later one. Of a guard over the last of
    /// a group only some are: those are handed on when the request is accepted, before anything else is done.
    pub fn covers_rows(&self) -> bool {
        !self.own_row && !matches!(self.disposition, Disposition::Block { sole_in: Some(_), .. })
    }

    /// Whether a row may pass the tests of both references, for the same user.
    pub fn may_overlap(&self, other: &Reference) -> bool {
        let same_place = self.table == other.table && self.user == other.user;
        same_place && !self.when.excludes(&other.when) && !self.filter.excludes(&other.filter)
    }
}

impl Filter {
    /// Whether no row can pass both filters: some column would need two values.
    pub fn excludes(&self, other: &Filter) -> bool {
        self.0.iter().any(|mine| other.0.iter().any(|theirs| mine.excludes(theirs)))
    }
}

impl Test {
    fn excludes(&self, other: &Test) -> bool {
        match (self, other) {
            (Test::OneOf(a, mine), Test::OneOf(b, theirs)) => {
                a.name == b.name && mine.iter().all(|value| !theirs.contains(value))
            }
            (Test::Null(a, mine), Test::Null(b, theirs)) => a.name == b.name && mine != theirs,
            (Test::OneOf(a, _), Test::Null(b, true)) | (Test::Null(b, true), Test::OneOf(a, _)) => a.name == b.name,
            // Of several parents one may pass these tests, and another those.
            (Test::Parent(mine), Test::Parent(theirs)) => {
                mine.sole && mine.table == theirs.table && mine.on == theirs.on && mine.filter.excludes(&theirs.filter)
            }
            _ => false,
        }
    }
}
