//! Undo: takes back what a job did, by its journal and its copies, and brings back what a user's return restores.
//!
//! It is a job like any other, in the same steps. A cut reads the journal of the job to be undone from its end, and the
//! copies that wait for the user; a chunk is a row of that journal, or a range of copies; what came back and what did not is
//! journaled in its turn, and the certificate is made of that. Nothing is taken back twice: a record goes back only from
//! where the job put it, and a copy is settled when it is used.

use std::collections::{BTreeMap, HashSet};

use time::OffsetDateTime;
use uuid::Uuid;

use crate::catalog::{Catalog, Column, Disposition, ForeignKey, OnConflict, Reference, TableName};
use crate::contract::UserId;
use crate::metrics::Observation;
use crate::plan::UserStatus;
use crate::stages::Context;
use crate::store::host::{Key, MergedRows, RestoreOutcome};
use crate::store::ledger::chunks::Chunk;
use crate::store::ledger::jobs::Job;
use crate::store::ledger::journal::{self, Entry, RESTORED, SKIPPED};
use crate::store::ledger::row_snapshots::{self, PendingSnapshot, Restorable};
use crate::store::ledger::{chunks, references};
use crate::store::{Error, Result, Session, host};

/// The course over the journal of the job to be undone.
pub const JOURNALED: usize = 0;
/// The course over copies that wait for the user.
pub const RETURNING: usize = 1;

/// Cuts on: chunks of what is to be undone, and whether everything is cut by now.
pub async fn cut(session: &Session, context: &Context, job: &Job, next_number: i32) -> Result<(Vec<Chunk>, bool)> {
    let mut cutting = Cutting { context, job, chunks: Vec::new(), next_number };
    let mut courses = references::of_jobs(session, &[job.id]).await?;
    for course in courses.iter_mut().filter(|course| !course.cut) {
        let cursor = course.cursor.as_ref().and_then(|key| key.first()?.parse().ok());
        let cursor = match (course.position, job.target) {
            (JOURNALED, Some(target)) => cutting.journal(session, target, cursor).await?,
            _ => cutting.returning(session, cursor).await?,
        };
        course.cut = cursor.is_none();
        course.cursor = cursor.map(|cursor| vec![cursor.to_string()]).or(course.cursor.take());
        references::update(session, course.clone()).await?;
        if cutting.room() == 0 {
            break;
        }
    }
    let is_all = courses.iter().all(|course| course.cut);
    Ok((cutting.chunks, is_all))
}

struct Cutting<'c> {
    context: &'c Context,
    job: &'c Job,
    chunks: Vec<Chunk>,
    next_number: i32,
}

impl Cutting<'_> {
    fn room(&self) -> u64 {
        self.context.limits.chunks_per_cut.saturating_sub(self.chunks.len() as u64)
    }

    /// A chunk for each row of the journal; where to go on, or nothing at its beginning.
    async fn journal(&mut self, session: &Session, target: Uuid, cursor: Option<i64>) -> Result<Option<i64>> {
        if cursor.is_none() {
            // Of a job that is called off: whoever is moving a chunk just now has journaled it behind this.
            chunks::delete_unclosed(session, target, None).await?;
        }
        let room = self.room().max(1);
        let rows = journal::before(session, target, cursor, room).await?;
        let last = rows.last().map(|(id, _, _)| *id).filter(|_| rows.len() as u64 == room);
        for (id, _, records) in rows {
            self.add(JOURNALED, Some(id), None, records);
        }
        Ok(last)
    }

    /// A chunk for each so many copies; where to go on, or nothing at their beginning.
    async fn returning(&mut self, session: &Session, cursor: Option<i64>) -> Result<Option<i64>> {
        let catalog = self.context.catalogs.of_hash(&self.context.store, &self.job.catalog_hash).await?;
        let kinds = restored_kinds(&catalog);
        let (rows, room) = (self.context.limits.chunk_rows.max(1), self.room().max(1));
        let most = rows.saturating_mul(room);
        let ids = returning(self.job, &kinds).before(session, cursor, most).await?;
        for slice in ids.chunks(rows as usize) {
            if let (Some(last), Some(first)) = (slice.first(), slice.last()) {
                self.add(RETURNING, None, Some((*first, *last)), slice.len() as i64);
            }
        }
        Ok(ids.last().copied().filter(|_| ids.len() as u64 == most))
    }

    fn add(&mut self, position: usize, journal_id: Option<i64>, range: Option<(i64, i64)>, records: i64) {
        let mut chunk = Chunk::open(self.job.id, self.next_number, position, records);
        chunk.journal_id = journal_id;
        chunk.first_key = range.map(|(first, _)| vec![first.to_string()].into());
        chunk.last_key = range.map(|(_, last)| vec![last.to_string()].into());
        self.chunks.push(chunk);
        self.next_number += 1;
    }
}

/// The kinds that a user's return brings back.
pub fn restored_kinds(catalog: &Catalog) -> Vec<String> {
    let restores = catalog.references.iter().filter(|reference| reference.disposition.restores());
    restores.map(|reference| reference.kind.clone()).collect()
}

fn returning<'r>(job: &'r Job, kinds: &'r [String]) -> Restorable<'r> {
    Restorable { org: &job.org, user: &job.user_id, kinds, except: job.target }
}

/// What a chunk's work brought.
pub struct Worked {
    /// How much of it came back.
    pub restored: u64,
    /// Whether its rows are told by their keys, so that it can be cut.
    pub by_keys: bool,
}

/// Works on a chunk.
pub async fn work(
    session: &Session,
    context: &Context,
    job: &Job,
    chunk: &Chunk,
    now: OffsetDateTime,
) -> Result<Worked> {
    session.check_constraints_at_once().await?;
    let mut undoing = Undoing { session, job, chunk, now, entries: Vec::new() };
    let mut by_keys = false;
    match chunk.journal_id {
        Some(id) => {
            let doing = "reading what is to be undone";
            let entry = journal::get(session, id).await?;
            let entry = entry.ok_or_else(|| Error::unexpected(doing, format!("the journal has no row {id}")))?;
            let catalog = context.enter(session, job).await?;
            by_keys = is_by_keys(&catalog, &entry);
            undoing.entry(&catalog, &entry).await?;
        }
        None => {
            let catalog = context.enter(session, job).await?;
            let kinds = restored_kinds(&catalog);
            let end = |key: &Option<serde_json::Value>| {
                key.as_ref().and_then(|key| key.get(0)?.as_str()?.parse::<i64>().ok()).unwrap_or_default()
            };
            let (first, last) = (end(&chunk.first_key), end(&chunk.last_key));
            let pending = returning(job, &kinds).between(session, first, last).await?;
            undoing.copies(&catalog, pending).await?;
        }
    }
    let restored = undoing.entries.iter().filter(|entry| entry.action == RESTORED).map(|entry| entry.records as u64);
    let restored = restored.sum();
    undoing.entries.iter().for_each(|entry| session.observe(observed(entry)));
    journal::insert(session, undoing.entries).await?;
    Ok(Worked { restored, by_keys })
}

/// Whether a chunk can be cut into slices of the keys that its row of the journal tells of. What copies hold comes back
/// together: of these, a row may need another.
pub async fn can_be_cut(session: &Session, context: &Context, job: &Job, chunk: &Chunk) -> Result<bool> {
    let Some(id) = chunk.journal_id else { return Ok(false) };
    let catalog = context.catalogs.of_hash(&context.store, &job.catalog_hash).await?;
    Ok(journal::get(session, id).await?.is_some_and(|entry| is_by_keys(&catalog, &entry)))
}

fn is_by_keys(catalog: &Catalog, entry: &Entry) -> bool {
    entry.action == "moved" && catalog.reference(&entry.kind).is_some_and(|reference| !reference.keyless)
}

/// What a row of the journal tells of an undo, to be counted.
fn observed(entry: &Entry) -> Observation {
    let disposition = if entry.action == RESTORED { RESTORED } else { "skipped" };
    Observation::Records { kind: entry.kind.clone(), disposition, records: entry.records.max(0) as u64 }
}

struct Undoing<'u> {
    session: &'u Session,
    job: &'u Job,
    chunk: &'u Chunk,
    now: OffsetDateTime,
    entries: Vec<Entry>,
}

impl Undoing<'_> {
    /// Takes back what a row of the journal tells of.
    async fn entry(&mut self, catalog: &Catalog, entry: &Entry) -> Result<()> {
        let doing = "undoing a row of the journal";
        let Some(reference) = catalog.reference(&entry.kind) else {
            return Err(Error::unexpected(doing, format!("the catalog has no kind {}", entry.kind)));
        };
        match entry.action.as_str() {
            "moved" => {}
            "merged" => return self.merged(reference, entry).await,
            _ => {
                let pending = row_snapshots::of_chunk(self.session, entry.job_id, entry.chunk, &entry.kind).await?;
                return self.copies(catalog, pending).await;
            }
        }
        let user = |text: &str| UserId::try_from(text.to_owned()).map_err(|what| Error::unexpected(doing, what));
        let (leaver, holder) = (user(&entry.from_user)?, user(entry.to_user.as_deref().unwrap_or_default())?);
        if reference.keyless {
            let moved = row_snapshots::lock(self.session, copies_of_moved(self.session, entry).await?).await?;
            let ids: Vec<i64> = moved.iter().map(|copy| copy.id).collect();
            let returned = host::give_back(self.session, reference, &leaver, &ids).await?;
            return self.settle(reference, &reference.kind, &moved.iter().collect::<Vec<_>>(), &returned).await;
        }
        // All of them, or the slice that the chunk was cut down to.
        let (first, count) = (self.chunk.first_rank.max(0) as usize, self.chunk.records.max(0) as usize);
        let keys: Vec<Key> = read_keys(entry)?.into_iter().skip(first).take(count).collect();
        let returned = host::move_back(self.session, reference, &holder, &leaver, &keys).await?;
        let told = |places: &[usize]| places.iter().map(|place| keys[*place].clone()).collect::<Vec<Key>>();
        self.push(&entry.kind, RESTORED, returned.restored.len(), told(&returned.restored));
        for (reason, places) in &returned.skipped {
            self.push(&entry.kind, &format!("{SKIPPED}{reason}"), places.len(), told(places));
        }
        Ok(())
    }

    /// Takes rows out of the successor's again that were added to them.
    async fn merged(&mut self, reference: &Reference, entry: &Entry) -> Result<()> {
        let Some((holder, theirs)) = read_merged(self.session, reference, entry).await? else { return Ok(()) };
        let Some(merged) = merged_by(reference, &holder) else { return Ok(()) };
        let ids: Vec<i64> = theirs.iter().map(|copy| copy.id).collect();
        let returned = host::unmerge(self.session, &merged, &ids).await?;
        self.settle(reference, &reference.kind, &theirs.iter().collect::<Vec<_>>(), &returned).await
    }

    /// Brings back what copies hold: rows of a table at a time, parents before their children.
    async fn copies(&mut self, catalog: &Catalog, pending: Vec<PendingSnapshot>) -> Result<()> {
        let pending = row_snapshots::lock(self.session, pending).await?;
        let pending = self.set_aside_those_of_the_absent(catalog, pending).await?;
        let (set, removed): (Vec<Batch>, Vec<Batch>) = by_table(catalog, &pending).into_iter().partition(Batch::is_set);
        let rows: Vec<host::RowsToRestore> = removed.iter().map(Batch::rows).collect();
        let returned = host::restore_rows(self.session, &rows).await?;
        for (batch, returned) in removed.iter().zip(&returned) {
            self.settle(batch.reference, &batch.kind, &batch.copies, returned).await?;
        }
        for batch in set {
            let Disposition::Set { values, .. } = &batch.reference.disposition else { continue };
            let returned = host::set_back(self.session, batch.reference, values, &batch.ids()).await?;
            self.settle(batch.reference, &batch.kind, &batch.copies, &returned).await?;
        }
        Ok(())
    }

    /// A row between two users comes back when both are there: until then its copy waits for the other's return.
    async fn set_aside_those_of_the_absent(
        &mut self,
        catalog: &Catalog,
        pending: Vec<PendingSnapshot>,
    ) -> Result<Vec<PendingSnapshot>> {
        let (here, absent) = split_by_presence(self.session, catalog, pending, None).await?;
        let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
        absent.iter().for_each(|copy| *kinds.entry(copy.kind.as_str()).or_default() += 1);
        for (kind, records) in kinds {
            self.push(kind, &format!("{SKIPPED}other_inactive"), records, Vec::new());
        }
        Ok(here)
    }

    /// Notes what became of copies, so that no later undo uses them again.
    async fn settle(
        &mut self,
        reference: &Reference,
        kind: &str,
        pending: &[&PendingSnapshot],
        returned: &RestoreOutcome,
    ) -> Result<()> {
        let skipped = returned.skipped.iter().map(|(reason, places)| (*reason, format!("{SKIPPED}{reason}"), places));
        let all = [(row_snapshots::RESTORED, RESTORED.to_owned(), &returned.restored)].into_iter().chain(skipped);
        for (outcome, action, places) in all.collect::<Vec<_>>() {
            let ids: Vec<i64> = places.iter().map(|place| pending[*place].id).collect();
            row_snapshots::set_outcome(self.session, &ids, &format!("{outcome} {}", self.job.id)).await?;
            // What has come back and has no key is told by its number.
            let is_told = !reference.keyless || outcome != row_snapshots::RESTORED;
            let keys = match kind == reference.kind && is_told {
                true => host::snapshot_keys(self.session, reference, &ids).await?,
                false => Vec::new(),
            };
            self.push(kind, &action, ids.len(), keys);
        }
        Ok(())
    }

    fn push(&mut self, kind: &str, action: &str, records: usize, keys: Vec<Key>) {
        if records == 0 {
            return;
        }
        let keys: Vec<serde_json::Value> = keys.into_iter().map(key_value).collect();
        self.entries.push(Entry {
            id: 0,
            job_id: self.job.id,
            chunk: Some(self.chunk.number),
            kind: kind.into(),
            action: action.into(),
            from_user: self.job.user_id.clone(),
            to_user: None,
            records: records as i64,
            keys: Some(keys.into()),
            at: self.now,
        });
    }
}

/// Copies of one table that come back together.
pub struct Batch<'b> {
    /// The reference that they belong to.
    pub reference: &'b Reference,
    /// What the journal calls them: the reference's kind, and behind it the table of rows that went along.
    pub kind: String,
    /// The table.
    pub table: &'b TableName,
    /// Its columns.
    columns: &'b [Column],
    /// Its foreign keys that can wait for the commit.
    deferrable: &'b [ForeignKey],
    /// The copies.
    pub copies: Vec<&'b PendingSnapshot>,
}

impl Batch<'_> {
    /// The copies' numbers.
    pub fn ids(&self) -> Vec<i64> {
        self.copies.iter().map(|copy| copy.id).collect()
    }

    fn is_set(&self) -> bool {
        matches!(self.reference.disposition, Disposition::Set { .. })
    }

    fn rows(&self) -> host::RowsToRestore<'_> {
        host::RowsToRestore {
            table: self.table,
            columns: self.columns,
            deferrable: self.deferrable,
            copies: self.ids(),
        }
    }
}

/// Copies by their tables, in the order in which they come back: parents before their children.
pub fn by_table<'b>(catalog: &'b Catalog, pending: &'b [PendingSnapshot]) -> Vec<Batch<'b>> {
    let mut batches = Vec::new();
    for reference in &catalog.references {
        let of_kind: Vec<&PendingSnapshot> = pending.iter().filter(|copy| copy.kind == reference.kind).collect();
        let own = (&reference.table, &reference.columns, &reference.deferrable, reference.kind.clone());
        let children = reference.disposition.children().iter().map(|child| {
            (&child.table, &child.columns, &child.deferrable, format!("{}/{}", reference.kind, child.table))
        });
        for (table, columns, deferrable, kind) in std::iter::once(own).chain(children) {
            let name = table.to_string();
            let copies = of_kind.iter().copied().filter(|copy| copy.table_name == name).collect();
            batches.push(Batch { reference, kind, table, columns, deferrable, copies });
        }
    }
    batches.retain(|batch| !batch.copies.is_empty());
    batches
}

/// Copies of rows that nobody is missing for, and those whose other user is away. `coming` is taken for one who is there.
pub async fn split_by_presence(
    session: &Session,
    catalog: &Catalog,
    pending: Vec<PendingSnapshot>,
    coming: Option<&str>,
) -> Result<(Vec<PendingSnapshot>, Vec<PendingSnapshot>)> {
    let between = pending.iter().filter(|copy| copy.other_user.is_some());
    let users = between.flat_map(|copy| [Some(&copy.from_user), copy.other_user.as_ref()]).flatten();
    let users: HashSet<UserId> = users.filter_map(|user| UserId::try_from(user.clone()).ok()).collect();
    if users.is_empty() {
        return Ok((pending, Vec::new()));
    }
    let found = host::read_users(session, catalog, &users).await?;
    let is_here =
        |user: &str| coming == Some(user) || found.get(user).is_some_and(|user| user.status == UserStatus::Active);
    let nobody_misses = |copy: &PendingSnapshot| {
        copy.other_user.as_ref().is_none_or(|other| is_here(other) && is_here(&copy.from_user))
    };
    Ok(pending.into_iter().partition(nobody_misses))
}

/// Whose rows were added to by a row of the journal, and the copies of what was added: of a chunk dealt to several, each row
/// of the journal names those of one.
pub async fn read_merged(
    session: &Session,
    reference: &Reference,
    entry: &Entry,
) -> Result<Option<(UserId, Vec<PendingSnapshot>)>> {
    let Some(holder) = entry.to_user.clone().and_then(|user| UserId::try_from(user).ok()) else { return Ok(None) };
    let keys = read_keys(entry)?;
    let pending = row_snapshots::of_chunk(session, entry.job_id, entry.chunk, &entry.kind).await?;
    let ids: Vec<i64> = pending.iter().map(|copy| copy.id).collect();
    let copied = host::snapshot_keys(session, reference, &ids).await?;
    let theirs = pending.into_iter().zip(&copied).filter(|(_, key)| keys.contains(key)).map(|(copy, _)| copy).collect();
    Ok(Some((holder, theirs)))
}

/// Of rows without a key that a row of the journal says were moved: the copies of those that went to its successor.
pub async fn copies_of_moved(session: &Session, entry: &Entry) -> Result<Vec<PendingSnapshot>> {
    let mut moved = row_snapshots::of_chunk(session, entry.job_id, entry.chunk, &entry.kind).await?;
    moved.retain(|copy| copy.other_user == entry.to_user);
    Ok(moved)
}

/// What a reference adds up, of a successor's rows.
pub fn merged_by<'a>(reference: &'a Reference, holder: &'a UserId) -> Option<MergedRows<'a>> {
    let (Disposition::Transfer { on_conflict, .. } | Disposition::Block { on_conflict, .. }) = &reference.disposition
    else {
        return None;
    };
    let OnConflict::Add { occupied, columns } = on_conflict else { return None };
    Some(MergedRows { reference, holder, occupied, columns })
}

/// A key as the journal has it: a text, or an array of texts where it has several columns.
fn key_value(mut key: Key) -> serde_json::Value {
    match key.len() {
        1 => key.pop().unwrap_or_default().into(),
        _ => key.into(),
    }
}

/// The keys that a row of the journal tells of.
pub fn read_keys(entry: &Entry) -> Result<Vec<Key>> {
    let doing = "reading the keys of a row of the journal";
    let faulty = || Error::unexpected(doing, format!("the row {} has no keys", entry.id));
    let keys = entry.keys.as_ref().and_then(serde_json::Value::as_array).ok_or_else(faulty)?;
    let read = |key: &serde_json::Value| match key {
        serde_json::Value::String(text) => Some(vec![text.clone()]),
        serde_json::Value::Array(texts) => texts.iter().map(|text| text.as_str().map(str::to_owned)).collect(),
        _ => None,
    };
    keys.iter().map(|key| read(key).ok_or_else(faulty)).collect()
}
