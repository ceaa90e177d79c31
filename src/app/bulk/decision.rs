//! The decision on a row before anything is sent.

use super::outcome::{RowOutcome, RowResult};
use super::reason::RowReason;
use crate::contract::{JobId, Request};

/// A row with its decision.
pub struct EvaluatedRow {
    /// Its number in the file.
    pub number: u64,
    /// The user: the id if it is known, otherwise the text of the row.
    pub user: String,
    /// The decision.
    pub decision: RowDecision,
}

/// The decision on a row.
pub enum RowDecision {
    /// The row does not ask for a deactivation; it says so in these words.
    Skipped(String),
    /// The row is rejected, for every one of these reasons.
    Rejected(Vec<RowReason>),
    /// The same request was sent before. Its job is done, or will be.
    SentBefore(Box<Request>),
    /// The same request was sent before. Its job did nothing, or it is undone by now, for these reasons.
    NotDone(JobId, Vec<RowReason>),
    /// The row is acceptable, and would move this many records.
    Ok(Box<Request>, u64),
}

impl EvaluatedRow {
    /// Returns the row's result if it is not sent.
    pub fn result(&self) -> RowResult {
        let result = |outcome| RowResult {
            row: self.number,
            user: self.user.clone(),
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
            RowDecision::SentBefore(request) => {
                RowResult { job_id: Some(request.job_id()), ..result(RowOutcome::SentBefore) }
            }
            RowDecision::Ok(request, records) => {
                RowResult { job_id: Some(request.job_id()), records: Some(*records), ..result(RowOutcome::Ok) }
            }
        }
    }
}

impl RowDecision {
    /// Returns the decision with more reasons against the row, if there are any.
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
