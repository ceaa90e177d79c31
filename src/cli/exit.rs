//! Exit codes.

use std::process::ExitCode;

use crate::job::State;

/// The outcome of a command, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// 0: done.
    Done,
    /// 3: a request was rejected, or would be.
    Rejected,
    /// 1: failed, not confirmed, or needs attention.
    Failed,
    /// 2: the command line or a variable is wrong, or the confirmation is missing.
    Usage,
}

impl Exit {
    /// Returns the outcome of a command that waited for a job until it reached this state.
    pub fn of_state(state: State) -> Exit {
        match state {
            State::Rejected => Exit::Rejected,
            State::NeedsAttention | State::Paused => Exit::Failed,
            State::Scheduled
            | State::Cutting
            | State::Moving
            | State::Finalizing
            | State::Completed
            | State::Reverting
            | State::Reverted
            | State::Cancelled => Exit::Done,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Rejected => 3,
        })
    }
}
