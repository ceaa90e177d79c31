//! The description of a change of rows.

use crate::catalog::{Column, Fires, Following, JournalAction, Link, Occupied, Reference, Retention, SetValue};
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
    /// They are deleted.
    Delete,
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

impl<'a> RowChange<'a> {
    /// Lists the links with this effect along which other rows follow those that are removed.
    pub fn links(&self, effect: Following) -> impl Iterator<Item = &'a Link> + use<'a> {
        let followers = match self.effect {
            Effect::Delete | Effect::Merge { .. } => self.reference.disposition.followers(),
            Effect::Move | Effect::Set(_) => None,
        };
        followers.into_iter().flat_map(move |followers| followers.with_effect(effect))
    }

    /// True if other rows may follow those that are removed.
    pub fn has_followers(&self) -> bool {
        self.links(Following::Removed).chain(self.links(Following::Emptied)).next().is_some()
    }

    /// True if a trigger of the table may have a say in what becomes of the rows.
    pub fn fires_triggers(&self) -> bool {
        let Fires { on_update, on_delete, .. } = self.reference.fires;
        match self.effect {
            Effect::Move | Effect::Set(_) => on_update,
            Effect::Delete => on_delete,
            Effect::Merge { .. } => on_update || on_delete,
        }
    }

    /// Says what is being done, for errors.
    pub fn doing(&self) -> String {
        let verb = match self.effect {
            Effect::Move => "moving",
            Effect::Delete => "removing",
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
