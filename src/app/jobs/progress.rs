//! Reports how far a job is.

use uuid::Uuid;

use crate::app::error::Result;
use crate::store::Store;
use crate::store::ledger::chunks::{self, ChunkCounts};
use crate::store::ledger::jobs::{self, Job};
use crate::store::ledger::references;

/// A job and the state of its chunks.
#[derive(Debug)]
pub struct Status {
    /// The job.
    pub job: Job,
    /// Its chunks, all references together.
    pub chunks: ChunkCounts,
}

/// Returns a job with the state of its chunks.
pub async fn status(store: &Store, id: Uuid) -> Result<Option<Status>> {
    let session = store.reader();
    let Some(job) = jobs::get(&session, id).await? else { return Ok(None) };
    let chunks = chunks::counts_of_job(&session, id).await?;
    Ok(Some(Status { job, chunks }))
}

/// Returns the state of the chunks of each reference, in the catalog's order. A job that was done at once has none.
pub async fn progress(store: &Store, id: Uuid) -> Result<Vec<(String, ChunkCounts)>> {
    let session = store.reader();
    let standing = chunks::counts(&session, &[id]).await?;
    let progress = references::of_jobs(&session, &[id]).await?;
    let by_kind =
        |reference: references::ReferenceProgress| Some((reference.kind, *standing.get(&(id, reference.position))?));
    Ok(progress.into_iter().filter_map(by_kind).collect())
}
