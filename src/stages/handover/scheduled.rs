//! Starting scheduled jobs that are due.
//!
//! Its transaction is the planner's, for one job that was accepted earlier: locks the users, asks every guard again, and
//! begins. Run twice, it finds the job begun; killed, nothing of it happened.

use crate::contract::{HandoverRequest, JobId, RequestType};
use crate::job::{State, Transition};
use crate::plan::Decision;
use crate::plan::group::Parties;
use crate::stages::changes::{audit_entry, schedule};
use crate::stages::handover::evaluate::{Counting, evaluate};
use crate::stages::handover::finalizer::{mark_needs_attention, wake_waiting};
use crate::stages::handover::planner::read_parties;
use crate::stages::handover::start::{FastPath, Ready, start, transition};
use crate::stages::undo::begin;
use crate::stages::{Context, now};
use crate::store::ledger::jobs::Job;
use crate::store::ledger::{audit, jobs, outbox, references, requests};
use crate::store::{Error, Result, host};

/// The transaction that starts a scheduled job.
pub const START: &str = "start";

/// Starts a scheduled job that is due. Where its fast way is refused, it is opened for the other stages, which find the
/// row to blame.
pub async fn start_due(context: &Context, id: JobId) -> Result<()> {
    let mut started = Ok(());
    for fast_path in FastPath::EACH {
        started = start_scheduled(context, id, fast_path).await;
        if !started.as_ref().is_err_and(Error::is_refused) {
            break;
        }
    }
    started
}

/// Its guards are asked again: where they fail now, a person has to decide.
async fn start_scheduled(context: &Context, id: JobId, fast_path: FastPath) -> Result<()> {
    let now = now();
    let Some(job) = jobs::get(&context.store.reader(), id.0).await? else { return Ok(()) };
    if job.state()? != State::Scheduled {
        return Ok(());
    }
    if job.target.is_some() {
        return begin::start_due(context, job, now).await;
    }
    let (request, parties) = read_scheduled(context, &job).await?;
    let session = context.store.begin(START).await?;
    let receivers: Vec<_> = parties.receivers.iter().map(|user| (request.org(), user)).collect();
    host::lock_users(&session, &[(request.org(), &request.user_id)], &receivers).await?;
    let Some(mut job) = jobs::lock(&session, id.0).await? else { return Ok(()) };
    if job.state()? != State::Scheduled || job.effective_at.is_some_and(|at| at > now) {
        return Ok(());
    }
    let catalog = context.enter(&session, &job).await?;
    for reference in &catalog.references {
        host::lock_group_rows(&session, reference, &[&request.user_id]).await?;
    }
    let counting = Counting::UpTo(context.limits.chunk_rows);
    let evaluation = evaluate(&session, &catalog, &[&request], &[&parties], counting).await?;
    let (mut left, mut follows) = (Vec::new(), None);
    match evaluation.verdicts.into_iter().next() {
        Some(Decision::Accepted(plan)) if plan.wait_for.is_some() => {
            schedule(context, &mut job, &plan, now);
        }
        Some(Decision::Accepted(plan)) => {
            job.state = transition(&job, Transition::Started)?;
            let user = evaluation.facts.users.get(request.user_id.as_str());
            let is_out = user.is_some_and(|user| user.locked_out_by == Some(id));
            let locks_out = request.kind == RequestType::Deactivate && !is_out;
            let ready = vec![Ready { request: &request, job, plan, locks_out }];
            let begun = start(&session, context, &catalog, ready, fast_path, now).await?.pop();
            let begun = begun.ok_or_else(|| Error::unexpected("starting a job", "nothing has begun"))?;
            references::insert(&session, begun.courses).await?;
            jobs::insert_successors(&session, begun.successors).await?;
            job = begun.job;
            follows = begun.follows;
            left = begun.messages;
            left.extend(wake_waiting(&session, &job, now).await?);
        }
        Some(Decision::Rejected(reasons) | Decision::LockedOut(_, reasons)) => {
            left = mark_needs_attention(&mut job, reasons, now)?;
        }
        None => return Ok(()),
    }
    if job.state()? != State::Scheduled {
        audit::append(&session, vec![audit_entry(&job)]).await?;
    }
    outbox::insert(&session, left).await?;
    jobs::update(&session, State::Scheduled, job).await?;
    jobs::insert(&session, follows.into_iter().collect()).await?;
    session.commit().await
}

/// A scheduled job's request, and whom it concerns.
async fn read_scheduled(context: &Context, job: &Job) -> Result<(HandoverRequest, Parties)> {
    let request = requests::of_job(&context.store.reader(), job).await?;
    let catalog = context.catalogs.of_hash(&context.store, &job.catalog_hash).await?;
    let parties = read_parties(context, &catalog, &[&request]).await?.pop().unwrap_or_default();
    Ok((request, parties))
}
