//! The end of an undo: its certificate, and the end of the job that it has undone.

use time::OffsetDateTime;
use uuid::Uuid;

use crate::catalog::{Catalog, JournalAction};
use crate::contract::{
    Certificate, Change, EventType, JobId, LicenseOutcome, ReferenceResult, RequestType, SkipReason,
};
use crate::job::{State, Transition};
use crate::stages::changes::LedgerChanges;
use crate::stages::context::Context;
use crate::stages::lifecycle::JobChange;
use crate::store::ledger::jobs::{self, Job};
use crate::store::ledger::journal::{self, Action, Tally};
use crate::store::ledger::row_snapshots;
use crate::store::{Result, Session};

/// Ends an undo whose chunks are all closed, and the job that it has undone. Returns the changes of the latter.
pub async fn finalize(
    session: &Session,
    context: &Context,
    undo: &mut JobChange,
    now: OffsetDateTime,
) -> Result<LedgerChanges> {
    let target = match undo.job.target {
        Some(target) => JobChange::lock(session, target).await?,
        None => None,
    };
    let references = results(session, context, &undo.job, target.as_ref().map(|target| &target.job)).await?;
    let license = license(session, context, &undo.job).await?;
    undo.complete_undo(now)?;
    let mut certificate = certificate(&undo.job, references, license, now);
    let mut changes = LedgerChanges::default();
    match target {
        None => undo.certify(EventType::Reactivated, &certificate, now)?,
        Some(mut target) => {
            let (transition, change) = match undo.job.kind == RequestType::Cancel {
                true => (Transition::UndoneOnCancel, Change::Cancelled),
                false => (Transition::Undone, Change::Reverted),
            };
            target.end_undo(transition, now)?;
            certificate.state = target.job.state;
            let kind = EventType::of(target.job.kind, change);
            let of_target = Certificate {
                job_id: JobId(target.job.id),
                undoes: None,
                undone_by: Some(JobId(undo.job.id)),
                access_ended_at: target.job.access_ended_at,
                ..certificate.clone()
            };
            target.certify(kind, &of_target, now)?;
            target.save(&mut changes);
            repeat_lock_out(session, &undo.job, &mut changes, now).await?;
        }
    }
    undo.set_certificate(&certificate)?;
    Ok(changes)
}

/// Repeats the event of a lock-out that came while the undo was under way. Otherwise the last event of the user would say that they
/// are back.
async fn repeat_lock_out(
    session: &Session,
    undo: &Job,
    changes: &mut LedgerChanges,
    now: OffsetDateTime,
) -> Result<()> {
    if let Some(lock_out) = jobs::lock_lock_out(session, &undo.org, &undo.user_id).await? {
        let mut lock_out = JobChange::of(lock_out);
        lock_out.repeat_status(now)?;
        lock_out.save(changes);
    }
    Ok(())
}

/// The counts of an undo, and of the job to be undone.
#[derive(Default)]
pub struct Tallies {
    /// The records that came back and those that did not.
    pub undone: Vec<Tally>,
    /// The records of the job to be undone.
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
    let catalog = context.catalogs.of_hash(session, &job.catalog_hash).await?;
    results_of(session, &catalog, tallies, job.id, target).await
}

/// Returns what came back of each kind. The result of a revert covers every record that the job to be undone had journaled.
pub async fn results_of(
    session: &Session,
    catalog: &Catalog,
    tallies: Tallies,
    by: Uuid,
    target: Option<&Job>,
) -> Result<Vec<ReferenceResult>> {
    let Tallies { undone, did } = tallies;
    let mut kinds: Vec<&str> = catalog.references.iter().map(|reference| reference.kind.as_str()).collect();
    // Rows that followed others come after them.
    let mut followers: Vec<&str> =
        undone.iter().chain(&did).map(|tally| tally.kind.as_str()).filter(|kind| kind.contains('/')).collect();
    followers.sort_unstable();
    followers.dedup();
    kinds.extend(followers);
    let mut results = Vec::new();
    for kind in kinds {
        let mut result = result_of(kind, &undone);
        let reference = catalog.reference_of(kind);
        result.disposition = reference.map_or("detach", |reference| reference.disposition.name()).into();
        let did = DidCounts::of(kind, &did);
        if let (Some(target), true) = (target, did.with_snapshots > 0) {
            let (made, before) = row_snapshots::made(session, target.id, kind, by).await?;
            result.impossible = Some(did.with_snapshots.saturating_sub(made));
            if before > 0 {
                result.skipped.insert(SkipReason::BackAlready, before);
            }
        }
        if target.is_some() && did.all() > 0 {
            result.found = Some(did.all());
        }
        if result.restored.is_some() || result.found.is_some() || !result.skipped.is_empty() {
            result.restored = Some(result.restored.unwrap_or(0));
            results.push(result);
        }
    }
    Ok(results)
}

/// The records of one kind that a handover has changed.
#[derive(Default)]
struct DidCounts {
    /// Those that are given back by their keys.
    moved: u64,
    /// Those that come back from snapshots.
    with_snapshots: u64,
}

impl DidCounts {
    fn of(kind: &str, did: &[Tally]) -> DidCounts {
        let mut counts = DidCounts::default();
        for tally in did.iter().filter(|tally| tally.kind == kind) {
            match tally.action {
                Action::Handover(JournalAction::Moved) => counts.moved += tally.records,
                Action::Handover(
                    JournalAction::Merged
                    | JournalAction::Dropped
                    | JournalAction::Detached
                    | JournalAction::Purged
                    | JournalAction::Set,
                ) => counts.with_snapshots += tally.records,
                // What an undo did is not undone.
                Action::Restored | Action::Skipped(_) => {}
            }
        }
        counts
    }

    fn all(&self) -> u64 {
        self.moved + self.with_snapshots
    }
}

fn result_of(kind: &str, undone: &[Tally]) -> ReferenceResult {
    let mut result = ReferenceResult { kind: kind.into(), ..ReferenceResult::default() };
    for tally in undone.iter().filter(|tally| tally.kind == kind) {
        match tally.action {
            Action::Restored => *result.restored.get_or_insert(0) += tally.records,
            Action::Skipped(reason) => *result.skipped.entry(reason).or_default() += tally.records,
            // An undo hands nothing over.
            Action::Handover(_) => {}
        }
    }
    result
}

/// Returns the outcome for the license: a return takes one, an undo those that its job had freed, if the user did not have them.
async fn license(session: &Session, context: &Context, undo: &Job) -> Result<LicenseOutcome> {
    let catalog = context.catalogs.of_hash(session, &undo.catalog_hash).await?;
    if catalog.license.is_none() {
        return Ok(LicenseOutcome::None);
    }
    if undo.license_exempt {
        return Ok(LicenseOutcome::Exempt);
    }
    let has_taken = match undo.target {
        Some(target) => row_snapshots::has_given_licenses_back(session, target, undo.id).await?,
        None => true,
    };
    Ok(if has_taken { LicenseOutcome::Taken } else { LicenseOutcome::None })
}

fn certificate(
    job: &Job,
    references: Vec<ReferenceResult>,
    license: LicenseOutcome,
    now: OffsetDateTime,
) -> Certificate {
    Certificate {
        job_id: JobId(job.id),
        org_id: job.org.clone(),
        user_id: job.user_id.clone(),
        undoes: job.target.map(JobId),
        undone_by: None,
        requested_by: job.requested_by.clone(),
        state: State::Completed,
        supplement: 0,
        references,
        without_effect: Vec::new(),
        license,
        orphans: None,
        requested_at: job.requested_at,
        started_at: job.started_at.unwrap_or(job.requested_at),
        access_ended_at: None,
        completed_at: now,
        counted_at: now,
    }
}
