//! Reads what a live view shows: open jobs with their progress, jobs that wait for a person, and the queues.

use std::time::Duration;

use super::error::Result;
use super::jobs::{Status, Summary, reasons};
use crate::broker::{Broker, Depth};
use crate::contract::Reason;
use crate::job::State;
use crate::store::Store;
use crate::store::ledger::chunks;
use crate::store::ledger::job_filter::JobFilter;
use crate::store::ledger::jobs::{self, Job};

/// The time limit for reading the queues. A broker that is away must not stop the view.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The states of jobs that work now.
const WORKING: [State; 3] = [State::Cutting, State::Moving, State::Finalizing];

/// The states of jobs that wait for a person.
const HELD: [State; 2] = [State::NeedsAttention, State::Paused];

/// The open jobs at one moment.
#[derive(Debug)]
pub struct Overview {
    /// The number of open jobs in each state.
    pub open: Vec<(State, u64)>,
    /// Jobs that work now, newest first.
    pub working: Vec<Status>,
    /// Jobs that wait for a person, newest first.
    pub held: Vec<Held>,
}

/// A job that waits for a person.
#[derive(Debug)]
pub struct Held {
    /// The job and its chunks.
    pub status: Status,
    /// The reasons why it stopped; none if it is paused.
    pub reasons: Vec<Reason>,
}

/// A job that waits for a person, as a list shows it.
#[derive(Debug)]
pub struct Waiting {
    /// The job.
    pub job: Summary,
    /// The reasons why it stopped; none if it is paused.
    pub reasons: Vec<Reason>,
}

/// Returns the open jobs, at most `limit` of each group.
pub async fn read(store: &Store, limit: u64) -> Result<Overview> {
    let session = store.snapshot().await?;
    let in_states = |states: &[State]| JobFilter { states: states.to_vec(), ..JobFilter::default() };
    let working = in_states(&WORKING).list(&session, limit, 0).await?;
    let held = in_states(&HELD).list(&session, limit, 0).await?;
    let ids: Vec<_> = working.iter().chain(&held).map(|job| job.id).collect();
    let mut counts = chunks::counts_of_jobs(&session, &ids).await?;
    let mut status = |job: Job| Status { chunks: counts.remove(&job.id).unwrap_or_default(), job };
    let working = working.into_iter().map(&mut status).collect();
    let held = held.into_iter().map(|job| Ok(Held { reasons: reasons(&job)?, status: status(job) }));
    Ok(Overview { held: held.collect::<Result<_>>()?, working, open: jobs::count_open(&session).await? })
}

/// Returns the jobs of an organization that wait for a person, newest first.
pub async fn waiting(store: &Store, org: &str, limit: u64) -> Result<Vec<Waiting>> {
    let filter = JobFilter { states: HELD.to_vec(), org: Some(org.to_owned()), ..JobFilter::default() };
    let held = filter.list(&store.reader(), limit, 0).await?;
    held.iter().map(|job| Ok(Waiting { reasons: reasons(job)?, job: Summary::of(job) })).collect()
}

/// Returns the queues, or why they cannot be read.
pub async fn queues(broker: &dyn Broker) -> std::result::Result<Vec<Depth>, String> {
    match tokio::time::timeout(TIMEOUT, broker.depths()).await {
        Ok(Ok(depths)) => Ok(depths),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no answer from the broker".to_owned()),
    }
}
