//! The finalizer: counts what is left of a job whose chunks are all closed, and completes it with its certificate.
//!
//! Its transaction locks the job, then the leaver's row, then counts. What arrived late is cut into further chunks, a
//! bounded number of times. For a while after the end the count is repeated: what still came is moved, and a
//! supplementary certificate says so.

use std::borrow::Cow;

use time::OffsetDateTime;

use crate::catalog::{Catalog, Disposition, Reference};
use crate::contract::{Certificate, Change, JobId, Reason, RequestType, UserId};
use crate::job::{State, StepKind, Transition};
use crate::stages::handover::certify::{After, Closing, Conclusion, after, conclude};
use crate::stages::handover::cutter;
use crate::stages::handover::mover::gone_successors;
use crate::stages::handover::start::transition;
use crate::stages::undo::{begin, finalize};
use crate::stages::{Context, Limits, messages, now, pause_after};
use crate::store::host::{Assignment, RowRange, WorkItem};
use crate::store::ledger::jobs::Job;
use crate::store::ledger::outbox::OutboxMessage;
use crate::store::ledger::references::ReferenceProgress;
use crate::store::ledger::{audit, chunks, jobs, outbox, references, requests};
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
    let mut follows = None;
    let left = match job.undoes() {
        true => finalize::finalize(&session, context, &mut job, now).await?,
        false => conclude_one(&session, context, &mut job, &mut follows, now).await?,
    };
    audit::append(&session, vec![crate::stages::changes::audit_entry(&job)]).await?;
    outbox::insert(&session, left).await?;
    jobs::update(&session, State::Finalizing, job).await?;
    jobs::insert(&session, follows.into_iter().collect()).await?;
    session.commit().await
}

/// Counts what is left of a job: it is completed, goes round again, or needs attention.
async fn conclude_one(
    session: &Session,
    context: &Context,
    job: &mut Job,
    follows: &mut Option<Job>,
    now: OffsetDateTime,
) -> Result<Vec<OutboxMessage>> {
    let catalog = context.enter(session, job).await?;
    let courses = references::of_jobs(session, &[job.id]).await?;
    match conclusion_of(session, &catalog, job, courses.clone(), 0, now).await? {
        Conclusion::Proved(certificate) => {
            job.state = transition(job, Transition::Proved)?;
            let ended = complete(job, *certificate, context.limits, now);
            *follows = ended.follows;
            let mut left = ended.messages;
            left.extend(wake_waiting(session, job, now).await?);
            Ok(left)
        }
        Conclusion::More(late) if job.late_passes < context.limits.late_passes => {
            cutter::cut_again(session, job, courses, |position| late.contains_key(&position), now).await
        }
        Conclusion::More(late) => {
            let rejection = |(position, rows): (&usize, &u64)| {
                let reference = &catalog.references[*position];
                crate::job::reason::orphans_left(Some(&reference.kind), &reference.table.to_string(), *rows)
            };
            mark_needs_attention(job, late.iter().map(rejection).collect(), now)
        }
        Conclusion::Orphans(reasons) => mark_needs_attention(job, reasons, now),
    }
}

async fn conclusion_of(
    session: &Session,
    catalog: &Catalog,
    job: &Job,
    courses: Vec<ReferenceProgress>,
    supplement: u32,
    now: OffsetDateTime,
) -> Result<Conclusion> {
    let leaver = job.user()?;
    let started_at = job.started_at.unwrap_or(job.requested_at);
    let reassign = Cow::Owned(requests::named_by(session, job).await?);
    let closing = Closing { job, leaver: &leaver, reassign, courses, started_at, supplement, tallies: None };
    let mut conclusions = conclude(session, catalog, &[closing], now).await?;
    conclusions.remove(&job.id).ok_or_else(|| Error::unexpected("counting what is left", "there is no conclusion"))
}

/// What the end of a job leaves.
pub struct Ended {
    /// Its events, and what is to be looked at.
    pub messages: Vec<OutboxMessage>,
    /// Of a leave: the job that brings the user back, to be opened.
    pub follows: Option<Job>,
}

/// Puts the certificate and the times of an ended job down.
pub fn complete(job: &mut Job, certificate: Certificate, limits: Limits, now: OffsetDateTime) -> Ended {
    job.completed_at = Some(now);
    job.certificate = serde_json::to_value(&certificate).ok();
    (job.wake_at, job.redispatches) = (None, 0);
    if job.is(RequestType::Deactivate) {
        job.recount_until = Some(now + limits.recount_for);
        job.recount_at = next_count(job, limits, now);
    }
    let mut messages = messages::completion(job, &certificate, now);
    let (follows, steps) = begin::return_of(job, limits.stalled_after, now).unzip();
    messages.extend(steps.into_iter().flatten());
    Ended { messages, follows }
}

/// When a completed job is counted next, at the latest at the end of its time. A count that was asked for and not made may
/// wait on its queue, or be lost: it is asked for again later and later.
pub fn next_count(job: &Job, limits: Limits, now: OffsetDateTime) -> Option<OffsetDateTime> {
    let until = job.recount_until.filter(|until| now < *until)?;
    Some(until.min(now + pause_after(limits.recount_every, job.redispatches)))
}

/// Tells the jobs that wait for this one, where it has ended.
pub async fn wake_waiting(session: &Session, job: &Job, now: OffsetDateTime) -> Result<Vec<OutboxMessage>> {
    if !job.state()?.is_final() {
        return Ok(Vec::new());
    }
    let waiting = jobs::waiting_for(session, &[job.id]).await?;
    Ok(waiting.iter().map(|waiting| messages::step(StepKind::Start, waiting, now)).collect())
}

/// Stops a job until a person decides; its event.
pub fn mark_needs_attention(job: &mut Job, reasons: Vec<Reason>, now: OffsetDateTime) -> Result<Vec<OutboxMessage>> {
    job.state = transition(job, Transition::NeedsAttention)?;
    job.reasons = serde_json::to_value(&reasons).ok();
    job.wake_at = None;
    tracing::warn!(job = %job.id, reasons = reasons.len(), "a job needs attention");
    Ok(vec![messages::news(job, Change::NeedsAttention, reasons, now)])
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
    let catalog = context.enter(&session, &job).await?;
    if job.redispatches > 0 {
        job.redispatches = 0;
        // What ended the counts meanwhile ended them for good.
        job.recount_at = job.recount_at.and_then(|_| next_count(&job, context.limits, now));
    }
    // Who has come back by another way keeps what is theirs.
    if host::inactive_among(&session, &catalog, &[&job.user()?]).await?.is_empty() {
        job.recount_at = None;
        jobs::update(&session, State::Completed, job).await?;
        return session.commit().await;
    }
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
                left.extend(messages::completion(&mut job, &certificate, now));
            }
            Conclusion::More(_) => left.push(messages::step(StepKind::Recount, &job, now)),
            Conclusion::Orphans(reasons) => {
                tracing::warn!(job = %job.id, reasons = reasons.len(), "rows point at a leaver after the end of the job");
            }
        }
    }
    outbox::insert(&session, left).await?;
    jobs::update(&session, State::Completed, job).await?;
    session.commit().await
}

/// Locks the leaver and everybody who may still receive something: of a job that has ended, they may leave themselves.
async fn lock_parties(session: &Session, id: JobId) -> Result<()> {
    let Some(job) = jobs::get(session, id.0).await? else { return Ok(()) };
    let courses = references::of_jobs(session, &[job.id]).await?;
    let receivers = courses.iter().flat_map(|course| course.deal.successors());
    let receivers: Vec<_> = receivers.map(|user| (job.org.as_str(), user)).collect();
    host::lock_users(session, &[(&job.org, &job.user()?)], &receivers).await
}

/// Deals with a reference's late rows, no more than a chunk has; how many there were. Where somebody who would receive
/// them has left since, they stay: nobody receives records after they have left.
async fn move_late(
    session: &Session,
    context: &Context,
    catalog: &Catalog,
    job: &Job,
    course: &mut ReferenceProgress,
    now: OffsetDateTime,
) -> Result<u64> {
    let reference = &catalog.references[course.position];
    if after(reference, course) != After::Late {
        return Ok(0);
    }
    let leaver = job.user()?;
    let rows = context.limits.chunk_rows;
    let Some((range, records)) = next_rows(session, reference, &leaver, rows).await? else { return Ok(0) };
    let assignment = match &reference.disposition {
        Disposition::Transfer { .. } | Disposition::Block { .. } => {
            let ranks = course.next_rank..course.next_rank + records;
            let successors = ranks.map(|rank| course.deal.successor(rank).cloned()).collect();
            Assignment::Dealt { successors, except: Vec::new() }
        }
        _ => Assignment::None,
    };
    let item = WorkItem { job: job.id, chunk: None, leaver, range, assignment, at: now };
    let gone = gone_successors(session, catalog, course, &item).await?;
    if !gone.is_empty() {
        tracing::warn!(job = %job.id, kind = course.kind, ?gone, "late records stay: give them to somebody in the application");
        return Ok(0);
    }
    host::apply(session, catalog, reference, &[item]).await?;
    course.next_rank += records;
    references::update(session, course.clone()).await?;
    Ok(records)
}

/// A leaver's first rows, at most so many, and how many they are.
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
