//! A job's life, without I/O: its states and the one table of transitions, and the reasons why it is refused.

pub mod reason;
mod state;
mod step;

pub use state::{IllegalTransition, State, Transition, next};
pub use step::{Step, StepKind};
