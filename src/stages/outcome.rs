//! The outcome of a message that a stage took.

use crate::contract::{DeadLetterCode, Fault, InvalidRequest, JobId, Reason, RequestOutcome};
use crate::store::ledger::entity;
use crate::store::ledger::jobs::Job;
use crate::store::{Error, FailureClass};

/// The outcome of a message that a stage took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The effect is committed, or there was nothing to do.
    Done,
    /// The answer to a request is committed.
    Answered(Answer),
    /// The message goes to the dead-letter queue, for a person.
    DeadLetter(DeadLetterReason),
    /// Nothing is done, because other transactions were in the way. The message is tried again later. Once its budget is used up,
    /// it goes to the dead-letter queue for this reason.
    Blocked(DeadLetterReason),
    /// Nothing is done: messages of the same group took too long. The message is next.
    NotReached,
    /// Nothing is done: the job has changed since the version that the command names.
    Outdated,
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The sender's id of the request.
    pub request_id: String,
    /// The request's job.
    pub job: JobId,
    /// The result.
    pub result: AnswerResult,
}

/// The result of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnswerResult {
    /// The request created its job.
    Accepted,
    /// The request is rejected for these reasons.
    Rejected(Vec<Reason>),
    /// The request is known, with the outcome that the ledger has recorded.
    Duplicate(RequestOutcome),
}

impl Answer {
    /// Creates the answer to the request of a job.
    pub fn to(job: &Job, result: AnswerResult) -> Answer {
        Answer { request_id: job.request_id.clone(), job: JobId(job.id), result }
    }
}

/// Why a message is a dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetterReason {
    /// The first fault.
    pub fault: Fault,
    /// The other faults.
    pub more: Vec<Fault>,
    /// The number of attempts on this message alone. A message that cannot be read is tried once.
    pub attempts: u32,
}

impl DeadLetterReason {
    /// Creates the reason for a message with one fault, which was tried once.
    pub fn of(fault: Fault) -> DeadLetterReason {
        DeadLetterReason { fault, more: Vec::new(), attempts: 1 }
    }

    /// Lists all faults.
    pub fn faults(&self) -> impl Iterator<Item = &Fault> {
        [&self.fault].into_iter().chain(&self.more)
    }

    /// Returns all faults as one text. Each after the first comes with its path and hint.
    pub fn detail(&self) -> String {
        let more = self.more.iter().map(|fault| format!("; at `{}`: {}: {}", fault.path, fault.detail, fault.hint));
        [self.fault.detail.clone()].into_iter().chain(more).collect()
    }
}

impl From<InvalidRequest> for DeadLetterReason {
    fn from(invalid: InvalidRequest) -> DeadLetterReason {
        DeadLetterReason { fault: invalid.first, more: invalid.more, attempts: 1 }
    }
}

/// Answers a request whose id is known: the same body is a duplicate, another one is a conflict.
pub fn answer_known(earlier: &entity::requests::Model, body_hash: &str) -> Outcome {
    if earlier.body_hash == body_hash {
        tracing::info!(job = %earlier.job_id, org = earlier.org, request = earlier.request_id, "duplicate request answered from the ledger");
        return Outcome::Answered(Answer {
            request_id: earlier.request_id.clone(),
            job: JobId(earlier.job_id),
            result: AnswerResult::Duplicate(earlier.outcome),
        });
    }
    let detail = format!(
        "the request id {:?} belongs to the job {} with another body; that job is unchanged",
        earlier.request_id, earlier.job_id
    );
    let hint = "send this request under a new `request_id`";
    Outcome::DeadLetter(DeadLetterReason::of(Fault::new(DeadLetterCode::Conflict, "request_id", detail, hint)))
}

/// Returns the outcome of a request whose attempts at once have failed: it is blocked, or a dead letter with the database's error.
pub fn failed(job: JobId, error: &Error, attempts: u32) -> Outcome {
    let hint = "fix the cause, then send it back with `handover dead replay`";
    let fault = Fault::new(DeadLetterCode::Failed, ".", error.to_string(), hint);
    let reason = DeadLetterReason { attempts, ..DeadLetterReason::of(fault) };
    match error.class() {
        FailureClass::Contended => Outcome::Blocked(reason),
        FailureClass::Refused | FailureClass::TimedOut | FailureClass::Away | FailureClass::Unknown => {
            tracing::error!(%job, attempts, %error, "request failed");
            Outcome::DeadLetter(reason)
        }
    }
}
