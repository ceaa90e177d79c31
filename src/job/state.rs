//! The states of a job, and the one table of its transitions.

pub use crate::contract::State;

/// A transition of a job from one state to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transition {
    /// Its time has come, and its guards hold.
    Started,
    /// Its last reference is cut.
    CutAll,
    /// Its last chunk is closed.
    MovedAll,
    /// The count found records that arrived late.
    FoundMore,
    /// The count proved that nothing is left that must not be.
    Proved,
    /// A person has to decide.
    NeedsAttention,
    /// After its end, rows arrived that it cannot move and that may not stay: a person has to decide.
    Reopened,
    /// It is paused on request.
    Paused,
    /// It is resumed; it has not started yet.
    ResumedScheduled,
    /// It is resumed; not every reference is cut.
    ResumedCutting,
    /// It is resumed; every reference is cut.
    ResumedMoving,
    /// It is cancelled, and there is nothing to undo.
    Cancelled,
    /// Another job starts to undo it.
    UndoStarted,
    /// It was undone after its end.
    Undone,
    /// It was cancelled, and what it had done is undone.
    UndoneOnCancel,
}

impl Transition {
    /// Returns true if the audit trail has an entry for it. It has none for the progress of a job.
    pub fn is_audited(self) -> bool {
        match self {
            Transition::CutAll | Transition::MovedAll => false,
            Transition::Started
            | Transition::FoundMore
            | Transition::Proved
            | Transition::NeedsAttention
            | Transition::Reopened
            | Transition::Paused
            | Transition::ResumedScheduled
            | Transition::ResumedCutting
            | Transition::ResumedMoving
            | Transition::Cancelled
            | Transition::UndoStarted
            | Transition::Undone
            | Transition::UndoneOnCancel => true,
        }
    }
}

/// A transition that the table does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a job that is {state} cannot take `{transition:?}`")]
pub struct IllegalTransition {
    /// The state of the job.
    pub state: State,
    /// The transition.
    pub transition: Transition,
}

/// Returns the state after a transition, or an error if the table does not have it.
///
/// Every change of a job's state uses this table, and its update names the expected state: if no row is updated, another
/// worker was faster.
///
/// ```
/// use handover::job::{State, Transition, next};
///
/// assert_eq!(next(State::Moving, Transition::MovedAll)?, State::Finalizing);
/// assert!(next(State::Completed, Transition::Paused).is_err());
/// # Ok::<(), handover::job::IllegalTransition>(())
/// ```
pub fn next(state: State, transition: Transition) -> Result<State, IllegalTransition> {
    let after = match transition {
        Transition::Started => (state == State::Scheduled).then_some(State::Cutting),
        Transition::CutAll => (state == State::Cutting).then_some(State::Moving),
        Transition::MovedAll => (state == State::Moving).then_some(State::Finalizing),
        Transition::FoundMore => (state == State::Finalizing).then_some(State::Cutting),
        // A job that fits one chunk is planned, moved and proved in one transaction.
        Transition::Proved => matches!(state, State::Cutting | State::Finalizing).then_some(State::Completed),
        Transition::NeedsAttention => is_active(state).then_some(State::NeedsAttention),
        Transition::Reopened => (state == State::Completed).then_some(State::NeedsAttention),
        Transition::Paused => is_active(state).then_some(State::Paused),
        Transition::ResumedScheduled => state.is_held().then_some(State::Scheduled),
        Transition::ResumedCutting => state.is_held().then_some(State::Cutting),
        Transition::ResumedMoving => state.is_held().then_some(State::Moving),
        Transition::Cancelled => (state == State::Scheduled || state.is_held()).then_some(State::Cancelled),
        Transition::UndoStarted => can_be_undone(state).then_some(State::Reverting),
        Transition::Undone => (state == State::Reverting).then_some(State::Reverted),
        Transition::UndoneOnCancel => (state == State::Reverting).then_some(State::Cancelled),
    };
    after.ok_or(IllegalTransition { state, transition })
}

/// True if the job goes on by itself.
fn is_active(state: State) -> bool {
    matches!(state, State::Scheduled | State::Cutting | State::Moving | State::Finalizing)
}

/// True if the job may have changed something that can be undone.
fn can_be_undone(state: State) -> bool {
    state == State::Completed || State::OPEN.contains(&state)
}

impl State {
    /// States of a job that has started and not ended. Its leaver is leaving, and its successors must stay.
    pub const UNDER_WAY: [State; 5] =
        [State::Cutting, State::Moving, State::Finalizing, State::NeedsAttention, State::Paused];

    /// States of a job that has not ended. A user has at most one such job, and one more that waits for it. A job that is being
    /// undone counts as ended; the job that undoes it does not.
    pub const OPEN: [State; 6] =
        [State::Scheduled, State::Cutting, State::Moving, State::Finalizing, State::NeedsAttention, State::Paused];

    /// True if the job does not change any more by itself.
    pub fn is_final(self) -> bool {
        matches!(self, State::Completed | State::Rejected | State::Reverted | State::Cancelled)
    }

    /// True if the job waits for a person.
    pub fn is_held(self) -> bool {
        matches!(self, State::NeedsAttention | State::Paused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRANSITIONS: [Transition; 15] = [
        Transition::Started,
        Transition::CutAll,
        Transition::MovedAll,
        Transition::FoundMore,
        Transition::Proved,
        Transition::NeedsAttention,
        Transition::Reopened,
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
    fn only_completed_jobs_leave_a_final_state() {
        for state in State::ALL.into_iter().filter(|state| state.is_final()) {
            for transition in TRANSITIONS {
                let leaves = [Transition::UndoStarted, Transition::Reopened].contains(&transition);
                let leaves = leaves && state == State::Completed;
                assert_eq!(next(state, transition).is_ok(), leaves, "{state} {transition:?}");
            }
        }
    }

    #[test]
    fn states_under_way_can_be_stopped_once() {
        for state in State::UNDER_WAY {
            for transition in [Transition::NeedsAttention, Transition::Paused] {
                assert_eq!(next(state, transition).is_ok(), !state.is_held(), "{state} {transition:?}");
            }
        }
    }

    #[test]
    fn open_jobs_can_be_cancelled() {
        for state in State::OPEN {
            let undone = next(state, Transition::UndoStarted).and_then(|state| next(state, Transition::UndoneOnCancel));
            assert_eq!(undone.or(next(state, Transition::Cancelled)), Ok(State::Cancelled), "{state}");
        }
    }

    #[test]
    fn late_records_are_cut_again_before_the_end() {
        let round = [Transition::CutAll, Transition::MovedAll, Transition::FoundMore];
        let twice = round.iter().chain(&round).chain(&[Transition::CutAll, Transition::MovedAll, Transition::Proved]);
        let end = twice.fold(State::Cutting, |state, transition| next(state, *transition).expect("legal"));
        assert_eq!(end, State::Completed);
    }
}
