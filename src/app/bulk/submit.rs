//! Submits evaluated rows and follows their jobs.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use uuid::Uuid;

use super::decision::{EvaluatedRow, RowDecision};
use super::outcome::{RowOutcome, RowResult};
use super::reason::{self, RowCode, RowReason};
use super::wait::{Notice, Notify, retry_while_unavailable};
use crate::app::dead_letters::DeadLetterView;
use crate::app::error::Result;
use crate::app::set_aside::SetAside;
use crate::app::workers::WorkerPresence;
use crate::app::{jobs, submit};
use crate::broker::{Broker, Channel};
use crate::contract::{DeadLetterCode, JobId, Reason, Request};
use crate::job::State;
use crate::store::Store;
use crate::store::ledger::jobs::{Job, of_ids};

/// The polling interval.
const POLL: Duration = Duration::from_millis(200);

/// The time without an ended job after which the caller is notified.
const PATIENCE: Duration = Duration::from_secs(10);

/// A batch of rows that was sent.
pub struct Submission<'r> {
    broker: &'r dyn Broker,
    rows: &'r [EvaluatedRow],
    /// The messages of the rows that were sent, by job.
    messages: HashMap<Uuid, Uuid>,
    /// The rows that did not arrive, each with the reason.
    unsent: HashMap<u64, RowReason>,
}

/// The end of a row's request.
enum End {
    /// Its job ended, waits for a person, or waits for its date.
    Job(Box<Job>),
    /// Its message was set aside.
    SetAside(Box<DeadLetterView>),
}

/// The result of following a batch.
pub enum Followed {
    /// Every row has its final result.
    Ended(Vec<RowResult>),
    /// Some jobs have not ended.
    Stopped(Stopped),
}

/// The reason why jobs are not followed any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// No worker runs.
    NoWorker,
    /// The time is over.
    TimedOut,
}

/// The way in which jobs are followed.
#[derive(Clone, Copy)]
struct Following<'f> {
    store: &'f Store,
    deadline: Option<Instant>,
    notify: Notify<'f>,
}

/// Returns the results to report while a batch is being sent.
pub fn before_sending(rows: &[EvaluatedRow]) -> Vec<RowResult> {
    results(rows, RowOutcome::Sending, &HashMap::new())
}

impl Submission<'_> {
    /// Publishes the requests of acceptable rows.
    pub async fn send<'r>(broker: &'r dyn Broker, rows: &'r [EvaluatedRow]) -> Submission<'r> {
        let accepted: Vec<(u64, &Request)> = rows.iter().filter_map(|row| Some((row.number, accepted(row)?))).collect();
        let results = submit::publish(broker, accepted.iter().map(|(_, request)| *request)).await;
        let (mut messages, mut unsent) = (HashMap::new(), HashMap::new());
        for ((row, request), result) in accepted.into_iter().zip(results) {
            match result {
                Ok(message) => drop(messages.insert(request.job_id().0, message)),
                Err(error) => {
                    let reason = reason::failed(&format!("the request could not be sent: {error}"));
                    unsent.insert(row, reason);
                }
            }
        }
        Submission { broker, rows, messages, unsent }
    }

    /// Returns the results to report while the jobs run.
    pub fn sent(&self) -> Vec<RowResult> {
        results(self.rows, RowOutcome::Sent, &self.unsent)
    }

    /// Follows the jobs until each ends, waits for a person, or waits for its date, or until its request was set aside. Stops
    /// earlier at the deadline, and if no worker runs.
    pub async fn follow(&self, store: &Store, deadline: Option<Instant>, notify: Notify<'_>) -> Result<Followed> {
        let followed = self.rows.iter().filter(|row| !self.unsent.contains_key(&row.number)).filter_map(request);
        let following = Following { store, deadline, notify };
        match self.ends(following, followed.map(|request| request.job_id().0).collect()).await? {
            Ok(ends) => Ok(Followed::Ended(self.final_results(store, &ends, notify).await?)),
            Err(stopped) => Ok(Followed::Stopped(stopped)),
        }
    }

    async fn final_results(
        &self,
        store: &Store,
        ends: &HashMap<Uuid, End>,
        notify: Notify<'_>,
    ) -> Result<Vec<RowResult>> {
        let mut results = self.sent();
        for (result, row) in results.iter_mut().zip(self.rows) {
            if let Some(request) = request(row).filter(|_| !self.unsent.contains_key(&row.number)) {
                let is_taken = async || jobs::is_request_id_taken(store, request).await;
                let is_taken = retry_while_unavailable("reading the outcome of rows", notify, is_taken).await?;
                *result = final_result(row, request, is_taken, ends.get(&request.job_id().0))?;
            }
        }
        Ok(results)
    }

    /// Waits for the ends of jobs, or says why it stopped.
    async fn ends(
        &self,
        following: Following<'_>,
        mut ids: Vec<Uuid>,
    ) -> Result<std::result::Result<HashMap<Uuid, End>, Stopped>> {
        let Following { store, deadline, notify } = following;
        let began = Instant::now();
        let mut set_aside = SetAside::new(self.broker);
        let mut workers = WorkerPresence::new(self.broker);
        let mut ends = HashMap::new();
        let mut is_notified = false;
        loop {
            let read = async || Ok(of_ids(&store.reader(), &ids).await?);
            let known = retry_while_unavailable("following the jobs of rows", notify, read).await?;
            let is_known: HashSet<Uuid> = known.iter().map(|job| job.id).collect();
            ends.extend(known.into_iter().filter(has_stopped).map(|job| (job.id, End::Job(Box::new(job)))));
            let unknown = ids.iter().filter(|id| !is_known.contains(id));
            let unknown: HashMap<Uuid, Uuid> = unknown.filter_map(|id| Some((*self.messages.get(id)?, *id))).collect();
            let waits_on = if unknown.is_empty() { Channel::Steps } else { Channel::Requests };
            let messages: Vec<Uuid> = unknown.keys().copied().collect();
            for (message, dead_letter) in set_aside.look(&messages).await? {
                ends.insert(unknown[&message], End::SetAside(Box::new(dead_letter)));
            }
            ids.retain(|id| !ends.contains_key(id));
            if ids.is_empty() {
                return Ok(Ok(ends));
            }
            if workers.is_missing(waits_on).await {
                return Ok(Err(Stopped::NoWorker));
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Ok(Err(Stopped::TimedOut));
            }
            if ends.is_empty() && !is_notified && began.elapsed() > PATIENCE {
                is_notified = true;
                notify(Notice::NoProgress);
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

/// Returns true if a job ended, waits for a person, or waits for its date.
fn has_stopped(job: &Job) -> bool {
    let is_later = job.effective_at.is_some_and(|at| at > OffsetDateTime::now_utc());
    job.state.is_final() || job.state.is_held() || (job.state == State::Scheduled && is_later)
}

/// Returns the results of rows, with this outcome for those whose requests are being processed.
fn results(rows: &[EvaluatedRow], pending: RowOutcome, unsent: &HashMap<u64, RowReason>) -> Vec<RowResult> {
    let result = |row: &EvaluatedRow| match (&row.decision, unsent.get(&row.number)) {
        (_, Some(reason)) => RowResult { reasons: vec![reason.clone()], outcome: RowOutcome::Failed, ..row.result() },
        (RowDecision::Ok(..), None) => RowResult { outcome: pending, records: None, ..row.result() },
        (
            RowDecision::Skipped(_) | RowDecision::Rejected(_) | RowDecision::NotDone(..) | RowDecision::SentBefore(..),
            None,
        ) => row.result(),
    };
    rows.iter().map(result).collect()
}

/// Returns the request of a row that is to be sent.
pub fn accepted(row: &EvaluatedRow) -> Option<&Request> {
    match &row.decision {
        RowDecision::Ok(request, _) => Some(request),
        RowDecision::SentBefore(..) | RowDecision::NotDone(..) | RowDecision::Skipped(_) | RowDecision::Rejected(_) => {
            None
        }
    }
}

/// Returns the request of a row that is or was sent.
fn request(row: &EvaluatedRow) -> Option<&Request> {
    match &row.decision {
        RowDecision::Ok(request, _) | RowDecision::SentBefore(request, _) => Some(request),
        RowDecision::NotDone(..) | RowDecision::Skipped(_) | RowDecision::Rejected(_) => None,
    }
}

/// Returns the final result of a row whose request is or was sent. `is_taken`: its request id was used for another request.
fn final_result(row: &EvaluatedRow, request: &Request, is_taken: bool, end: Option<&End>) -> Result<RowResult> {
    let job_id = request.job_id();
    let row = row.result();
    let note = row.note.is_some().then(|| "sent before: nothing was sent again".to_owned());
    let failed = RowResult { outcome: RowOutcome::Failed, note, job_id: Some(job_id), records: None, ..row };
    if is_taken {
        let reason = reason::request_id_taken(request.header().request_id.as_str(), job_id);
        return Ok(RowResult { reasons: vec![reason], ..failed });
    }
    let job = match end {
        Some(End::Job(job)) => job,
        Some(End::SetAside(dead_letter)) => {
            let reasons = vec![reason::set_aside(dead_letter)];
            return Ok(RowResult { outcome: RowOutcome::Rejected, reasons, ..failed });
        }
        None => return Ok(failed),
    };
    of_job(failed, job)
}

/// Returns the result of a row with the outcome of its job.
fn of_job(row: RowResult, job: &Job) -> Result<RowResult> {
    let reasons = jobs::reasons(job)?.into_iter().map(Reason::widen).collect();
    let moved = jobs::certificate(job)?
        .map(|certificate| certificate.references.iter().filter_map(|reference| reference.moved).sum::<u64>());
    Ok(RowResult { outcome: RowOutcome::Job(job.state), reasons, records: moved, ..row })
}

/// Returns the result of a row that was sent before and is not followed. `job`: its job, if the request was read by now.
pub fn result_of_sent(row: &EvaluatedRow, job_id: JobId, job: Option<&Job>) -> Result<RowResult> {
    let sent = RowResult { note: None, reasons: Vec::new(), job_id: Some(job_id), records: None, ..row.result() };
    match (&row.decision, job) {
        // The request id was used for another request meanwhile.
        (RowDecision::Rejected(reasons), Some(_)) if reasons.iter().any(is_conflict) => Ok(row.result()),
        (_, Some(job)) => of_job(sent, job),
        (_, None) => Ok(RowResult { outcome: RowOutcome::Sent, ..sent }),
    }
}

fn is_conflict(reason: &RowReason) -> bool {
    reason.code == RowCode::Unreadable(DeadLetterCode::Conflict)
}
