//! The decision on a row before anything is sent.

use super::outcome::{RowOutcome, RowResult, Understood};
use super::reason::RowReason;
use crate::contract::{JobId, Request};
use crate::job::State;

/// A row with its decision.
pub struct EvaluatedRow {
    /// Its number in the file.
    pub number: u64,
    /// The row as it is understood.
    pub understood: Understood,
    /// The decision.
    pub decision: RowDecision,
}

/// The decision on a row.
pub enum RowDecision {
    /// The row does not ask for a deactivation; the text says why.
    Skipped(String),
    /// The row is rejected, for every one of these reasons.
    Rejected(Vec<RowReason>),
    /// The same request was sent before. Its job has this state; `None` if no job is known yet.
    SentBefore(Box<Request>, Option<State>),
    /// The same request was sent before, but it had no effect, or its effect was undone. The reasons say why.
    NotDone(JobId, Vec<RowReason>),
    /// The row is acceptable, and would move this many records.
    Ok(Box<Request>, u64),
}

impl EvaluatedRow {
    /// Returns the row's result before anything is sent.
    pub fn result(&self) -> RowResult {
        let result = |outcome| RowResult {
            row: self.number,
            understood: self.understood.clone(),
            outcome,
            note: None,
            reasons: Vec::new(),
            job_id: None,
            records: None,
        };
        match &self.decision {
            RowDecision::Skipped(note) => RowResult { note: Some(note.clone()), ..result(RowOutcome::Skipped) },
            RowDecision::Rejected(reasons) => RowResult { reasons: reasons.clone(), ..result(RowOutcome::Rejected) },
            RowDecision::NotDone(job, reasons) => {
                RowResult { job_id: Some(*job), reasons: reasons.clone(), ..result(RowOutcome::Rejected) }
            }
            RowDecision::SentBefore(request, state) => {
                let state = state.map_or("not known yet", State::name);
                let note = Some(format!("sent before: nothing is sent again; the job is {state}"));
                RowResult { job_id: Some(request.job_id()), note, ..result(RowOutcome::SentBefore) }
            }
            RowDecision::Ok(request, records) => {
                RowResult { job_id: Some(request.job_id()), records: Some(*records), ..result(RowOutcome::Ok) }
            }
        }
    }
}

impl RowDecision {
    /// Returns the decision; `words` rewrites the reasons of a rejection.
    pub fn reworded(mut self, words: impl FnOnce(Vec<RowReason>) -> Vec<RowReason>) -> RowDecision {
        if let RowDecision::Rejected(reasons) = &mut self {
            *reasons = words(std::mem::take(reasons));
        }
        self
    }

    /// Adds reasons, which turn any decision into a rejection. Returns the decision unchanged if there are none.
    pub fn rejected_for(self, mut more: Vec<RowReason>) -> RowDecision {
        if more.is_empty() {
            return self;
        }
        if let RowDecision::Rejected(reasons) = self {
            more.extend(reasons);
        }
        RowDecision::Rejected(more)
    }
}
