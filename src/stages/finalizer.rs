//! The finalizer: counts what is left of a job whose chunks are all closed, and completes it with its certificate.
//!
//! Its transaction locks the job, then the leaver's row, then counts. What arrived late is cut into further chunks, a
//! bounded number of times. For a while after the end the count is repeated: what still came is moved, and a
//! supplementary certificate says so.

use time::OffsetDateTime;

use super::certify::{After, Closing, Conclusion, after, conclude};
use super::mover::gone_successors;
use super::start::settle;
use super::{Context, Limits, cutter, letters, now};
use crate::catalog::{Catalog, Disposition};
use crate::contract::{Certificate, EventType, JobId, Rejection, UserId};
use crate::job::{Happening, State, StepKind};
use crate::store::host::{Hand, Part, Range};
use crate::store::ledger::jobs::Job;
use crate::store::ledger::outbox::Letter;
use crate::store::ledger::references::Course;
use crate::store::ledger::{audit, chunks, jobs, outbox, references};
use crate::store::{Error, Result, Session, host};

/// The transaction that ends a job.
pub const FINALIZE: &str = "finalize";
/// The transaction of a repeated count.
pub const RECOUNT: &str = "recount";

/// Ends a job, or begins one more pass.
pub async fn finalize(context: &Context, id: JobId) -> Result<()> {
    let now = now();
    let session = context.store.begin(FINALIZE).await?;
    let Some(mut job) = jobs::lock(&session, id.0).await? else { return Ok(()) };
    if job.state()? != State::Finalizing || chunks::any_open(&session, job.id).await? {
        return Ok(());
    }
    let catalog = context.catalogs.of_hash(&context.store, &job.catalog_hash).await?;
    host::enter(&session, &catalog, &job.org).await?;
    let catalog = catalog.within(&job.org);
    let courses = references::of_jobs(&session, &[job.id]).await?;
    let left = match conclusion_of(&session, &catalog, &job, courses.clone(), 0, now).await? {
        Conclusion::Proved(certificate) => {
            job.state = settle(&job, Happening::Proved)?;
            let mut left = complete(&mut job, *certificate, context.limits, now);
            left.extend(wake_waiting(&session, &job, now).await?);
            left
        }
        Conclusion::More(late) if job.late_passes < context.limits.late_passes => {
            cutter::cut_again(&session, &mut job, courses, |position| late.contains_key(&position), now).await?
        }
        Conclusion::More(late) => {
            let rejection = |(position, rows): (&usize, &u64)| {
                let reference = &catalog.references[*position];
                crate::job::rejection::orphans_left(Some(&reference.kind), &reference.table.to_string(), *rows)
            };
            get_stuck(&mut job, late.iter().map(rejection).collect(), now)?
        }
        Conclusion::Orphans(reasons) => get_stuck(&mut job, reasons, now)?,
    };
    audit::append(&session, vec![super::planner::audit_entry(&job)]).await?;
    outbox::insert(&session, left).await?;
    jobs::update(&session, State::Finalizing, job).await?;
    session.commit().await?;
    context.store.outbox_filled.notify_waiters();
    Ok(())
}

async fn conclusion_of(
    session: &Session,
    catalog: &Catalog,
    job: &Job,
    courses: Vec<Course>,
    supplement: u32,
    now: OffsetDateTime,
) -> Result<Conclusion> {
    let leaver = leaver_of(job)?;
    let started_at = job.started_at.unwrap_or(job.requested_at);
    let closing = Closing { job, leaver: &leaver, courses, started_at, supplement };
    let mut conclusions = conclude(session, catalog, &[closing], now).await?;
    conclusions.remove(&job.id).ok_or_else(|| Error::unexpected("counting what is left", "there is no conclusion"))
}

fn leaver_of(job: &Job) -> Result<UserId> {
    UserId::try_from(job.user_id.clone()).map_err(|what| Error::unexpected("reading a job", what))
}

/// Puts the certificate and the times of an ended job down; its events.
pub fn complete(job: &mut Job, certificate: Certificate, limits: Limits, now: OffsetDateTime) -> Vec<Letter> {
    job.completed_at = Some(now);
    job.certificate = serde_json::to_value(&certificate).ok();
    job.wake_at = None;
    job.recount_until = Some(now + limits.recount_for);
    job.recount_at = (!limits.recount_for.is_zero()).then(|| now + limits.recount_every.min(limits.recount_for));
    letters::completion(job, &certificate, now)
}

/// Tells the jobs that wait for this one, where it has ended.
pub async fn wake_waiting(session: &Session, job: &Job, now: OffsetDateTime) -> Result<Vec<Letter>> {
    if !job.state()?.is_final() {
        return Ok(Vec::new());
    }
    let waiting = jobs::waiting_for(session, &[job.id]).await?;
    Ok(waiting.into_iter().map(|waiting| letters::step_of(StepKind::Start, waiting, now)).collect())
}

/// Stops a job until a person decides; its event.
pub fn get_stuck(job: &mut Job, reasons: Vec<Rejection>, now: OffsetDateTime) -> Result<Vec<Letter>> {
    job.state = settle(job, Happening::Stuck)?;
    job.reasons = serde_json::to_value(&reasons).ok();
    job.wake_at = None;
    tracing::warn!(job = %job.id, reasons = reasons.len(), "a job needs attention");
    Ok(vec![letters::news(job, EventType::NeedsAttention, reasons, now)])
}

/// Counts a completed job again. What arrived since is moved here, a chunk's worth at a time, and certified anew. What
/// would go to somebody who has left since stays, and nothing is certified while it does.
pub async fn recount(context: &Context, id: JobId) -> Result<()> {
    let now = now();
    let session = context.store.begin(RECOUNT).await?;
    lock_parties(&session, id).await?;
    let Some(mut job) = jobs::lock(&session, id.0).await? else { return Ok(()) };
    if job.state()? != State::Completed {
        return Ok(());
    }
    let catalog = context.catalogs.of_hash(&context.store, &job.catalog_hash).await?;
    host::enter(&session, &catalog, &job.org).await?;
    let catalog = catalog.within(&job.org);
    let mut courses = references::of_jobs(&session, &[job.id]).await?;
    let mut moved = 0;
    for course in &mut courses {
        moved += move_late(&session, context, &catalog, &job, course, now).await?;
    }
    let mut left = Vec::new();
    if moved > 0 {
        let supplement = 1 + job.certificate.as_ref().and_then(|c| c["supplement"].as_u64()).unwrap_or(0) as u32;
        match conclusion_of(&session, &catalog, &job, courses, supplement, now).await? {
            Conclusion::Proved(certificate) => {
                job.certificate = serde_json::to_value(&certificate).ok();
                left.extend(letters::completion(&mut job, &certificate, now));
            }
            Conclusion::More(_) => left.push(letters::step(StepKind::Recount, &job, now)),
            Conclusion::Orphans(reasons) => {
                tracing::warn!(job = %job.id, reasons = reasons.len(), "rows point at a leaver after the end of the job");
            }
        }
    }
    outbox::insert(&session, left).await?;
    jobs::update(&session, State::Completed, job).await?;
    session.commit().await?;
    context.store.outbox_filled.notify_waiters();
    Ok(())
}

/// Locks the leaver and everybody who may still receive something: of a job that has ended, they may leave themselves.
async fn lock_parties(session: &Session, id: JobId) -> Result<()> {
    let Some(job) = jobs::get(session, id.0).await? else { return Ok(()) };
    let courses = references::of_jobs(session, &[job.id]).await?;
    let receivers = courses.iter().flat_map(|course| course.deal.successors());
    let receivers: Vec<_> = receivers.map(|user| (job.org.as_str(), user)).collect();
    host::lock_users(session, &[(&job.org, &leaver_of(&job)?)], &receivers).await
}

/// Deals with a reference's late rows, no more than a chunk has; how many there were. Where somebody who would receive
/// them has left since, they stay: nobody receives records after they have left.
async fn move_late(
    session: &Session,
    context: &Context,
    catalog: &Catalog,
    job: &Job,
    course: &mut Course,
    now: OffsetDateTime,
) -> Result<u64> {
    let reference = &catalog.references[course.position];
    if after(reference, course) != After::Late {
        return Ok(0);
    }
    let leaver = leaver_of(job)?;
    let rows = context.limits.chunk_rows;
    let Some(cut) = host::cut(session, reference, leaver.as_str(), None, &[], 1, rows).await?.into_iter().next() else {
        return Ok(0);
    };
    let hand = match &reference.disposition {
        Disposition::Transfer { .. } | Disposition::Block { .. } => {
            let ranks = course.next_rank..course.next_rank + cut.records;
            let successors = ranks.map(|rank| course.deal.successor(rank).cloned()).collect();
            Hand::Dealt { successors, except: Vec::new() }
        }
        _ => Hand::None,
    };
    let range = Range::Keys { first: cut.first, last: cut.last };
    let part = Part { job: job.id, chunk: None, leaver, range, hand, at: now };
    let gone = gone_successors(session, catalog, course, &part).await?;
    if !gone.is_empty() {
        tracing::warn!(job = %job.id, kind = course.kind, ?gone, "late records stay: give them to somebody in the application");
        return Ok(0);
    }
    host::work(session, catalog, reference, &[part]).await?;
    course.next_rank += cut.records;
    references::update(session, course.clone()).await?;
    Ok(cut.records)
}
