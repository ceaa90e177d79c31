//! The start of scheduled jobs that are due.
//!
//! Its transaction is like the planner's, for one job that was accepted earlier: it locks the users, checks every guard again,
//! and begins. A lock-out ends the user's access even if the job cannot begin, or is paused. Run twice, it finds the job begun, or
//! the access ended. A crash leaves nothing.

use std::sync::Arc;

use time::OffsetDateTime;

use crate::catalog::Catalog;
use crate::contract::{HandoverRequest, JobId, Reason, RequestType};
use crate::job::{State, Transition};
use crate::plan::group::Parties;
use crate::plan::{Decision, Occasion, Scope, UserStatus};
use crate::retry::RetryPolicy;
use crate::stages::changes::LedgerChanges;
use crate::stages::context::{Context, enter, now};
use crate::stages::handover::evaluate::{Counting, evaluate, evaluate_access};
use crate::stages::handover::guard_rows::lock_guard_rows;
use crate::stages::handover::lock_out::{LockedOut, Next, lock_out};
use crate::stages::handover::parties::lookup_parties;
use crate::stages::handover::settle;
use crate::stages::handover::start::{ACCESS_WITHIN, FastPath, Ready, StartFailure, lock_shared_rows, start};
use crate::stages::handover::supersede::supersede;
use crate::stages::handover::wait::due_of;
use crate::stages::lifecycle::JobChange;
use crate::stages::retry::at_once;
use crate::stages::undo::begin::start_undo;
use crate::store::ledger::jobs::Job;
use crate::store::ledger::{jobs, requests};
use crate::store::{Error, Result, Session, host};

/// The transaction that starts a scheduled job.
pub const START: &str = "start";

/// Starts a scheduled job that is due, by the first path that the database accepts. A later path opens the job for the other
/// stages, which find the row to blame. The last one only ends the access of a lock-out: then the error is that of the path before.
pub async fn start_due(context: &Context, id: JobId) -> Result<()> {
    let mut path = FastPath::Whole;
    let mut cause = None;
    loop {
        let retries = RetryPolicy::RECONNECT.start("starting a job").for_job(id.0);
        let failure = match at_once(retries, || start_scheduled(context, id, path)).await {
            Ok(()) => return cause.map_or(Ok(()), Err),
            Err(failure) => failure,
        };
        match path.after(&failure, must_end_access(context, id).await?) {
            None => return Err(failure.error),
            Some(next) => {
                path = next;
                cause = Some(failure.error).filter(|_| next == FastPath::Access);
            }
        }
    }
}

/// True if a job is a lock-out that has not ended its user's access yet. Afterwards it is like any other job.
async fn must_end_access(context: &Context, id: JobId) -> Result<bool> {
    let reader = context.store.reader();
    match jobs::get(&reader, id.0).await? {
        Some(job) if job.kind == RequestType::Deactivate && job.access_ended_at.is_none() => {
            Ok(requests::of_job(&reader, &job).await?.lock_out)
        }
        Some(_) | None => Ok(false),
    }
}

async fn start_scheduled(context: &Context, id: JobId, path: FastPath) -> std::result::Result<(), StartFailure> {
    let now = now();
    let Some(job) = jobs::get(&context.store.reader(), id.0).await? else { return Ok(()) };
    if !may_be_due(&job) {
        return Ok(());
    }
    match job.target {
        Some(_) => {
            let session = context.store.begin(START).await?;
            start_undo(&session, context, job, now).await?;
            Ok(session.commit().await?)
        }
        None => start_handover(context, job, path, now).await,
    }
}

/// True if a job is scheduled, or is paused and may have to end its user's access nevertheless.
fn may_be_due(job: &Job) -> bool {
    // Of a paused job whose access has ended, something may remain.
    let has_access = job.access_ended_at.is_none() || job.wake_at.is_some();
    match job.state {
        State::Scheduled => true,
        State::Paused => job.started_at.is_none() && has_access && job.kind == RequestType::Deactivate,
        State::Cutting
        | State::Moving
        | State::Finalizing
        | State::Completed
        | State::Rejected
        | State::NeedsAttention
        | State::Reverting
        | State::Reverted
        | State::Cancelled => false,
    }
}

/// Starts a job that hands over what a user owns. Its guards are checked again; if one fails now, a person has to decide.
async fn start_handover(
    context: &Context,
    job: Job,
    path: FastPath,
    now: OffsetDateTime,
) -> std::result::Result<(), StartFailure> {
    let current = context.catalogs.current_now(&context.store.reader()).await;
    let request = requests::of_job(&context.store.reader(), &job).await?;
    let parties = match path.scope() {
        Scope::Whole => lookup_parties(context, &current, &[&request]).await.pop().transpose()?.unwrap_or_default(),
        Scope::Access => Parties::default(),
    };
    let session = match request.lock_out && job.access_ended_at.is_none() {
        true => context.store.begin_within(START, ACCESS_WITHIN).await?,
        false => context.store.begin(START).await?,
    };
    let receivers: Vec<_> = parties.receivers.iter().map(|user| (request.org(), user)).collect();
    host::lock_users(&session, &[(request.org(), &request.user_id)], &receivers).await?;
    let Some(mut change) = JobChange::lock(&session, job.id).await? else { return Ok(()) };
    if !may_be_due(&change.job) || change.job.effective_at.is_some_and(|at| at > now) {
        return Ok(());
    }
    let has_ended_access = path == FastPath::Access && change.job.access_ended_at.is_some();
    if has_ended_access || change.state() == State::Paused && !request.lock_out {
        return Ok(());
    }
    if let Some(hold) = settle::hold_of(&session, &change, now).await? {
        return Ok(settle::wait(context, session, change, hold).await?);
    }
    if requests::of_job(&session, &change.job).await? != request {
        return Err(Error::contention("starting a scheduled job", "it was amended meanwhile").into());
    }
    // The job was accepted with the catalog of that day, and starts with the one that is current.
    change.job.catalog_hash.clone_from(&current.hash);
    context.catalogs.keep(&session, now).await?;
    let catalog = match path.scope() {
        Scope::Whole => context.enter(&session, &change.job).await?,
        // Compared with the schema a moment ago. Another look might wait for a table.
        Scope::Access => enter(&session, current, request.org()).await?,
    };
    lock_guard_rows(&session, &catalog, &[&request], path.scope()).await?;
    let scheduled = Scheduled { session: &session, context, catalog, request: &request, parties: &parties, path, now };
    let Some(evaluated) = scheduled.evaluate().await? else { return Ok(()) };
    let changes = scheduled.decide(change, evaluated).await.map_err(StartFailure::evaluated)?;
    changes.write(&session).await.map_err(StartFailure::evaluated)?;
    session.commit().await.map_err(StartFailure::evaluated)
}

/// The decision on a scheduled job, and whether its user is out already.
struct Evaluated {
    decision: Decision,
    is_out: bool,
}

/// A scheduled job in its transaction.
struct Scheduled<'s> {
    session: &'s Session,
    context: &'s Context,
    catalog: Arc<Catalog>,
    request: &'s HandoverRequest,
    parties: &'s Parties,
    path: FastPath,
    now: OffsetDateTime,
}

impl Scheduled<'_> {
    /// Checks the guards again.
    async fn evaluate(&self) -> Result<Option<Evaluated>> {
        let Scheduled { session, context, catalog, request, parties, path, now } = self;
        let occasion = (Occasion::Start, *now);
        let evaluation = match path.scope() {
            Scope::Access => evaluate_access(session, catalog, &[*request], occasion).await?,
            Scope::Whole => {
                let counting = Counting::UpTo(context.limits.chunk_rows);
                evaluate(session, catalog, &[*request], &[*parties], counting, occasion).await?
            }
        };
        let user = evaluation.facts.users.get(request.user_id.as_str());
        let is_out = user.is_some_and(|user| user.status != UserStatus::Active);
        Ok(evaluation.decisions.into_iter().next().map(|decision| Evaluated { decision, is_out }))
    }

    async fn decide(&self, mut change: JobChange, evaluated: Evaluated) -> Result<LedgerChanges> {
        let Scheduled { session, context, catalog, request, path, now, .. } = self;
        let Evaluated { decision, is_out } = evaluated;
        let mut changes = LedgerChanges::default();
        supersede(session, &mut changes, request, &decision, *now).await?;
        let is_paused = change.state() == State::Paused;
        let (plan, reasons) = match decision {
            Decision::Accepted(plan) => (plan, Vec::new()),
            Decision::LockedOut(plan, reasons) => (plan, reasons),
            Decision::Rejected(reasons) => {
                refuse(&mut change, reasons, *now)?;
                change.save(&mut changes);
                return Ok(changes);
            }
        };
        let has_access =
            request.lock_out && (!is_out || catalog.references.iter().any(|reference| plan.ends_access(reference)));
        if plan.wait_for.is_some() && !has_access && !is_paused {
            due_of(context, &mut change.job, &plan, *now);
            change.save(&mut changes);
        } else if reasons.is_empty() && plan.wait_for.is_none() && !is_paused {
            change.transition(Transition::Started)?;
            let ready = Ready::new(request, change, plan).of_user_who_is_out(is_out);
            lock_shared_rows(session, catalog, std::iter::once(&ready)).await?;
            changes.merge(start(session, context, catalog, vec![ready], *path).await?);
        } else {
            let due = due_of(context, &mut change.job, &plan, *now);
            let next = match (path.scope(), is_paused) {
                (Scope::Whole, true) => Next::Paused { wake_at: None },
                (Scope::Whole, false) if reasons.is_empty() => Next::Wait { due },
                (Scope::Whole, false) => Next::Attention,
                // The step that failed comes again.
                (Scope::Access, true) => Next::Paused { wake_at: change.job.wake_at },
                (Scope::Access, false) => Next::Scheduled,
            };
            let ready = Ready::new(request, change, plan).of_user_who_is_out(is_out);
            lock_shared_rows(session, catalog, std::iter::once(&ready)).await?;
            let locked_out = vec![LockedOut { ready, reasons, next }];
            changes.merge(lock_out(session, catalog, locked_out, *path, *now).await?);
        }
        Ok(changes)
    }
}

/// Refuses to start a job: a person has to decide. A paused job stays paused, and says why its user keeps their access.
fn refuse(change: &mut JobChange, reasons: Vec<Reason>, now: OffsetDateTime) -> Result<()> {
    if change.state() != State::Paused {
        return change.mark_needs_attention(reasons, now);
    }
    change.stay_paused(reasons, None, now)
}
