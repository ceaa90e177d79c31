//! Changes of a job: its row, its audit entry and its messages, in one call.
//!
//! A stage that changes a job takes a [`JobChange`], calls what happens to the job, and saves it. Saving writes the row with
//! the state that it had, the entry of the audit trail and every message, so that none of them can be forgotten. A change
//! that is dropped writes nothing.

use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::contract::{Certificate, Change, EventType, Reason, RequestType};
use crate::job::{IllegalTransition, State, Step, StepKind, Transition, next};
use crate::stages::changes::LedgerChanges;
use crate::stages::context::{Context, now, pause_after};
use crate::stages::limits::Limits;
use crate::stages::messages;
use crate::stages::new_job::{BEGINNING, return_job};
use crate::store::ledger::audit::{ACCESS_ENDED, Entry};
use crate::store::ledger::jobs::{self, Job};
use crate::store::ledger::outbox::OutboxMessage;
use crate::store::{Error, Result, Session};

/// A job that a transaction changes, and what the change leaves.
#[must_use = "a change that is not saved writes nothing"]
pub struct JobChange {
    /// The job. Its state changes only by the methods of this type.
    pub job: Job,
    /// The state in the ledger; `None` for a new job.
    from: Option<State>,
    is_audited: bool,
    /// True if the change locks the user out, before the handover begins.
    locks_out: bool,
    /// The user who asked for the change, if it was not who asked for the job.
    actor: Option<String>,
    messages: Vec<OutboxMessage>,
    /// The job that brings the user back, once a leave has ended.
    return_job: Option<Box<JobChange>>,
}

impl JobChange {
    /// Locks a job until the transaction ends.
    pub async fn lock(session: &Session, id: Uuid) -> Result<Option<JobChange>> {
        Ok(jobs::lock(session, id).await?.map(JobChange::of))
    }

    /// Begins to change a job that is locked.
    pub fn of(job: Job) -> JobChange {
        let from = Some(job.state);
        JobChange { from, is_audited: false, ..JobChange::of_new(job) }
    }

    /// Begins to change a new job.
    pub fn of_new(job: Job) -> JobChange {
        let messages = Vec::new();
        JobChange { job, from: None, is_audited: true, locks_out: false, actor: None, messages, return_job: None }
    }

    /// Names the user who asked for the change in the audit trail.
    pub fn by(mut self, actor: &str) -> JobChange {
        self.actor = Some(actor.to_owned());
        self
    }

    /// Returns the job's state, with the transitions of this change.
    pub fn state(&self) -> State {
        self.job.state
    }

    /// Applies a transition, or fails if the table does not have it.
    pub fn transition(&mut self, transition: Transition) -> Result<()> {
        let id = self.job.id;
        let illegal = |error: IllegalTransition| Error::unexpected(format!("changing the job {id}"), error.to_string());
        let state = next(self.job.state, transition).map_err(illegal)?;
        self.job.state = state;
        self.is_audited |= transition.is_audited();
        Ok(())
    }

    /// Leaves a step that is due at a time.
    pub fn step(&mut self, kind: StepKind, due: OffsetDateTime) -> Result<()> {
        self.messages.push(messages::step(kind, &self.job, due)?);
        Ok(())
    }

    /// Leaves a step again that was blocked. The sweeper leaves the job alone until after that.
    pub fn defer(&mut self, step: Step, due: OffsetDateTime, limits: Limits) -> Result<()> {
        self.messages.push(messages::deferred_step(step, &self.job, due)?);
        self.job.wake_at = self.job.wake_at.map(|at| at.max(due + limits.stalled_after));
        Ok(())
    }

    /// Leaves tickets for the job's chunks.
    pub fn tickets(&mut self, count: u64, due: OffsetDateTime) -> Result<()> {
        self.messages.extend(messages::tickets(count, &self.job, due)?);
        Ok(())
    }

    /// Leaves an event that is made of the job. Making it increments the job's sequence.
    pub fn event(&mut self, make: impl FnOnce(&mut Job) -> Result<OutboxMessage>) -> Result<()> {
        self.messages.push(make(&mut self.job)?);
        Ok(())
    }

    /// Leaves the event of the job's new state.
    fn status(&mut self, change: Change, reasons: Vec<Reason>, now: OffsetDateTime) -> Result<()> {
        self.event(|job| messages::job_status(job, change, reasons, now))
    }

    /// Returns true if the change leaves messages.
    pub fn has_messages(&self) -> bool {
        !self.messages.is_empty()
    }

    /// Adds the change to those that the transaction writes.
    pub fn save(self, changes: &mut LedgerChanges) {
        let mut change = Some(Box::new(self));
        while let Some(saved) = change {
            let JobChange { job, from, is_audited, locks_out, actor, messages, return_job } = *saved;
            if locks_out {
                changes.audit(Entry { action: ACCESS_ENDED.into(), detail: None, ..entry_of(&job, actor.clone()) });
            }
            let entry = is_audited.then(|| entry_of(&job, actor));
            changes.job(from, job, entry, messages);
            change = return_job;
        }
    }

    /// Writes the change alone.
    pub async fn write(self, session: &Session) -> Result<()> {
        let mut changes = LedgerChanges::default();
        self.save(&mut changes);
        changes.write(session).await
    }
}

/// The transitions of a job, with the events that they leave.
impl JobChange {
    /// Rejects a new job. Messages that were left before are dropped.
    pub fn reject(&mut self, reasons: Vec<Reason>, now: OffsetDateTime) -> Result<()> {
        self.messages.clear();
        (self.job.started_at, self.job.access_ended_at) = (None, None);
        self.job.state = State::Rejected;
        self.job.completed_at = Some(now);
        self.job.reasons = Some(to_value(&reasons)?);
        self.status(Change::Rejected, reasons, now)
    }

    /// Completes the job of a command, which is done at once.
    pub fn complete_command(&mut self, now: OffsetDateTime) {
        self.job.state = State::Completed;
        (self.job.started_at, self.job.completed_at) = (Some(now), Some(now));
    }

    /// Schedules a new job, to be looked at when it is due. `open` are the reasons why it could not begin as it is.
    pub fn schedule(&mut self, due: OffsetDateTime, open: Vec<Reason>, now: OffsetDateTime) -> Result<()> {
        self.job.state = State::Scheduled;
        self.step(StepKind::Start, due)?;
        self.report(Change::Scheduled, open, now)
    }

    /// Records that the job locks the user out, before the handover begins.
    pub fn lock_out(&mut self, now: OffsetDateTime) {
        self.job.access_ended_at = Some(now);
        self.locks_out = true;
    }

    /// Leaves the event of a job's state once more, because something else of the job has changed.
    pub fn report(&mut self, change: Change, open: Vec<Reason>, now: OffsetDateTime) -> Result<()> {
        self.job.reasons = if open.is_empty() { None } else { Some(to_value(&open)?) };
        self.status(change, open, now)
    }

    /// Leaves the event of an open job's state once more, because a later event of its user says otherwise.
    pub fn repeat_status(&mut self, now: OffsetDateTime) -> Result<()> {
        let change = match self.state() {
            State::Scheduled => Change::Scheduled,
            State::Cutting | State::Moving | State::Finalizing => Change::Started,
            State::NeedsAttention => Change::NeedsAttention,
            State::Paused => Change::Paused,
            State::Completed | State::Rejected | State::Reverting | State::Reverted | State::Cancelled => return Ok(()),
        };
        let reasons = self.job.reasons.clone().map(serde_json::from_value).transpose();
        let reasons = reasons.map_err(|error| Error::unexpected("reading the reasons of a job", error.to_string()))?;
        self.status(change, reasons.unwrap_or_default(), now)
    }

    /// Opens a job for the stages: the cutter is next.
    pub fn open(&mut self, limits: Limits, now: OffsetDateTime) -> Result<()> {
        self.job.wake_at = Some(now + limits.stalled_after);
        self.step(StepKind::Cut, now)?;
        self.status(Change::Started, Vec::new(), now)
    }

    /// Opens a job that undoes others. Its events are those of the job that it undoes.
    pub fn open_undo(&mut self, limits: Limits, now: OffsetDateTime) -> Result<()> {
        match self.from {
            None => self.job.state = BEGINNING,
            Some(_) => self.transition(Transition::Started)?,
        }
        self.job.started_at = Some(now);
        (self.job.completed_at, self.job.wait_for) = (None, None);
        self.job.wake_at = Some(now + limits.stalled_after);
        self.step(StepKind::Cut, now)
    }

    /// Stops a job until a person decides.
    pub fn mark_needs_attention(&mut self, reasons: Vec<Reason>, now: OffsetDateTime) -> Result<()> {
        self.transition(Transition::NeedsAttention)?;
        self.job.reasons = Some(to_value(&reasons)?);
        self.job.wake_at = None;
        tracing::warn!(job = %self.job.id, org = self.job.org, request = self.job.request_id, reasons = reasons.len(), "job needs attention");
        self.status(Change::NeedsAttention, reasons, now)
    }

    /// Reopens a completed job whose certificate is not true any more: rows have arrived since that may not stay. While another job
    /// of the user is open it stays completed, and only the event reports the rows. They are reported once.
    pub fn reopen(
        &mut self,
        certificate: &Certificate,
        reasons: Vec<Reason>,
        has_other: bool,
        now: OffsetDateTime,
    ) -> Result<()> {
        let reported = Some(to_value(&reasons)?);
        if has_other && self.job.reasons == reported {
            return Ok(());
        }
        self.set_certificate(certificate)?;
        self.job.reasons = reported;
        if !has_other {
            self.transition(Transition::Reopened)?;
            (self.job.recount_at, self.job.wake_at) = (None, None);
        }
        self.is_audited = true;
        tracing::warn!(job = %self.job.id, reasons = reasons.len(), "rows point at a leaver after the end of the job");
        self.status(Change::NeedsAttention, reasons, now)
    }

    /// Pauses a job. It is looked at again at `wake_at`, if it has an end of access that a pause does not delay.
    pub fn pause(&mut self, wake_at: Option<OffsetDateTime>, now: OffsetDateTime) -> Result<()> {
        self.transition(Transition::Paused)?;
        self.job.wake_at = wake_at;
        self.status(Change::Paused, Vec::new(), now)
    }

    /// Leaves a paused job paused. It says why it cannot begin, and is looked at again at `wake_at`, if at all.
    pub fn stay_paused(
        &mut self,
        reasons: Vec<Reason>,
        wake_at: Option<OffsetDateTime>,
        now: OffsetDateTime,
    ) -> Result<()> {
        self.job.wake_at = wake_at;
        self.report(Change::Paused, reasons, now)
    }

    /// Resumes a held job with a step that is due at a time. Late passes and redispatches count from zero again.
    pub fn resume(
        &mut self,
        transition: Transition,
        step: StepKind,
        due: OffsetDateTime,
        limits: Limits,
    ) -> Result<()> {
        // A paused job keeps the reasons why it could not begin as it is.
        if self.state() == State::NeedsAttention {
            self.job.reasons = None;
        }
        self.transition(transition)?;
        (self.job.late_passes, self.job.redispatches) = (0, 0);
        self.job.wake_at = Some(due + limits.stalled_after);
        self.step(step, due)
    }

    /// Leaves the event that a job has resumed.
    pub fn resumed(&mut self, now: OffsetDateTime) -> Result<()> {
        self.status(Change::Resumed, Vec::new(), now)
    }

    /// Cancels a job of which nothing is to be undone.
    pub fn cancel(&mut self, reasons: Vec<Reason>, now: OffsetDateTime) -> Result<()> {
        self.transition(Transition::Cancelled)?;
        self.job.wake_at = None;
        self.job.completed_at = Some(now);
        if !reasons.is_empty() {
            self.job.reasons = Some(to_value(&reasons)?);
        }
        self.status(Change::Cancelled, reasons, now)
    }

    /// Begins one more pass over references where records arrived late.
    pub fn cut_again(&mut self, now: OffsetDateTime) -> Result<()> {
        self.transition(Transition::FoundMore)?;
        self.job.late_passes += 1;
        self.step(StepKind::Cut, now)
    }

    /// Completes a job with its certificate. At its first end, a leave also gets the job that brings the user back.
    pub fn complete(&mut self, certificate: &Certificate, context: &Context, now: OffsetDateTime) -> Result<()> {
        let limits = context.limits;
        self.transition(Transition::Proved)?;
        let job = &mut self.job;
        let is_first = job.certificate.is_none();
        job.completed_at = Some(job.completed_at.unwrap_or(now));
        job.certificate = Some(to_value(certificate)?);
        (job.wake_at, job.redispatches) = (None, 0);
        if job.kind == RequestType::Deactivate {
            job.recount_until = Some(now + limits.recount_for);
            job.recount_at = next_count(job, limits, now);
        }
        self.messages.extend(messages::completion(job, certificate, context.events, now)?);
        if is_first {
            self.return_job = return_of(&self.job, limits, now)?.map(Box::new);
        }
        Ok(())
    }

    /// Records the certificate of a repeated count.
    pub fn supplement(&mut self, certificate: &Certificate, context: &Context, now: OffsetDateTime) -> Result<()> {
        self.job.certificate = Some(to_value(certificate)?);
        self.messages.extend(messages::completion(&mut self.job, certificate, context.events, now)?);
        Ok(())
    }

    /// Marks a job as being undone by another one. It is counted no more.
    pub fn begin_undo(&mut self) -> Result<()> {
        self.transition(Transition::UndoStarted)?;
        (self.job.wake_at, self.job.recount_at) = (None, None);
        Ok(())
    }

    /// Marks a job as undone. The caller leaves the event, which holds the certificate of the undo.
    pub fn end_undo(&mut self, transition: Transition, now: OffsetDateTime) -> Result<()> {
        self.transition(transition)?;
        self.job.completed_at = Some(self.job.completed_at.unwrap_or(now));
        Ok(())
    }

    /// Completes a job that undoes others. Its certificate follows by [`JobChange::set_certificate`].
    pub fn complete_undo(&mut self, now: OffsetDateTime) -> Result<()> {
        self.transition(Transition::Proved)?;
        self.job.completed_at = Some(now);
        self.job.wake_at = None;
        Ok(())
    }

    /// Records a certificate without an event.
    pub fn set_certificate(&mut self, certificate: &Certificate) -> Result<()> {
        self.job.certificate = Some(to_value(certificate)?);
        Ok(())
    }

    /// Leaves an event whose data is a certificate.
    pub fn certify(&mut self, kind: EventType, certificate: &Certificate, now: OffsetDateTime) -> Result<()> {
        self.event(|job| messages::certified(job, kind, certificate, now))
    }
}

/// Returns when a completed job is counted next, at the latest at the end of its time. A count that was asked for and not
/// made may wait on its queue or be lost, so the pause grows with every redispatch.
pub fn next_count(job: &Job, limits: Limits, now: OffsetDateTime) -> Option<OffsetDateTime> {
    let until = job.recount_until.filter(|until| now < *until)?;
    Some(until.min(now + pause_after(limits.recount_every, job.redispatches)))
}

/// Returns the audit entry of a job's present state.
pub fn audit_entry(job: &Job) -> Entry {
    entry_of(job, None)
}

fn entry_of(job: &Job, actor: Option<String>) -> Entry {
    Entry {
        id: 0,
        at: now(),
        org: job.org.clone(),
        actor: actor.unwrap_or_else(|| job.requested_by.clone()),
        action: format!("{}.{}", job.kind, job.state),
        user_id: job.user_id.clone(),
        job_id: Some(job.id),
        request_id: job.request_id.clone(),
        detail: job.reasons.clone(),
    }
}

/// Schedules the job that undoes a leave on the day of return.
fn return_of(job: &Job, limits: Limits, now: OffsetDateTime) -> Result<Option<JobChange>> {
    let Some(at) = job.return_at else { return Ok(None) };
    let due = at.max(now);
    let mut back = JobChange::of_new(return_job(job, at, due + limits.stalled_after, now));
    back.schedule(due, Vec::new(), now)?;
    Ok(Some(back))
}

fn to_value<T: Serialize>(what: &T) -> Result<serde_json::Value> {
    serde_json::to_value(what).map_err(|error| Error::unexpected("writing a job", error.to_string()))
}
