//! The planner: accepts requests to hand over what users own, in groups.
//!
//! One transaction a group: locks the users, asks every guard, then writes every outcome: a rejected job with its
//! reasons, a scheduled one, one that is done at once, one that is opened for the other stages. Run twice, it finds the
//! requests known and answers with the same outcome. Killed anywhere, nothing of it happened, and the messages come again.

use std::collections::HashSet;
use std::time::Instant;

use time::OffsetDateTime;

use crate::catalog::{Catalog, Disposition};
use crate::contract::{
    DeadLetterCode, HandoverRequest, InvalidRequest, JobId, Reason, ReasonCode, Request, UserId, read_request,
};
use crate::plan::group::{Parties, groups};
use crate::plan::{Decision, Plan, normalize};
use crate::retry::RetryPolicy;
use crate::stages::changes::{Writing, new_job};
use crate::stages::handover::evaluate::{Counting, evaluate, parties};
use crate::stages::handover::lock_out::lock_out;
use crate::stages::handover::start::{FastPath, Ready, start};
use crate::stages::{Answer, Context, DeadLetterReason, Outcome, commands, now};
use crate::store::ledger::jobs::Job;
use crate::store::ledger::{entity, requests};
use crate::store::{Error, Result, Session, host};

/// The transaction of a group of requests.
pub const PLAN: &str = "plan";

/// A request as it came from the queue.
#[derive(Debug, Clone, Default)]
pub struct Message {
    /// The body.
    pub body: Vec<u8>,
    /// The W3C trace context that came with it.
    pub traceparent: Option<String>,
}

/// A request with all that is known of it before its transaction.
struct Asked {
    place: usize,
    request: HandoverRequest,
    traceparent: Option<String>,
    parties: Parties,
}

impl Asked {
    fn whole(&self) -> Request {
        Request::Handover(self.request.clone())
    }
}

/// A request that could be read, with its place among the messages and the trace context that came with it.
type Readable = (usize, HandoverRequest, Option<String>);

/// Takes requests: one outcome for each, in their order. A transient failure (a deadlock, a lost connection) repeats its
/// group as often as it takes; any other makes the group's requests go one by one, and only the one to blame fails.
pub async fn take(context: &Context, messages: &[Message]) -> Result<Vec<Outcome>> {
    let catalog = context.catalogs.current();
    let mut outcomes = vec![Outcome::Done; messages.len()];
    let mut handovers: Vec<Readable> = Vec::new();
    for (place, message) in messages.iter().enumerate() {
        match read_request(&message.body).and_then(|request| normalize(&catalog, request)) {
            Ok(Request::Handover(request)) => handovers.push((place, request, message.traceparent.clone())),
            Ok(order) => {
                // What came before it is done before it: a request and its cancellation may come together.
                take_handovers(context, &catalog, std::mem::take(&mut handovers), &mut outcomes).await?;
                outcomes[place] = commands::take(context, &catalog, &order, message.traceparent.as_deref()).await?;
            }
            Err(unreadable) => outcomes[place] = park(unreadable),
        }
    }
    take_handovers(context, &catalog, handovers, &mut outcomes).await?;
    Ok(outcomes)
}

async fn take_handovers(
    context: &Context,
    catalog: &Catalog,
    readable: Vec<Readable>,
    outcomes: &mut [Outcome],
) -> Result<()> {
    let asked = with_parties(context, catalog, readable, outcomes).await?;
    for group in groups(asked, context.limits.group, |asked| asked.parties.clone()) {
        for (place, outcome) in take_group(context, catalog, group).await? {
            outcomes[place] = outcome;
        }
    }
    Ok(())
}

fn park(unreadable: InvalidRequest) -> Outcome {
    Outcome::DeadLetter(DeadLetterReason {
        code: unreadable.code,
        path: Some(unreadable.path),
        detail: unreadable.detail,
        attempts: 1,
    })
}

/// Finds out whom requests concern. One that the database cannot even look up is parked, and the others go on.
async fn with_parties(
    context: &Context,
    catalog: &Catalog,
    readable: Vec<Readable>,
    outcomes: &mut [Outcome],
) -> Result<Vec<Asked>> {
    let mut asked = Vec::with_capacity(readable.len());
    let found = parties_each(context, catalog, &readable).await?;
    for ((place, request, traceparent), parties) in readable.into_iter().zip(found) {
        match parties {
            Ok(parties) => asked.push(Asked { place, request, traceparent, parties }),
            Err(error) => outcomes[place] = dead_letter_failed(request.job_id(), &error, 1),
        }
    }
    Ok(asked)
}

/// Whom each request concerns: looked up together where that works, one by one where it does not.
async fn parties_each(context: &Context, catalog: &Catalog, readable: &[Readable]) -> Result<Vec<Result<Parties>>> {
    let requests: Vec<&HandoverRequest> = readable.iter().map(|(_, request, _)| request).collect();
    // Where a transaction sees one organization only, each request is looked up in its own.
    if !catalog.is_org_isolated() {
        match parties_persistently(context, catalog, &requests).await {
            Err(error) if error.is_transient() => return Err(error),
            Err(error) => tracing::warn!(%error, "whom requests concern cannot be read: taking them one by one"),
            Ok(parties) => return Ok(parties.into_iter().map(Ok).collect()),
        }
    }
    let mut found = Vec::with_capacity(requests.len());
    for request in requests {
        match parties_persistently(context, catalog, &[request]).await {
            Err(error) if error.is_transient() => return Err(error),
            parties => found.push(parties.map(|mut parties| parties.pop().unwrap_or_default())),
        }
    }
    Ok(found)
}

async fn parties_persistently(
    context: &Context,
    catalog: &Catalog,
    requests: &[&HandoverRequest],
) -> Result<Vec<Parties>> {
    let mut retries = RetryPolicy::RECONNECT.start("reading whom requests concern");
    loop {
        match read_parties(context, catalog, requests).await {
            Err(error) if error.is_transient() => retries.wait_after(&error).await,
            read => return read,
        }
    }
}

/// Whom requests concern, read outside of any transaction; where the host shows a transaction one organization only, the
/// requests are all of one.
pub async fn read_parties(context: &Context, catalog: &Catalog, requests: &[&HandoverRequest]) -> Result<Vec<Parties>> {
    match requests {
        [request, ..] if catalog.is_org_isolated() => {
            let session = context.store.snapshot().await?;
            host::enter(&session, catalog, request.org()).await?;
            parties(&session, &catalog.within(request.org()), requests).await
        }
        _ => parties(&context.store.reader(), catalog, requests).await,
    }
}

/// Takes a group, together where that works, one by one where it does not.
async fn take_group(context: &Context, catalog: &Catalog, group: Vec<Asked>) -> Result<Vec<(usize, Outcome)>> {
    let together: Vec<&Asked> = group.iter().collect();
    let settled = match plan_persistently(context, catalog, &together, FastPath::Whole).await {
        Ok(settled) => settled,
        Err(error) if error.is_transient() => return Err(error),
        Err(error) => {
            tracing::warn!(requests = group.len(), %error, "a group of requests failed: taking them one by one");
            Settled { outcomes: Vec::new(), alone: group.iter().map(|asked| asked.place).collect() }
        }
    };
    let mut outcomes = settled.outcomes;
    for asked in group.iter().filter(|asked| settled.alone.contains(&asked.place)) {
        outcomes.push((asked.place, take_alone(context, catalog, asked).await?));
    }
    Ok(outcomes)
}

/// A request whose fast way fails is opened for the other stages, which isolate the record to blame; one that cannot even
/// be opened is parked with the database's reason.
async fn take_alone(context: &Context, catalog: &Catalog, asked: &Asked) -> Result<Outcome> {
    let mut outcome = Outcome::Done;
    for (attempts, fast_path) in (1..).zip(FastPath::EACH) {
        match plan_persistently(context, catalog, &[asked], fast_path).await {
            Ok(settled) => {
                return Ok(settled.outcomes.into_iter().next().map_or(Outcome::Done, |(_, outcome)| outcome));
            }
            Err(error) if error.is_transient() => return Err(error),
            Err(error) => outcome = dead_letter_failed(asked.request.job_id(), &error, attempts),
        }
    }
    Ok(outcome)
}

/// Parks a request that the database refuses, with what it says.
pub fn dead_letter_failed(job: JobId, error: &Error, attempts: u32) -> Outcome {
    tracing::error!(%job, attempts, %error, "a request cannot be taken");
    Outcome::DeadLetter(DeadLetterReason {
        code: DeadLetterCode::Failed,
        path: None,
        detail: error.to_string(),
        attempts,
    })
}

async fn plan_persistently(
    context: &Context,
    catalog: &Catalog,
    group: &[&Asked],
    fast_path: FastPath,
) -> Result<Settled> {
    let mut retries = RetryPolicy::RECONNECT.start("planning requests");
    loop {
        match plan(context, catalog, group, fast_path).await {
            Err(error) if error.is_transient() => retries.wait_after(&error).await,
            planned => return planned,
        }
    }
}

/// What became of a group: outcomes by place, and places of requests that must be taken alone.
#[derive(Default)]
struct Settled {
    outcomes: Vec<(usize, Outcome)>,
    alone: HashSet<usize>,
}

/// The group's one transaction.
async fn plan(context: &Context, catalog: &Catalog, group: &[&Asked], fast_path: FastPath) -> Result<Settled> {
    let (began, now) = (Instant::now(), now());
    let session = context.store.begin(PLAN).await?;
    lock(&session, group).await?;
    let (mut settled, fresh) = sort_out_known(&session, group).await?;
    let Some(first) = fresh.first() else { return Ok(settled) };
    host::enter(&session, catalog, first.request.org()).await?;
    let catalog = &*catalog.within(first.request.org());
    for reference in &catalog.references {
        let leavers: Vec<&UserId> = fresh.iter().map(|asked| &asked.request.user_id).collect();
        host::lock_group_rows(&session, reference, &leavers).await?;
    }
    let requests: Vec<&HandoverRequest> = fresh.iter().map(|asked| &asked.request).collect();
    let parties: Vec<&Parties> = fresh.iter().map(|asked| &asked.parties).collect();
    let counting = Counting::UpTo(context.limits.chunk_rows);
    let evaluation = evaluate(&session, catalog, &requests, &parties, counting).await?;
    let mut writing = Writing::default();
    let (mut ready, mut locked_out) = (Vec::new(), Vec::new());
    for (asked, verdict) in fresh.iter().zip(evaluation.verdicts) {
        if fresh.len() > 1 && is_about_neighbours(catalog, &verdict) {
            settled.alone.insert(asked.place);
            continue;
        }
        let whole = asked.whole();
        let user = asked.request.user_id.as_str();
        let job = new_job(catalog, &whole, user, asked.traceparent.as_deref(), now);
        writing.request(&whole, &job, !matches!(verdict, Decision::Rejected(_)));
        settled.outcomes.push((asked.place, Outcome::Answered(answer(&job, &verdict))));
        match verdict {
            Decision::Rejected(reasons) => writing.rejected(job, reasons, now),
            Decision::Accepted(plan) if waits(&asked.request, &plan, now) => {
                writing.scheduled(context, job, &plan, now)
            }
            Decision::Accepted(plan) => ready.push(Ready::new(&asked.request, job, plan)),
            Decision::LockedOut(plan, reasons) => {
                locked_out.push((Ready::new(&asked.request, job, plan), reasons));
            }
        }
    }
    context.catalogs.keep(&session, now).await?;
    let begun = start(&session, context, catalog, ready, fast_path, now).await?;
    let locked_out = lock_out(&session, catalog, locked_out, fast_path, now).await?;
    begun.into_iter().chain(locked_out).for_each(|begun| writing.begun(begun));
    let taken = writing.taken();
    writing.write(&session).await?;
    session.commit().await?;
    context.catalogs.kept();
    taken.log(PLAN, began.elapsed());
    Ok(settled)
}

fn answer(job: &Job, verdict: &Decision) -> Answer {
    match verdict {
        Decision::Rejected(reasons) => Answer::Rejected(JobId(job.id), reasons.clone()),
        Decision::Accepted(_) | Decision::LockedOut(..) => Answer::Accepted(JobId(job.id)),
    }
}

async fn lock(session: &Session, group: &[&Asked]) -> Result<()> {
    let leavers: Vec<_> = group.iter().map(|asked| (asked.request.org(), &asked.request.user_id)).collect();
    let receivers =
        group.iter().flat_map(|asked| asked.parties.receivers.iter().map(|user| (asked.request.org(), user)));
    let receivers: Vec<_> = receivers.collect();
    host::lock_users(session, &leavers, &receivers).await
}

/// Requests that are known are answered as before: the same body is done already, another one is a conflict.
async fn sort_out_known<'a>(session: &Session, group: &[&'a Asked]) -> Result<(Settled, Vec<&'a Asked>)> {
    let ids: Vec<(&str, &str)> =
        group.iter().map(|asked| (asked.request.org(), asked.request.request_id.as_str())).collect();
    let known = requests::known(session, &ids).await?;
    let mut settled = Settled::default();
    let mut fresh = Vec::new();
    for asked in group {
        let id = (asked.request.org().to_owned(), asked.request.request_id.to_string());
        match known.get(&id) {
            None => fresh.push(*asked),
            Some(earlier) => settled.outcomes.push((asked.place, answer_known(earlier, &asked.whole()))),
        }
    }
    Ok((settled, fresh))
}

/// The answer to a request whose id is known.
pub fn answer_known(earlier: &entity::requests::Model, request: &Request) -> Outcome {
    if earlier.body_hash == request.body_hash() {
        tracing::info!(job = %earlier.job_id, "a request came again: it is answered already");
        return Outcome::Answered(Answer::Duplicate(JobId(earlier.job_id), earlier.outcome.clone()));
    }
    let detail = format!(
        "the request id {:?} belongs to the job {} with another body, which is untouched: send this one under a new id",
        earlier.request_id, earlier.job_id
    );
    Outcome::DeadLetter(DeadLetterReason {
        code: DeadLetterCode::Conflict,
        path: Some("request_id".into()),
        detail,
        attempts: 1,
    })
}

/// Whether a rejection may be due to others of the group: two who share a duty and leave together each look like the
/// last one. Alone, the first of them may go.
fn is_about_neighbours(catalog: &Catalog, verdict: &Decision) -> bool {
    let Decision::Rejected(reasons) = verdict else { return false };
    let sole = |reason: &Reason| {
        let reference = reason.concerning.kind.as_deref().and_then(|kind| catalog.reference(kind));
        let guards = reference
            .is_some_and(|reference| matches!(reference.disposition, Disposition::Block { sole_in: Some(_), .. }));
        guards && reason.code == ReasonCode::Blocked
    };
    reasons.iter().any(sole)
}

/// Whether a job starts later: at its time, or when the job that gives the leaver records has ended.
fn waits(request: &HandoverRequest, plan: &Plan, now: OffsetDateTime) -> bool {
    plan.wait_for.is_some() || request.effective_at.is_some_and(|at| at > now)
}
