//! The finalizer: counts what is left of a job whose chunks are all closed, and completes it with its certificate.
//!
//! Its transaction locks the job, then the leaver's row, then counts. Late records are cut into further chunks, a bounded
//! number of times. For a while after the end the count is repeated: records that arrived since are moved, and reported in a
//! supplementary certificate. Rows that nobody may receive reopen the job.

use std::collections::BTreeSet;

use time::OffsetDateTime;

use crate::catalog::{Catalog, Reference};
use crate::contract::{JobId, UserId};
use crate::job::{State, StepKind};
use crate::stages::changes::LedgerChanges;
use crate::stages::context::{Context, now};
use crate::stages::handover::certify::{
    Conclusion, Remaining, conclude_one, left_after_end, reasons_of_late, remaining,
};
use crate::stages::handover::chunk::gone_successors;
use crate::stages::lifecycle::{JobChange, next_count};
use crate::stages::undo;
use crate::store::host::{Assignment, RowRange, WorkItem};
use crate::store::ledger::jobs::Job;
use crate::store::ledger::references::ReferenceProgress;
use crate::store::ledger::{chunks, jobs, references};
use crate::store::{Locking, Result, Session, host};

/// The transaction that ends a job.
pub const FINALIZE: &str = "finalize";
/// The transaction of a repeated count.
pub const RECOUNT: &str = "recount";

/// Ends a job, or begins one more pass.
pub async fn finalize(context: &Context, id: JobId) -> Result<()> {
    let now = now();
    let session = context.store.begin(FINALIZE).await?;
    let Some(mut change) = JobChange::lock(&session, id.0).await? else { return Ok(()) };
    if change.state() != State::Finalizing || chunks::any_open(&session, id.0).await? {
        return Ok(());
    }
    let mut changes = LedgerChanges::default();
    match change.job.undoes() {
        true => changes.merge(undo::finalize::finalize(&session, context, &mut change, now).await?),
        false => finalize_handover(&session, context, &mut change, now).await?,
    }
    change.save(&mut changes);
    changes.write(&session).await?;
    session.commit().await
}

/// Counts what is left of a job: it is completed, goes through one more pass, or needs attention.
async fn finalize_handover(
    session: &Session,
    context: &Context,
    change: &mut JobChange,
    now: OffsetDateTime,
) -> Result<()> {
    let catalog = context.enter(session, &change.job).await?;
    let progress = references::of_jobs(session, &[change.job.id]).await?;
    // A job that was reopened has a certificate already.
    let supplement = change.job.certificate.as_ref().map_or(0, |_| next_supplement(&change.job));
    match conclude_one(session, &catalog, &change.job, &progress, supplement, now).await? {
        Conclusion::Proved(certificate) => change.complete(&certificate, context, now),
        Conclusion::More(late) if change.job.late_passes < context.limits.late_passes => {
            for mut progress in progress.into_iter().filter(|progress| late.contains_key(&progress.position)) {
                (progress.cut, progress.cursor) = (false, None);
                references::update(session, progress).await?;
            }
            change.cut_again(now)
        }
        Conclusion::More(late) => change.mark_needs_attention(reasons_of_late(&catalog, &late), now),
        Conclusion::Orphans(reasons) => change.mark_needs_attention(reasons, now),
    }
}

/// Counts a completed job again. Records that arrived since are moved here, a chunk's worth at a time, and certified anew. Rows that
/// nobody may receive, or whose successor has left since, stay and reopen the job: a person has to decide.
pub async fn recount(context: &Context, id: JobId) -> Result<()> {
    let now = now();
    let session = context.store.begin(RECOUNT).await?;
    lock_parties(&session, id).await?;
    let Some(mut change) = JobChange::lock(&session, id.0).await? else { return Ok(()) };
    if change.state() != State::Completed {
        return Ok(());
    }
    let catalog = context.enter(&session, &change.job).await?;
    if change.job.redispatches > 0 {
        change.job.redispatches = 0;
        // If the counts have ended meanwhile, they do not begin again.
        change.job.recount_at = change.job.recount_at.and_then(|_| next_count(&change.job, context.limits, now));
    }
    // A user who is active again by another way keeps what is theirs.
    if host::inactive_among(&session, &catalog, &[&change.job.user()?]).await?.is_empty()
        || has_left_again(&session, &change.job).await?
    {
        change.job.recount_at = None;
    } else {
        move_and_certify_late(&session, context, &catalog, &mut change, now).await?;
    }
    change.write(&session).await?;
    session.commit().await
}

/// Returns true if a later request has let the user in or out: what they own belongs to that one.
async fn has_left_again(session: &Session, job: &Job) -> Result<bool> {
    let last = jobs::last_change_of_access(session, &job.org, &job.user_id).await?;
    Ok(last.is_some_and(|last| last.requested_at > job.requested_at))
}

async fn move_and_certify_late(
    session: &Session,
    context: &Context,
    catalog: &Catalog,
    change: &mut JobChange,
    now: OffsetDateTime,
) -> Result<()> {
    let mut all = references::of_jobs(session, &[change.job.id]).await?;
    let (mut moved, mut stuck) = (0, false);
    for progress in &mut all {
        match move_late(session, context, catalog, &change.job, progress, now).await? {
            Late::Moved(records) => moved += records,
            Late::Stuck => stuck = true,
        }
    }
    let supplement = next_supplement(&change.job);
    let conclusion = match moved {
        0 => None,
        _ => Some(conclude_one(session, catalog, &change.job, &all, supplement, now).await?),
    };
    match conclusion {
        Some(Conclusion::Proved(certificate)) => return change.supplement(&certificate, context, now),
        Some(Conclusion::More(_)) if !stuck => return change.step(StepKind::Recount, now),
        Some(Conclusion::More(_) | Conclusion::Orphans(_)) | None => {}
    }
    let Some(left) = left_after_end(session, catalog, &change.job, &all, (supplement, stuck), now).await? else {
        return Ok(());
    };
    let (org, user) = (&change.job.org, &change.job.user_id);
    let other = jobs::open(session, org, user, Locking::Unlocked).await?;
    change.reopen(&left.certificate, left.reasons, other.is_some(), now)
}

/// Returns the number of a job's next certificate.
fn next_supplement(job: &Job) -> u32 {
    let earlier = job.certificate.as_ref().and_then(|certificate| certificate["supplement"].as_u64());
    1 + earlier.unwrap_or(0) as u32
}

/// The outcome for the late rows of a reference.
enum Late {
    /// So many were handled, at most a chunk's worth.
    Moved(u64),
    /// There are some, and their successor has left since.
    Stuck,
}

/// Locks the leaver and everybody who may still receive something. The job has ended, so the latter may leave themselves.
async fn lock_parties(session: &Session, id: JobId) -> Result<()> {
    let Some(job) = jobs::get(session, id.0).await? else { return Ok(()) };
    let all = references::of_jobs(session, &[job.id]).await?;
    let receivers = all.iter().flat_map(|progress| progress.deal.successors());
    let receivers: Vec<_> = receivers.map(|user| (job.org.as_str(), user)).collect();
    host::lock_users(session, &[(&job.org, &job.user()?)], &receivers).await
}

/// Applies a reference's disposition to its late rows, at most a chunk's worth. If a successor has left since, the rows stay: nobody
/// receives records after they have left.
async fn move_late(
    session: &Session,
    context: &Context,
    catalog: &Catalog,
    job: &Job,
    progress: &mut ReferenceProgress,
    now: OffsetDateTime,
) -> Result<Late> {
    let reference = &catalog.references[progress.position];
    if remaining(reference, progress) != Remaining::Late {
        return Ok(Late::Moved(0));
    }
    let leaver = job.user()?;
    let rows = context.limits.chunk_rows;
    let Some((range, records)) = next_rows(session, reference, &leaver, rows).await? else {
        return Ok(Late::Moved(0));
    };
    let assignment = match reference.disposition.moves() {
        true => {
            let ranks = progress.next_rank..progress.next_rank + records;
            let successors = ranks.map(|rank| progress.deal.successor(rank).cloned()).collect();
            Assignment::Dealt { successors, except: Vec::new() }
        }
        false => Assignment::None,
    };
    let item = WorkItem { job: job.id, chunk: None, leaver, range, assignment, at: now };
    let gone = gone_successors(session, catalog, job, progress, &item).await?;
    if !gone.is_empty() {
        tracing::warn!(job = %job.id, org = job.org, request = job.request_id, kind = progress.kind, ?gone, "late records stay: their successor has left");
        return Ok(Late::Stuck);
    }
    if catalog.shares_rows(reference) {
        host::lock_shared_rows(session, &BTreeSet::from([job.org.as_str()])).await?;
    }
    host::apply(session, catalog, reference, &[item]).await?;
    progress.next_rank += records;
    references::update(session, progress.clone()).await?;
    Ok(Late::Moved(records))
}

/// Returns a leaver's first rows, at most `rows` of them, and their number.
async fn next_rows(
    session: &Session,
    reference: &Reference,
    leaver: &UserId,
    rows: u64,
) -> Result<Option<(RowRange, u64)>> {
    if reference.keyless {
        let rows = host::count_next(session, reference, leaver.as_str(), rows).await?;
        return Ok((rows > 0).then_some((RowRange::Next { rows, but: Vec::new() }, rows)));
    }
    let cuts = host::cut(session, reference, leaver.as_str(), None, &[], 1, rows).await?;
    Ok(cuts.into_iter().next().map(|cut| (RowRange::Keys { first: cut.first, last: cut.last }, cut.records)))
}
