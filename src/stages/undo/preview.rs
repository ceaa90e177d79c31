//! What a revert would do: the undo's own reading of the journal and the copies, in a snapshot, without locks.
//!
//! It goes through what the undo goes through, in pages, and changes nothing. What only trying tells (a parent that is gone,
//! a value that the database refuses) it cannot foresee.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;
use uuid::Uuid;

use crate::catalog::{Catalog, Disposition};
use crate::contract::{JobId, Reason, ReferenceResult, RequestType, UserId};
use crate::job::reason;
use crate::plan::{AccessQuery, Facts, UserFacts, check_requester, is_license_exempt};
use crate::stages::undo::begin;
use crate::stages::undo::finalize::{Tallies, results_of};
use crate::stages::undo::work;
use crate::stages::{Context, enter};
use crate::store::host::RestoreOutcome;
use crate::store::ledger::jobs::Job;
use crate::store::ledger::journal::{self, Entry, RESTORED, SKIPPED, Tally};
use crate::store::ledger::row_snapshots::{self, PendingSnapshot, Restorable};
use crate::store::{Error, Locking, Result, Session, host};

/// Rows of the journal, and copies, read at a time.
const PAGE: u64 = 200;

/// What a revert would do.
#[derive(Debug, Clone, Serialize)]
pub struct RevertPreview {
    /// The job that would be reverted.
    pub job_id: JobId,
    /// Its user.
    pub user_id: String,
    /// Whether the revert would be accepted.
    pub accepted: bool,
    /// Every reason why not.
    pub rejections: Vec<Reason>,
    /// Whether there is a license for the user.
    pub license: LicensePreview,
    /// What would go back of each kind, and what would be left alone, as the revert's certificate would say it.
    pub references: Vec<ReferenceResult>,
}

/// Whether there is a license for a user who comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LicensePreview {
    /// The revert takes none.
    NotNeeded,
    /// One is free, or theirs already.
    Free,
    /// None is free: the revert would be refused.
    NoneFree,
}

/// Foresees the revert of a job that `requester` asks for.
pub async fn revert(context: &Context, target: &Job, requester: &UserId) -> Result<RevertPreview> {
    let session = context.store.snapshot().await?;
    let current = enter(&session, context.catalogs.current(), &target.org).await?;
    let catalog = context.enter(&session, target).await?;
    let user = target.user()?;
    let users = host::read_users(&session, &current, [&user, requester]).await?;
    let facts = Facts { users, ..Facts::default() };
    let asks = AccessQuery { kind: RequestType::Revert, org: &target.org, requester, about: Some(&user) };
    let mut rejections = check_requester(&current, asks, &facts);
    let judged = begin::judge_revert(&session, target, Locking::Unlocked).await?;
    let is_possible = judged.is_ok();
    rejections.extend(judged.err());
    let comes_in = match is_possible {
        true => begin::who_comes_in(target, &facts)?,
        false => Ok(None),
    };
    let coming = comes_in.as_ref().is_ok_and(Option::is_some).then_some(user.as_str());
    let license = match comes_in {
        Ok(Some(found)) => license(&session, &catalog, target, found).await?,
        Ok(None) => LicensePreview::NotNeeded,
        Err(reason) => {
            rejections.push(reason);
            LicensePreview::NotNeeded
        }
    };
    if license == LicensePreview::NoneFree {
        rejections.push(reason::no_license_free(user.as_str()));
    }
    let references = match is_possible {
        true => {
            Foreseeing { session: &session, catalog: &catalog, target, coming, counts: BTreeMap::new() }.all().await?
        }
        false => Vec::new(),
    };
    Ok(RevertPreview {
        job_id: JobId(target.id),
        user_id: target.user_id.clone(),
        accepted: rejections.is_empty(),
        rejections,
        license,
        references,
    })
}

async fn license(session: &Session, catalog: &Catalog, target: &Job, coming: &UserFacts) -> Result<LicensePreview> {
    if catalog.license.is_none() || !begin::freed_a_license(target) || is_license_exempt(catalog, coming) {
        return Ok(LicensePreview::NotNeeded);
    }
    Ok(match host::can_take_license(session, catalog, &coming.org, &coming.id).await? {
        true => LicensePreview::Free,
        false => LicensePreview::NoneFree,
    })
}

struct Foreseeing<'f> {
    session: &'f Session,
    catalog: &'f Catalog,
    target: &'f Job,
    /// The user, where the revert lets them in.
    coming: Option<&'f str>,
    /// By kind and by what would be journaled of it.
    counts: BTreeMap<(String, String), u64>,
}

impl Foreseeing<'_> {
    /// What would become of everything, by kind, as the undo's certificate counts it.
    async fn all(mut self) -> Result<Vec<ReferenceResult>> {
        self.journaled().await?;
        self.returning().await?;
        let (session, catalog, target) = (self.session, self.catalog, self.target);
        let did = journal::tallies(session, &[target.id]).await?.remove(&target.id).unwrap_or_default();
        let tallies = Tallies { undone: self.tallies(), did };
        results_of(session, catalog, tallies, Uuid::nil(), Some(target)).await
    }

    /// What the job has journaled, from its end.
    async fn journaled(&mut self) -> Result<()> {
        // A chunk's copies come back with the first of its rows of the journal, whatever others there are.
        let mut seen: HashSet<(Option<i32>, String)> = HashSet::new();
        let mut before = None;
        loop {
            let page = journal::before(self.session, self.target.id, before, PAGE).await?;
            let Some((last, _, _)) = page.last() else { return Ok(()) };
            before = Some(*last);
            for (id, _, _) in page {
                let Some(entry) = journal::get(self.session, id).await? else { continue };
                if entry.action == "moved" {
                    self.moved(&entry).await?;
                } else if entry.action == "merged" {
                    self.merged(&entry).await?;
                } else if seen.insert((entry.chunk, entry.kind.clone())) {
                    let pending = row_snapshots::of_chunk(self.session, entry.job_id, entry.chunk, &entry.kind).await?;
                    self.copies(pending).await?;
                }
            }
        }
    }

    async fn moved(&mut self, entry: &Entry) -> Result<()> {
        let doing = "foreseeing what goes back";
        let Some(reference) = self.catalog.reference(&entry.kind) else {
            return Err(Error::unexpected(doing, format!("the catalog has no kind {}", entry.kind)));
        };
        let user = |text: &str| UserId::try_from(text.to_owned()).map_err(|what| Error::unexpected(doing, what));
        let (leaver, holder) = (user(&entry.from_user)?, user(entry.to_user.as_deref().unwrap_or_default())?);
        if reference.keyless {
            let ids: Vec<i64> = work::copies_of_moved(self.session, entry).await?.iter().map(|copy| copy.id).collect();
            let returned = host::preview_give_back(self.session, reference, &leaver, &ids).await?;
            self.count(&entry.kind, &returned);
            return Ok(());
        }
        let keys = work::read_keys(entry)?;
        let locking = Locking::Unlocked;
        let returned = host::preview_move_back(self.session, reference, &holder, &leaver, &keys, locking).await?;
        self.count(&entry.kind, &returned);
        Ok(())
    }

    async fn merged(&mut self, entry: &Entry) -> Result<()> {
        let Some(reference) = self.catalog.reference(&entry.kind) else { return Ok(()) };
        let Some((holder, theirs)) = work::read_merged(self.session, reference, entry).await? else { return Ok(()) };
        let Some(merged) = work::merged_by(reference, &holder) else { return Ok(()) };
        let ids: Vec<i64> = theirs.iter().map(|copy| copy.id).collect();
        let returned = host::preview_unmerge(self.session, &merged, &ids, Locking::Unlocked).await?;
        self.count(&entry.kind, &returned);
        Ok(())
    }

    /// What waits for the user of other jobs' copies.
    async fn returning(&mut self) -> Result<()> {
        let kinds = work::restored_kinds(self.catalog);
        let (org, user) = (self.target.org.as_str(), self.target.user_id.as_str());
        let returning = Restorable { org, user, kinds: &kinds, except: Some(self.target.id) };
        let mut before = None;
        loop {
            let ids = returning.before(self.session, before, PAGE).await?;
            let (Some(first), Some(last)) = (ids.first(), ids.last()) else { return Ok(()) };
            before = Some(*last);
            let pending = returning.between(self.session, *last, *first).await?;
            self.copies(pending).await?;
        }
    }

    async fn copies(&mut self, pending: Vec<PendingSnapshot>) -> Result<()> {
        let (here, absent) = work::split_by_presence(self.session, self.catalog, pending, self.coming).await?;
        for copy in absent {
            self.add(&copy.kind, format!("{SKIPPED}other_inactive"), 1);
        }
        for batch in work::by_table(self.catalog, &here) {
            let ids = batch.ids();
            let returned = match &batch.reference.disposition {
                Disposition::Set { values, .. } => {
                    let locking = Locking::Unlocked;
                    host::preview_set_back(self.session, batch.reference, values, &ids, locking).await?
                }
                _ if batch.kind == batch.reference.kind => {
                    host::preview_restore(self.session, batch.reference, &ids).await?
                }
                // Rows that went along come back with those that they belong to.
                _ => RestoreOutcome { restored: (0..ids.len()).collect(), ..RestoreOutcome::default() },
            };
            self.count(&batch.kind, &returned);
        }
        Ok(())
    }

    fn count(&mut self, kind: &str, returned: &RestoreOutcome) {
        self.add(kind, RESTORED.to_owned(), returned.restored.len());
        for (reason, places) in &returned.skipped {
            self.add(kind, format!("{SKIPPED}{reason}"), places.len());
        }
    }

    fn add(&mut self, kind: &str, action: String, records: usize) {
        if records > 0 {
            *self.counts.entry((kind.to_owned(), action)).or_default() += records as u64;
        }
    }

    fn tallies(self) -> Vec<Tally> {
        let tally = |((kind, action), records)| Tally { kind, action, to_user: None, records };
        self.counts.into_iter().map(tally).collect()
    }
}
