//! The work of an undo on one chunk: gives records back, and restores rows and values from their snapshots.

use std::collections::{BTreeMap, BTreeSet};

use time::OffsetDateTime;
use uuid::Uuid;

use crate::catalog::{Catalog, JournalAction, Reference};
use crate::contract::{JobId, SkipReason, UserId};
use crate::job::State;
use crate::metrics::Observation;
use crate::stages::context::Context;
use crate::stages::handover::chunk::range_of;
use crate::stages::undo::journaled::{
    action_of, copies_of_moved, is_by_keys, is_of_followers, key_value, merged_by, of_entry, read_keys, read_merged,
};
use crate::stages::undo::snapshots::{
    Batch, ReturningKinds, by_kind, kinds_removed_by_others, returning, split_by_presence,
};
use crate::store::host::{Key, RestoreOutcome};
use crate::store::ledger::chunks::{self, Chunk, OtherChunks, WAITING};
use crate::store::ledger::jobs::Job;
use crate::store::ledger::journal::{self, Action, Entry};
use crate::store::ledger::row_snapshots::{self, PendingSnapshot, SnapshotOutcome};
use crate::store::{Error, Locking, Result, Session, host};

/// The result of the work on a chunk.
pub struct Worked {
    /// The number of records that came back.
    pub restored: u64,
    /// True if its rows are named by their keys, so that it can be cut.
    pub by_keys: bool,
    /// The number of rounds that the chunk has waited while all open chunks did, if some of its rows lack others that may still
    /// come back: it stays open for them.
    pub waits: Option<u32>,
}

/// The most rounds in which a chunk waits while all open chunks do.
const MOST_ROUNDS: u32 = 20;

/// The round of a chunk that has found itself alone, and tries for the last time.
const LAST_ROUND: u32 = MOST_ROUNDS + 1;

/// Returns the number of rounds that a chunk has waited while all open chunks did.
fn rounds_of(chunk: &Chunk) -> u32 {
    let waited = chunk.error.as_deref().and_then(|error| error.strip_prefix(WAITING));
    waited.and_then(|rounds| rounds.parse().ok()).unwrap_or(0)
}

/// Undoes the journal row or the snapshots of a chunk, and journals the result.
pub async fn work(
    session: &Session,
    context: &Context,
    job: &Job,
    chunk: &Chunk,
    now: OffsetDateTime,
) -> Result<Worked> {
    session.check_constraints_at_once().await?;
    let mut undoing = Undoing { session, job, chunk, now, entries: Vec::new(), waits: None };
    let mut by_keys = false;
    match chunk.journal_id {
        Some(id) => {
            let doing = "reading what is to be undone";
            let entry = journal::get(session, id).await?;
            let entry = entry.ok_or_else(|| Error::unexpected(doing, format!("the journal has no row {id}")))?;
            let catalog = context.enter(session, job).await?;
            by_keys = is_by_keys(&catalog, &entry);
            lock_shared_rows(session, &catalog, job, catalog.reference_of(&entry.kind).into_iter()).await?;
            undoing.entry(&catalog, &entry).await?;
        }
        None => {
            let catalog = context.enter(session, job).await?;
            let kinds = ReturningKinds::of(&catalog, job.target);
            lock_shared_rows(session, &catalog, job, catalog.references.iter()).await?;
            let (first, last) = snapshot_range(chunk)?;
            let pending = returning(job, &kinds).between(session, first, last).await?;
            undoing.snapshots(&catalog, pending).await?;
        }
    }
    let restored = undoing.entries.iter().filter(|entry| entry.action == Action::Restored);
    let restored = restored.map(|entry| entry.records as u64).sum();
    let waits = undoing.waits;
    undoing.entries.iter().for_each(|entry| session.observe(observed(entry)));
    journal::insert(session, undoing.entries).await?;
    Ok(Worked { restored, by_keys, waits })
}

/// Locks the rows that an undo may share with other jobs, if it may change rows of one of these references.
async fn lock_shared_rows<'c>(
    session: &Session,
    catalog: &Catalog,
    job: &Job,
    mut references: impl Iterator<Item = &'c Reference>,
) -> Result<()> {
    match references.any(|reference| catalog.shares_rows(reference)) {
        true => host::lock_shared_rows(session, &BTreeSet::from([job.org.as_str()])).await,
        false => Ok(()),
    }
}

/// Returns the first and the last snapshot of a chunk.
fn snapshot_range(chunk: &Chunk) -> Result<(i64, i64)> {
    let faulty =
        || Error::unexpected("reading a chunk of snapshots", format!("the chunk {} has no range", chunk.number));
    let (first, last) = range_of(chunk)?;
    let id = |key: &Key| key.first().and_then(|id| id.parse().ok()).ok_or_else(faulty);
    Ok((id(&first)?, id(&last)?))
}

/// Returns what a row of the journal adds to the metrics.
fn observed(entry: &Entry) -> Observation {
    let disposition = match entry.action {
        Action::Restored => "restored",
        Action::Skipped(_) => "skipped",
        Action::Handover(action) => action.name(),
    };
    Observation::Records { kind: entry.kind.clone(), disposition, records: entry.records.max(0) as u64 }
}

struct Undoing<'u> {
    session: &'u Session,
    job: &'u Job,
    chunk: &'u Chunk,
    now: OffsetDateTime,
    entries: Vec<Entry>,
    waits: Option<u32>,
}

impl Undoing<'_> {
    /// Undoes a row of the journal.
    async fn entry(&mut self, catalog: &Catalog, entry: &Entry) -> Result<()> {
        let doing = "undoing a row of the journal";
        let Some(reference) = catalog.reference_of(&entry.kind) else {
            return Err(Error::unexpected(doing, format!("the catalog has no kind {}", entry.kind)));
        };
        let action = action_of(entry)?;
        if is_of_followers(entry) {
            return Ok(());
        }
        match action {
            JournalAction::Moved => self.moved(catalog, reference, entry).await,
            JournalAction::Merged => self.merged(catalog, reference, entry).await,
            JournalAction::Dropped | JournalAction::Detached | JournalAction::Purged | JournalAction::Set => {
                let pending = of_entry(self.session, reference, entry).await?;
                self.snapshots(catalog, pending).await
            }
        }
    }

    /// Gives records back that went to a successor.
    async fn moved(&mut self, catalog: &Catalog, reference: &Reference, entry: &Entry) -> Result<()> {
        let doing = "giving records back";
        let user =
            |text: &str| UserId::try_from(text.to_owned()).map_err(|what| Error::unexpected(doing, what.to_string()));
        let (leaver, holder) = (user(&entry.from_user)?, user(entry.to_user.as_deref().unwrap_or_default())?);
        if reference.keyless {
            let moved = row_snapshots::lock(self.session, copies_of_moved(self.session, entry).await?).await?;
            let ids: Vec<i64> = moved.iter().map(|snapshot| snapshot.id).collect();
            let returned = host::give_back(self.session, reference, &leaver, &ids).await?;
            return self.record_outcome(reference, &reference.kind, &moved.iter().collect::<Vec<_>>(), &returned).await;
        }
        // All of them, or the slice that the chunk was cut to.
        let (first, count) = (self.chunk.first_rank.max(0) as usize, self.chunk.records.max(0) as usize);
        let keys: Vec<Key> = read_keys(entry)?.into_iter().skip(first).take(count).collect();
        let records = host::MovedRows { reference, holder: &holder, leaver: &leaver, keys: &keys, at: entry.at };
        if self.wait_for_removed(catalog, entry.job_id, &records).await? {
            return Ok(());
        }
        let returned = host::move_back(self.session, &records).await?;
        let keys_at = |places: &[usize]| places.iter().map(|place| keys[*place].clone()).collect::<Vec<Key>>();
        self.push(&entry.kind, Action::Restored, returned.restored.len(), keys_at(&returned.restored));
        for (reason, places) in &returned.skipped {
            self.push(&entry.kind, Action::Skipped(*reason), places.len(), keys_at(places));
        }
        Ok(())
    }

    /// Returns true if moved records wait for others: the job may have removed some of them afterwards, by another reference, and has
    /// not restored them yet.
    async fn wait_for_removed(
        &mut self,
        catalog: &Catalog,
        target: Uuid,
        records: &host::MovedRows<'_>,
    ) -> Result<bool> {
        let reference = records.reference;
        let kinds = kinds_removed_by_others(catalog, reference);
        if kinds.is_empty() || row_snapshots::pending_before(self.session, target, &kinds, None, 1).await?.is_empty() {
            return Ok(false);
        }
        let preview = host::preview_move_back(self.session, records, Locking::Unlocked).await?;
        if preview.skipped.contains_key(&SkipReason::Gone) {
            self.waits = self.rounds_to_wait().await?;
        }
        Ok(self.waits.is_some())
    }

    /// Takes rows out of a successor's rows again that were added to them.
    ///
    /// Rows that followed them come back once all of them have: a chunk's rows may have been added to those of several successors.
    async fn merged(&mut self, catalog: &Catalog, reference: &Reference, entry: &Entry) -> Result<()> {
        let Some((holder, theirs)) = read_merged(self.session, reference, entry).await? else { return Ok(()) };
        let Some(merged) = merged_by(reference, &holder) else { return Ok(()) };
        let ids: Vec<i64> = theirs.iter().map(|snapshot| snapshot.id).collect();
        let returned = host::unmerge(self.session, &merged, &ids).await?;
        self.record_outcome(reference, &reference.kind, &theirs.iter().collect::<Vec<_>>(), &returned).await?;
        let pending = of_entry(self.session, reference, entry).await?;
        match pending.iter().any(|snapshot| snapshot.kind == reference.kind) {
            true => Ok(()),
            false => self.snapshots(catalog, pending).await,
        }
    }

    /// Restores snapshots, a table at a time, parents before their children.
    async fn snapshots(&mut self, catalog: &Catalog, pending: Vec<PendingSnapshot>) -> Result<()> {
        let pending = row_snapshots::lock(self.session, pending).await?;
        let pending = self.skip_access(catalog, pending).await?;
        let pending = self.skip_absent(catalog, pending).await?;
        let batches = by_kind(catalog, &pending);
        let (removed, changed): (Vec<&Batch>, Vec<&Batch>) = batches.iter().partition(|batch| batch.rows().is_some());
        let rows: Vec<host::RowsToRestore> = removed.iter().filter_map(|batch| batch.rows()).collect();
        let returned = host::restore_rows(self.session, &rows).await?;
        for (batch, mut returned) in removed.iter().zip(returned) {
            self.wait_for_others(&mut returned, &[SkipReason::ParentGone]).await?;
            self.record_outcome(batch.reference, &batch.kind, &batch.snapshots, &returned).await?;
        }
        for batch in changed {
            let returned = match batch.emptied() {
                Some(emptied) => {
                    let mut returned = host::fill_back(self.session, &emptied).await?;
                    self.wait_for_others(&mut returned, &[SkipReason::ParentGone, SkipReason::Gone]).await?;
                    returned
                }
                None => {
                    let values = batch.reference.disposition.values();
                    host::set_back(self.session, batch.reference, values, &batch.ids()).await?
                }
            };
            self.record_outcome(batch.reference, &batch.kind, &batch.snapshots, &returned).await?;
        }
        Ok(())
    }

    /// Leaves rows for later that are skipped for one of these reasons, while other chunks may still restore what they lack. Movers
    /// work at the same time, when they undo as when they removed. If all open chunks wait, each tries a few times more.
    async fn wait_for_others(&mut self, returned: &mut RestoreOutcome, reasons: &[SkipReason]) -> Result<()> {
        if !reasons.iter().any(|reason| returned.skipped.contains_key(reason)) {
            return Ok(());
        }
        let waits = self.rounds_to_wait().await?;
        if waits.is_some() {
            reasons.iter().for_each(|reason| drop(returned.skipped.remove(reason)));
            self.waits = waits;
        }
        Ok(())
    }

    /// Returns the rounds that the chunk has waited if it may wait for another one, and nothing if no other chunk can restore more.
    ///
    /// The last of the others may have committed after this one has looked for its rows. So a chunk that finds itself alone tries once
    /// more.
    async fn rounds_to_wait(&self) -> Result<Option<u32>> {
        Ok(match chunks::others_open(self.session, self.job.id, self.chunk.number).await? {
            _ if self.job.state == State::Cutting => Some(0),
            OtherChunks::Working => Some(0),
            OtherChunks::Waiting => Some(rounds_of(self.chunk) + 1).filter(|rounds| *rounds <= MOST_ROUNDS),
            OtherChunks::None => Some(LAST_ROUND).filter(|last| rounds_of(self.chunk) < *last),
        })
    }

    /// Skips rows that give the user access, if another job has locked them out since the undo began.
    async fn skip_access(&mut self, catalog: &Catalog, pending: Vec<PendingSnapshot>) -> Result<Vec<PendingSnapshot>> {
        let gives_access = |snapshot: &PendingSnapshot| {
            catalog.reference_of(&snapshot.kind).is_some_and(|reference| reference.ends_access())
        };
        if !pending.iter().any(gives_access) {
            return Ok(pending);
        }
        let user = self.job.user()?;
        if !host::try_lock_receivers(self.session, &self.job.org, &[&user]).await? {
            return Err(Error::contention("restoring rows", "the user may be about to leave again"));
        }
        let found = host::read_users(self.session, catalog, [&user]).await?;
        if !found.values().any(|user| user.is_locked_out_by_another(JobId(self.job.id))) {
            return Ok(pending);
        }
        let (access, others): (Vec<PendingSnapshot>, Vec<PendingSnapshot>) =
            pending.into_iter().partition(gives_access);
        self.push_skipped(&access, SkipReason::LockedOut);
        Ok(others)
    }

    /// Skips rows between two users of whom one is not active: their snapshots wait for the other's return.
    async fn skip_absent(&mut self, catalog: &Catalog, pending: Vec<PendingSnapshot>) -> Result<Vec<PendingSnapshot>> {
        let (here, absent) = split_by_presence(self.session, catalog, pending, None).await?;
        self.push_skipped(&absent, SkipReason::OtherInactive);
        Ok(here)
    }

    /// Journals snapshots that wait: no outcome is recorded, so that a later undo may use them.
    fn push_skipped(&mut self, waiting: &[PendingSnapshot], reason: SkipReason) {
        let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
        waiting.iter().for_each(|snapshot| *kinds.entry(snapshot.kind.as_str()).or_default() += 1);
        for (kind, records) in kinds {
            self.push(kind, Action::Skipped(reason), records, Vec::new());
        }
    }

    /// Records the outcome of snapshots, so that no later undo uses them again.
    async fn record_outcome(
        &mut self,
        reference: &Reference,
        kind: &str,
        pending: &[&PendingSnapshot],
        returned: &RestoreOutcome,
    ) -> Result<()> {
        let by = self.job.id;
        let skipped = returned.skipped.iter();
        let skipped = skipped.map(|(reason, places)| (SnapshotOutcome::Skipped { reason: *reason, by }, places));
        let all = [(SnapshotOutcome::Restored { by }, &returned.restored)].into_iter().chain(skipped);
        for (outcome, places) in all.collect::<Vec<_>>() {
            let ids: Vec<i64> = places.iter().map(|place| pending[*place].id).collect();
            row_snapshots::set_outcome(self.session, &ids, outcome).await?;
            let (action, has_keys) = match outcome {
                // A row without a key that has come back is named by its snapshot's id.
                SnapshotOutcome::Restored { .. } => (Action::Restored, !reference.keyless),
                SnapshotOutcome::Skipped { reason, .. } => (Action::Skipped(reason), true),
            };
            let keys = match kind == reference.kind && has_keys {
                true => host::snapshot_keys(self.session, reference, &ids).await?,
                false => Vec::new(),
            };
            self.push(kind, action, ids.len(), keys);
        }
        Ok(())
    }

    fn push(&mut self, kind: &str, action: Action, records: usize, keys: Vec<Key>) {
        if records == 0 {
            return;
        }
        let keys: Vec<serde_json::Value> = keys.into_iter().map(key_value).collect();
        self.entries.push(Entry {
            id: 0,
            job_id: self.job.id,
            chunk: Some(self.chunk.number),
            kind: kind.into(),
            action,
            from_user: self.job.user_id.clone(),
            to_user: None,
            records: records as i64,
            keys: Some(keys.into()),
            at: self.now,
        });
    }
}
