//! The intake of requests: reads each message and gives it to the stage that takes it, in their order.

use std::borrow::Cow;
use std::sync::Arc;

use crate::catalog::Catalog;
use crate::contract::{HandoverRequest, Request};
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
use crate::stages::spelling::respell_accepted;
use crate::store::Result;
use crate::store::ledger::outbox::OutboxMessage;

/// A request as it came from the queue.
#[derive(Debug, Clone)]
pub struct Message<'m> {
    /// The routing key.
    pub routing_key: Cow<'m, str>,
    /// The body.
    pub body: Cow<'m, [u8]>,
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
        let accepted = match read(&catalog, &message.routing_key, &message.body) {
            Ok(accepted) => accepted,
            Err(invalid) => {
                outcomes[place] = Outcome::DeadLetter(invalid.into());
                continue;
            }
        };
        let job = accepted.request.job_id();
        let accepted = match respell_accepted(context, &catalog, accepted).await {
            Ok(accepted) => accepted,
            Err(error) => {
                outcomes[place] = failed(job, &error, 1);
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
