//! The start of scheduled jobs that are due.
//!
//! Its transaction is like the planner's, for one job that was accepted earlier: it locks the users, checks every guard again,
//! and begins. Run twice, it finds the job begun. A crash leaves nothing.

use std::sync::Arc;

use time::OffsetDateTime;

use crate::catalog::Catalog;
use crate::contract::{HandoverRequest, JobId, RequestType};
use crate::job::{State, Transition};
use crate::plan::Decision;
use crate::plan::group::Parties;
use crate::stages::changes::LedgerChanges;
use crate::stages::context::{Context, now};
use crate::stages::handover::evaluate::{Counting, evaluate};
use crate::stages::handover::parties::lookup_parties;
use crate::stages::handover::start::{FastPath, Ready, start};
use crate::stages::handover::wait::due_of;
use crate::stages::lifecycle::JobChange;
use crate::stages::undo::begin::start_return;
use crate::store::ledger::jobs::Job;
use crate::store::ledger::{jobs, requests};
use crate::store::{Error, Result, Session, host};

/// The transaction that starts a scheduled job.
pub const START: &str = "start";

/// Starts a scheduled job that is due, by the first path that the database accepts. A later path opens the job for the other
/// stages, which find the row to blame.
pub async fn start_due(context: &Context, id: JobId) -> Result<()> {
    let mut started = Ok(());
    for path in FastPath::EACH {
        started = start_scheduled(context, id, path).await;
        if !started.as_ref().is_err_and(Error::is_refused) {
            break;
        }
    }
    started
}

async fn start_scheduled(context: &Context, id: JobId, path: FastPath) -> Result<()> {
    let now = now();
    let Some(job) = jobs::get(&context.store.reader(), id.0).await? else { return Ok(()) };
    if job.state != State::Scheduled {
        return Ok(());
    }
    match job.target {
        Some(_) => {
            let session = context.store.begin(START).await?;
            start_return(&session, context, job, now).await?;
            session.commit().await
        }
        None => start_handover(context, job, path, now).await,
    }
}

/// Starts a job that hands over what a user owns. Its guards are checked again; if one fails now, a person has to decide.
async fn start_handover(context: &Context, job: Job, path: FastPath, now: OffsetDateTime) -> Result<()> {
    let (request, parties) = read_scheduled(context, &job).await?;
    let session = context.store.begin(START).await?;
    let receivers: Vec<_> = parties.receivers.iter().map(|user| (request.org(), user)).collect();
    host::lock_users(&session, &[(request.org(), &request.user_id)], &receivers).await?;
    let Some(change) = JobChange::lock(&session, job.id).await? else { return Ok(()) };
    if change.state() != State::Scheduled || change.job.effective_at.is_some_and(|at| at > now) {
        return Ok(());
    }
    let catalog = context.enter(&session, &change.job).await?;
    for reference in &catalog.references {
        host::lock_group_rows(&session, reference, &[&request.user_id]).await?;
    }
    let scheduled = Scheduled { session: &session, context, catalog, request: &request, parties: &parties, path, now };
    scheduled.decide(change).await?.write(&session).await?;
    session.commit().await
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
    async fn decide(&self, mut change: JobChange) -> Result<LedgerChanges> {
        let Scheduled { session, context, catalog, request, parties, path, now } = self;
        let counting = Counting::UpTo(context.limits.chunk_rows);
        let evaluation = evaluate(session, catalog, &[*request], &[*parties], counting).await?;
        let mut changes = LedgerChanges::default();
        match evaluation.decisions.into_iter().next() {
            Some(Decision::Accepted(plan)) if plan.wait_for.is_some() => {
                due_of(context, &mut change.job, &plan, *now);
                change.save(&mut changes);
            }
            Some(Decision::Accepted(plan)) => {
                change.transition(Transition::Started)?;
                let user = evaluation.facts.users.get(request.user_id.as_str());
                let is_out = user.is_some_and(|user| user.locked_out_by == Some(JobId(change.job.id)));
                let locks_out = request.kind == RequestType::Deactivate && !is_out;
                let ready = vec![Ready { request, change, plan, locks_out }];
                changes = start(session, context, catalog, ready, *path, *now).await?;
            }
            Some(Decision::Rejected(reasons) | Decision::LockedOut(_, reasons)) => {
                change.mark_needs_attention(reasons, *now)?;
                change.save(&mut changes);
            }
            None => {}
        }
        Ok(changes)
    }
}

/// Reads a scheduled job's request and the users whom it concerns.
async fn read_scheduled(context: &Context, job: &Job) -> Result<(HandoverRequest, Parties)> {
    let request = requests::of_job(&context.store.reader(), job).await?;
    let catalog = context.catalogs.of_hash(&context.store, &job.catalog_hash).await?;
    let parties = lookup_parties(context, &catalog, &[&request]).await.pop().transpose()?.unwrap_or_default();
    Ok((request, parties))
}
