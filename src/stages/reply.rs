//! Replies to requests that ask for one by AMQP's `reply_to`.
//!
//! A reply is sent once its request's outcome is committed and before the request is acknowledged. It needs no outbox row: if a
//! worker crashes in between, the request is delivered again, is found known, and is answered.

use serde::Deserialize;

use crate::contract::{Fault, JobId, Reason, Reply, ReplyCode, ReplyOutcome, RequestOutcome, Subject};
use crate::stages::context::Context;
use crate::stages::outcome::{Answer, AnswerResult, Outcome};
use crate::store::ledger::jobs;
use crate::store::{Error, Result};

/// Returns the reply to a request, if its outcome has one. The body is read only if it is a dead letter.
pub async fn reply(context: &Context, body: &[u8], outcome: &Outcome) -> Result<Option<Reply>> {
    match outcome {
        Outcome::Done | Outcome::Blocked(_) | Outcome::NotReached | Outcome::Outdated => Ok(None),
        Outcome::Answered(answer) => reply_to_answer(context, answer).await.map(Some),
        Outcome::DeadLetter(reason) => Ok(Some(Reply {
            outcome: ReplyOutcome::Parked,
            request_id: request_id(body),
            job_id: None,
            first_outcome: None,
            reasons: reason.faults().map(reply_reason).collect(),
            path: Some(reason.fault.path.clone()),
        })),
    }
}

async fn reply_to_answer(context: &Context, answer: &Answer) -> Result<Reply> {
    let accepted = Reply {
        outcome: ReplyOutcome::Accepted,
        request_id: Some(answer.request_id.clone()),
        job_id: Some(answer.job),
        first_outcome: None,
        reasons: Vec::new(),
        path: None,
    };
    Ok(match &answer.result {
        AnswerResult::Accepted => accepted,
        AnswerResult::Rejected(reasons) => {
            let reasons = reasons.iter().cloned().map(Reason::widen).collect();
            Reply { outcome: ReplyOutcome::Rejected, reasons, ..accepted }
        }
        AnswerResult::Duplicate(first) => {
            let reasons = match first {
                RequestOutcome::Rejected => reasons_of(context, answer.job).await?,
                RequestOutcome::Accepted => Vec::new(),
            };
            Reply { outcome: ReplyOutcome::Duplicate, first_outcome: Some(*first), reasons, ..accepted }
        }
    })
}

/// Reads the reasons of a rejected job. The job of a person who was forgotten has none.
async fn reasons_of(context: &Context, job: JobId) -> Result<Vec<Reason<ReplyCode>>> {
    let job = jobs::get(&context.store.reader(), job.0).await?;
    let Some(reasons) = job.and_then(|job| job.reasons) else { return Ok(Vec::new()) };
    serde_json::from_value(reasons)
        .map_err(|error| Error::unexpected("reading the reasons of a job", error.to_string()))
}

fn reply_reason(fault: &Fault) -> Reason<ReplyCode> {
    Reason {
        code: fault.code.into(),
        concerning: Subject { path: Some(fault.path.clone()), ..Subject::default() },
        message: fault.detail.clone(),
        hint: fault.hint.clone(),
    }
}

/// Returns the sender's id of a request that may be invalid.
fn request_id(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        request_id: String,
    }
    serde_json::from_slice(body).ok().map(|named: Named| named.request_id)
}
