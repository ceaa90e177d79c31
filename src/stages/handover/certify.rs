//! The final count of jobs, for many at once: the certificate, or what is missing for it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use time::OffsetDateTime;
use uuid::Uuid;

use crate::catalog::{Catalog, Disposition, JournalAction, Reference};
use crate::contract::{Allotment, Certificate, JobId, LicenseOutcome, Reason, ReferenceResult, RequestType, UserId};
use crate::job::{State, reason};
use crate::stages::license::certified_license;
use crate::store::host::RowCategory;
use crate::store::ledger::jobs::Job;
use crate::store::ledger::journal::{self, Action, Tally};
use crate::store::ledger::references::ReferenceProgress;
use crate::store::ledger::{chunks, requests};
use crate::store::{Error, Result, Session, host};

/// A job that may be at its end.
pub struct Closing<'j> {
    /// The job.
    pub job: &'j Job,
    /// The leaver.
    pub leaver: &'j UserId,
    /// The allotments of its request, by kind.
    pub reassign: Cow<'j, BTreeMap<String, Allotment>>,
    /// The progress of the job in each reference.
    pub progress: &'j [ReferenceProgress],
    /// The time when the job began.
    pub started_at: OffsetDateTime,
    /// The number of this certificate: 0 for the first, then supplements.
    pub supplement: u32,
    /// The counts of the job, if it did everything in this transaction. Otherwise the journal is read.
    pub tallies: Option<Vec<Tally>>,
}

/// The result of the final count of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conclusion {
    /// Nothing is left that should not be.
    Proved(Box<Certificate>),
    /// Records arrived late: their number by the reference's position.
    More(BTreeMap<usize, u64>),
    /// Rows point at the leaver that may not stay, and that no reference handles.
    Orphans(Vec<Reason>),
}

/// Rows that have arrived after the end of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmoved {
    /// The reasons, one for each reference.
    pub reasons: Vec<Reason>,
    /// The certificate that tells of them, and of what was moved since the last one.
    pub certificate: Box<Certificate>,
}

/// Counts what is left of the leavers' rows, and frees the licenses of those whose jobs are proved.
///
/// The leavers' rows are locked first: the lock waits for inserts of the application that reference them by a foreign key.
/// The count is a later statement, so it sees what they wrote.
///
/// Locks: the leavers' rows, in key order; then the rows of their licenses.
pub async fn conclude(
    session: &Session,
    catalog: &Catalog,
    closings: &[Closing<'_>],
    now: OffsetDateTime,
) -> Result<HashMap<Uuid, Conclusion>> {
    if closings.is_empty() {
        return Ok(HashMap::new());
    }
    let leavers: Vec<&UserId> = closings.iter().map(|closing| closing.leaver).collect();
    host::lock_leaver_rows(session, catalog, &leavers).await?;
    let census = take_census(session, catalog, closings).await?;
    // Jobs that begin and end in this transaction have no chunks, and bring their tallies.
    let earlier = closings.iter().filter(|closing| closing.tallies.is_none());
    let earlier: Vec<Uuid> = earlier.map(|closing| closing.job.id).collect();
    let (mut journaled, standing) = match earlier.is_empty() {
        true => (HashMap::new(), HashMap::new()),
        false => (journal::tallies(session, &earlier).await?, chunks::counts(session, &earlier).await?),
    };
    let mut conclusions = HashMap::new();
    let mut proved: Vec<(&Closing<'_>, Vec<ReferenceResult>)> = Vec::new();
    for closing in closings {
        let rows = LeaverRows { catalog, leaver: closing.leaver.as_str(), census: &census };
        let read = journaled.remove(&closing.job.id).unwrap_or_default();
        let tallies = closing.tallies.as_ref().unwrap_or(&read);
        let changed =
            |position: usize| standing.get(&(closing.job.id, position)).map_or(0, |standing| standing.changed);
        // A reassignment only moves records; what stays is not its concern.
        let obstacle = match closing.job.kind == RequestType::Reassign {
            true => None,
            false => rows.obstacle(closing.progress),
        };
        match obstacle {
            Some(conclusion) => drop(conclusions.insert(closing.job.id, conclusion)),
            None => proved.push((closing, rows.results(closing.progress, tallies, changed))),
        }
    }
    let mut licenses = free_licenses(session, catalog, &proved, now).await?;
    for (closing, mut references) in proved {
        let without_effect = note_without_effect(&closing.reassign, &mut references);
        let license = licenses.remove(&closing.job.id).unwrap_or(LicenseOutcome::None);
        let certificate = Certificate { without_effect, ..certificate(closing, references, license, now) };
        conclusions.insert(closing.job.id, Conclusion::Proved(Box::new(certificate)));
    }
    Ok(conclusions)
}

/// Counts what is left of one job that has chunks.
pub async fn conclude_one(
    session: &Session,
    catalog: &Catalog,
    job: &Job,
    progress: &[ReferenceProgress],
    supplement: u32,
    now: OffsetDateTime,
) -> Result<Conclusion> {
    let leaver = job.user()?;
    let started_at = job.started_at.unwrap_or(job.requested_at);
    let reassign = Cow::Owned(requests::named_by(session, job).await?);
    let closing = Closing { job, leaver: &leaver, reassign, progress, started_at, supplement, tallies: None };
    let mut conclusions = conclude(session, catalog, &[closing], now).await?;
    conclusions.remove(&job.id).ok_or_else(|| Error::unexpected("counting what is left", "there is no conclusion"))
}

/// Returns what is left of a job's leaver that may not stay, if anything is, without locking the leaver's row. Late rows count only if
/// they are stuck: the next count moves the others.
pub async fn left_after_end(
    session: &Session,
    catalog: &Catalog,
    job: &Job,
    progress: &[ReferenceProgress],
    (supplement, is_stuck): (u32, bool),
    now: OffsetDateTime,
) -> Result<Option<Unmoved>> {
    let leaver = job.user()?;
    let positions: Vec<usize> = progress.iter().map(|progress| progress.position).collect();
    let census = host::census(session, catalog, &positions, &[&leaver]).await?;
    let rows = LeaverRows { catalog, leaver: leaver.as_str(), census: &census };
    let reasons = match rows.obstacle(progress) {
        Some(Conclusion::Orphans(reasons)) => reasons,
        Some(Conclusion::More(late)) if is_stuck => reasons_of_late(catalog, &late),
        Some(Conclusion::More(_) | Conclusion::Proved(_)) | None => return Ok(None),
    };
    let tallies = journal::tallies(session, &[job.id]).await?.remove(&job.id).unwrap_or_default();
    let standing = chunks::counts(session, &[job.id]).await?;
    let changed = |position: usize| standing.get(&(job.id, position)).map_or(0, |standing| standing.changed);
    let mut references = rows.results(progress, &tallies, changed);
    let reassign = requests::named_by(session, job).await?;
    let without_effect = note_without_effect(&reassign, &mut references);
    let started_at = job.started_at.unwrap_or(job.requested_at);
    let license = certified_license(job)?.unwrap_or(LicenseOutcome::None);
    let closing = Closing {
        job,
        leaver: &leaver,
        reassign: Cow::Owned(reassign),
        progress,
        started_at,
        supplement,
        tallies: None,
    };
    let orphans = reasons.iter().filter_map(|reason| reason.concerning.count).sum();
    let certificate = Certificate {
        state: State::NeedsAttention,
        without_effect,
        orphans: Some(orphans),
        ..certificate(&closing, references, license, now)
    };
    Ok(Some(Unmoved { reasons, certificate: Box::new(certificate) }))
}

/// Returns a reason for each reference that has late rows.
pub fn reasons_of_late(catalog: &Catalog, late: &BTreeMap<usize, u64>) -> Vec<Reason> {
    let reason = |(position, rows): (&usize, &u64)| {
        let reference = &catalog.references[*position];
        reason::orphans_left(Some(&reference.kind), &reference.table.to_string(), *rows)
    };
    late.iter().map(reason).collect()
}

type Census = HashMap<(String, RowCategory), u64>;

/// Counts the rows of all leavers, in one statement for those whose jobs have the same references.
async fn take_census(session: &Session, catalog: &Catalog, closings: &[Closing<'_>]) -> Result<Census> {
    let mut alike: BTreeMap<Vec<usize>, Vec<&UserId>> = BTreeMap::new();
    for closing in closings {
        let positions = closing.progress.iter().map(|progress| progress.position).collect();
        alike.entry(positions).or_default().push(closing.leaver);
    }
    let mut census = Census::new();
    for (positions, leavers) in alike {
        census.extend(host::census(session, catalog, &positions, &leavers).await?);
    }
    Ok(census)
}

/// The rows that one leaver still has.
struct LeaverRows<'c> {
    catalog: &'c Catalog,
    leaver: &'c str,
    census: &'c Census,
}

impl LeaverRows<'_> {
    fn rows(&self, place: RowCategory) -> u64 {
        self.census.get(&(self.leaver.to_owned(), place)).copied().unwrap_or(0)
    }

    /// Returns what prevents a certificate, if anything does.
    fn obstacle(&self, all: &[ReferenceProgress]) -> Option<Conclusion> {
        let mut more = BTreeMap::new();
        let mut orphans = Vec::new();
        for progress in all {
            let rows = self.rows(RowCategory::Remaining(progress.position));
            let reference = &self.catalog.references[progress.position];
            match remaining(reference, progress) {
                _ if rows == 0 => {}
                Remaining::Stays => {}
                Remaining::Late => drop(more.insert(progress.position, rows)),
                Remaining::Orphan => {
                    orphans.push(reason::orphans_left(Some(&progress.kind), &reference.table.to_string(), rows));
                }
            }
        }
        for reference in &self.catalog.references {
            let rows = self.rows(RowCategory::Uncovered(reference.position));
            if rows > 0 {
                let place = format!("{}.{}", reference.table, reference.user.name);
                orphans.push(reason::orphans_left(None, &place, rows));
            }
        }
        match (more.is_empty(), orphans.is_empty()) {
            (false, _) => Some(Conclusion::More(more)),
            (true, false) => Some(Conclusion::Orphans(orphans)),
            (true, true) => None,
        }
    }

    fn results(
        &self,
        all: &[ReferenceProgress],
        tallies: &[Tally],
        changed: impl Fn(usize) -> u64,
    ) -> Vec<ReferenceResult> {
        let result = |progress: &ReferenceProgress| {
            let reference = &self.catalog.references[progress.position];
            let mine: Vec<&Tally> = tallies.iter().filter(|tally| tally.kind == progress.kind).collect();
            let sum = |action: JournalAction| {
                mine.iter()
                    .filter(|tally| tally.action == Action::Handover(action))
                    .map(|tally| tally.records)
                    .sum::<u64>()
            };
            let mut result = ReferenceResult {
                kind: progress.kind.clone(),
                disposition: reference.disposition.name().into(),
                ..ReferenceResult::default()
            };
            match &reference.disposition {
                Disposition::Keep => result.kept = Some(self.rows(RowCategory::Handled(progress.position))),
                Disposition::Detach { .. } => (result.found, result.removed) = both(sum(JournalAction::Detached)),
                Disposition::Purge { .. } => (result.found, result.purged) = both(sum(JournalAction::Purged)),
                Disposition::Set { .. } => (result.found, result.set) = both(sum(JournalAction::Set)),
                Disposition::Transfer { .. } | Disposition::Block { .. } => {
                    let (moved, merged) = (sum(JournalAction::Moved), sum(JournalAction::Merged));
                    let dropped = sum(JournalAction::Dropped);
                    let left_behind = self.rows(RowCategory::Remaining(progress.position));
                    let changed = changed(progress.position);
                    result.found = Some(moved + merged + dropped + left_behind + changed);
                    result.moved = Some(moved);
                    result.merged = (merged > 0).then_some(merged);
                    result.dropped = (dropped > 0).then_some(dropped);
                    result.left_behind = Some(left_behind);
                    result.changed_meanwhile = Some(changed);
                    let received = [JournalAction::Moved, JournalAction::Merged].map(Action::Handover);
                    let received = mine.iter().filter(|tally| received.contains(&tally.action));
                    for (user, records) in received.filter_map(|tally| Some((tally.to_user.clone()?, tally.records))) {
                        *result.successors.entry(user).or_default() += records;
                    }
                }
            }
            result
        };
        let mut results: Vec<ReferenceResult> = all.iter().map(result).collect();
        results.extend(results_of_followers(self.catalog, tallies));
        results
    }
}

/// Returns the results of rows that followed those of references, by kind.
fn results_of_followers(catalog: &Catalog, tallies: &[Tally]) -> Vec<ReferenceResult> {
    let mut results: BTreeMap<&str, ReferenceResult> = BTreeMap::new();
    for tally in tallies.iter().filter(|tally| tally.kind.contains('/')) {
        let disposition = catalog.reference_of(&tally.kind).map_or("", |reference| reference.disposition.name());
        let (kind, disposition) = (tally.kind.clone(), disposition.into());
        let result = results.entry(&tally.kind).or_insert_with(|| ReferenceResult {
            kind,
            disposition,
            ..ReferenceResult::default()
        });
        let count = match tally.action {
            Action::Handover(JournalAction::Purged) => &mut result.purged,
            Action::Handover(JournalAction::Set) => &mut result.set,
            Action::Handover(JournalAction::Dropped | JournalAction::Merged) => &mut result.dropped,
            Action::Handover(JournalAction::Detached | JournalAction::Moved)
            | Action::Restored
            | Action::Skipped(_) => &mut result.removed,
        };
        *count.get_or_insert(0) += tally.records;
    }
    results.into_values().collect()
}

/// Returns the kinds of the request whose allotment had no effect. In the other kinds' results, records the named users who
/// received nothing.
fn note_without_effect(reassign: &BTreeMap<String, Allotment>, references: &mut [ReferenceResult]) -> Vec<String> {
    let mut without_effect = Vec::new();
    for (kind, allotment) in reassign {
        let result = references.iter_mut().find(|result| result.kind == *kind);
        match result.filter(|result| result.dropped.is_some() || !result.successors.is_empty()) {
            None => without_effect.push(kind.clone()),
            Some(result) => {
                let named: BTreeSet<&UserId> = allotment.users().into_iter().collect();
                let nothing = named.into_iter().filter(|user| !result.successors.contains_key(user.as_str()));
                result.received_nothing = nothing.map(ToString::to_string).collect();
            }
        }
    }
    without_effect
}

fn both(count: u64) -> (Option<u64>, Option<u64>) {
    (Some(count), Some(count))
}

/// The meaning of a row that a reference has left when the job is at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remaining {
    /// It may stay and is reported: the deal gives it to nobody, or it need not be allotted.
    Stays,
    /// It arrived late and needs one more pass.
    Late,
    /// Nobody can receive it, and it may not stay.
    Orphan,
}

/// Returns the meaning of a reference's remaining rows.
pub fn remaining(reference: &Reference, progress: &ReferenceProgress) -> Remaining {
    match &reference.disposition {
        Disposition::Keep => Remaining::Stays,
        Disposition::Detach { .. } | Disposition::Purge { .. } | Disposition::Set { .. } => Remaining::Late,
        Disposition::Transfer { .. } | Disposition::Block { .. } if progress.transfers => {
            match progress.deal.is_exhausted(progress.next_rank) {
                true => Remaining::Stays,
                false => Remaining::Late,
            }
        }
        Disposition::Transfer { required: false, .. } => Remaining::Stays,
        Disposition::Transfer { .. } | Disposition::Block { .. } => Remaining::Orphan,
    }
}

fn frees_license(job: &Job) -> bool {
    job.kind == RequestType::Deactivate && !job.license_exempt
}

async fn free_licenses(
    session: &Session,
    catalog: &Catalog,
    proved: &[(&Closing<'_>, Vec<ReferenceResult>)],
    now: OffsetDateTime,
) -> Result<HashMap<Uuid, LicenseOutcome>> {
    let holders = proved.iter().filter(|(closing, _)| frees_license(closing.job));
    let holders: Vec<(Uuid, &UserId)> = holders.map(|(closing, _)| (closing.job.id, closing.leaver)).collect();
    let freed = host::free_licenses(session, catalog, &holders, now).await?;
    let outcome = |closing: &Closing<'_>| -> Result<LicenseOutcome> {
        if catalog.license.is_some() && closing.job.license_exempt {
            return Ok(LicenseOutcome::Exempt);
        }
        // A supplement repeats the first certificate: the license is already free.
        Ok(match certified_license(closing.job)? {
            Some(earlier) => earlier,
            None if freed.contains(closing.leaver) => LicenseOutcome::Freed,
            None => LicenseOutcome::None,
        })
    };
    proved.iter().map(|(closing, _)| Ok((closing.job.id, outcome(closing)?))).collect()
}

fn certificate(
    closing: &Closing<'_>,
    references: Vec<ReferenceResult>,
    license: LicenseOutcome,
    now: OffsetDateTime,
) -> Certificate {
    let job = closing.job;
    Certificate {
        job_id: JobId(job.id),
        org_id: job.org.clone(),
        user_id: job.user_id.clone(),
        undoes: None,
        undone_by: None,
        requested_by: job.requested_by.clone(),
        state: State::Completed,
        supplement: closing.supplement,
        references,
        without_effect: Vec::new(),
        license,
        // Orphans are a conclusion of their own.
        orphans: (job.kind != RequestType::Reassign).then_some(0),
        requested_at: job.requested_at,
        started_at: closing.started_at,
        access_ended_at: job.access_ended_at,
        completed_at: job.completed_at.unwrap_or(now),
        counted_at: now,
    }
}
