//! Undo: reverting a job and reactivating a user.

mod changed_tables;
mod conflicts;
mod licenses;
mod numbers;
mod parents;
pub mod revert;
mod values;
