//! The description of a change of rows.

use crate::catalog::{Child, Column, JournalAction, Occupied, Reference, Retention, SetValue};
use crate::store::host::item::WorkItem;
use crate::store::host::selection::Selected;

/// A change of a table's rows, with what the ledger keeps of it.
#[derive(Debug, Clone)]
pub struct RowChange<'a> {
    /// The reference that the rows are of.
    pub reference: &'a Reference,
    /// The leavers whose rows change, each for a job.
    pub items: &'a [&'a WorkItem],
    /// The rows among theirs.
    pub rows: Selected,
    /// The effect on these rows.
    pub effect: Effect<'a>,
    /// The action that the journal records.
    pub action: JournalAction,
    /// The time for which snapshots of the rows are kept; absent if none are taken.
    pub retention: Option<Retention>,
}

/// The effect of a change on rows.
#[derive(Debug, Clone)]
pub enum Effect<'a> {
    /// They go to their successors.
    Move,
    /// They are deleted, after the rows of these tables that point at them.
    Delete(&'a [Child]),
    /// Columns take values.
    Set(&'a [(Column, SetValue)]),
    /// They are added to the rows that their successors have, and deleted.
    Merge {
        /// The columns that identify the successor's row, besides the user.
        occupied: &'a Occupied,
        /// The columns that are added.
        columns: &'a [Column],
    },
}

impl RowChange<'_> {
    /// Says what is being done, for errors.
    pub fn doing(&self) -> String {
        let verb = match self.effect {
            Effect::Move => "moving",
            Effect::Delete(_) => "removing",
            Effect::Set(_) => "setting",
            Effect::Merge { .. } => "merging",
        };
        format!("{verb} {}", self.reference.kind)
    }

    /// Returns how long snapshots are kept, if any are taken.
    pub fn kept(&self) -> Option<Retention> {
        self.retention.filter(|retention| *retention != Retention::For(std::time::Duration::ZERO))
    }
}
