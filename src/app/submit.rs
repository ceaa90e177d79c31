//! Submits requests: publishes them on the request queue, or takes them at once for a sender who waits.

use std::collections::BTreeMap;

use serde_json::json;
use uuid::Uuid;

use super::access::Principal;
use super::error::{Error, Result};
use super::jobs;
use crate::broker::{Broker, BrokerError, Channel, Outgoing};
use crate::contract::{
    DeadLetterCode, InvalidRequest, JobId, Reason, Request, RequestOutcome, RequestType, read_request, routing_key,
};
use crate::plan::normalize;
use crate::stages::handover::settle::Settling;
use crate::stages::intake::Terms;
use crate::stages::spelling::{respell, respell_accepted};
use crate::stages::{Accepted, Answer, AnswerResult, Context, DeadLetterReason, Outcome, intake};
use crate::store::ledger::jobs::Job;
use crate::store::ledger::requests;

/// Checks a request against the catalog, and returns it in the form that the planner gives it: the hashes of both are equal.
pub async fn prepare(context: &Context, request: Request) -> Result<Request> {
    let catalog = context.catalogs.current();
    let request = normalize(&catalog, request)?;
    Ok(respell(context, &catalog, request).await?)
}

/// Publishes requests. Returns the message id of each, or why it was not sent, in the same order.
pub async fn publish(
    broker: &dyn Broker,
    requests: impl IntoIterator<Item = &Request>,
) -> Vec<std::result::Result<Uuid, BrokerError>> {
    let messages: Vec<Outgoing> = requests.into_iter().map(message).collect();
    let sent = broker.publish(&messages).await.into_iter();
    sent.zip(messages).map(|(sent, message)| sent.map(|()| message.id)).collect()
}

/// Returns the message that carries a request.
pub fn message(request: &Request) -> Outgoing {
    Outgoing {
        id: Uuid::new_v4(),
        channel: Channel::Requests,
        routing_key: routing_key(request.header().kind),
        content_type: "application/json".into(),
        headers: BTreeMap::new(),
        body: request.canonical().to_string().into_bytes(),
    }
}

/// The outcome of a request that was taken at once.
#[derive(Debug)]
pub enum Taken {
    /// The request created its job, now or before.
    Accepted(JobId),
    /// The request is rejected, now or before. That is final for its id.
    Rejected(JobId, Vec<Reason>),
    /// The request's id belongs to another request. `is_own`: of the same requester.
    Conflict {
        /// True if the other request is of the same requester.
        is_own: bool,
    },
    /// The request is invalid.
    Invalid(InvalidRequest),
    /// The job has changed since the version that the command names. Nothing is done.
    Outdated,
    /// Other transactions are in the way. Nothing is done.
    Busy,
    /// The database refuses the request. Nothing is done.
    Failed,
}

/// Takes a request of a principal in one short transaction: it is accepted, and access ends. Records move in the workers. The same
/// functions as for requests from the queue decide. `version`: a command does nothing if its job has another version.
pub async fn take(
    context: &Context,
    principal: &Principal,
    request: Request,
    traceparent: Option<&str>,
    version: Option<i64>,
) -> Result<Taken> {
    take_on(context, principal, request, Terms { traceparent, version, settling: None }).await
}

/// Takes the request of a connection to deprovision a user, as [`take`] does. Access ends, and records move when the time to settle has
/// passed.
pub async fn take_to_settle(
    context: &Context,
    principal: &Principal,
    request: Request,
    traceparent: Option<&str>,
    settling: &Settling,
) -> Result<Taken> {
    take_on(context, principal, request, Terms { traceparent, version: None, settling: Some(settling) }).await
}

async fn take_on(context: &Context, principal: &Principal, request: Request, terms: Terms<'_>) -> Result<Taken> {
    let catalog = context.catalogs.current_now(&context.store.reader()).await;
    let accepted = Accepted::of(normalize(&catalog, request)?);
    let accepted = respell_accepted(context, &catalog, accepted).await?;
    check_principal(principal, &accepted.request)?;
    let header = accepted.request.header();
    let (org, request_id) = (header.org().to_owned(), header.request_id.to_string());
    let requester = header.requested_by.to_string();
    match intake::take_at_once(context, &catalog, accepted, terms).await {
        Outcome::Answered(answer) => taken(context, answer).await,
        Outcome::DeadLetter(reason) if reason.fault.code == DeadLetterCode::Conflict => {
            let earlier = requests::get(&context.store.reader(), &org, &request_id).await?;
            let is_own = earlier.is_some_and(|earlier| earlier.body["requested_by"] == requester.as_str());
            Ok(Taken::Conflict { is_own })
        }
        Outcome::DeadLetter(reason) if reason.fault.code == DeadLetterCode::Failed => Ok(Taken::Failed),
        Outcome::DeadLetter(DeadLetterReason { fault: first, more, .. }) => {
            Ok(Taken::Invalid(InvalidRequest { first, more }))
        }
        Outcome::Blocked(_) | Outcome::NotReached | Outcome::Done => Ok(Taken::Busy),
        Outcome::Outdated => Ok(Taken::Outdated),
    }
}

async fn taken(context: &Context, Answer { job, result, .. }: Answer) -> Result<Taken> {
    match result {
        AnswerResult::Accepted | AnswerResult::Duplicate(RequestOutcome::Accepted) => Ok(Taken::Accepted(job)),
        AnswerResult::Rejected(reasons) => Ok(Taken::Rejected(job, reasons)),
        AnswerResult::Duplicate(RequestOutcome::Rejected) => {
            let found = jobs::find(&context.store, job.0).await?;
            Ok(Taken::Rejected(job, found.map(|job| jobs::reasons(&job)).transpose()?.unwrap_or_default()))
        }
    }
}

/// Checks that a request is of the principal and their organization.
pub fn check_principal(principal: &Principal, request: &Request) -> Result<()> {
    match principal.other_claim(request.header()) {
        None => Ok(()),
        Some(claim) => Err(Error::OtherPrincipal(claim)),
    }
}

/// A command about an existing job.
#[derive(Debug, Clone)]
pub struct JobCommand {
    /// The command: revert, cancel, pause, resume or amend.
    pub kind: RequestType,
    /// The user who asks.
    pub requested_by: String,
    /// The reason, for the audit trail.
    pub reason: Option<String>,
    /// The idempotency key; a new one if there is none.
    pub request_id: Option<String>,
    /// The catalog with which a job is resumed; its own if there is none.
    pub catalog: Option<String>,
    /// The new allotments of an amendment, as JSON text.
    pub reassign: Option<String>,
}

impl JobCommand {
    /// Builds the request about a job. Reads it with the planner's code, so that faults are reported before it is sent.
    pub fn about(self, target: &Job) -> Result<Request> {
        let mut body = json!({
            "type": self.kind.name(),
            "request_id": self.request_id.unwrap_or_else(|| Uuid::new_v4().to_string()),
            "job_id": target.id,
            "requested_by": self.requested_by,
        });
        if !target.org.is_empty() {
            body["org_id"] = target.org.clone().into();
        }
        if let Some(reason) = self.reason {
            body["reason"] = reason.into();
        }
        if let Some(catalog) = self.catalog {
            body["catalog"] = catalog.into();
        }
        let mut body = body.to_string();
        if let Some(reassign) = self.reassign {
            // Appended as text, because parsing would hide duplicate keys.
            body.truncate(body.len() - 1);
            body.push_str(&format!(",\"reassign\":{reassign}}}"));
        }
        Ok(read_request(body.as_bytes())?)
    }
}
