//! The stages that hand over what a user owns, and what they share.

pub(super) mod bisect;
pub(super) mod certify;
pub mod cutter;
pub mod evaluate;
pub mod finalizer;
pub(super) mod lock_out;
pub mod mover;
pub mod planner;
pub(super) mod resize;
pub mod scheduled;
pub(super) mod start;
