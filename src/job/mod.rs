//! The life of a job, without I/O: its states, the one table of transitions, its steps, and the reasons why it stops.

pub mod reason;
mod state;
mod step;

pub use state::{IllegalTransition, State, Transition, next};
pub use step::{Step, StepKind};
