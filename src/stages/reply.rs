//! Replies to requests that ask for one by AMQP's `reply_to`.
//!
//! A reply is sent once its request's outcome is committed and before the request is acknowledged. It needs no outbox row: if a
//! worker crashes in between, the request is delivered again, is found known, and is answered.

use serde::Deserialize;

use crate::contract::{DeadLetterCode, Reason, Reply, ReplyCode, ReplyOutcome};
use crate::stages::context::Context;
use crate::stages::outcome::{Answer, DeadLetterReason, Outcome};
use crate::store::Result;
use crate::store::ledger::jobs;

/// Returns the reply to a request, if its outcome has one.
pub async fn reply(context: &Context, body: &[u8], outcome: &Outcome) -> Result<Option<Reply>> {
    let nothing = Reply {
        outcome: ReplyOutcome::Accepted,
        request_id: request_id(body),
        job_id: None,
        first_outcome: None,
        reasons: Vec::new(),
        path: None,
    };
    let reply = match outcome {
        Outcome::Done => return Ok(None),
        Outcome::Answered(Answer::Accepted(job)) => Reply { job_id: Some(*job), ..nothing },
        Outcome::Answered(Answer::Rejected(job, reasons)) => Reply {
            outcome: ReplyOutcome::Rejected,
            job_id: Some(*job),
            reasons: reasons.iter().cloned().map(Reason::widen).collect(),
            ..nothing
        },
        Outcome::Answered(Answer::Duplicate(job, first)) => {
            let known = jobs::get(&context.store.reader(), job.0).await?;
            let reasons = known.filter(|_| first == "rejected").and_then(|job| job.reasons);
            let reasons = reasons.and_then(|reasons| serde_json::from_value(reasons).ok()).unwrap_or_default();
            let first_outcome = Some(first.clone());
            Reply { outcome: ReplyOutcome::Duplicate, job_id: Some(*job), first_outcome, reasons, ..nothing }
        }
        Outcome::DeadLetter(reason) => {
            let path = reason.path.clone();
            Reply { outcome: ReplyOutcome::Parked, reasons: vec![dead_letter_reason(reason)], path, ..nothing }
        }
    };
    Ok(Some(reply))
}

fn dead_letter_reason(reason: &DeadLetterReason) -> Reason<ReplyCode> {
    Reason {
        code: reason.code.into(),
        concerning: Default::default(),
        message: reason.detail.clone(),
        hint: hint(reason.code).into(),
    }
}

fn hint(code: DeadLetterCode) -> &'static str {
    match code {
        DeadLetterCode::Conflict => "send this request under a new id",
        DeadLetterCode::Failed => "a person has to look: `handover dead list`",
        DeadLetterCode::NotJson
        | DeadLetterCode::NotAnObject
        | DeadLetterCode::TooLarge
        | DeadLetterCode::UnknownType
        | DeadLetterCode::MissingField
        | DeadLetterCode::UnknownField
        | DeadLetterCode::DuplicateField
        | DeadLetterCode::InvalidField
        | DeadLetterCode::InvalidId
        | DeadLetterCode::InvalidAmount
        | DeadLetterCode::EmptyShares
        | DeadLetterCode::UnknownKind
        | DeadLetterCode::NotAStep => "fix the request and send it again",
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
