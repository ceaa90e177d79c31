//! The refusal of a command because of a job's state.

use crate::contract::{JobId, Reason};
use crate::job::{State, reason};
use crate::store::ledger::jobs::Job;

/// Returns why a job refuses a command, unless it is in one of these states. `wants` is what the command does: "reverted".
pub fn refusal(target: &Job, states: &[State], wants: &str) -> Option<Reason> {
    if states.contains(&target.state) {
        return None;
    }
    let names: Vec<&str> = states.iter().map(|state| state.name()).collect();
    let hint = format!("a job can be {wants} that is {}", names.join(" or "));
    Some(reason::wrong_state(JobId(target.id), target.state.name(), wants, &hint))
}
