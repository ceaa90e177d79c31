//! The changes of a transaction in the ledger, written at its end in one call.

use std::time::Duration;

use time::OffsetDateTime;
use uuid::Uuid;

use crate::contract::{JobId, RequestOutcome, RequestType};
use crate::job::{State, StepKind};
use crate::stages::accepted::Accepted;
use crate::stages::context::now;
use crate::stages::messages;
use crate::store::ledger::audit::Entry;
use crate::store::ledger::batch::LedgerBatch;
use crate::store::ledger::jobs::{Job, Successor};
use crate::store::ledger::outbox::OutboxMessage;
use crate::store::ledger::references::ReferenceProgress;
use crate::store::ledger::{entity, jobs};
use crate::store::{Result, Session};

/// The changes of a transaction in the ledger.
#[derive(Default)]
pub struct LedgerChanges {
    batch: LedgerBatch,
    /// Jobs that exist, each with the state that it had when it was locked.
    updated: Vec<(State, Job)>,
}

impl LedgerChanges {
    /// Adds everything from other changes.
    pub fn merge(&mut self, other: LedgerChanges) {
        let LedgerChanges { batch, updated } = other;
        let LedgerBatch { requests, jobs, progress, successors, audit, messages } = batch;
        self.batch.requests.extend(requests);
        self.batch.jobs.extend(jobs);
        self.batch.progress.extend(progress);
        self.batch.successors.extend(successors);
        self.batch.audit.extend(audit);
        self.batch.messages.extend(messages);
        self.updated.extend(updated);
    }

    /// Adds a request and its outcome.
    pub fn request<R>(&mut self, accepted: &Accepted<R>, job: &Job, outcome: RequestOutcome) {
        self.batch.requests.push(entity::requests::Model {
            org: job.org.clone(),
            request_id: job.request_id.clone(),
            kind: job.kind,
            body_hash: accepted.body_hash.clone(),
            body: accepted.canonical.clone(),
            amended: None,
            job_id: job.id,
            outcome,
            received_at: job.requested_at,
        });
    }

    /// Adds a job's change with all that belongs to it. Only `lifecycle` calls this: a stage changes a job by a
    /// [`JobChange`](crate::stages::lifecycle::JobChange), and so cannot leave out the audit entry or the messages.
    pub(super) fn job(&mut self, from: Option<State>, job: Job, entry: Option<Entry>, messages: Vec<OutboxMessage>) {
        self.batch.audit.extend(entry);
        self.batch.messages.extend(messages);
        match from {
            None => self.batch.jobs.push(job),
            Some(from) => self.updated.push((from, job)),
        }
    }

    /// Adds an audit entry that is not about a job's state.
    pub fn audit(&mut self, entry: Entry) {
        self.batch.audit.push(entry);
    }

    /// Adds messages that do not depend on a job's change, such as tickets.
    pub fn messages(&mut self, messages: impl IntoIterator<Item = OutboxMessage>) {
        self.batch.messages.extend(messages);
    }

    /// Adds what new jobs do with each reference.
    pub fn progress(&mut self, progress: impl IntoIterator<Item = ReferenceProgress>) {
        self.batch.progress.extend(progress);
    }

    /// Adds the users who receive records from jobs.
    pub fn successors(&mut self, successors: impl IntoIterator<Item = Successor>) {
        self.batch.successors.extend(successors);
    }

    /// Summarizes the new jobs, for the log.
    pub fn new_jobs(&self) -> NewJobs {
        let job = |job: &Job| NewJob {
            id: job.id,
            kind: job.kind,
            state: job.state,
            org: job.org.clone(),
            request: job.request_id.clone(),
        };
        NewJobs(self.batch.jobs.iter().map(job).collect())
    }

    /// Writes everything, and wakes the jobs that wait for one which has ended.
    ///
    /// Existing jobs are updated first: a user has one open job, so an old one must end before a new one begins.
    pub async fn write(mut self, session: &Session) -> Result<()> {
        self.wake_waiting(session).await?;
        for (from, job) in self.updated {
            jobs::update(session, from, job).await?;
        }
        self.batch.write(session).await
    }

    async fn wake_waiting(&mut self, session: &Session) -> Result<()> {
        let has_ended = |(from, job): &&(State, Job)| job.state != *from && job.state.is_final();
        let ended: Vec<Uuid> = self.updated.iter().filter(has_ended).map(|(_, job)| job.id).collect();
        if ended.is_empty() {
            return Ok(());
        }
        let now = now();
        for waiting in jobs::waiting_for(session, &ended).await? {
            self.batch.messages.push(messages::step(StepKind::Start, &waiting, now)?);
        }
        Ok(())
    }
}

/// Leaves tickets for a job whose row does not change.
pub async fn leave_tickets(session: &Session, count: u64, job: &Job, due: OffsetDateTime) -> Result<()> {
    let mut changes = LedgerChanges::default();
    changes.messages(messages::tickets(count, job, due)?);
    changes.write(session).await
}

/// New jobs, for the log.
pub struct NewJobs(Vec<NewJob>);

struct NewJob {
    id: Uuid,
    kind: RequestType,
    state: State,
    org: String,
    request: String,
}

impl NewJobs {
    /// Logs one line for each job, once it is committed. The time is that of the transaction, which a group shares.
    pub fn log(self, step: &'static str, took: Duration) {
        let duration_ms = took.as_millis() as u64;
        for NewJob { id, kind, state, org, request } in self.0 {
            let (job, kind, outcome) = (JobId(id), kind.name(), state.name());
            tracing::info!(%job, org, request, step, kind, outcome, duration_ms, "request taken");
        }
    }
}
