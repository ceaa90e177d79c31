//! The effect of each disposition on rows: in one place, so that no other module needs a list of its own.

use std::time::Duration;

use super::condition::Condition;
use super::followers::Followers;
use super::schema::Column;
use crate::contract::named_enum;

/// The effect on a reference's rows when their user leaves.
#[derive(Debug, Clone)]
pub enum Disposition {
    /// Records go to successors.
    Transfer {
        /// True if records without an allotment are a reason to refuse; otherwise they stay.
        required: bool,
        /// The users who may receive them.
        eligible: Option<Eligible>,
        /// A column that takes the time of the move.
        touch: Option<Column>,
        /// The effect if the successor already has the record.
        on_conflict: OnConflict,
        /// The rows that follow those that are removed in a conflict.
        with: Followers,
    },
    /// Rows are removed; the journal keeps a snapshot.
    Detach {
        /// True if a reactivation restores them, as an undo does.
        restore: bool,
        /// The rows that follow them.
        with: Followers,
    },
    /// Columns take a value; the journal keeps the old values.
    Set {
        /// The columns and their new values.
        values: Vec<(Column, SetValue)>,
        /// True if a reactivation restores the old values, as an undo does.
        restore: bool,
    },
    /// Rows are deleted; the journal keeps a snapshot for a while.
    Purge {
        /// The time for which snapshots are kept; zero for none.
        keep_copy: Duration,
        /// The rows that follow them.
        with: Followers,
    },
    /// The user cannot leave while such a row exists.
    Block {
        /// Blocks only the last active user among rows with the same value in this column.
        sole_in: Option<Column>,
        /// True if the request may name a successor, to whom the rows are transferred.
        resolve: bool,
        /// The users who may be named.
        eligible: Option<Eligible>,
        /// The effect if the successor already has the record.
        on_conflict: OnConflict,
        /// The catalog's own hint.
        hint: Option<String>,
        /// The rows that follow those that are removed in a conflict.
        with: Followers,
    },
    /// Rows stay, on purpose.
    Keep,
}

/// The users who may receive a reference's records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Eligible {
    /// Members of a group (Keap: "needs to be added to the Sales Rep group").
    Group(String),
    /// Users who meet a condition.
    Users(Condition),
}

/// The effect on a record that the successor already has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnConflict {
    /// The move fails.
    Fail,
    /// The leaver's row is removed, with a snapshot.
    Drop,
    /// The leaver's row is removed, with a snapshot, and its columns are added to the successor's row.
    Add {
        /// The only unique index over the user column, which is over columns alone.
        occupied: Occupied,
        /// The columns that are added.
        columns: Vec<Column>,
    },
}

/// The columns of a unique index over the user column, except that column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occupied(pub Vec<String>);

/// The new value of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetValue {
    /// This value.
    Text(String),
    /// NULL.
    Null,
    /// The time of the change. A column that has a time already keeps it.
    Now,
}

named_enum! {
    /// A change of a record that the journal records.
    pub enum JournalAction: "journal action" {
        /// It went to a successor.
        Moved = "moved",
        /// It was added to a record that the successor already had.
        Merged = "merged",
        /// It was removed because the successor already had it.
        Dropped = "dropped",
        /// It was removed.
        Detached = "detached",
        /// It was deleted.
        Purged = "purged",
        /// Its columns took a value.
        Set = "set",
    }
}

/// The time for which snapshots of removed rows are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retention {
    /// As long as the journal.
    Journal,
    /// For a limited time; not at all if it is zero.
    For(Duration),
}

impl Disposition {
    /// Returns the word that catalogs and certificates use.
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

    /// True if records can move to successors.
    pub fn moves(&self) -> bool {
        match self {
            Disposition::Transfer { .. } | Disposition::Block { .. } => true,
            Disposition::Detach { .. } | Disposition::Set { .. } | Disposition::Purge { .. } | Disposition::Keep => {
                false
            }
        }
    }

    /// True if rows are removed, with snapshots.
    pub fn removes(&self) -> bool {
        match self {
            Disposition::Detach { .. } | Disposition::Purge { .. } => true,
            Disposition::Transfer { .. } | Disposition::Set { .. } | Disposition::Block { .. } | Disposition::Keep => {
                false
            }
        }
    }

    /// True if rows can be deleted: removed, or dropped because the successor has them already.
    pub fn deletes(&self) -> bool {
        let drops = self.on_conflict().is_some_and(|on_conflict| match on_conflict {
            OnConflict::Drop | OnConflict::Add { .. } => true,
            OnConflict::Fail => false,
        });
        self.removes() || drops
    }

    /// True if rows are changed in a job whose request does or does not name successors for them.
    pub fn changes_rows(&self, transfers: bool) -> bool {
        match self {
            Disposition::Keep => false,
            Disposition::Transfer { .. } | Disposition::Block { .. } => transfers,
            Disposition::Detach { .. } | Disposition::Set { .. } | Disposition::Purge { .. } => true,
        }
    }

    /// True if the rows are cut into chunks. Rows that are done at the start are not.
    pub fn is_cut(&self, transfers: bool, done_at_start: bool) -> bool {
        self.changes_rows(transfers) && !done_at_start
    }

    /// True if `at = "start"` ends the user's access by this disposition, without any successor.
    pub fn ends_access(&self) -> bool {
        match self {
            Disposition::Detach { .. } | Disposition::Set { .. } | Disposition::Purge { .. } => true,
            Disposition::Transfer { .. } | Disposition::Block { .. } | Disposition::Keep => false,
        }
    }

    /// Returns the action that the journal records for a row, or nothing if rows stay.
    pub fn journals_as(&self) -> Option<JournalAction> {
        match self {
            Disposition::Transfer { .. } | Disposition::Block { .. } => Some(JournalAction::Moved),
            Disposition::Detach { .. } => Some(JournalAction::Detached),
            Disposition::Set { .. } => Some(JournalAction::Set),
            Disposition::Purge { .. } => Some(JournalAction::Purged),
            Disposition::Keep => None,
        }
    }

    /// Returns how long snapshots of removed rows are kept, or nothing if no row is removed by the disposition itself.
    pub fn retention(&self) -> Option<Retention> {
        match self {
            Disposition::Detach { .. } => Some(Retention::Journal),
            Disposition::Purge { keep_copy, .. } => Some(Retention::For(*keep_copy)),
            Disposition::Transfer { .. } | Disposition::Set { .. } | Disposition::Block { .. } | Disposition::Keep => {
                None
            }
        }
    }

    /// True if a reactivation restores rows or values.
    pub fn restores(&self) -> bool {
        match self {
            Disposition::Detach { restore, .. } | Disposition::Set { restore, .. } => *restore,
            Disposition::Transfer { .. }
            | Disposition::Purge { .. }
            | Disposition::Block { .. }
            | Disposition::Keep => false,
        }
    }

    /// True if a request may name successors for the rows.
    pub fn is_allotted(&self) -> bool {
        match self {
            Disposition::Transfer { .. } => true,
            Disposition::Block { resolve, .. } => *resolve,
            Disposition::Detach { .. } | Disposition::Set { .. } | Disposition::Purge { .. } | Disposition::Keep => {
                false
            }
        }
    }

    /// True if a request must name successors whenever there are rows.
    pub fn requires_allotment(&self) -> bool {
        matches!(self, Disposition::Transfer { required: true, .. })
    }

    /// Returns the column whose last active user is blocked.
    pub fn sole_in(&self) -> Option<&Column> {
        match self {
            Disposition::Block { sole_in, .. } => sole_in.as_ref(),
            Disposition::Transfer { .. }
            | Disposition::Detach { .. }
            | Disposition::Set { .. }
            | Disposition::Purge { .. }
            | Disposition::Keep => None,
        }
    }

    /// Returns the rows that follow removed rows, if the disposition can remove any.
    pub fn followers(&self) -> Option<&Followers> {
        match self {
            Disposition::Transfer { with, .. }
            | Disposition::Block { with, .. }
            | Disposition::Detach { with, .. }
            | Disposition::Purge { with, .. } => Some(with),
            Disposition::Set { .. } | Disposition::Keep => None,
        }
    }

    /// Returns the users who may receive records, if the catalog limits them.
    pub fn eligible(&self) -> Option<&Eligible> {
        match self {
            Disposition::Transfer { eligible, .. } | Disposition::Block { eligible, .. } => eligible.as_ref(),
            Disposition::Detach { .. } | Disposition::Set { .. } | Disposition::Purge { .. } | Disposition::Keep => {
                None
            }
        }
    }

    /// Returns what happens to a record that the successor already has, if records can move.
    pub fn on_conflict(&self) -> Option<&OnConflict> {
        match self {
            Disposition::Transfer { on_conflict, .. } | Disposition::Block { on_conflict, .. } => Some(on_conflict),
            Disposition::Detach { .. } | Disposition::Set { .. } | Disposition::Purge { .. } | Disposition::Keep => {
                None
            }
        }
    }

    /// Returns the column that takes the time of the move.
    pub fn touch(&self) -> Option<&Column> {
        match self {
            Disposition::Transfer { touch, .. } => touch.as_ref(),
            Disposition::Detach { .. }
            | Disposition::Set { .. }
            | Disposition::Purge { .. }
            | Disposition::Block { .. }
            | Disposition::Keep => None,
        }
    }

    /// Returns the columns that take a value, with their values.
    pub fn values(&self) -> &[(Column, SetValue)] {
        match self {
            Disposition::Set { values, .. } => values,
            Disposition::Transfer { .. }
            | Disposition::Detach { .. }
            | Disposition::Purge { .. }
            | Disposition::Block { .. }
            | Disposition::Keep => &[],
        }
    }
}
