//! Reports how far a job is.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::app::error::Result;
use crate::contract::RequestType;
use crate::job::State;
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

/// The progress of a job, as it is followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Progress {
    /// The job.
    pub job_id: Uuid,
    /// The type of its request.
    #[serde(rename = "type")]
    pub kind: RequestType,
    /// Its state.
    pub state: State,
    /// The number of its last event: a command names it in `If-Match`.
    pub version: i64,
    /// True if nothing more happens by itself: the job has ended, or waits for a person.
    pub ended: bool,
    /// Chunks that wait or are being worked on.
    pub open_chunks: u64,
    /// Chunks that are done.
    pub closed_chunks: u64,
    /// Chunks that were given up.
    pub failed_chunks: u64,
    /// Records of all chunks when they were cut.
    pub records: u64,
    /// Records moved, removed or set so far.
    pub done: u64,
}

impl Progress {
    fn of(job: &Job, chunks: ChunkCounts) -> Progress {
        Progress {
            job_id: job.id,
            kind: job.kind,
            state: job.state,
            version: job.sequence,
            ended: job.state.is_final() || job.state.is_held(),
            open_chunks: chunks.open,
            closed_chunks: chunks.closed,
            failed_chunks: chunks.failed,
            records: chunks.records,
            done: chunks.done,
        }
    }
}

/// Returns the progress of those of these jobs that exist, by job: two statements for any number of jobs.
pub async fn progress_of(store: &Store, ids: &[Uuid]) -> Result<HashMap<Uuid, Progress>> {
    let session = store.reader();
    let found = jobs::of_ids(&session, ids).await?;
    let mut chunks: HashMap<Uuid, ChunkCounts> = HashMap::new();
    for ((job, _), counts) in chunks::counts(&session, ids).await? {
        chunks.entry(job).or_default().add(&counts);
    }
    Ok(found.iter().map(|job| (job.id, Progress::of(job, chunks.remove(&job.id).unwrap_or_default()))).collect())
}
