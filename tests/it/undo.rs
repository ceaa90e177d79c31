//! Undo: reverting a job and reactivating a user.

mod changed_tables;
mod conflicts;
mod licenses;
mod numbers;
mod parents;
mod reused_keys;
pub mod revert;
mod values;
