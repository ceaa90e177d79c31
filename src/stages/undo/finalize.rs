//! The end of an undo: its certificate, and what becomes of the job that it has undone.

use std::collections::BTreeMap;

use time::OffsetDateTime;
use uuid::Uuid;

use crate::catalog::Catalog;
use crate::contract::{Certificate, Change, EventType, JobId, LicenseOutcome, ReferenceResult, RequestType};
use crate::job::{State, Transition};
use crate::stages::changes::audit_entry;
use crate::stages::handover::finalizer::wake_waiting;
use crate::stages::handover::start::transition;
use crate::stages::{Context, messages};
use crate::store::ledger::jobs::Job;
use crate::store::ledger::journal::{self, RESTORED, SKIPPED, Tally};
use crate::store::ledger::outbox::OutboxMessage;
use crate::store::ledger::{audit, jobs, row_snapshots};
use crate::store::{Result, Session};

/// Ends an undo whose chunks are all closed, and with it the job that it has undone.
pub async fn finalize(
    session: &Session,
    context: &Context,
    job: &mut Job,
    now: OffsetDateTime,
) -> Result<Vec<OutboxMessage>> {
    let target = match job.target {
        Some(target) => jobs::lock(session, target).await?,
        None => None,
    };
    let references = results(session, context, job, target.as_ref()).await?;
    job.state = transition(job, Transition::Proved)?;
    job.completed_at = Some(now);
    job.wake_at = None;
    let mut certificate = certificate(job, references, now);
    let mut left = Vec::new();
    match target {
        None => left.push(messages::certified(job, EventType::Reactivated, &certificate, now)),
        Some(mut target) => {
            let called_off = job.is(RequestType::Cancel);
            let (happening, change) = match called_off {
                true => (Transition::UndoneOnCancel, Change::Cancelled),
                false => (Transition::Undone, Change::Reverted),
            };
            target.state = transition(&target, happening)?;
            target.completed_at = Some(target.completed_at.unwrap_or(now));
            certificate.state.clone_from(&target.state);
            let kind = target.kind.parse::<RequestType>().unwrap_or_default();
            let told = Certificate {
                job_id: JobId(target.id),
                undoes: None,
                undone_by: Some(JobId(job.id)),
                ..certificate.clone()
            };
            left.push(messages::certified(&mut target, EventType::of(kind, change), &told, now));
            left.extend(wake_waiting(session, &target, now).await?);
            audit::append(session, vec![audit_entry(&target)]).await?;
            jobs::update(session, State::Reverting, target).await?;
        }
    }
    job.certificate = serde_json::to_value(&certificate).ok();
    Ok(left)
}

/// What an undo did, and what the job to be undone had done.
#[derive(Default)]
pub struct Tallies {
    /// What came back and what did not.
    pub undone: Vec<Tally>,
    /// What there was to come back.
    pub did: Vec<Tally>,
}

async fn results(
    session: &Session,
    context: &Context,
    job: &Job,
    target: Option<&Job>,
) -> Result<Vec<ReferenceResult>> {
    let ids: Vec<_> = [Some(job.id), target.map(|target| target.id)].into_iter().flatten().collect();
    let mut tallies = journal::tallies(session, &ids).await?;
    let tallies = Tallies {
        undone: tallies.remove(&job.id).unwrap_or_default(),
        did: target.and_then(|target| tallies.remove(&target.id)).unwrap_or_default(),
    };
    let catalog = context.catalogs.of_hash(&context.store, &job.catalog_hash).await?;
    results_of(session, &catalog, tallies, job.id, target).await
}

/// What came back of each kind by a job. Of a revert, every record that the job to be undone had journaled is among it.
pub async fn results_of(
    session: &Session,
    catalog: &Catalog,
    tallies: Tallies,
    by: Uuid,
    target: Option<&Job>,
) -> Result<Vec<ReferenceResult>> {
    let Tallies { undone, did } = tallies;
    let mut kinds: Vec<&str> = catalog.references.iter().map(|reference| reference.kind.as_str()).collect();
    // Rows of other tables that went along come behind.
    let mut along: Vec<&str> =
        undone.iter().map(|tally| tally.kind.as_str()).filter(|kind| kind.contains('/')).collect();
    along.sort_unstable();
    along.dedup();
    kinds.extend(along);
    let mut results = Vec::new();
    for kind in kinds {
        let mut result = result_of(kind, &undone);
        let reference = catalog.reference(kind);
        result.disposition = reference.map_or("detach", |reference| reference.disposition.name()).into();
        let moved: u64 = sum(&did, kind, |action| action == "moved");
        let removed: u64 = sum(&did, kind, |action| action != "moved");
        if let (Some(target), Some(reference), true) = (target, reference, removed > 0) {
            let table = reference.table.to_string();
            let (made, before) = row_snapshots::made(session, target.id, kind, &table, by).await?;
            result.impossible = Some(removed.saturating_sub(made));
            if before > 0 {
                result.skipped.insert("back_already".into(), before);
            }
        }
        if target.is_some() && moved + removed > 0 {
            result.found = Some(moved + removed);
        }
        if result.restored.is_some() || result.found.is_some() || !result.skipped.is_empty() {
            result.restored = Some(result.restored.unwrap_or(0));
            results.push(result);
        }
    }
    Ok(results)
}

fn sum(tallies: &[Tally], kind: &str, some: impl Fn(&str) -> bool) -> u64 {
    tallies.iter().filter(|tally| tally.kind == kind && some(&tally.action)).map(|tally| tally.records).sum()
}

fn result_of(kind: &str, undone: &[Tally]) -> ReferenceResult {
    let mut result = ReferenceResult { kind: kind.into(), ..ReferenceResult::default() };
    let mut skipped: BTreeMap<String, u64> = BTreeMap::new();
    for tally in undone.iter().filter(|tally| tally.kind == kind) {
        match tally.action.strip_prefix(SKIPPED) {
            Some(reason) => *skipped.entry(reason.to_owned()).or_default() += tally.records,
            None if tally.action == RESTORED => *result.restored.get_or_insert(0) += tally.records,
            None => {}
        }
    }
    result.skipped = skipped;
    result
}

fn certificate(job: &Job, references: Vec<ReferenceResult>, now: OffsetDateTime) -> Certificate {
    Certificate {
        job_id: JobId(job.id),
        org_id: job.org.clone(),
        user_id: job.user_id.clone(),
        undoes: job.target.map(JobId),
        undone_by: None,
        requested_by: job.requested_by.clone(),
        state: State::Completed.name().into(),
        supplement: 0,
        references,
        without_effect: Vec::new(),
        license: if job.license_exempt { LicenseOutcome::Exempt } else { LicenseOutcome::Taken },
        orphans: 0,
        requested_at: job.requested_at,
        started_at: job.started_at.unwrap_or(job.requested_at),
        completed_at: now,
        counted_at: now,
    }
}
