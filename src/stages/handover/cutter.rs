//! The cutter: cuts a large job's references into chunks, a bounded number a step.
//!
//! Its transaction locks the job, reads the stored cursor and next rank, adds chunks, and advances both. Run twice, it
//! continues from where it was. A crash leaves nothing.

use crate::catalog::{Catalog, Reference};
use crate::contract::{JobId, UserId};
use crate::job::{State, StepKind, Transition};
use crate::stages::context::{Context, now};
use crate::stages::lifecycle::JobChange;
use crate::stages::new_chunks::NewChunks;
use crate::stages::undo;
use crate::store::ledger::chunks::{self, Chunk};
use crate::store::ledger::jobs::Job;
use crate::store::ledger::references::{self, ReferenceProgress};
use crate::store::{Result, Session, host};

/// The transaction of a cut.
pub const CUT: &str = "cut";

/// Cuts the next chunks of a job.
pub async fn cut(context: &Context, id: JobId) -> Result<()> {
    let now = now();
    let session = context.store.begin(CUT).await?;
    let Some(mut change) = JobChange::lock(&session, id.0).await? else { return Ok(()) };
    if change.state() != State::Cutting {
        return Ok(());
    }
    // By the index alone: a job may have hundreds of thousands of chunks by now.
    let open = chunks::count_open(&session, id.0, context.limits.window).await?;
    let next_number = chunks::next_number(&session, id.0).await?;
    let (added_chunks, is_all) = match change.job.undoes() {
        true => undo::cut::cut(&session, context, &change.job, next_number).await?,
        false => cut_references(&session, context, &change.job, next_number).await?,
    };
    let added = added_chunks.len() as u64;
    chunks::insert(&session, added_chunks).await?;
    // The queue holds no more tickets than there are open chunks, so this many more stay within the window.
    change.tickets(context.limits.window.saturating_sub(open).min(added), now)?;
    if !is_all {
        change.step(StepKind::Cut, now)?;
    } else {
        change.transition(Transition::CutAll)?;
        if open + added == 0 {
            change.step(StepKind::Ticket, now)?;
        }
    }
    change.write(&session).await?;
    session.commit().await
}

/// Cuts the next chunks of the references. Returns them, and true once everything is cut.
async fn cut_references(
    session: &Session,
    context: &Context,
    job: &Job,
    next_number: i32,
) -> Result<(Vec<Chunk>, bool)> {
    let catalog = context.enter(session, job).await?;
    let mut all = references::of_jobs(session, &[job.id]).await?;
    let chunks = NewChunks::new(job.id, context.limits.chunks_per_cut, next_number);
    let mut cutting = Cutting { context, job, chunks };
    for progress in all.iter_mut().filter(|progress| !progress.cut) {
        cutting.cut_reference(session, &catalog, progress).await?;
        references::update(session, progress.clone()).await?;
        if cutting.chunks.room() == 0 {
            break;
        }
    }
    Ok((cutting.chunks.into_chunks(), all.iter().all(|progress| progress.cut)))
}

/// The cuts of a step.
struct Cutting<'c> {
    context: &'c Context,
    job: &'c Job,
    chunks: NewChunks,
}

impl Cutting<'_> {
    /// Returns the size of a chunk: the limit, or less by the measured throughput.
    fn rows_of_a_chunk(&self, progress: &ReferenceProgress) -> u64 {
        let Context { limits, throughput, .. } = self.context;
        let rows = throughput.rows_of_a_chunk(&self.job.catalog_hash, progress.position, limits);
        limits.chunk_rows.min(rows.unwrap_or(u64::MAX)).max(1)
    }

    async fn cut_reference(
        &mut self,
        session: &Session,
        catalog: &Catalog,
        progress: &mut ReferenceProgress,
    ) -> Result<()> {
        let reference = &catalog.references[progress.position];
        let leaver = self.job.user()?;
        if progress.cursor.is_none() && !progress.named.is_empty() {
            self.named(session, reference, progress, &leaver).await?;
        }
        if reference.keyless {
            return self.counted(session, reference, progress, &leaver).await;
        }
        let rows = self.rows_of_a_chunk(progress);
        let except: Vec<String> = progress.named.keys().cloned().collect();
        let asked = self.chunks.room().max(1);
        let cuts =
            host::cut(session, reference, leaver.as_str(), progress.cursor.as_ref(), &except, asked, rows).await?;
        progress.cut = (cuts.len() as u64) < asked || cuts.last().is_some_and(|cut| cut.records < rows);
        for cut in cuts {
            self.add(progress, false, Some((&cut.first, &cut.last)), progress.next_rank, cut.records);
            progress.next_rank += cut.records;
            progress.cursor = Some(cut.last);
        }
        Ok(())
    }

    /// Cuts rows without a key. They are counted when a pass begins, and the cursor is the number still to be cut. A chunk of
    /// them has no bounds: it takes a number of the next rows.
    async fn counted(
        &mut self,
        session: &Session,
        reference: &Reference,
        progress: &mut ReferenceProgress,
        leaver: &UserId,
    ) -> Result<()> {
        let rows = self.rows_of_a_chunk(progress);
        let mut left = match progress.cursor.as_ref().and_then(|cursor| cursor.first()?.parse().ok()) {
            Some(left) => left,
            None => host::count_next(session, reference, leaver.as_str(), u64::MAX).await?,
        };
        while left > 0 && self.chunks.room() > 0 {
            let records = left.min(rows);
            self.add(progress, false, None, progress.next_rank, records);
            progress.next_rank += records;
            left -= records;
        }
        progress.cut = left == 0;
        progress.cursor = Some(vec![left.to_string()]);
        Ok(())
    }

    /// Cuts the records that the request names one by one. They take no rank, and come first.
    async fn named(
        &mut self,
        session: &Session,
        reference: &Reference,
        progress: &ReferenceProgress,
        leaver: &UserId,
    ) -> Result<()> {
        let keys: Vec<&str> = progress.named.keys().map(String::as_str).collect();
        let rows = self.context.limits.chunk_rows.max(1) as usize;
        for (index, slice) in keys.chunks(rows).enumerate() {
            let gone = host::not_owned(session, reference, leaver, slice.iter().copied()).await?;
            let theirs = (slice.len() - gone.len()) as u64;
            let ends = slice
                .first()
                .zip(slice.last())
                .map(|(first, last)| (vec![(*first).to_owned()], vec![(*last).to_owned()]));
            let ends = ends.as_ref().map(|(first, last)| (first, last));
            self.add(progress, true, ends, (index * rows) as u64, theirs);
        }
        Ok(())
    }

    fn add(
        &mut self,
        progress: &ReferenceProgress,
        named: bool,
        range: Option<(&Vec<String>, &Vec<String>)>,
        first_rank: u64,
        records: u64,
    ) {
        self.chunks.add(progress.position, records as i64, |chunk| {
            chunk.named = named;
            chunk.first_key = range.map(|(first, _)| first.clone().into());
            chunk.last_key = range.map(|(_, last)| last.clone().into());
            chunk.first_rank = first_rank as i64;
        });
    }
}
