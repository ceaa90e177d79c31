//! Orders: requests about a job, about a user who is to come back, about invitations. One transaction each.
//!
//! It locks the user concerned, then the job, asks the guards, does what is small at once and opens what is not, and
//! writes the request down with its outcome. Run twice, it finds the request known; killed, nothing of it happened.

mod amend;
mod invitations;

use std::sync::Arc;
use std::time::Instant;

use time::OffsetDateTime;

use crate::catalog::Catalog;
use crate::contract::{Change, JobCommand, JobId, Reason, Request, RequestType, UserId};
use crate::job::{State, StepKind, Transition, next, reason};
use crate::plan::{AccessQuery, Facts, check_requester};
use crate::retry::RetryPolicy;
use crate::stages::changes::{Writing, audit_entry, new_job};
use crate::stages::handover::planner::{answer_known, dead_letter_failed};
use crate::stages::handover::start::transition;
use crate::stages::undo::begin;
use crate::stages::{Answer, Context, Outcome, enter, messages, now};
use crate::store::ledger::jobs::Job;
use crate::store::ledger::outbox::OutboxMessage;
use crate::store::ledger::{audit, chunks, jobs, references, requests};
use crate::store::{Result, Session, host};

/// The transaction of an order.
pub const COMMAND: &str = "command";

/// Takes an order, as often as it takes; one that the database refuses is parked with what it says.
pub async fn take(
    context: &Context,
    catalog: &Arc<Catalog>,
    request: &Request,
    traceparent: Option<&str>,
) -> Result<Outcome> {
    let mut retries = RetryPolicy::RECONNECT.start("taking an order").for_job(request.job_id().0);
    loop {
        match take_once(context, catalog, request, traceparent).await {
            Err(error) if error.is_transient() || error.is_superseded() => retries.wait_after(&error).await,
            Err(error) => return Ok(dead_letter_failed(request.job_id(), &error, 1)),
            taken => return taken,
        }
    }
}

/// What an order is worked on with.
pub struct CommandContext<'a> {
    /// Its transaction.
    pub session: &'a Session,
    /// Sizes and times.
    pub context: &'a Context,
    /// The catalog of new jobs.
    pub catalog: &'a Catalog,
    /// Who asks, and the user concerned.
    pub facts: Facts,
    /// The order's own job. Completed, unless something is left to be done.
    pub job: Job,
    /// What it leaves for others.
    pub messages: Vec<OutboxMessage>,
    /// When.
    pub now: OffsetDateTime,
}

async fn take_once(
    context: &Context,
    catalog: &Arc<Catalog>,
    request: &Request,
    traceparent: Option<&str>,
) -> Result<Outcome> {
    let (began, now) = (Instant::now(), now());
    let head = request.header();
    let user = user_of(context, request).await?;
    let session = context.store.begin(COMMAND).await?;
    let catalog = &*enter(&session, catalog.clone(), head.org()).await?;
    let receivers = amend::receivers(&session, catalog, request).await?;
    let receivers: Vec<_> = receivers.iter().map(|user| (head.org(), user)).collect();
    let concerned: Vec<_> = user.iter().map(|user| (head.org(), user)).collect();
    host::lock_users(&session, &concerned, &receivers).await?;
    let known = requests::known(&session, &[(head.org(), head.request_id.as_str())]).await?;
    if let Some(earlier) = known.into_values().next() {
        return Ok(answer_known(&earlier, request));
    }
    let users = host::read_users(&session, catalog, user.iter().chain([head.requested_by])).await?;
    let facts = Facts { users, ..Facts::default() };
    let mut job = new_job(catalog, request, user.as_ref().map_or("", UserId::as_str), traceparent, now);
    job.state = State::Completed.name().into();
    job.started_at = Some(now);
    job.completed_at = Some(now);
    let mut acting = CommandContext { session: &session, context, catalog, facts, job, messages: Vec::new(), now };
    let mut reasons = judge_asker(&acting, request);
    if reasons.is_empty() {
        reasons = act(&mut acting, request).await?;
    }
    let CommandContext { job, messages, .. } = acting;
    let answer = match reasons.is_empty() {
        true => Answer::Accepted(JobId(job.id)),
        false => Answer::Rejected(JobId(job.id), reasons.clone()),
    };
    let mut writing = Writing::default();
    writing.request(request, &job, reasons.is_empty());
    match reasons.is_empty() {
        true => {
            writing.messages(messages);
            writing.job(job);
        }
        false => writing.rejected(Job { started_at: None, ..job }, reasons, now),
    }
    context.catalogs.keep(&session, now).await?;
    let taken = writing.taken();
    writing.write(&session).await?;
    session.commit().await?;
    context.catalogs.kept();
    taken.log(COMMAND, began.elapsed());
    Ok(Outcome::Answered(answer))
}

/// The user whom an order concerns: nobody is locked for a job that there is not, for a user who was forgotten, or for
/// somebody who is to come.
async fn user_of(context: &Context, request: &Request) -> Result<Option<UserId>> {
    match request {
        Request::Handover(request) => Ok(Some(request.user_id.clone())),
        Request::User(request) => Ok(Some(request.user_id.clone())),
        Request::Invite(_) => Ok(None),
        Request::Job(order) => {
            let target = jobs::get(&context.store.reader(), order.job_id.0).await?;
            let target = target.filter(|target| target.org == request.header().org() && !target.is_forgotten());
            target.map(|target| target.user()).transpose()
        }
    }
}

fn judge_asker(acting: &CommandContext<'_>, request: &Request) -> Vec<Reason> {
    let head = request.header();
    // Who is invited comes by themselves.
    if let Request::User(asked) = request
        && asked.kind == RequestType::AcceptInvitation
        && asked.requested_by == asked.user_id
    {
        return Vec::new();
    }
    let about = UserId::try_from(acting.job.user_id.clone()).ok();
    let asks = AccessQuery { kind: head.kind, org: head.org(), requester: head.requested_by, about: about.as_ref() };
    check_requester(acting.catalog, asks, &acting.facts)
}

/// Does what is asked for, or says every reason why not and changes nothing.
async fn act(acting: &mut CommandContext<'_>, request: &Request) -> Result<Vec<Reason>> {
    match request {
        // The planner takes these, in groups.
        Request::Handover(_) => Ok(Vec::new()),
        Request::Invite(invite) => invitations::invite(acting, invite).await,
        Request::User(asked) => match asked.kind {
            RequestType::Reactivate => begin::reactivate(acting, &asked.user_id).await,
            _ => invitations::answer(acting, asked).await,
        },
        Request::Job(order) => {
            let target = jobs::lock(acting.session, order.job_id.0).await?;
            let Some(target) = target.filter(|target| target.org == acting.job.org) else {
                return Ok(vec![reason::unknown_job(order.job_id)]);
            };
            if target.is_forgotten() {
                return Ok(vec![reason::forgotten(order.job_id)]);
            }
            acting.job.target = Some(target.id);
            act_on(acting, order, target).await
        }
    }
}

async fn act_on(acting: &mut CommandContext<'_>, order: &JobCommand, target: Job) -> Result<Vec<Reason>> {
    match order.kind {
        RequestType::Pause => pause(acting, target).await,
        RequestType::Resume => match refusal(&target, &[State::Paused, State::NeedsAttention], "resumed") {
            Some(reason) => Ok(vec![reason]),
            None => resume(acting, target).await,
        },
        RequestType::Amend => amend::amend(acting, order, target).await,
        RequestType::Cancel => begin::cancel(acting, target).await,
        _ => begin::revert(acting, target).await,
    }
}

/// Why a job cannot take something, where it is in none of these states.
pub fn refusal(target: &Job, states: &[State], wants: &str) -> Option<Reason> {
    if states.iter().any(|state| target.state == state.name()) {
        return None;
    }
    let names: Vec<&str> = states.iter().map(|state| state.name()).collect();
    let hint = format!("a job can be {wants} that is {}", names.join(" or "));
    Some(reason::wrong_state(JobId(target.id), &target.state, wants, &hint))
}

async fn pause(acting: &mut CommandContext<'_>, mut target: Job) -> Result<Vec<Reason>> {
    let from = target.state()?;
    if next(from, Transition::Paused).is_err() {
        let hint = "a job can be paused that waits or is under way";
        return Ok(vec![reason::wrong_state(JobId(target.id), from.name(), "paused", hint)]);
    }
    target.state = transition(&target, Transition::Paused)?;
    target.wake_at = None;
    acting.messages.push(messages::news(&mut target, Change::Paused, Vec::new(), acting.now));
    acting.save(from, target).await?;
    Ok(Vec::new())
}

/// Lets a job go on from where it stands. What failed is tried again, as often as at first.
pub async fn resume(acting: &mut CommandContext<'_>, mut target: Job) -> Result<Vec<Reason>> {
    let (session, now) = (acting.session, acting.now);
    let from = target.state()?;
    let courses = references::of_jobs(session, &[target.id]).await?;
    chunks::reopen_failed(session, target.id).await?;
    let (happening, step) = if courses.is_empty() {
        (Transition::ResumedScheduled, StepKind::Start)
    } else if courses.iter().any(|course| !course.cut) {
        (Transition::ResumedCutting, StepKind::Cut)
    } else {
        (Transition::ResumedMoving, StepKind::Ticket)
    };
    target.state = transition(&target, happening)?;
    target.late_passes = 0;
    target.redispatches = 0;
    target.reasons = None;
    let due = target.effective_at.filter(|at| happening == Transition::ResumedScheduled && *at > now).unwrap_or(now);
    target.wake_at = Some(due + acting.context.limits.stalled_after);
    acting.messages.push(messages::step(step, &target, due));
    if happening != Transition::ResumedScheduled {
        let open = chunks::counts_of_job(session, target.id).await?.open;
        let tickets = acting.context.limits.window.min(open).saturating_sub(u64::from(step == StepKind::Ticket));
        acting.messages.extend((0..tickets).map(|_| messages::step(StepKind::Ticket, &target, now)));
    }
    acting.messages.push(messages::news(&mut target, Change::Resumed, Vec::new(), now));
    acting.save(from, target).await?;
    Ok(Vec::new())
}

impl CommandContext<'_> {
    /// Writes the job back that the order is about, and who ordered it.
    pub async fn save(&self, from: State, target: Job) -> Result<()> {
        let entry = audit::Entry { actor: self.job.requested_by.clone(), ..audit_entry(&target) };
        audit::append(self.session, vec![entry]).await?;
        jobs::update(self.session, from, target).await
    }
}
