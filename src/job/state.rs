//! The states of a job and the one table of its transitions.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Accepted; waits for its time or for another job. Nothing has been touched.
    Scheduled,
    /// The leaver is shut out; the references are being cut into chunks, and chunks are moved meanwhile.
    Cutting,
    /// Everything is cut; chunks are moved.
    Moving,
    /// Every chunk is closed; the count is due.
    Finalizing,
    /// Done, with a certificate.
    Completed,
    /// Refused, with every reason. Final: mend the request and send it under a new id.
    Rejected,
    /// Stopped until a person decides; what was moved stays moved.
    NeedsAttention,
}

/// What happens to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Happening {
    /// Its time has come, and its guards hold.
    Started,
    /// Its last reference was cut.
    CutAll,
    /// Its last chunk was closed.
    MovedAll,
    /// The count came upon records that arrived late.
    FoundMore,
    /// The count proved that nothing is left that should not be.
    Proved,
    /// Something happened that a person has to decide.
    Stuck,
}

/// A transition that the table does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a job that is {state} cannot take `{happening:?}`")]
pub struct Illegal {
    /// Where the job stands.
    pub state: State,
    /// What was to happen to it.
    pub happening: Happening,
}

/// The state that follows, or that there is none. Every update of a job's state goes through here and names the state
/// that it expects: no row updated means that somebody else was faster.
pub fn next(state: State, happening: Happening) -> Result<State, Illegal> {
    use Happening::{CutAll, FoundMore, MovedAll, Proved, Started, Stuck};
    match (state, happening) {
        (State::Scheduled, Started) => Ok(State::Cutting),
        (State::Cutting, CutAll) => Ok(State::Moving),
        (State::Moving, MovedAll) => Ok(State::Finalizing),
        (State::Finalizing, FoundMore) => Ok(State::Cutting),
        // A job that fits one chunk is planned, moved and proved in one transaction.
        (State::Cutting | State::Finalizing, Proved) => Ok(State::Completed),
        (State::Scheduled | State::Cutting | State::Moving | State::Finalizing, Stuck) => Ok(State::NeedsAttention),
        _ => Err(Illegal { state, happening }),
    }
}

impl State {
    /// Every state, in the order of a job's life.
    pub const ALL: [State; 7] = [
        State::Scheduled,
        State::Cutting,
        State::Moving,
        State::Finalizing,
        State::Completed,
        State::Rejected,
        State::NeedsAttention,
    ];

    /// States of a job that has begun and not ended: its leaver is leaving, its successors must stay.
    pub const UNDER_WAY: [State; 4] = [State::Cutting, State::Moving, State::Finalizing, State::NeedsAttention];

    /// The word that stands in the ledger and in every output.
    pub fn name(self) -> &'static str {
        match self {
            State::Scheduled => "scheduled",
            State::Cutting => "cutting",
            State::Moving => "moving",
            State::Finalizing => "finalizing",
            State::Completed => "completed",
            State::Rejected => "rejected",
            State::NeedsAttention => "needs_attention",
        }
    }

    /// The state of that name.
    pub fn from_name(name: &str) -> Option<State> {
        State::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether nothing more happens to the job by itself.
    pub fn is_final(self) -> bool {
        matches!(self, State::Completed | State::Rejected)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HAPPENINGS: [Happening; 6] = [
        Happening::Started,
        Happening::CutAll,
        Happening::MovedAll,
        Happening::FoundMore,
        Happening::Proved,
        Happening::Stuck,
    ];

    #[test]
    fn nothing_leaves_a_final_state() {
        for state in State::ALL.into_iter().filter(|state| state.is_final()) {
            for happening in HAPPENINGS {
                assert_eq!(next(state, happening), Err(Illegal { state, happening }));
            }
        }
    }

    #[test]
    fn every_state_under_way_can_get_stuck_once() {
        for state in State::UNDER_WAY {
            let stuck = next(state, Happening::Stuck);
            assert_eq!(stuck.is_ok(), state != State::NeedsAttention, "{state}");
        }
    }

    #[test]
    fn a_job_that_finds_late_records_goes_round_again_and_ends() {
        let round = [Happening::CutAll, Happening::MovedAll, Happening::FoundMore];
        let twice = round.iter().chain(&round).chain(&[Happening::CutAll, Happening::MovedAll, Happening::Proved]);
        let end = twice.fold(State::Cutting, |state, happening| next(state, *happening).expect("legal"));
        assert_eq!(end, State::Completed);
    }

    #[test]
    fn names_are_read_back() {
        for state in State::ALL {
            assert_eq!(State::from_name(state.name()), Some(state));
        }
    }
}
