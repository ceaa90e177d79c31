//! The planner: accepts requests, in groups, and starts scheduled jobs that are due.
//!
//! One transaction a group: locks the users, asks every guard, then writes every outcome: a rejected job with its
//! reasons, a scheduled one, one that is done at once, one that is opened for the other stages. Run twice, it finds the
//! requests known and answers with the same outcome. Killed anywhere, nothing of it happened, and the messages come again.

use std::collections::HashSet;

use time::OffsetDateTime;
use uuid::Uuid;

use super::assess::{Counting, assess, parties};
use super::start::{BEGINNING, Begun, Ready, settle, start};
use super::{Context, Outcome, Reason, letters, now};
use crate::catalog::{Catalog, Disposition};
use crate::contract::{EventType, JobId, Rejection, Request, Unreadable, UserId, read_request};
use crate::job::{Happening, State, StepKind};
use crate::plan::group::{Parties, groups};
use crate::plan::{Plan, Verdict, fit};
use crate::retry::Pauses;
use crate::store::ledger::jobs::Job;
use crate::store::ledger::outbox::Letter;
use crate::store::ledger::{audit, catalogs, entity, jobs, outbox, requests};
use crate::store::{Error, Result, Session, host};

/// The transaction of a group of requests.
pub const PLAN: &str = "plan";
/// The transaction that starts a scheduled job.
pub const START: &str = "start";

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
    request: Request,
    traceparent: Option<String>,
    parties: Parties,
}

/// A request that could be read, with its place among the messages and the trace context that came with it.
type Readable = (usize, Request, Option<String>);

/// Takes requests: one outcome for each, in their order. A transient failure (a deadlock, a lost connection) repeats its
/// group as often as it takes; any other makes the group's requests go one by one, and only the one to blame fails.
pub async fn take(context: &Context, messages: &[Message]) -> Result<Vec<Outcome>> {
    let catalog = context.catalogs.current();
    let mut outcomes = vec![Outcome::Done; messages.len()];
    let mut readable: Vec<Readable> = Vec::new();
    for (place, message) in messages.iter().enumerate() {
        match read_request(&message.body).and_then(|request| fit(&catalog, request)) {
            Ok(request) => readable.push((place, request, message.traceparent.clone())),
            Err(unreadable) => outcomes[place] = park(unreadable),
        }
    }
    let asked = with_parties(context, &catalog, readable, &mut outcomes).await?;
    for group in groups(asked, context.limits.group, |asked| asked.parties.clone()) {
        for (place, outcome) in take_group(context, &catalog, group).await? {
            outcomes[place] = outcome;
        }
    }
    Ok(outcomes)
}

fn park(unreadable: Unreadable) -> Outcome {
    Outcome::Park(Reason { code: unreadable.code, path: Some(unreadable.path), detail: unreadable.detail })
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
            Err(error) => outcomes[place] = park_failed(&request, &error),
        }
    }
    Ok(asked)
}

/// Whom each request concerns: looked up together where that works, one by one where it does not.
async fn parties_each(context: &Context, catalog: &Catalog, readable: &[Readable]) -> Result<Vec<Result<Parties>>> {
    let requests: Vec<&Request> = readable.iter().map(|(_, request, _)| request).collect();
    // Where a transaction sees one organization only, each request is looked up in its own.
    if !catalog.works_apart() {
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

async fn parties_persistently(context: &Context, catalog: &Catalog, requests: &[&Request]) -> Result<Vec<Parties>> {
    let mut retries = Pauses::RECONNECT.start("reading whom requests concern");
    loop {
        match read_parties(context, catalog, requests).await {
            Err(error) if error.is_transient() && retries.after(&error).await => {}
            read => return read,
        }
    }
}

async fn read_parties(context: &Context, catalog: &Catalog, requests: &[&Request]) -> Result<Vec<Parties>> {
    match requests {
        [request, ..] if catalog.works_apart() => {
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
    let settled = match plan_persistently(context, catalog, &together, true).await {
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
    for at_once in [true, false] {
        match plan_persistently(context, catalog, &[asked], at_once).await {
            Ok(settled) => {
                return Ok(settled.outcomes.into_iter().next().map_or(Outcome::Done, |(_, outcome)| outcome));
            }
            Err(error) if error.is_transient() => return Err(error),
            Err(error) => outcome = park_failed(&asked.request, &error),
        }
    }
    Ok(outcome)
}

/// Parks a request that the database refuses, with what it says.
fn park_failed(request: &Request, error: &Error) -> Outcome {
    tracing::error!(job = %request.job_id(), %error, "a request cannot be taken");
    Outcome::Park(Reason { code: "failed".into(), path: None, detail: error.to_string() })
}

async fn plan_persistently(context: &Context, catalog: &Catalog, group: &[&Asked], at_once: bool) -> Result<Settled> {
    let mut retries = Pauses::RECONNECT.start("planning requests");
    loop {
        match plan(context, catalog, group, at_once).await {
            Err(error) if error.is_transient() && retries.after(&error).await => {}
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
async fn plan(context: &Context, catalog: &Catalog, group: &[&Asked], at_once: bool) -> Result<Settled> {
    let now = now();
    let session = context.store.begin(PLAN).await?;
    lock(&session, group).await?;
    let (mut settled, fresh) = sort_out_known(&session, group).await?;
    let Some(first) = fresh.first() else { return Ok(settled) };
    host::enter(&session, catalog, first.request.org()).await?;
    let catalog = &*catalog.within(first.request.org());
    for reference in &catalog.references {
        let leavers: Vec<&UserId> = fresh.iter().map(|asked| &asked.request.user_id).collect();
        host::lock_siblings(&session, reference, &leavers).await?;
    }
    let requests: Vec<&Request> = fresh.iter().map(|asked| &asked.request).collect();
    let parties: Vec<&Parties> = fresh.iter().map(|asked| &asked.parties).collect();
    let counting = Counting::UpTo(context.limits.chunk_rows);
    let assessment = assess(&session, catalog, &requests, &parties, counting).await?;
    let mut writing = Writing::default();
    let mut ready = Vec::new();
    for (asked, verdict) in fresh.iter().zip(assessment.verdicts) {
        if fresh.len() > 1 && is_about_neighbours(catalog, &verdict) {
            settled.alone.insert(asked.place);
            continue;
        }
        let job = new_job(catalog, asked, now);
        writing.request(asked, &job, &verdict);
        match verdict {
            Verdict::Rejected(reasons) => writing.rejected(job, reasons, now),
            Verdict::Accepted(plan) if waits(&asked.request, &plan, now) => writing.scheduled(context, job, &plan, now),
            Verdict::Accepted(plan) => ready.push(Ready { request: &asked.request, job, plan }),
        }
        settled.outcomes.push((asked.place, Outcome::Done));
    }
    catalogs::remember(&session, catalog, now).await?;
    let begun = start(&session, context, catalog, ready, at_once, now).await?;
    begun.into_iter().for_each(|begun| writing.begun(begun));
    writing.write(&session).await?;
    session.commit().await?;
    context.store.outbox_filled.notify_waiters();
    Ok(settled)
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
            Some(earlier) if earlier.body_hash == asked.request.body_hash() => {
                tracing::info!(job = %earlier.job_id, "a request came again: it is answered already");
                settled.outcomes.push((asked.place, Outcome::Done));
            }
            Some(earlier) => {
                let detail = format!(
                    "the request id {:?} belongs to the job {} with another body, which is untouched: send this one under a new id",
                    earlier.request_id, earlier.job_id
                );
                let reason = Reason { code: "conflict".into(), path: Some("request_id".into()), detail };
                settled.outcomes.push((asked.place, Outcome::Park(reason)));
            }
        }
    }
    Ok((settled, fresh))
}

/// Whether a rejection may be due to others of the group: two who share a duty and leave together each look like the
/// last one. Alone, the first of them may go.
fn is_about_neighbours(catalog: &Catalog, verdict: &Verdict) -> bool {
    let Verdict::Rejected(reasons) = verdict else { return false };
    let sole = |reason: &Rejection| {
        let reference = reason.concerning.kind.as_deref().and_then(|kind| catalog.reference(kind));
        let guards = reference
            .is_some_and(|reference| matches!(reference.disposition, Disposition::Block { sole_in: Some(_), .. }));
        guards && reason.code == "blocked"
    };
    reasons.iter().any(sole)
}

/// Whether a job starts later: at its time, or when the job that gives the leaver records has ended.
fn waits(request: &Request, plan: &Plan, now: OffsetDateTime) -> bool {
    plan.wait_for.is_some() || request.effective_at.is_some_and(|at| at > now)
}

fn new_job(catalog: &Catalog, asked: &Asked, now: OffsetDateTime) -> Job {
    let request = &asked.request;
    Job {
        id: request.job_id().0,
        kind: request.kind.name().into(),
        org: request.org().into(),
        user_id: request.user_id.to_string(),
        request_id: request.request_id.to_string(),
        requested_by: request.requested_by.to_string(),
        reason: request.reason.clone(),
        state: BEGINNING.name().into(),
        catalog_hash: catalog.hash.clone(),
        license_exempt: false,
        sequence: 0,
        reasons: None,
        certificate: None,
        wait_for: None,
        late_passes: 0,
        traceparent: asked.traceparent.clone(),
        effective_at: request.effective_at,
        requested_at: now,
        started_at: None,
        completed_at: None,
        wake_at: None,
        nudges: 0,
        progress: 0,
        recount_at: None,
        recount_until: None,
    }
}

/// Everything that a group's transaction writes into the ledger at its end: one statement a table.
#[derive(Default)]
struct Writing {
    requests: Vec<entity::requests::Model>,
    jobs: Vec<Job>,
    letters: Vec<Letter>,
    audit: Vec<audit::Entry>,
}

impl Writing {
    fn request(&mut self, asked: &Asked, job: &Job, verdict: &Verdict) {
        let request = &asked.request;
        self.requests.push(entity::requests::Model {
            org: job.org.clone(),
            request_id: job.request_id.clone(),
            kind: job.kind.clone(),
            body_hash: request.body_hash(),
            body: request.canonical(),
            job_id: job.id,
            outcome: if matches!(verdict, Verdict::Accepted(_)) { "accepted" } else { "rejected" }.into(),
            received_at: job.requested_at,
        });
    }

    fn rejected(&mut self, mut job: Job, reasons: Vec<Rejection>, now: OffsetDateTime) {
        job.state = State::Rejected.name().into();
        job.completed_at = Some(now);
        job.reasons = serde_json::to_value(&reasons).ok();
        self.letters.push(letters::news(&mut job, EventType::Rejected, reasons, now));
        self.job(job);
    }

    fn scheduled(&mut self, context: &Context, mut job: Job, plan: &Plan, now: OffsetDateTime) {
        job.state = State::Scheduled.name().into();
        let at = schedule(context, &mut job, plan, now);
        self.letters.push(letters::step(StepKind::Start, &job, at));
        self.letters.push(letters::news(&mut job, EventType::Scheduled, Vec::new(), now));
        self.job(job);
    }

    fn begun(&mut self, begun: Begun) {
        self.letters.extend(begun.letters);
        self.job(begun.job);
    }

    fn job(&mut self, job: Job) {
        self.audit.push(audit_entry(&job));
        self.jobs.push(job);
    }

    async fn write(self, session: &Session) -> Result<()> {
        requests::insert(session, self.requests).await?;
        jobs::insert(session, self.jobs).await?;
        audit::append(session, self.audit).await?;
        outbox::insert(session, self.letters).await
    }
}

/// What the audit trail says of a job's state.
pub fn audit_entry(job: &Job) -> audit::Entry {
    audit::Entry {
        id: 0,
        at: now(),
        org: job.org.clone(),
        actor: job.requested_by.clone(),
        action: format!("{}.{}", job.kind, job.state),
        user_id: job.user_id.clone(),
        job_id: Some(job.id),
        request_id: job.request_id.clone(),
        detail: job.reasons.clone(),
    }
}

/// When a scheduled job is looked at next: at its time; and where it waits for another, when that one wakes it, which a
/// look now and then makes sure of.
fn schedule(context: &Context, job: &mut Job, plan: &Plan, now: OffsetDateTime) -> OffsetDateTime {
    job.wait_for = plan.wait_for.map(|job| job.0);
    let look_again = now + context.limits.stalled_after;
    let at = match job.effective_at.filter(|at| *at > now) {
        Some(at) => at,
        None => look_again,
    };
    job.wake_at = Some(at + context.limits.stalled_after);
    at
}

/// Starts a scheduled job that is due. Where its fast way is refused, it is opened for the other stages, which find the
/// row to blame.
pub async fn start_due(context: &Context, id: JobId) -> Result<()> {
    match start_scheduled(context, id, true).await {
        Err(error) if error.is_refused() => start_scheduled(context, id, false).await,
        started => started,
    }
}

/// Its guards are asked again: where they fail now, a person has to decide.
async fn start_scheduled(context: &Context, id: JobId, at_once: bool) -> Result<()> {
    let now = now();
    let Some((request, parties, catalog)) = read_scheduled(context, id.0).await? else { return Ok(()) };
    let session = context.store.begin(START).await?;
    let receivers: Vec<_> = parties.receivers.iter().map(|user| (request.org(), user)).collect();
    host::lock_users(&session, &[(request.org(), &request.user_id)], &receivers).await?;
    let Some(mut job) = jobs::lock(&session, id.0).await? else { return Ok(()) };
    if job.state()? != State::Scheduled || job.effective_at.is_some_and(|at| at > now) {
        return Ok(());
    }
    host::enter(&session, &catalog, request.org()).await?;
    let catalog = catalog.within(request.org());
    for reference in &catalog.references {
        host::lock_siblings(&session, reference, &[&request.user_id]).await?;
    }
    let counting = Counting::UpTo(context.limits.chunk_rows);
    let assessment = assess(&session, &catalog, &[&request], &[&parties], counting).await?;
    let mut left = Vec::new();
    match assessment.verdicts.into_iter().next() {
        Some(Verdict::Accepted(plan)) if plan.wait_for.is_some() => {
            schedule(context, &mut job, &plan, now);
        }
        Some(Verdict::Accepted(plan)) => {
            job.state = settle(&job, Happening::Started)?;
            let ready = vec![Ready { request: &request, job, plan }];
            let begun = start(&session, context, &catalog, ready, at_once, now).await?.pop();
            let begun = begun.ok_or_else(|| Error::unexpected("starting a job", "nothing has begun"))?;
            job = begun.job;
            left = begun.letters;
            left.extend(super::finalizer::wake_waiting(&session, &job, now).await?);
        }
        Some(Verdict::Rejected(reasons)) => {
            left = super::finalizer::get_stuck(&mut job, reasons, now)?;
        }
        None => return Ok(()),
    }
    if job.state()? != State::Scheduled {
        audit::append(&session, vec![audit_entry(&job)]).await?;
    }
    outbox::insert(&session, left).await?;
    jobs::update(&session, State::Scheduled, job).await?;
    session.commit().await?;
    context.store.outbox_filled.notify_waiters();
    Ok(())
}

/// A scheduled job's request, whom it concerns and its catalog; nothing where the job is not scheduled.
async fn read_scheduled(context: &Context, id: Uuid) -> Result<Option<(Request, Parties, std::sync::Arc<Catalog>)>> {
    let doing = "reading a scheduled job";
    let session = context.store.reader();
    let Some(job) = jobs::get(&session, id).await? else { return Ok(None) };
    if job.state()? != State::Scheduled {
        return Ok(None);
    }
    let Some(asked) = requests::get(&session, &job.org, &job.request_id).await? else {
        return Err(Error::unexpected(doing, format!("the job {id} has no request")));
    };
    let request: Request =
        serde_json::from_value(asked.body).map_err(|error| Error::unexpected(doing, error.to_string()))?;
    let catalog = context.catalogs.of_hash(&context.store, &job.catalog_hash).await?;
    let parties = read_parties(context, &catalog, &[&request]).await?.pop().unwrap_or_default();
    Ok(Some((request, parties, catalog)))
}
