//! Giving a held job the catalog that is current, instead of the one that it was planned with.
//!
//! The request is evaluated again. What was cut and not moved is deleted, and every reference is cut anew. What was moved stays
//! moved, and can be undone, because the current catalog must have every kind of which the job has changed records.

use std::collections::BTreeMap;

use crate::catalog::Catalog;
use crate::contract::{JobId, Reason};
use crate::job::reason;
use crate::stages::commands::amend::{evaluate_anew, hands_over};
use crate::stages::commands::context::CommandContext;
use crate::stages::handover::turns::reserve_turns;
use crate::stages::lifecycle::JobChange;
use crate::store::Result;
use crate::store::ledger::audit::{CATALOG_CHANGED, Entry};
use crate::store::ledger::journal;
use crate::store::ledger::references::ReferenceProgress;
use crate::store::ledger::{chunks, jobs, references, requests};

/// Gives a job the current catalog, or returns every reason why it cannot have it.
pub async fn switch_catalog(
    command: &mut CommandContext<'_>,
    target: &mut JobChange,
) -> Result<std::result::Result<(), Vec<Reason>>> {
    let (session, catalog, job) = (command.session, command.catalog, target.job.clone());
    if job.catalog_hash == catalog.hash {
        return Ok(Ok(()));
    }
    if !hands_over(&job) {
        let hint = "an undo keeps the catalog of the job that it undoes";
        return Ok(Err(vec![reason::wrong_state(JobId(job.id), job.kind.name(), "given another catalog", hint)]));
    }
    let lacking = lacking_kinds(command, catalog, JobId(job.id)).await?;
    if !lacking.is_empty() {
        let hint = format!("the job has changed records of kinds that the catalog lacks: {}", lacking.join(", "));
        return Ok(Err(vec![reason::wrong_state(JobId(job.id), job.state.name(), "given this catalog", &hint)]));
    }
    let old = references::of_jobs(session, &[job.id]).await?;
    // A job that has no plan yet is evaluated when it starts.
    if !old.is_empty() {
        let request = requests::of_job(session, &job).await?;
        let mut plan =
            match evaluate_anew(command, catalog, &request, true, |reason| reason.concerning.kind.is_some()).await? {
                Ok(plan) => plan,
                Err(reasons) => return Ok(Err(reasons)),
            };
        reserve_turns(session, &mut [(request.org(), &mut plan)]).await?;
        chunks::delete_unclosed(session, job.id, None).await?;
        chunks::move_positions(session, job.id, &positions(catalog, &old)).await?;
        references::forget(session, job.id).await?;
        let successors = plan.successors().into_iter().map(|user| (job.id, job.org.clone(), user.clone())).collect();
        jobs::insert_successors(session, successors).await?;
        let planned = plan.references.iter();
        let progress = planned
            .map(|planned| ReferenceProgress::of(job.id, &catalog.references[planned.position].kind, planned, false));
        references::insert(session, progress.collect()).await?;
    }
    target.job.catalog_hash.clone_from(&catalog.hash);
    command.changes.audit(entry(command, target));
    Ok(Ok(()))
}

/// Returns the kinds of which the job has changed records and that a catalog lacks.
async fn lacking_kinds(command: &CommandContext<'_>, catalog: &Catalog, job: JobId) -> Result<Vec<String>> {
    let tallies = journal::tallies(command.session, &[job.0]).await?.remove(&job.0).unwrap_or_default();
    let mut kinds: Vec<String> = tallies.into_iter().map(|tally| tally.kind).collect();
    kinds.sort();
    kinds.dedup();
    kinds.retain(|kind| catalog.reference(kind).is_none());
    Ok(kinds)
}

/// Returns the new position of each old one. A kind that is gone gets a place after all others.
fn positions(catalog: &Catalog, old: &[ReferenceProgress]) -> BTreeMap<usize, usize> {
    let new = |progress: &ReferenceProgress| {
        let reference = catalog.reference(&progress.kind);
        let position = reference.map_or(catalog.references.len() + progress.position, |reference| reference.position);
        (progress.position, position)
    };
    old.iter().map(new).collect()
}

fn entry(command: &CommandContext<'_>, target: &JobChange) -> Entry {
    let own = &command.own.job;
    Entry {
        id: 0,
        at: command.now,
        org: target.job.org.clone(),
        actor: own.requested_by.clone(),
        action: CATALOG_CHANGED.into(),
        user_id: target.job.user_id.clone(),
        job_id: Some(target.job.id),
        request_id: own.request_id.clone(),
        detail: Some(serde_json::json!({ "catalog": target.job.catalog_hash })),
    }
}
