//! Chunks: which rows they hold, who receives them, and when a failed one is tried again.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::time::Duration;

use crate::catalog::Catalog;
use crate::contract::{Reason, UserId};
use crate::job::reason;
use crate::store::host::{Assignment, Key, RowRange, WorkItem};
use crate::store::ledger::chunks::{self, Chunk};
use crate::store::ledger::jobs::Job;
use crate::store::ledger::references::ReferenceProgress;
use crate::store::{Error, Result, Session, host};

/// The pause after a chunk's first failure. It doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The most doublings of the pause. A chunk that waits for a lock may fail often, and is then tried every half minute.
const MOST_DOUBLINGS: i32 = 6;

/// Returns the pause of a chunk after so many failures.
pub fn pause_after_failures(attempts: i32) -> Duration {
    FIRST_PAUSE * 2u32.pow(attempts.clamp(1, MOST_DOUBLINGS) as u32 - 1)
}

/// Returns the first and the last key of a chunk.
pub fn range_of(chunk: &Chunk) -> Result<(Key, Key)> {
    let doing = "reading a chunk";
    let read = |key: &Option<serde_json::Value>| -> Result<Key> {
        let key = key.clone().ok_or_else(|| Error::unexpected(doing, "a chunk has no range"))?;
        serde_json::from_value(key).map_err(|error| Error::unexpected(doing, error.to_string()))
    };
    Ok((read(&chunk.first_key)?, read(&chunk.last_key)?))
}

/// Returns true if a chunk takes the rows that come next, because they have no keys.
pub fn is_unbounded(chunk: &Chunk) -> bool {
    chunk.first_key.is_none()
}

/// Returns the rows that a chunk of a table without keys takes: the next ones, or one that was isolated for it.
pub async fn rows_without_keys(session: &Session, chunk: &Chunk) -> Result<RowRange> {
    if !is_unbounded(chunk) {
        return Ok(RowRange::Like(range_of(chunk)?.0.concat()));
    }
    let but = chunks::isolated_rows(session, chunk.job_id, chunk.position).await?;
    Ok(RowRange::Next { rows: chunk.records.max(0) as u64, but })
}

/// Returns the records of a chunk that the request names, with their successors: from its first key to its last, in the order
/// of their texts.
pub fn named_slice(progress: &ReferenceProgress, first: &str, last: &str) -> BTreeMap<String, UserId> {
    let slice = progress.named.range::<str, _>((Bound::Included(first), Bound::Included(last)));
    slice.map(|(key, user)| (key.clone(), user.clone())).collect()
}

/// Returns a reason for each successor of these records who is not active any more, is locked out, or has left the organization.
/// Nobody receives records after they have left.
///
/// Locks: the successors, in shared mode, without waiting: fails with contention while another transaction plans for one of them as
/// a leaver. What this returns then holds until the transaction ends.
pub async fn gone_successors(
    session: &Session,
    catalog: &Catalog,
    job: &Job,
    progress: &ReferenceProgress,
    item: &WorkItem,
) -> Result<Vec<Reason>> {
    let successors: BTreeSet<&UserId> = match &item.assignment {
        Assignment::None => return Ok(Vec::new()),
        Assignment::Sole(successor) => BTreeSet::from([successor]),
        Assignment::Dealt { successors, .. } => successors.iter().flatten().collect(),
        Assignment::Named(named) => named.values().collect(),
    };
    let successors: Vec<&UserId> = successors.into_iter().collect();
    if !host::try_lock_receivers(session, &job.org, &successors).await? {
        return Err(Error::contention("checking the successors", "one of them may be about to leave"));
    }
    let gone = host::gone_among(session, catalog, &job.org, &successors).await?;
    Ok(gone.iter().map(|user| reason::successor_gone(&progress.kind, user.as_str())).collect())
}

/// Returns the name under which the throughput of a job's rows is measured. Moving rows back may take another time than moving
/// them out.
pub fn throughput_key(job: &Job) -> Cow<'_, str> {
    match job.undoes() {
        true => format!("{} back", job.catalog_hash).into(),
        false => job.catalog_hash.as_str().into(),
    }
}

/// The action after a chunk has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureAction {
    /// It is tried again after a pause.
    Retry,
    /// It is replaced by smaller chunks.
    Split,
    /// It is given up.
    GiveUp,
}
