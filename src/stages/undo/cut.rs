//! The cuts of an undo: chunks of the journal, from its end, and of the snapshots that wait for the user.

use uuid::Uuid;

use crate::stages::context::Context;
use crate::stages::new_chunks::NewChunks;
use crate::stages::undo::journaled::is_by_keys;
use crate::stages::undo::snapshots::{ReturningKinds, returning};
use crate::store::ledger::chunks::{self, Chunk};
use crate::store::ledger::jobs::Job;
use crate::store::ledger::{journal, references};
use crate::store::{Result, Session};

/// The position of the progress through the journal of the job to be undone.
pub const JOURNALED: usize = 0;
/// The position of the progress through the snapshots that wait for the user.
pub const RETURNING: usize = 1;

/// Cuts the next chunks of what is to be undone. Returns them, and true once everything is cut.
pub async fn cut(session: &Session, context: &Context, job: &Job, next_number: i32) -> Result<(Vec<Chunk>, bool)> {
    let chunks = NewChunks::new(job.id, context.limits.chunks_per_cut, next_number);
    let mut cutting = Cutting { context, job, chunks };
    let mut all = references::of_jobs(session, &[job.id]).await?;
    for progress in all.iter_mut().filter(|progress| !progress.cut) {
        let cursor = progress.cursor.as_ref().and_then(|key| key.first()?.parse().ok());
        let cursor = match (progress.position, job.target) {
            (JOURNALED, Some(target)) => cutting.journal(session, target, cursor).await?,
            _ => cutting.returning(session, cursor).await?,
        };
        progress.cut = cursor.is_none();
        progress.cursor = cursor.map(|cursor| vec![cursor.to_string()]).or(progress.cursor.take());
        references::update(session, progress.clone()).await?;
        if cutting.chunks.room() == 0 {
            break;
        }
    }
    let is_all = all.iter().all(|progress| progress.cut);
    Ok((cutting.chunks.into_chunks(), is_all))
}

struct Cutting<'c> {
    context: &'c Context,
    job: &'c Job,
    chunks: NewChunks,
}

impl Cutting<'_> {
    /// Adds a chunk for each row of the journal. Returns where to continue, or nothing at the journal's beginning.
    async fn journal(&mut self, session: &Session, target: Uuid, cursor: Option<i64>) -> Result<Option<i64>> {
        if cursor.is_none() {
            // Of a job that is cancelled: a mover that is still working on a chunk journals it before this statement returns.
            chunks::delete_unclosed(session, target, None).await?;
        }
        let room = self.chunks.room().max(1);
        let rows = journal::before(session, target, cursor, room).await?;
        let last = rows.last().map(|(id, _, _)| *id).filter(|_| rows.len() as u64 == room);
        for (id, _, records) in rows {
            self.add(JOURNALED, Some(id), None, records);
        }
        Ok(last)
    }

    /// Adds chunks of snapshots. Returns where to continue, or nothing at their beginning.
    async fn returning(&mut self, session: &Session, cursor: Option<i64>) -> Result<Option<i64>> {
        let catalog = self.context.catalogs.of_hash(session, &self.job.catalog_hash).await?;
        let kinds = ReturningKinds::of(&catalog, self.job.target);
        let (rows, room) = (self.context.limits.chunk_rows.max(1), self.chunks.room().max(1));
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
        self.chunks.add(position, records, |chunk| {
            chunk.journal_id = journal_id;
            chunk.first_key = range.map(|(first, _)| vec![first.to_string()].into());
            chunk.last_key = range.map(|(_, last)| vec![last.to_string()].into());
        });
    }
}

/// Returns true if a chunk can be cut into slices of the keys in its row of the journal. Snapshots come back together, since one
/// row may need another.
pub async fn can_be_cut(session: &Session, context: &Context, job: &Job, chunk: &Chunk) -> Result<bool> {
    let Some(id) = chunk.journal_id else { return Ok(false) };
    let catalog = context.catalogs.of_hash(session, &job.catalog_hash).await?;
    Ok(journal::get(session, id).await?.is_some_and(|entry| is_by_keys(&catalog, &entry)))
}
