//! The intake of requests: reads each message and gives it to the stage that takes it, in their order.

use std::borrow::Cow;
use std::sync::Arc;

use crate::broker::Sender;
use crate::catalog::Catalog;
use crate::contract::{DeadLetterCode, Fault, HandoverRequest, InvalidRequest, OtherClaim, Principal, Request};
use crate::plan::group::{Parties, groups};
use crate::stages::accepted::{Accepted, ByStage, read};
use crate::stages::changes::LedgerChanges;
use crate::stages::commands;
use crate::stages::context::Context;
use crate::stages::handover::failure::GIVE_UP;
use crate::stages::handover::parties::lookup_parties;
use crate::stages::handover::planner::{self, Asked};
use crate::stages::handover::settle::Settling;
use crate::stages::outcome::{Outcome, failed};
use crate::stages::spelling::{respell_accepted, respell_principal};
use crate::store::Result;
use crate::store::ledger::outbox::OutboxMessage;

/// A request as it came from the queue.
#[derive(Debug, Clone)]
pub struct Message<'m> {
    /// The routing key.
    pub routing_key: Cow<'m, str>,
    /// The body.
    pub body: Cow<'m, [u8]>,
    /// The sender.
    pub sender: &'m Sender,
    /// The W3C trace context that came with it.
    pub traceparent: Option<&'m str>,
}

/// Takes requests, and returns one outcome for each, in their order.
///
/// Requests to hand over are planned in groups. Any other request waits for those before it: a request and its cancellation
/// may come together.
pub async fn take(context: &Context, messages: &[Message<'_>]) -> Vec<Outcome> {
    let catalog = context.catalogs.current_now(&context.store.reader()).await;
    let mut outcomes = vec![Outcome::Done; messages.len()];
    let mut handovers = Vec::new();
    for (place, message) in messages.iter().enumerate() {
        let accepted = match accept(context, &catalog, message).await {
            Ok(accepted) => accepted,
            Err(outcome) => {
                outcomes[place] = *outcome;
                continue;
            }
        };
        match accepted.by_stage() {
            ByStage::Planner(accepted) => {
                handovers.push(Readable { place, accepted, traceparent: message.traceparent })
            }
            ByStage::Command(accepted) => {
                plan(context, &catalog, std::mem::take(&mut handovers), &mut outcomes).await;
                outcomes[place] = commands::take(context, &catalog, &accepted, message.traceparent, None).await;
            }
        }
    }
    plan(context, &catalog, handovers, &mut outcomes).await;
    outcomes
}

/// Reads a message, and checks that its request is of its sender.
async fn accept(
    context: &Context,
    catalog: &Catalog,
    message: &Message<'_>,
) -> std::result::Result<Accepted<Request>, Box<Outcome>> {
    let invalid = |invalid: InvalidRequest| Box::new(Outcome::DeadLetter(invalid.into()));
    let principal = principal_of(message.sender).map_err(|fault| invalid(fault.into()))?;
    let stated = principal.map(Principal::stated).transpose();
    let stated = stated.map_err(|_| invalid(unknown_sender(None).into()))?.unwrap_or_default();
    let stated: Vec<(&str, &str)> = stated.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let accepted = read(catalog, &message.routing_key, &message.body, &stated).map_err(invalid)?;
    let job = accepted.request.job_id();
    let refused = |error| Box::new(failed(job, &error, 1));
    let accepted = respell_accepted(context, catalog, accepted).await.map_err(refused)?;
    if let Some(principal) = principal {
        let principal = respell_principal(context, catalog, principal.clone()).await.map_err(refused)?;
        let other = principal.other_claim(accepted.request.header()).map(other_principal);
        other.map_or(Ok(()), |fault| Err(invalid(fault.into())))?;
    }
    Ok(accepted)
}

/// Returns the principal who sent a message; nothing if the body claims who asks.
fn principal_of(sender: &Sender) -> std::result::Result<Option<&Principal>, Fault> {
    match sender {
        Sender::Claimed => Ok(None),
        Sender::Principal(principal) => Ok(Some(principal)),
        Sender::Unknown(account) => Err(unknown_sender(account.as_deref())),
    }
}

fn unknown_sender(account: Option<&str>) -> Fault {
    let (detail, hint) = match account {
        Some(account) => (
            format!("`broker.principals` does not list the RabbitMQ user `{account}`"),
            "list it, then send the message back with `handover dead replay`",
        ),
        None => (
            "the message has no `user_id`, and `broker.principals` says who may send requests".to_owned(),
            "publish with the property `user_id`: the RabbitMQ user of the connection",
        ),
    };
    Fault::new(DeadLetterCode::UnknownSender, ".", detail, hint)
}

fn other_principal(claim: OtherClaim) -> Fault {
    let (name, field) = (claim.name(), claim.field());
    let detail = format!("the request names another {name} than the one in `broker.principals` for its sender");
    Fault::new(DeadLetterCode::OtherPrincipal, field, detail, format!("leave `{field}` out: the sender says it"))
}

/// Stores requests that are blocked in the outbox, each until it is due.
pub async fn put_off(context: &Context, requests: Vec<OutboxMessage>) -> Result<()> {
    let session = context.store.begin(GIVE_UP).await?;
    let mut changes = LedgerChanges::default();
    changes.messages(requests);
    changes.write(&session).await?;
    session.commit().await
}

/// The terms on which a request of a sender who waits is taken.
#[derive(Debug, Clone, Copy, Default)]
pub struct Terms<'t> {
    /// The trace context that came with it.
    pub traceparent: Option<&'t str>,
    /// A command does nothing if the job that it is about has another version.
    pub version: Option<i64>,
    /// The terms of a deprovisioning by an identity provider.
    pub settling: Option<&'t Settling>,
}

/// Takes one request of a sender who waits for the outcome, in a short transaction: records move later. The request is normalized.
pub async fn take_at_once(
    context: &Context,
    catalog: &Arc<Catalog>,
    accepted: Accepted<Request>,
    terms: Terms<'_>,
) -> Outcome {
    let Terms { traceparent, version, settling } = terms;
    match accepted.by_stage() {
        ByStage::Command(accepted) => commands::take(context, catalog, &accepted, traceparent, version).await,
        ByStage::Planner(accepted) => {
            let found = lookup_parties(context, catalog, &[&accepted.request]).await.pop().transpose();
            let leaver = || Parties { leaver: Some(accepted.request.user_id.clone()), ..Parties::default() };
            let (parties, failure) = match found {
                Ok(parties) => (parties.unwrap_or_else(leaver), None),
                // A lock-out needs nobody but its leaver.
                Err(error) => (leaver(), Some(error)),
            };
            let asked = Asked { place: 0, accepted, traceparent, parties, settling };
            match failure {
                None => planner::take_at_once(context, catalog, &asked).await,
                Some(error) => planner::take_narrower(context, catalog, &asked, error.into()).await,
            }
        }
    }
}

/// A request to hand over, and its place among the messages.
struct Readable<'m> {
    place: usize,
    accepted: Accepted<HandoverRequest>,
    traceparent: Option<&'m str>,
}

/// Gives requests to the planner, in groups that may share a transaction.
async fn plan(context: &Context, catalog: &Arc<Catalog>, readable: Vec<Readable<'_>>, outcomes: &mut [Outcome]) {
    if readable.is_empty() {
        return;
    }
    let requests: Vec<&HandoverRequest> = readable.iter().map(|readable| &readable.accepted.request).collect();
    let found = lookup_parties(context, catalog, &requests).await;
    let mut asked = Vec::with_capacity(readable.len());
    for (Readable { place, accepted, traceparent }, parties) in readable.into_iter().zip(found) {
        match parties {
            Ok(parties) => asked.push(Asked { place, accepted, traceparent, parties, settling: None }),
            // A lock-out needs nobody but its leaver.
            Err(error) => {
                let parties = Parties { leaver: Some(accepted.request.user_id.clone()), ..Parties::default() };
                let asked = Asked { place, accepted, traceparent, parties, settling: None };
                outcomes[place] = planner::take_narrower(context, catalog, &asked, error.into()).await;
            }
        }
    }
    for group in groups(asked, context.limits.group, |asked| asked.parties.clone()) {
        for (place, outcome) in planner::take_group(context, catalog, group).await {
            outcomes[place] = outcome;
        }
    }
}
