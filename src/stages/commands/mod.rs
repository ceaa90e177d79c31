//! Commands: requests about a job, about a user who comes back, and about invitations.
//!
//! One transaction each: it locks the user concerned, then the job, checks the guards, does what is small at once and opens
//! what is not, and records the request with its outcome. Run twice, it finds the request known. A crash leaves nothing.

mod amend;
mod context;
mod go_on;
mod invitations;
mod pause;
mod reactivate;
mod resume;
mod revert;
mod switch_catalog;

use std::sync::Arc;
use std::time::Instant;

use time::OffsetDateTime;

use crate::catalog::Catalog;
use crate::contract::{JobCommand, Reason, Request, RequestOutcome, RequestType, UserId};
use crate::job::reason;
use crate::plan::{AccessQuery, Facts, check_requester};
use crate::retry::RetryPolicy;
use crate::stages::accepted::Accepted;
use crate::stages::changes::LedgerChanges;
use crate::stages::context::{Context, enter, now};
use crate::stages::lifecycle::JobChange;
use crate::stages::new_job::{Dates, new_job};
use crate::stages::outcome::{Answer, AnswerResult, Outcome, answer_known, failed};
use crate::stages::retry::at_once;
use crate::store::ledger::jobs::Job;
use crate::store::ledger::{jobs, requests, services};
use crate::store::{Error, Result, Session, host};

use self::context::CommandContext;

/// The transaction of a command.
pub const COMMAND: &str = "command";

/// Takes a command. One that fails is blocked, or a dead letter with the database's error. `version`: does nothing if the job that it is
/// about has another version.
pub async fn take(
    context: &Context,
    catalog: &Arc<Catalog>,
    accepted: &Accepted<Request>,
    traceparent: Option<&str>,
    version: Option<i64>,
) -> Outcome {
    let job = accepted.request.job_id();
    let retries = RetryPolicy::RECONNECT.start("taking a command").for_job(job.0);
    let taken = at_once(retries, || take_once(context, catalog, accepted, traceparent, version)).await;
    taken.unwrap_or_else(|error| failed(job, &error, 1))
}

async fn take_once(
    context: &Context,
    catalog: &Arc<Catalog>,
    accepted: &Accepted<Request>,
    traceparent: Option<&str>,
    version: Option<i64>,
) -> Result<Outcome> {
    let (began, now) = (Instant::now(), now());
    let request = &accepted.request;
    let header = request.header();
    let user = user_of(context, request).await?;
    let session = context.store.begin(COMMAND).await?;
    let catalog = context.catalogs.of_hash(&session, &catalog.hash).await?;
    let catalog = &*enter(&session, catalog, header.org()).await?;
    lock(&session, catalog, request, user.as_ref()).await?;
    let known = requests::known(&session, &[(header.org(), header.request_id.as_str())]).await?;
    if let Some(earlier) = known.into_values().next() {
        return Ok(answer_known(&earlier, &accepted.body_hash));
    }
    if let (Some(version), Request::Job(asked)) = (version, request) {
        let target = jobs::lock(&session, asked.job_id.0).await?;
        if target.is_some_and(|target| target.org == header.org() && target.sequence != version) {
            return Ok(Outcome::Outdated);
        }
    }
    let mut command = prepare(context, &session, catalog, request, user.as_ref(), now).await?;
    command.own.job.traceparent = traceparent.map(str::to_owned);
    let reasons = judge_and_act(&mut command, request).await?;
    let CommandContext { mut own, mut changes, .. } = command;
    let (result, outcome) = match reasons.is_empty() {
        true => (AnswerResult::Accepted, RequestOutcome::Accepted),
        false => {
            // A guard that fails changes nothing, whatever was prepared before it.
            changes = LedgerChanges::default();
            own.reject(reasons.clone(), now)?;
            (AnswerResult::Rejected(reasons), RequestOutcome::Rejected)
        }
    };
    end_now(&mut own);
    changes.request(accepted, &own.job, outcome);
    let answer = Answer::to(&own.job, result);
    own.save(&mut changes);
    context.catalogs.keep(&session, now).await?;
    let new_jobs = changes.new_jobs();
    changes.write(&session).await?;
    session.commit().await?;
    context.catalogs.kept();
    new_jobs.log(COMMAND, began.elapsed());
    Ok(Outcome::Answered(answer))
}

/// Records the end of a command that was done at once. It began with its transaction, which may have waited for locks.
fn end_now(own: &mut JobChange) {
    own.job.completed_at = own.job.completed_at.map(|_| now());
}

/// Returns every reason why a command would be rejected now; none if it would be accepted. Does what the command does in a
/// transaction that is rolled back.
pub async fn preview(context: &Context, request: &Request) -> Result<Vec<Reason>> {
    let user = user_of(context, request).await?;
    let session = context.store.begin("previewing a command").await?;
    let catalog = &*enter(&session, context.catalogs.current(), request.header().org()).await?;
    lock(&session, catalog, request, user.as_ref()).await?;
    let mut command = prepare(context, &session, catalog, request, user.as_ref(), now()).await?;
    judge_and_act(&mut command, request).await
}

/// Reads what the guards need, and creates the command's own job.
async fn prepare<'c>(
    context: &'c Context,
    session: &'c Session,
    catalog: &'c Catalog,
    request: &Request,
    user: Option<&UserId>,
    now: OffsetDateTime,
) -> Result<CommandContext<'c>> {
    let header = request.header();
    let users = host::read_users(session, catalog, user.into_iter().chain([header.requested_by])).await?;
    let services = services::granted(session, [(header.org(), header.requested_by)]).await?;
    let facts = Facts { users, services, ..Facts::default() };
    let user_id = user.map_or("", UserId::as_str);
    let mut own = JobChange::of_new(new_job(catalog, header, user_id, Dates::default(), None, now));
    own.complete_command(now);
    Ok(CommandContext { session, context, catalog, facts, own, changes: LedgerChanges::default(), now })
}

/// Checks who asks, then does what the command asks for. Returns every reason why not.
async fn judge_and_act(command: &mut CommandContext<'_>, request: &Request) -> Result<Vec<Reason>> {
    let reasons = check_asker(command, request);
    match reasons.is_empty() {
        true => act(command, request).await,
        false => Ok(reasons),
    }
}

/// Returns the user whom a command concerns. Nobody is locked for an unknown job, a forgotten user, or a user who is invited.
async fn user_of(context: &Context, request: &Request) -> Result<Option<UserId>> {
    match request {
        Request::Handover(request) => Ok(Some(request.user_id.clone())),
        Request::User(request) => Ok(Some(request.user_id.clone())),
        Request::Invite(_) => Ok(None),
        Request::Job(command) => {
            let target = jobs::get(&context.store.reader(), command.job_id.0).await?;
            let target = target.filter(|target| target.org == request.header().org() && !target.is_forgotten());
            target.map(|target| target.user()).transpose()
        }
    }
}

/// Locks the user concerned, and the users to whom an amendment gives something.
async fn lock(session: &Session, catalog: &Catalog, request: &Request, user: Option<&UserId>) -> Result<()> {
    let header = request.header();
    let receivers = amend::receivers(session, catalog, request).await?;
    let receivers: Vec<_> = receivers.iter().map(|user| (header.org(), user)).collect();
    let concerned: Vec<_> = user.iter().map(|user| (header.org(), *user)).collect();
    host::lock_users(session, &concerned, &receivers).await
}

fn check_asker(command: &CommandContext<'_>, request: &Request) -> Vec<Reason> {
    let header = request.header();
    let about = UserId::try_from(command.own.job.user_id.clone()).ok();
    let query =
        AccessQuery { kind: header.kind, org: header.org(), requester: header.requested_by, about: about.as_ref() };
    check_requester(command.catalog, query, &command.facts)
}

/// Does what a command asks for, or returns every reason why not.
async fn act(command: &mut CommandContext<'_>, request: &Request) -> Result<Vec<Reason>> {
    match request {
        Request::Handover(asked) => Err(unexpected(asked.kind, "a job or a user")),
        Request::Invite(invite) => invitations::invite(command, invite).await,
        Request::User(asked) => match asked.kind {
            RequestType::Reactivate => reactivate::reactivate(command, &asked.user_id).await,
            RequestType::ResendInvitation | RequestType::AcceptInvitation | RequestType::CancelInvitation => {
                invitations::answer(command, asked).await
            }
            RequestType::Deactivate
            | RequestType::Reassign
            | RequestType::Invite
            | RequestType::Revert
            | RequestType::Cancel
            | RequestType::Pause
            | RequestType::Resume
            | RequestType::Amend => Err(unexpected(asked.kind, "a user")),
        },
        Request::Job(asked) => act_on_job(command, asked).await,
    }
}

async fn act_on_job(command: &mut CommandContext<'_>, asked: &JobCommand) -> Result<Vec<Reason>> {
    let target = JobChange::lock(command.session, asked.job_id.0).await?;
    let Some(target) = target.filter(|target| target.job.org == command.own.job.org) else {
        return Ok(vec![reason::unknown_job(asked.job_id)]);
    };
    if target.job.is_forgotten() {
        return Ok(vec![reason::forgotten(asked.job_id)]);
    }
    command.own.job.target = Some(target.job.id);
    if delays_own_lock_out(command.session, asked, &target.job).await? {
        let cause = "a lock-out is not for the user whom it locks out to stop";
        return Ok(vec![reason::requester_not_permitted(asked.requested_by.as_str(), cause)]);
    }
    match asked.kind {
        RequestType::Pause => pause::pause(command, target).await,
        RequestType::Resume => resume::resume(command, asked, target).await,
        RequestType::Amend => amend::amend(command, asked, target).await,
        RequestType::Cancel => revert::cancel(command, target).await,
        RequestType::Revert => revert::revert(command, target).await,
        RequestType::Deactivate
        | RequestType::Reassign
        | RequestType::Reactivate
        | RequestType::Invite
        | RequestType::ResendInvitation
        | RequestType::AcceptInvitation
        | RequestType::CancelInvitation => Err(unexpected(asked.kind, "a job")),
    }
}

/// True if a user asks to stop or change their own lock-out.
async fn delays_own_lock_out(session: &Session, asked: &JobCommand, target: &Job) -> Result<bool> {
    let changes = match asked.kind {
        RequestType::Pause | RequestType::Cancel | RequestType::Amend | RequestType::Revert => true,
        RequestType::Resume
        | RequestType::Deactivate
        | RequestType::Reassign
        | RequestType::Reactivate
        | RequestType::Invite
        | RequestType::ResendInvitation
        | RequestType::AcceptInvitation
        | RequestType::CancelInvitation => false,
    };
    let is_own = changes && target.kind == RequestType::Deactivate && target.user_id == asked.requested_by.as_str();
    Ok(is_own && requests::of_job(session, target).await?.lock_out)
}

/// A request of another form than its type: reading a request excludes it.
fn unexpected(kind: RequestType, about: &str) -> Error {
    Error::unexpected("taking a command", format!("`{}` is not a command about {about}", kind.name()))
}
