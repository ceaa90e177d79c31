//! A job's life, without I/O: its states and the one table of transitions, and the reasons why it is refused.

pub mod rejection;
mod state;
mod step;

pub use state::{Happening, Illegal, State, next};
pub use step::{Step, StepKind};
