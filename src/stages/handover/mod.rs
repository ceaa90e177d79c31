//! The stages that hand over what a user owns, and what they share.
//!
//! Stages: `planner`, `scheduled`, `cutter`, `mover`, `finalizer`. All other files are shared by them and by `undo` and
//! `commands`, and import no stage.

pub(super) mod bisect;
pub(super) mod certify;
pub(super) mod chunk;
pub mod cutter;
pub mod evaluate;
pub mod failure;
pub mod finalizer;
pub(super) mod guard_rows;
pub(super) mod lock_out;
pub mod mover;
pub(super) mod parties;
pub mod planner;
pub(super) mod resize;
pub mod scheduled;
pub mod settle;
pub(super) mod start;
pub(super) mod supersede;
pub(super) mod turns;
pub(super) mod wait;
