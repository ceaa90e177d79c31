//! The preview of a revert: the undo's own reading of the journal and the snapshots, in a database snapshot, without locks.
//!
//! It goes through what the undo goes through, in pages, and changes nothing. It cannot foresee what only the attempt shows: a
//! parent that is gone, an index with a condition, or a value that the database refuses.

use std::collections::{BTreeMap, HashSet};

use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::catalog::{Catalog, Column, JournalAction, Reference, Schema};
use crate::contract::{JobId, Reason, ReferenceResult, RequestType, SkipReason, UserId};
use crate::job::reason;
use crate::plan::{AccessQuery, Facts, UserFacts, check_requester, is_license_exempt};
use crate::stages::context::{Context, enter};
use crate::stages::undo::begin::{check_revert, user_to_let_in};
use crate::stages::undo::finalize::{Tallies, results_of};
use crate::stages::undo::journaled::{
    action_of, copies_of_moved, is_of_followers, merged_by, of_entry, read_keys, read_merged,
};
use crate::stages::undo::snapshots::{ReturningKinds, SnapshotOf, by_kind, kinds_removed_by_others, split_by_presence};
use crate::store::host::{Key, RestoreOutcome};
use crate::store::ledger::jobs::Job;
use crate::store::ledger::journal::{self, Action, Entry, Tally};
use crate::store::ledger::row_snapshots::{self, PendingSnapshot};
use crate::store::ledger::services;
use crate::store::{Error, Locking, Result, Session, host};

/// The number of journal rows, or of snapshots, that are read at a time.
const PAGE: u64 = 200;

/// The preview of a revert.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RevertPreview {
    /// The job that would be reverted.
    pub job_id: JobId,
    /// Its user.
    pub user_id: String,
    /// True if the revert would be accepted.
    pub accepted: bool,
    /// Every reason why it would be rejected.
    pub rejections: Vec<Reason>,
    /// The license for the user.
    pub license: LicensePreview,
    /// The records of each kind that would go back or be skipped, as in the revert's certificate.
    pub references: Vec<ReferenceResult>,
}

/// The license for a user who comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LicensePreview {
    /// The revert takes none.
    NotNeeded,
    /// Those that the job freed are free, or others instead.
    Free,
    /// Too few are free: the revert would be rejected.
    NoneFree,
}

/// Previews the revert of a job that `requester` asks for.
pub async fn revert(context: &Context, target: &Job, requester: &UserId) -> Result<RevertPreview> {
    let session = context.store.snapshot().await?;
    let current = enter(&session, context.catalogs.current(), &target.org).await?;
    let catalog = context.enter(&session, target).await?;
    let user = target.user()?;
    let users = host::read_users(&session, &current, [&user, requester]).await?;
    let services = services::granted(&session, [(target.org.as_str(), requester)]).await?;
    let facts = Facts { users, services, ..Facts::default() };
    let asks = AccessQuery { kind: RequestType::Revert, org: &target.org, requester, about: Some(&user) };
    let mut rejections = check_requester(&current, asks, &facts);
    let judged = check_revert(&session, target, Locking::Unlocked).await?;
    let is_possible = judged.is_ok();
    rejections.extend(judged.err());
    let comes_in = match is_possible {
        true => user_to_let_in(target, &facts)?,
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
            let schema = host::read_schema(&session).await?;
            let counts = BTreeMap::new();
            RevertCounts { session: &session, catalog: &catalog, schema: &schema, target, coming, counts }.all().await?
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
    let freed = row_snapshots::freed_licenses(session, target.id).await?;
    if freed.is_empty() || is_license_exempt(catalog, coming) {
        return Ok(LicensePreview::NotNeeded);
    }
    Ok(match host::can_restore_licenses(session, catalog, &coming.org, &coming.id, &freed).await? {
        true => LicensePreview::Free,
        false => LicensePreview::NoneFree,
    })
}

struct RevertCounts<'f> {
    session: &'f Session,
    catalog: &'f Catalog,
    schema: &'f Schema,
    target: &'f Job,
    /// The user, where the revert lets them in.
    coming: Option<&'f str>,
    /// The counts by kind and by what would be journaled.
    counts: BTreeMap<(String, Action), u64>,
}

impl RevertCounts<'_> {
    /// Counts everything by kind, as the undo's certificate does.
    async fn all(mut self) -> Result<Vec<ReferenceResult>> {
        self.journaled().await?;
        self.returning().await?;
        let (session, catalog, target) = (self.session, self.catalog, self.target);
        let did = journal::tallies(session, &[target.id]).await?.remove(&target.id).unwrap_or_default();
        let tallies = Tallies { undone: self.tallies(), did };
        results_of(session, catalog, tallies, Uuid::nil(), Some(target)).await
    }

    /// Counts what the job has journaled, from its end.
    async fn journaled(&mut self) -> Result<()> {
        // A chunk's snapshots come back with the first of its journal rows that the undo reads.
        let mut seen: HashSet<(Option<i32>, String)> = HashSet::new();
        let mut before = None;
        loop {
            let page = journal::before(self.session, self.target.id, before, PAGE).await?;
            let Some((last, _, _)) = page.last() else { return Ok(()) };
            before = Some(*last);
            for (id, _, _) in page {
                let Some(entry) = journal::get(self.session, id).await? else { continue };
                let action = action_of(&entry)?;
                let Some(reference) = self.catalog.reference(&entry.kind).filter(|_| !is_of_followers(&entry)) else {
                    continue;
                };
                match action {
                    JournalAction::Moved => self.moved(&entry).await?,
                    JournalAction::Merged => self.merged(&entry).await?,
                    JournalAction::Dropped | JournalAction::Detached | JournalAction::Purged | JournalAction::Set => {
                        if seen.insert((entry.chunk, entry.kind.clone())) {
                            self.snapshots(of_entry(self.session, reference, &entry).await?).await?;
                        }
                    }
                }
            }
        }
    }

    async fn moved(&mut self, entry: &Entry) -> Result<()> {
        let doing = "previewing an undo";
        let Some(reference) = self.catalog.reference(&entry.kind) else {
            return Err(Error::unexpected(doing, format!("the catalog has no kind {}", entry.kind)));
        };
        let user =
            |text: &str| UserId::try_from(text.to_owned()).map_err(|what| Error::unexpected(doing, what.to_string()));
        let (leaver, holder) = (user(&entry.from_user)?, user(entry.to_user.as_deref().unwrap_or_default())?);
        if reference.keyless {
            let ids: Vec<i64> =
                copies_of_moved(self.session, entry).await?.iter().map(|snapshot| snapshot.id).collect();
            let returned = host::preview_give_back(self.session, reference, &leaver, &ids).await?;
            self.count(&entry.kind, &returned);
            return Ok(());
        }
        let keys = read_keys(entry)?;
        let moved = host::MovedRows { reference, holder: &holder, leaver: &leaver, keys: &keys, at: entry.at };
        let mut returned = host::preview_move_back(self.session, &moved, Locking::Unlocked).await?;
        if let Some(gone) = returned.skipped.remove(&SkipReason::Gone) {
            let removed = self.removed_afterwards(reference, gone.iter().map(|place| keys[*place].clone())).await?;
            let (back, gone): (Vec<usize>, Vec<usize>) =
                gone.into_iter().partition(|place| removed.contains(&keys[*place]));
            returned.restored.extend(back);
            gone.into_iter().for_each(|place| returned.skip(SkipReason::Gone, place));
        }
        self.count(&entry.kind, &returned);
        Ok(())
    }

    /// Returns those keys whose rows the job removed by another reference after it had moved them. They come back first.
    async fn removed_afterwards(&self, reference: &Reference, gone: impl Iterator<Item = Key>) -> Result<HashSet<Key>> {
        let kinds = kinds_removed_by_others(self.catalog, reference);
        let (mut gone, mut removed, mut before): (HashSet<Key>, _, _) = (gone.collect(), HashSet::new(), None);
        while !kinds.is_empty() && !gone.is_empty() {
            let ids = row_snapshots::pending_before(self.session, self.target.id, &kinds, before, PAGE).await?;
            let Some(last) = ids.last() else { break };
            before = Some(*last);
            let keys = host::snapshot_keys(self.session, reference, &ids).await?;
            removed.extend(keys.iter().filter_map(|key| gone.take(key)));
        }
        Ok(removed)
    }

    async fn merged(&mut self, entry: &Entry) -> Result<()> {
        let Some(reference) = self.catalog.reference(&entry.kind) else { return Ok(()) };
        let Some((holder, theirs)) = read_merged(self.session, reference, entry).await? else { return Ok(()) };
        let Some(merged) = merged_by(reference, &holder) else { return Ok(()) };
        let ids: Vec<i64> = theirs.iter().map(|snapshot| snapshot.id).collect();
        let returned = host::preview_unmerge(self.session, &merged, &ids, Locking::Unlocked).await?;
        self.count(&entry.kind, &returned);
        Ok(())
    }

    /// Counts the snapshots of other jobs that wait for the user.
    async fn returning(&mut self) -> Result<()> {
        let undone = Some(self.target.id);
        let kinds = ReturningKinds::of(self.catalog, undone);
        let returning = kinds.snapshots(&self.target.org, &self.target.user_id, undone);
        let mut before = None;
        loop {
            let ids = returning.before(self.session, before, PAGE).await?;
            let (Some(first), Some(last)) = (ids.first(), ids.last()) else { return Ok(()) };
            before = Some(*last);
            let pending = returning.between(self.session, *last, *first).await?;
            self.snapshots(pending).await?;
        }
    }

    async fn snapshots(&mut self, pending: Vec<PendingSnapshot>) -> Result<()> {
        let (here, absent) = split_by_presence(self.session, self.catalog, pending, self.coming).await?;
        for snapshot in absent {
            self.add(&snapshot.kind, Action::Skipped(SkipReason::OtherInactive), 1);
        }
        for batch in by_kind(self.catalog, &here) {
            let (ids, locking) = (batch.ids(), Locking::Unlocked);
            let returned = match batch.of {
                SnapshotOf::Set => {
                    let values = batch.reference.disposition.values();
                    host::preview_set_back(self.session, batch.reference, values, &ids, locking).await?
                }
                SnapshotOf::Removed(None) if batch.kind == batch.reference.kind => {
                    host::preview_restore(self.session, batch.reference, &self.uniques(batch.reference), &ids).await?
                }
                // Rows that followed others come back with them.
                SnapshotOf::Removed(_) => {
                    RestoreOutcome { restored: (0..ids.len()).collect(), ..RestoreOutcome::default() }
                }
                SnapshotOf::Emptied(_) => match batch.emptied() {
                    Some(emptied) => host::preview_fill_back(self.session, &emptied, locking).await?,
                    None => RestoreOutcome::default(),
                },
            };
            self.count(&batch.kind, &returned);
        }
        Ok(())
    }

    /// Returns the columns of each unique index of a reference's table.
    fn uniques(&self, reference: &Reference) -> Vec<Vec<Column>> {
        let Some(table) = self.schema.named(&reference.table) else { return Vec::new() };
        let columns =
            |unique: &Vec<String>| unique.iter().filter_map(|name| table.column(name).map(Column::from)).collect();
        table.uniques.iter().map(columns).collect()
    }

    fn count(&mut self, kind: &str, returned: &RestoreOutcome) {
        self.add(kind, Action::Restored, returned.restored.len());
        for (reason, places) in &returned.skipped {
            self.add(kind, Action::Skipped(*reason), places.len());
        }
    }

    fn add(&mut self, kind: &str, action: Action, records: usize) {
        if records > 0 {
            *self.counts.entry((kind.to_owned(), action)).or_default() += records as u64;
        }
    }

    fn tallies(self) -> Vec<Tally> {
        let tally = |((kind, action), records)| Tally { kind, action, to_user: None, records };
        self.counts.into_iter().map(tally).collect()
    }
}
