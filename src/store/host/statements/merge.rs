//! Adding a leaver's row to the one that the successor has of the same record.
//!
//! The leaver's row is deleted, with a snapshot: its columns are what was added. Under `$before` the snapshot keeps the
//! successor's columns as they were, so that an undo can subtract, and tell an empty column from a zero.

use crate::catalog::{Column, Occupied, Reference};
use crate::store::dialect::sql::{column, quoted};
use crate::store::host::user_match::points_at;

/// The SQL of a merge: `t` is the leaver's row, `o` the successor's.
pub struct MergeColumns<'m> {
    /// The reference.
    pub reference: &'m Reference,
    /// The columns that identify the successor's row, besides the user.
    pub occupied: &'m Occupied,
    /// The columns that are added.
    pub columns: &'m [Column],
}

impl MergeColumns<'_> {
    /// Tests that `o` is the row that the successor has of the leaver's record `t`.
    pub fn is_same_record(&self, successor: &str) -> String {
        let same: String =
            self.occupied.0.iter().map(|name| format!(" AND {} = {}", column("o", name), column("t", name))).collect();
        format!("{}{same}", points_at(&self.reference.user, "o", successor))
    }

    /// Returns what a merge reads of the leaver's row `t`: the columns to add as `a0`, `a1` and so on, and the columns that
    /// identify the successor's row as `o0`, `o1` and so on.
    pub fn read(&self) -> String {
        let added =
            self.columns.iter().enumerate().map(|(index, add)| format!("{} AS a{index}", column("t", &add.name)));
        let same = self.occupied.0.iter().enumerate().map(|(index, name)| format!("{} AS o{index}", column("t", name)));
        added.chain(same).collect::<Vec<_>>().join(", ")
    }

    /// Tests that `o` is the row to which the columns that `from` has read are added.
    pub fn takes(&self, from: &str, successor: &str) -> String {
        let names = self.occupied.0.iter().enumerate();
        let same: String = names.map(|(index, name)| format!(" AND {} = {from}.o{index}", column("o", name))).collect();
        format!("{}{same}", points_at(&self.reference.user, "o", successor))
    }

    /// Returns the assignments of the sums. An empty column adds nothing.
    pub fn sums(&self, from: &str) -> String {
        let sum = |(index, add): (usize, &Column)| {
            let (own, theirs) = (column("o", &add.name), format!("{from}.a{index}"));
            format!("{} = COALESCE({own} + {theirs}, {own}, {theirs})", quoted(&add.name))
        };
        self.columns.iter().enumerate().map(sum).collect::<Vec<_>>().join(", ")
    }
}
