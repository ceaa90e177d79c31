//! The outcome of a message that a stage took.

use crate::contract::{DeadLetterCode, JobId, Reason, RequestOutcome};
use crate::store::Error;
use crate::store::ledger::entity;
use crate::store::ledger::jobs::Job;

/// The outcome of a message that a stage took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The effect is committed, or there was nothing to do.
    Done,
    /// The answer to a request is committed.
    Answered(Answer),
    /// The message goes to the dead-letter queue, for a person.
    DeadLetter(DeadLetterReason),
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
    /// The code, for programs.
    pub code: DeadLetterCode,
    /// The path to the field that is to blame, if one is.
    pub path: Option<String>,
    /// The text, for people.
    pub detail: String,
    /// The number of attempts on this message alone. A message that cannot be read is tried once.
    pub attempts: u32,
}

/// Answers a request whose id is known: the same body is a duplicate, another one is a conflict.
pub fn answer_known(earlier: &entity::requests::Model, body_hash: &str) -> Outcome {
    if earlier.body_hash == body_hash {
        tracing::info!(job = %earlier.job_id, "duplicate request answered from the ledger");
        return Outcome::Answered(Answer {
            request_id: earlier.request_id.clone(),
            job: JobId(earlier.job_id),
            result: AnswerResult::Duplicate(earlier.outcome),
        });
    }
    let detail = format!(
        "the request id {:?} belongs to the job {} with another body; that job is unchanged: send this request under a new id",
        earlier.request_id, earlier.job_id
    );
    Outcome::DeadLetter(DeadLetterReason {
        code: DeadLetterCode::Conflict,
        path: Some("request_id".into()),
        detail,
        attempts: 1,
    })
}

/// Returns the outcome of a request that the database refuses: a dead letter with the database's error.
pub fn failed(job: JobId, error: &Error, attempts: u32) -> Outcome {
    tracing::error!(%job, attempts, %error, "request failed");
    Outcome::DeadLetter(DeadLetterReason {
        code: DeadLetterCode::Failed,
        path: None,
        detail: error.to_string(),
        attempts,
    })
}
