//! Pausing a job.

use crate::contract::{JobId, Reason};
use crate::job::{Transition, next, reason};
use crate::stages::commands::context::CommandContext;
use crate::stages::lifecycle::JobChange;
use crate::store::Result;

/// Pauses a job that is scheduled or under way.
pub fn pause(command: &mut CommandContext<'_>, mut target: JobChange) -> Result<Vec<Reason>> {
    let state = target.state();
    if next(state, Transition::Paused).is_err() {
        let hint = "a job can be paused that is scheduled or under way";
        return Ok(vec![reason::wrong_state(JobId(target.job.id), state.name(), "paused", hint)]);
    }
    target.pause(command.now)?;
    command.save(target);
    Ok(Vec::new())
}
