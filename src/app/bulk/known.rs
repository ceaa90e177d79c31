//! Requests that were sent before, and what their jobs have come to.

use std::collections::HashMap;

use uuid::Uuid;

use super::decision::RowDecision;
use super::directory::Directory;
use super::reason;
use crate::app::error::Result;
use crate::app::jobs;
use crate::contract::{HandoverRequest, JobId, Reason, Request};
use crate::job::State;
use crate::plan::UserStatus;
use crate::store::Session;
use crate::store::ledger::jobs::{Job, of_ids};
use crate::store::ledger::requests;

/// Those of a batch's requests that were sent before.
pub struct Known {
    requests: HashMap<(String, String), requests::KnownRequest>,
    jobs: HashMap<Uuid, Job>,
}

impl Known {
    /// Reads those of these requests that the ledger has, with their jobs.
    pub async fn read<'r>(session: &Session, sent: impl Iterator<Item = &'r HandoverRequest>) -> Result<Known> {
        let ids: Vec<(&str, &str)> = sent.map(|request| (request.org(), request.request_id.as_str())).collect();
        if ids.is_empty() {
            return Ok(Known { requests: HashMap::new(), jobs: HashMap::new() });
        }
        let requests = requests::known(session, &ids).await?;
        let jobs: Vec<Uuid> = requests.values().map(|known| known.job_id).collect();
        let jobs = of_ids(session, &jobs).await?.into_iter().map(|job| (job.id, job)).collect();
        Ok(Known { requests, jobs })
    }

    /// Returns true if none of the requests was sent before.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// Decides on a row whose request was sent before. Returns nothing if it is new.
    pub fn decide(&self, request: &HandoverRequest, directory: &Directory) -> Result<Option<RowDecision>> {
        let id = (request.org().to_owned(), request.request_id.to_string());
        let Some(earlier) = self.requests.get(&id) else { return Ok(None) };
        let whole = Request::Handover(request.clone());
        let (user, job_id) = (request.user_id.as_str(), JobId(earlier.job_id));
        if whole.body_hash() != earlier.body_hash {
            let taken = reason::request_id_taken(request.request_id.as_str(), job_id);
            return Ok(Some(RowDecision::Rejected(vec![taken])));
        }
        let job = self.jobs.get(&earlier.job_id);
        let person = directory.person(request.org(), &request.user_id);
        let is_active = person.is_some_and(|person| person.status == UserStatus::Active);
        let not_done = |reasons| Ok(Some(RowDecision::NotDone(job_id, reasons)));
        let state = job.map(|job| job.state);
        match state {
            Some(state @ (State::Reverting | State::Reverted | State::Cancelled)) => {
                not_done(vec![reason::undone_since(user, job_id, state)])
            }
            Some(State::Completed) if is_active => not_done(vec![reason::active_again(user, job_id)]),
            Some(State::Rejected) => {
                let of_job = job.map(jobs::reasons).transpose()?.unwrap_or_default();
                let of_job = of_job.into_iter().map(Reason::widen);
                not_done([reason::rejected_before(user, job_id)].into_iter().chain(of_job).collect())
            }
            Some(
                State::Scheduled
                | State::Cutting
                | State::Moving
                | State::Finalizing
                | State::Completed
                | State::NeedsAttention
                | State::Paused,
            )
            | None => Ok(Some(RowDecision::SentBefore(Box::new(whole), state))),
        }
    }
}
