//! Taking changes back: moving records back, restoring rows, setting old values, subtracting what was added.
//!
//! Nothing is taken back that the host has changed since: each statement tests under the row's lock if the row is still as
//! the job left it. What the database refuses (a key is occupied, a parent is gone) is found by bisection within a
//! savepoint, and the others come back.
//!
//! Locks: the rows that come back, until the caller commits.

mod another_row;
mod bisect_writes;
mod content_match;
mod current_columns;
mod fill_back;
mod move_back;
mod orphans;
mod restore_rows;
mod restored;
mod set_back;
mod snapshot_keys;
mod unmerge;

pub use content_match::{give_back, preview_give_back};
pub use fill_back::{EmptiedRows, fill_back, preview_fill_back};
pub use move_back::{MovedRows, move_back, preview_move_back};
pub use restore_rows::{RowsToRestore, preview_restore, restore_rows};
pub use restored::RestoreOutcome;
pub use set_back::{preview_set_back, set_back};
pub use snapshot_keys::snapshot_keys;
pub use unmerge::{MergedRows, preview_unmerge, unmerge};
