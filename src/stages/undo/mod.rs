//! The undo of a job: how it begins, what it gives back, how it ends, and its preview.

pub(super) mod begin;
pub(super) mod finalize;
pub mod preview;
pub(super) mod work;
