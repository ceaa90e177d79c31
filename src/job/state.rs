//! The states of a job and the one table of its transitions.

use crate::contract::named_enum;

named_enum! {
    /// The state of a job.
    pub enum State: "job state" {
        /// Accepted; waits for its time or for another job. Nothing has changed yet.
        Scheduled = "scheduled",
        /// The leaver is locked out. References are being cut into chunks, and chunks are being moved.
        Cutting = "cutting",
        /// Every reference is cut; chunks are being moved.
        Moving = "moving",
        /// Every chunk is closed; the count is due.
        Finalizing = "finalizing",
        /// Done, with a certificate.
        Completed = "completed",
        /// Refused, with every reason. Final: fix the request and send it under a new id.
        Rejected = "rejected",
        /// Stopped until a person decides. What was moved stays moved.
        NeedsAttention = "needs_attention",
        /// Stopped on request, until it is resumed.
        Paused = "paused",
        /// Being undone by another job.
        Reverting = "reverting",
        /// Undone after its end.
        Reverted = "reverted",
        /// Ended early; what it had moved is back.
        Cancelled = "cancelled",
    }
}

/// What happens to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transition {
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
    NeedsAttention,
    /// Somebody asked for it to stop.
    Paused,
    /// Somebody asked for it to go on: it has not begun.
    ResumedScheduled,
    /// Somebody asked for it to go on: not everything is cut.
    ResumedCutting,
    /// Somebody asked for it to go on: everything is cut.
    ResumedMoving,
    /// Somebody called it off, and nothing is to be undone.
    Cancelled,
    /// A job begins to undo it.
    UndoStarted,
    /// What it did after its end is undone.
    Undone,
    /// What it did before it was called off is undone.
    UndoneOnCancel,
}

/// A transition that the table does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a job that is {state} cannot take `{transition:?}`")]
pub struct IllegalTransition {
    /// Where the job stands.
    pub state: State,
    /// What was to happen to it.
    pub transition: Transition,
}

/// The state that follows, or that there is none. Every update of a job's state goes through here and names the state
/// that it expects: no row updated means that somebody else was faster.
pub fn next(state: State, transition: Transition) -> Result<State, IllegalTransition> {
    use Transition::*;
    match (state, transition) {
        (State::Scheduled, Started) => Ok(State::Cutting),
        (State::Cutting, CutAll) => Ok(State::Moving),
        (State::Moving, MovedAll) => Ok(State::Finalizing),
        (State::Finalizing, FoundMore) => Ok(State::Cutting),
        // A job that fits one chunk is planned, moved and proved in one transaction.
        (State::Cutting | State::Finalizing, Proved) => Ok(State::Completed),
        (State::Scheduled | State::Cutting | State::Moving | State::Finalizing, NeedsAttention) => {
            Ok(State::NeedsAttention)
        }
        (State::Scheduled | State::Cutting | State::Moving | State::Finalizing, Paused) => Ok(State::Paused),
        (State::Paused | State::NeedsAttention, ResumedScheduled) => Ok(State::Scheduled),
        (State::Paused | State::NeedsAttention, ResumedCutting) => Ok(State::Cutting),
        (State::Paused | State::NeedsAttention, ResumedMoving) => Ok(State::Moving),
        (State::Scheduled | State::Paused | State::NeedsAttention, Cancelled) => Ok(State::Cancelled),
        (
            State::Cutting
            | State::Moving
            | State::Finalizing
            | State::Paused
            | State::NeedsAttention
            | State::Completed,
            UndoStarted,
        ) => Ok(State::Reverting),
        (State::Reverting, Undone) => Ok(State::Reverted),
        (State::Reverting, UndoneOnCancel) => Ok(State::Cancelled),
        _ => Err(IllegalTransition { state, transition }),
    }
}

impl State {
    /// States of a job that has begun and not ended: its leaver is leaving, its successors must stay.
    pub const UNDER_WAY: [State; 5] =
        [State::Cutting, State::Moving, State::Finalizing, State::NeedsAttention, State::Paused];

    /// States of a job that has not ended, of which a user has one at most. One that is being undone has: the job that
    /// undoes it has not.
    pub const OPEN: [State; 6] =
        [State::Scheduled, State::Cutting, State::Moving, State::Finalizing, State::NeedsAttention, State::Paused];

    /// Whether nothing more happens to the job by itself.
    pub fn is_final(self) -> bool {
        matches!(self, State::Completed | State::Rejected | State::Reverted | State::Cancelled)
    }

    /// Whether the job waits for a person.
    pub fn is_held(self) -> bool {
        matches!(self, State::NeedsAttention | State::Paused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRANSITIONS: [Transition; 14] = [
        Transition::Started,
        Transition::CutAll,
        Transition::MovedAll,
        Transition::FoundMore,
        Transition::Proved,
        Transition::NeedsAttention,
        Transition::Paused,
        Transition::ResumedScheduled,
        Transition::ResumedCutting,
        Transition::ResumedMoving,
        Transition::Cancelled,
        Transition::UndoStarted,
        Transition::Undone,
        Transition::UndoneOnCancel,
    ];

    #[test]
    fn nothing_leaves_a_final_state_but_a_completed_one_to_be_undone() {
        for state in State::ALL.into_iter().filter(|state| state.is_final()) {
            for transition in TRANSITIONS {
                let undone = (state, transition) == (State::Completed, Transition::UndoStarted);
                assert_eq!(next(state, transition).is_ok(), undone, "{state} {transition:?}");
            }
        }
    }

    #[test]
    fn every_state_under_way_can_get_stuck_or_be_paused_once() {
        for state in State::UNDER_WAY {
            for transition in [Transition::NeedsAttention, Transition::Paused] {
                assert_eq!(next(state, transition).is_ok(), !state.is_held(), "{state} {transition:?}");
            }
        }
    }

    #[test]
    fn whatever_has_not_ended_can_be_called_off() {
        for state in State::OPEN {
            let undone = next(state, Transition::UndoStarted).and_then(|state| next(state, Transition::UndoneOnCancel));
            assert_eq!(undone.or(next(state, Transition::Cancelled)), Ok(State::Cancelled), "{state}");
        }
    }

    #[test]
    fn a_job_that_finds_late_records_goes_round_again_and_ends() {
        let round = [Transition::CutAll, Transition::MovedAll, Transition::FoundMore];
        let twice = round.iter().chain(&round).chain(&[Transition::CutAll, Transition::MovedAll, Transition::Proved]);
        let end = twice.fold(State::Cutting, |state, transition| next(state, *transition).expect("legal"));
        assert_eq!(end, State::Completed);
    }
}
