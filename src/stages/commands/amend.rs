//! Amending a job: other successors for what it has not moved yet.
//!
//! The request is evaluated again with the new successors. What was cut for the old ones and not moved is deleted and cut anew,
//! from the first rank of the new deal. What was moved stays moved.

use crate::catalog::Catalog;
use crate::contract::{Change, GuardClass, HandoverRequest, JobCommand, JobId, Reason, Request, RequestType, UserId};
use crate::job::{State, reason};
use crate::plan::{Decision, Occasion, Plan};
use crate::stages::commands::context::CommandContext;
use crate::stages::commands::go_on::go_on;
use crate::stages::handover::evaluate::{Counting, evaluate, parties};
use crate::stages::handover::turns::reserve_turns;
use crate::stages::lifecycle::JobChange;
use crate::stages::refusal::refusal;
use crate::store::ledger::jobs::Job;
use crate::store::ledger::references::ReferenceProgress;
use crate::store::ledger::{chunks, jobs, references, requests};
use crate::store::{Result, Session};

/// Returns the users to whom an amendment may give something. Other commands give nobody anything.
pub async fn receivers(session: &Session, catalog: &Catalog, request: &Request) -> Result<Vec<UserId>> {
    let Request::Job(asked) = request else { return Ok(Vec::new()) };
    // A job that is resumed with another catalog deals its records anew.
    if asked.kind != RequestType::Amend && asked.catalog.is_none() {
        return Ok(Vec::new());
    }
    let target = jobs::get(session, asked.job_id.0).await?;
    let Some(target) = target.filter(|target| target.org == request.header().org() && hands_over(target)) else {
        return Ok(Vec::new());
    };
    let amended = amended(session, asked, &target).await?;
    let parties = parties(session, catalog, &[&amended]).await?;
    Ok(parties.into_iter().flat_map(|parties| parties.receivers).collect())
}

/// Returns true if a job hands over what a user owns.
pub fn hands_over(job: &Job) -> bool {
    job.kind == RequestType::Deactivate || job.kind == RequestType::Reassign
}

/// Returns the request of a job with the amendment. The requester of the amendment is its requester from now on.
async fn amended(session: &Session, asked: &JobCommand, target: &Job) -> Result<HandoverRequest> {
    let mut request = requests::of_job(session, target).await?;
    request.reassign.extend(asked.reassign.clone());
    request.requested_by.clone_from(&asked.requested_by);
    // A plan token is about the earlier plan.
    request.expect = None;
    Ok(request)
}

/// Amends a job that is held or has not begun. A held job goes on.
pub async fn amend(command: &mut CommandContext<'_>, asked: &JobCommand, mut target: JobChange) -> Result<Vec<Reason>> {
    let held = [State::Paused, State::NeedsAttention, State::Scheduled];
    if let Some(reason) = refusal(&target.job, &held, "amended") {
        return Ok(vec![reason]);
    }
    if !hands_over(&target.job) {
        let hint = "only a deactivation or a reassignment has successors";
        return Ok(vec![reason::wrong_state(JobId(target.job.id), target.job.kind.name(), "amended", hint)]);
    }
    let session = command.session;
    let request = amended(session, asked, &target.job).await?;
    let progress = references::of_jobs(session, &[target.job.id]).await?;
    let catalog = command.context.enter(session, &target.job).await?;
    let concerns = |reason: &Reason| !is_elsewhere(reason, asked);
    let plan = match evaluate_anew(command, &catalog, &request, !progress.is_empty(), concerns).await? {
        Ok(plan) => plan,
        Err(reasons) => return Ok(reasons),
    };
    requests::amend(session, &request).await?;
    if !progress.is_empty() {
        deal_anew(session, &catalog, asked, &request, &target.job, plan, progress).await?;
    }
    if target.state() != State::Scheduled {
        go_on(command, target).await?;
    } else if target.job.reasons.is_some() {
        // A lock-out that lacked something until now.
        target.report(Change::Scheduled, Vec::new(), command.now)?;
        command.save(target);
    }
    Ok(Vec::new())
}

/// Evaluates a request again. The result is its plan, or every reason why it is rejected. Of reasons that do not end a planned job,
/// only those count that `concerns` selects.
pub async fn evaluate_anew(
    command: &CommandContext<'_>,
    catalog: &Catalog,
    request: &HandoverRequest,
    is_planned: bool,
    concerns: impl Fn(&Reason) -> bool,
) -> Result<std::result::Result<Plan, Vec<Reason>>> {
    // The other guards of a planned job have passed; what has come up since is reported at its end.
    let evaluated = HandoverRequest { lock_out: is_planned, ..request.clone() };
    let parties = parties(command.session, catalog, &[request]).await?;
    let parties: Vec<_> = parties.iter().collect();
    let counting = Counting::UpTo(command.context.limits.chunk_rows);
    let evaluation =
        evaluate(command.session, catalog, &[&evaluated], &parties, counting, (Occasion::Request, command.now)).await?;
    Ok(match evaluation.decisions.into_iter().next() {
        Some(Decision::Accepted(plan)) => Ok(plan),
        Some(Decision::LockedOut(plan, mut reasons)) => {
            reasons.retain(concerns);
            if reasons.is_empty() { Ok(plan) } else { Err(reasons) }
        }
        Some(Decision::Rejected(reasons)) => Err(reasons),
        None => Err(Vec::new()),
    })
}

/// Returns true if a reason is not about a kind that the amendment names.
fn is_elsewhere(reason: &Reason, asked: &JobCommand) -> bool {
    match &reason.concerning.kind {
        Some(kind) => !asked.reassign.contains_key(kind),
        None => reason.code.guard_class() == GuardClass::Handover,
    }
}

/// Replaces the old deals by the new ones.
async fn deal_anew(
    session: &Session,
    catalog: &Catalog,
    asked: &JobCommand,
    request: &HandoverRequest,
    target: &Job,
    mut plan: Plan,
    old: Vec<ReferenceProgress>,
) -> Result<()> {
    plan.references.retain(|planned| {
        let reference = &catalog.references[planned.position];
        asked.reassign.contains_key(&reference.kind) && !reference.at_start
    });
    reserve_turns(session, &mut [(request.org(), &mut plan)]).await?;
    let positions: Vec<usize> = plan.references.iter().map(|planned| planned.position).collect();
    chunks::delete_unclosed(session, target.id, Some(&positions)).await?;
    let successors = plan.successors().into_iter().map(|user| (target.id, target.org.clone(), user.clone())).collect();
    jobs::insert_successors(session, successors).await?;
    for planned in &plan.references {
        let kind = &catalog.references[planned.position].kind;
        let new = ReferenceProgress::of(target.id, kind, planned, false);
        match old.iter().any(|old| old.position == planned.position) {
            true => references::update(session, new).await?,
            false => references::insert(session, vec![new]).await?,
        }
    }
    Ok(())
}
