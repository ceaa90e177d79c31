//! Amending: other successors for what a job has not moved yet.
//!
//! The request is judged again as it would be with them; what was cut for the old ones and not moved is forgotten and cut
//! anew, from the first rank of the new deal. What was moved stays moved.

use crate::catalog::Catalog;
use crate::contract::{HandoverRequest, JobCommand, JobId, Reason, Request, RequestType, UserId};
use crate::job::{State, reason};
use crate::plan::{Decision, Plan};
use crate::stages::commands::{CommandContext, refusal, resume};
use crate::stages::handover::evaluate::{Counting, evaluate, parties};
use crate::stages::handover::start::{Ready, reserve_turns};
use crate::store::ledger::jobs::Job;
use crate::store::ledger::references::ReferenceProgress;
use crate::store::ledger::{chunks, jobs, references, requests};
use crate::store::{Result, Session};

/// Whom an amendment may give something; nobody of any other order.
pub async fn receivers(session: &Session, catalog: &Catalog, request: &Request) -> Result<Vec<UserId>> {
    let Request::Job(order) = request else { return Ok(Vec::new()) };
    if order.kind != RequestType::Amend {
        return Ok(Vec::new());
    }
    let target = jobs::get(session, order.job_id.0).await?;
    let Some(target) = target.filter(|target| target.org == request.header().org() && hands_over(target)) else {
        return Ok(Vec::new());
    };
    let amended = amended(session, order, &target).await?;
    let parties = parties(session, catalog, &[&amended]).await?;
    Ok(parties.into_iter().flat_map(|parties| parties.receivers).collect())
}

fn hands_over(job: &Job) -> bool {
    job.is(RequestType::Deactivate) || job.is(RequestType::Reassign)
}

/// The request of a job as it is with the amendment. Who amends it answers for it from now on.
async fn amended(session: &Session, order: &JobCommand, target: &Job) -> Result<HandoverRequest> {
    let mut request = requests::of_job(session, target).await?;
    request.reassign.extend(order.reassign.clone());
    request.requested_by.clone_from(&order.requested_by);
    // A plan token holds for the plan as it was.
    request.expect = None;
    Ok(request)
}

/// Amends a job that is held or has not begun, and lets a held one go on.
pub async fn amend(acting: &mut CommandContext<'_>, order: &JobCommand, target: Job) -> Result<Vec<Reason>> {
    let held = [State::Paused, State::NeedsAttention, State::Scheduled];
    if let Some(reason) = refusal(&target, &held, "amended") {
        return Ok(vec![reason]);
    }
    if !hands_over(&target) {
        let hint = "only a deactivation or a reassignment has successors";
        return Ok(vec![reason::wrong_state(JobId(target.id), &target.kind, "amended", hint)]);
    }
    let session = acting.session;
    let request = amended(session, order, &target).await?;
    let courses = references::of_jobs(session, &[target.id]).await?;
    // Of a job that is planned the other guards have held: what has come up since is told at its end.
    let judged = HandoverRequest { lock_out: !courses.is_empty(), ..request.clone() };
    let catalog = acting.context.enter(session, &target).await?;
    let parties = parties(session, &catalog, &[&request]).await?;
    let parties: Vec<_> = parties.iter().collect();
    let counting = Counting::UpTo(acting.context.limits.chunk_rows);
    let evaluation = evaluate(session, &catalog, &[&judged], &parties, counting).await?;
    let plan = match evaluation.verdicts.into_iter().next() {
        Some(Decision::Accepted(plan)) => plan,
        Some(Decision::LockedOut(plan, reasons))
            if !courses.is_empty() && reasons.iter().all(|reason| is_elsewhere(reason, order)) =>
        {
            plan
        }
        Some(Decision::Rejected(mut reasons) | Decision::LockedOut(_, mut reasons)) => {
            reasons.retain(|reason| courses.is_empty() || !is_elsewhere(reason, order));
            return Ok(reasons);
        }
        None => return Ok(Vec::new()),
    };
    requests::amend(session, &request).await?;
    if !courses.is_empty() {
        deal_anew(acting, &catalog, order, &request, &target, plan, courses).await?;
    }
    match target.state()? {
        State::Scheduled => Ok(Vec::new()),
        _ => resume(acting, target).await,
    }
}

/// Whether a reason is about a kind that the order does not name.
fn is_elsewhere(reason: &Reason, order: &JobCommand) -> bool {
    reason.concerning.kind.as_ref().is_some_and(|kind| !order.reassign.contains_key(kind))
}

/// Puts the new deals in the place of the old ones.
async fn deal_anew(
    acting: &CommandContext<'_>,
    catalog: &Catalog,
    order: &JobCommand,
    request: &HandoverRequest,
    target: &Job,
    mut plan: Plan,
    courses: Vec<ReferenceProgress>,
) -> Result<()> {
    let session = acting.session;
    plan.references.retain(|planned| {
        let reference = &catalog.references[planned.position];
        order.reassign.contains_key(&reference.kind) && !reference.at_start
    });
    let mut ready = [Ready { request, job: target.clone(), plan, locks_out: false }];
    reserve_turns(session, &mut ready).await?;
    let [Ready { plan, .. }] = ready;
    let positions: Vec<usize> = plan.references.iter().map(|planned| planned.position).collect();
    chunks::delete_unclosed(session, target.id, Some(&positions)).await?;
    let successors = plan.successors().into_iter().map(|user| (target.id, target.org.clone(), user.clone())).collect();
    jobs::insert_successors(session, successors).await?;
    for planned in &plan.references {
        let kind = &catalog.references[planned.position].kind;
        let course = ReferenceProgress::of(target.id, kind, planned, false);
        match courses.iter().any(|course| course.position == planned.position) {
            true => references::update(session, course).await?,
            false => references::insert(session, vec![course]).await?,
        }
    }
    Ok(())
}
