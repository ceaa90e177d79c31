//! Everything that a transaction of the planner writes into the ledger at its end.

use std::time::Duration;

use time::OffsetDateTime;
use uuid::Uuid;

use crate::catalog::Catalog;
use crate::contract::{Change, Reason, Request};
use crate::job::{State, StepKind};
use crate::plan::Plan;
use crate::stages::handover::start::{BEGINNING, Begun};
use crate::stages::{Context, messages, now};
use crate::store::ledger::batch::LedgerBatch;
use crate::store::ledger::jobs::Job;
use crate::store::ledger::outbox::OutboxMessage;
use crate::store::ledger::{audit, entity};
use crate::store::{Result, Session};

/// What is to be written: requests, the jobs that they make, what these leave for others, and the audit trail.
#[derive(Default)]
pub struct Writing(LedgerBatch);

impl Writing {
    /// A request, accepted or not.
    pub fn request(&mut self, request: &Request, job: &Job, is_accepted: bool) {
        self.0.requests.push(entity::requests::Model {
            org: job.org.clone(),
            request_id: job.request_id.clone(),
            kind: job.kind.clone(),
            body_hash: request.body_hash(),
            body: request.canonical(),
            amended: None,
            job_id: job.id,
            outcome: if is_accepted { "accepted" } else { "rejected" }.into(),
            received_at: job.requested_at,
        });
    }

    /// A job that may not be done.
    pub fn rejected(&mut self, mut job: Job, reasons: Vec<Reason>, now: OffsetDateTime) {
        job.state = State::Rejected.name().into();
        job.completed_at = Some(now);
        job.reasons = serde_json::to_value(&reasons).ok();
        self.0.messages.push(messages::news(&mut job, Change::Rejected, reasons, now));
        self.job(job);
    }

    /// A job that starts later.
    pub fn scheduled(&mut self, context: &Context, mut job: Job, plan: &Plan, now: OffsetDateTime) {
        job.state = State::Scheduled.name().into();
        let at = schedule(context, &mut job, plan, now);
        self.0.messages.push(messages::step(StepKind::Start, &job, at));
        self.0.messages.push(messages::news(&mut job, Change::Scheduled, Vec::new(), now));
        self.job(job);
    }

    /// A job that has begun.
    pub fn begun(&mut self, begun: Begun) {
        self.messages(begun.messages);
        self.0.progress.extend(begun.courses);
        self.0.successors.extend(begun.successors);
        self.job(begun.job);
        begun.follows.into_iter().for_each(|job| self.job(job));
    }

    /// A job in the state that it has.
    pub fn job(&mut self, job: Job) {
        self.0.audit.push(audit_entry(&job));
        self.0.jobs.push(job);
    }

    /// What goes out.
    pub fn messages(&mut self, messages: impl IntoIterator<Item = OutboxMessage>) {
        self.0.messages.extend(messages);
    }

    /// The jobs as they are written, for the log.
    pub fn taken(&self) -> Taken {
        Taken(self.0.jobs.iter().map(|job| (job.id, job.kind.clone(), job.state.clone())).collect())
    }

    /// Writes everything.
    pub async fn write(self, session: &Session) -> Result<()> {
        self.0.write(session).await
    }
}

/// Jobs, their types and states.
pub struct Taken(Vec<(Uuid, String, String)>);

impl Taken {
    /// Says so, once it is committed: a line a job. The time is that of the transaction, which a group shares.
    pub fn log(self, step: &'static str, took: Duration) {
        let duration_ms = took.as_millis() as u64;
        for (job, kind, outcome) in self.0 {
            tracing::info!(%job, step, kind, outcome, duration_ms, "a request is taken");
        }
    }
}

/// The job that a request makes, about a user, before anything is done for it.
pub fn new_job(
    catalog: &Catalog,
    request: &Request,
    user: &str,
    traceparent: Option<&str>,
    now: OffsetDateTime,
) -> Job {
    let head = request.header();
    let (effective_at, return_at) = match request {
        Request::Handover(request) => (request.effective_at, request.return_at),
        _ => (None, None),
    };
    Job {
        id: head.job_id().0,
        kind: head.kind.name().into(),
        org: head.org().into(),
        user_id: user.into(),
        request_id: head.request_id.to_string(),
        requested_by: head.requested_by.to_string(),
        reason: head.reason.map(str::to_owned),
        state: BEGINNING.name().into(),
        catalog_hash: catalog.hash.clone(),
        license_exempt: false,
        sequence: 0,
        reasons: None,
        certificate: None,
        wait_for: None,
        target: None,
        late_passes: 0,
        traceparent: traceparent.map(str::to_owned),
        effective_at,
        return_at,
        requested_at: now,
        started_at: None,
        completed_at: None,
        wake_at: None,
        redispatches: 0,
        progress: 0,
        recount_at: None,
        recount_until: None,
    }
}

/// What the audit trail says of a job's state.
pub fn audit_entry(job: &Job) -> audit::Entry {
    audit::Entry {
        id: 0,
        at: now(),
        org: job.org.clone(),
        actor: job.requested_by.clone(),
        action: format!("{}.{}", job.kind, job.state),
        user_id: job.user_id.clone(),
        job_id: Some(job.id),
        request_id: job.request_id.clone(),
        detail: job.reasons.clone(),
    }
}

/// When a scheduled job is looked at next: at its time; and where it waits for another, when that one wakes it, which a
/// look now and then makes sure of.
pub fn schedule(context: &Context, job: &mut Job, plan: &Plan, now: OffsetDateTime) -> OffsetDateTime {
    job.wait_for = plan.wait_for.map(|job| job.0);
    let look_again = now + context.limits.stalled_after;
    let at = match job.effective_at.filter(|at| *at > now) {
        Some(at) => at,
        None => look_again,
    };
    job.wake_at = Some(at + context.limits.stalled_after);
    at
}
