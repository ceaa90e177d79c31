//! The end of a job: counts what is left, and writes the certificate or says what is missing. Written once for many.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use time::OffsetDateTime;
use uuid::Uuid;

use crate::catalog::{Catalog, Disposition, Reference};
use crate::contract::{Allotment, Certificate, JobId, LicenseOutcome, Reason, ReferenceResult, RequestType, UserId};
use crate::job::{State, reason};
use crate::store::host::RowCategory;
use crate::store::ledger::chunks;
use crate::store::ledger::jobs::Job;
use crate::store::ledger::journal::{self, Tally};
use crate::store::ledger::references::ReferenceProgress;
use crate::store::{Result, Session, host};

/// A job that may be at its end.
pub struct Closing<'j> {
    /// The job.
    pub job: &'j Job,
    /// The leaver.
    pub leaver: &'j UserId,
    /// Whom its request names, by kind.
    pub reassign: Cow<'j, BTreeMap<String, Allotment>>,
    /// What it did with each reference.
    pub courses: Vec<ReferenceProgress>,
    /// When it began.
    pub started_at: OffsetDateTime,
    /// Which certificate this would be: 0 the first, then supplements.
    pub supplement: u32,
    /// What it did, where all of it was done in this transaction; otherwise the journal is read.
    pub tallies: Option<Vec<Tally>>,
}

/// What the count says of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conclusion {
    /// Nothing is left that should not be.
    Proved(Box<Certificate>),
    /// Records arrived late: these references, by position, have so many more to do.
    More(BTreeMap<usize, u64>),
    /// Rows point at the leaver that no rule allows to stay and no reference deals with.
    Orphans(Vec<Reason>),
}

/// Counts, with the leavers' rows locked first: that waits for inserts of the host which hold a foreign key to them, and
/// the count, a statement of its own, sees what they wrote. Frees the licenses of those whose jobs are proved.
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
    // Jobs that begin and end in this transaction have no chunks, and tell what they did.
    let earlier = closings.iter().filter(|closing| closing.tallies.is_none());
    let earlier: Vec<Uuid> = earlier.map(|closing| closing.job.id).collect();
    let (mut journaled, standing) = match earlier.is_empty() {
        true => (HashMap::new(), HashMap::new()),
        false => (journal::tallies(session, &earlier).await?, chunks::counts(session, &earlier).await?),
    };
    let mut conclusions = HashMap::new();
    let mut proved: Vec<(&Closing<'_>, Vec<ReferenceResult>)> = Vec::new();
    for closing in closings {
        let left = Left { catalog, leaver: closing.leaver.as_str(), census: &census };
        let read = journaled.remove(&closing.job.id).unwrap_or_default();
        let tallies = closing.tallies.as_ref().unwrap_or(&read);
        let changed =
            |position: usize| standing.get(&(closing.job.id, position)).map_or(0, |standing| standing.changed);
        // Who only moves records says nothing of what stays.
        let verdict = match closing.job.is(RequestType::Reassign) {
            true => None,
            false => left.verdict(&closing.courses),
        };
        match verdict {
            Some(conclusion) => drop(conclusions.insert(closing.job.id, conclusion)),
            None => proved.push((closing, left.results(&closing.courses, tallies, changed))),
        }
    }
    let mut licenses = free_licenses(session, catalog, &proved).await?;
    for (closing, mut references) in proved {
        let without_effect = note_what_had_no_effect(&closing.reassign, &mut references);
        let license = licenses.remove(&closing.job.id).unwrap_or(LicenseOutcome::None);
        let certificate = Certificate { without_effect, ..certificate(closing, references, license, now) };
        conclusions.insert(closing.job.id, Conclusion::Proved(Box::new(certificate)));
    }
    Ok(conclusions)
}

type Census = HashMap<(String, RowCategory), u64>;

/// One count for all leavers whose jobs have the same references.
async fn take_census(session: &Session, catalog: &Catalog, closings: &[Closing<'_>]) -> Result<Census> {
    let mut alike: BTreeMap<Vec<usize>, Vec<&UserId>> = BTreeMap::new();
    for closing in closings {
        let positions = closing.courses.iter().map(|course| course.position).collect();
        alike.entry(positions).or_default().push(closing.leaver);
    }
    let mut census = Census::new();
    for (positions, leavers) in alike {
        census.extend(host::census(session, catalog, &positions, &leavers).await?);
    }
    Ok(census)
}

/// What is left of one leaver's rows.
struct Left<'c> {
    catalog: &'c Catalog,
    leaver: &'c str,
    census: &'c Census,
}

impl Left<'_> {
    fn rows(&self, place: RowCategory) -> u64 {
        self.census.get(&(self.leaver.to_owned(), place)).copied().unwrap_or(0)
    }

    /// What stands against a certificate, or nothing.
    fn verdict(&self, courses: &[ReferenceProgress]) -> Option<Conclusion> {
        let mut more = BTreeMap::new();
        let mut orphans = Vec::new();
        for course in courses {
            let rows = self.rows(RowCategory::Remaining(course.position));
            let reference = &self.catalog.references[course.position];
            match after(reference, course) {
                _ if rows == 0 => {}
                After::Stays => {}
                After::Late => drop(more.insert(course.position, rows)),
                After::Orphan => {
                    orphans.push(reason::orphans_left(Some(&course.kind), &reference.table.to_string(), rows));
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
        courses: &[ReferenceProgress],
        tallies: &[Tally],
        changed: impl Fn(usize) -> u64,
    ) -> Vec<ReferenceResult> {
        let result = |course: &ReferenceProgress| {
            let reference = &self.catalog.references[course.position];
            let mine: Vec<&Tally> = tallies.iter().filter(|tally| tally.kind == course.kind).collect();
            let sum = |action: &str| {
                mine.iter().filter(|tally| tally.action == action).map(|tally| tally.records).sum::<u64>()
            };
            let mut result = ReferenceResult {
                kind: course.kind.clone(),
                disposition: reference.disposition.name().into(),
                ..ReferenceResult::default()
            };
            match &reference.disposition {
                Disposition::Keep => result.kept = Some(self.rows(RowCategory::Handled(course.position))),
                Disposition::Detach { .. } => (result.found, result.removed) = both(sum("detached")),
                Disposition::Purge { .. } => (result.found, result.purged) = both(sum("purged")),
                Disposition::Set { .. } => (result.found, result.set) = both(sum("set")),
                Disposition::Transfer { .. } | Disposition::Block { .. } => {
                    let (moved, merged, dropped) = (sum("moved"), sum("merged"), sum("dropped"));
                    let left_behind = self.rows(RowCategory::Remaining(course.position));
                    let changed = changed(course.position);
                    result.found = Some(moved + merged + dropped + left_behind + changed);
                    result.moved = Some(moved);
                    result.merged = (merged > 0).then_some(merged);
                    result.dropped = (dropped > 0).then_some(dropped);
                    result.left_behind = Some(left_behind);
                    result.changed_meanwhile = Some(changed);
                    let received = mine.iter().filter(|tally| ["moved", "merged"].contains(&tally.action.as_str()));
                    for (user, records) in received.filter_map(|tally| Some((tally.to_user.clone()?, tally.records))) {
                        *result.successors.entry(user).or_default() += records;
                    }
                }
            }
            result
        };
        courses.iter().map(result).collect()
    }
}

/// What a request says of successors and that came to nothing: whole kinds, and of the others those whom it names and who
/// received nothing.
fn note_what_had_no_effect(reassign: &BTreeMap<String, Allotment>, references: &mut [ReferenceResult]) -> Vec<String> {
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

/// What a row is that a reference has not dealt with when the job is at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// It may stay, and is reported: it was dealt to nobody, or need not be allotted.
    Stays,
    /// It came late: one more pass.
    Late,
    /// Nobody can receive it, and it may not stay.
    Orphan,
}

/// What a reference's remaining rows are.
pub fn after(reference: &Reference, course: &ReferenceProgress) -> After {
    match &reference.disposition {
        Disposition::Keep => After::Stays,
        Disposition::Detach { .. } | Disposition::Purge { .. } | Disposition::Set { .. } => After::Late,
        Disposition::Transfer { .. } | Disposition::Block { .. } if course.transfers => {
            match course.deal.is_exhausted(course.next_rank) {
                true => After::Stays,
                false => After::Late,
            }
        }
        Disposition::Transfer { required: false, .. } => After::Stays,
        Disposition::Transfer { .. } | Disposition::Block { .. } => After::Orphan,
    }
}

fn frees_license(job: &Job) -> bool {
    job.is(RequestType::Deactivate) && !job.license_exempt
}

async fn free_licenses(
    session: &Session,
    catalog: &Catalog,
    proved: &[(&Closing<'_>, Vec<ReferenceResult>)],
) -> Result<HashMap<Uuid, LicenseOutcome>> {
    let holders: Vec<&UserId> =
        proved.iter().filter(|(closing, _)| frees_license(closing.job)).map(|(closing, _)| closing.leaver).collect();
    let freed = host::free_licenses(session, catalog, &holders).await?;
    let outcome = |closing: &Closing<'_>| {
        if catalog.license.is_some() && closing.job.license_exempt {
            return LicenseOutcome::Exempt;
        }
        // A supplement repeats what the first certificate said: the license is free by now.
        match earlier_license(closing.job) {
            Some(earlier) => earlier,
            None if freed.contains(closing.leaver) => LicenseOutcome::Freed,
            None => LicenseOutcome::None,
        }
    };
    Ok(proved.iter().map(|(closing, _)| (closing.job.id, outcome(closing))).collect())
}

fn earlier_license(job: &Job) -> Option<LicenseOutcome> {
    let certificate = job.certificate.clone()?;
    serde_json::from_value::<Certificate>(certificate).ok().map(|certificate| certificate.license)
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
        state: State::Completed.name().into(),
        supplement: closing.supplement,
        references,
        without_effect: Vec::new(),
        license,
        // Anything else would have been a conclusion of its own.
        orphans: 0,
        requested_at: job.requested_at,
        started_at: closing.started_at,
        completed_at: job.completed_at.unwrap_or(now),
        counted_at: now,
    }
}
