//! Follows jobs to their ends, for `watch` and `--wait`.

use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::exit::Exit;
use super::{jobs as jobs_command, output};
use crate::app::dead_letters::DeadLetterView;
use crate::app::jobs::{self, Status};
use crate::app::set_aside::SetAside;
use crate::app::workers::WorkerPresence;
use crate::broker::{Broker, Channel};
use crate::contract::{Request, RequestType, counted, printable};
use crate::job::State;
use crate::store::Store;
use crate::store::ledger::jobs::Job;

/// The polling interval.
const POLL: Duration = Duration::from_millis(200);

/// The time after which an unknown job makes the command ask for a worker.
const PATIENCE: Duration = Duration::from_secs(10);

/// The options of waiting for the jobs of a command's requests.
#[derive(Debug, Clone, Copy, Args)]
pub struct Wait {
    /// Follow the requests to the ends of their jobs. Exit code 3 if one is rejected, 1 if one needs attention or becomes a dead
    /// letter, or if no worker runs. A job for later is not waited for.
    #[arg(long, conflicts_with = "dry_run")]
    wait: bool,
    /// Stop waiting after this time, with exit code 1: `30s`, `10m`. The jobs go on.
    #[arg(long, value_name = "TIME", requires = "wait", value_parser = humantime::parse_duration)]
    timeout: Option<Duration>,
}

/// A request that was sent.
pub struct Sent<'r> {
    /// The request.
    pub request: &'r Request,
    /// The id of its message.
    pub message_id: Uuid,
}

impl Wait {
    /// Follows requests that were just sent, one after the other, if that is asked for.
    pub async fn follow(self, store: &Store, broker: &dyn Broker, sent: &[Sent<'_>], json: bool) -> Result<Exit> {
        let mut worst = Exit::Done;
        if !self.wait {
            return Ok(worst);
        }
        let deadline = self.timeout.map(|timeout| Instant::now() + timeout);
        let follower = Follower { store, broker: Some(broker), json, deadline };
        for sent in sent {
            worst = worst.max(follower.request(broker, sent).await?);
        }
        Ok(worst)
    }
}

/// The end of waiting for a job.
enum End {
    /// The job ended, waits for a person, or waits for its date.
    Job(Box<Job>),
    /// The message of its request is a dead letter.
    SetAside(Box<DeadLetterView>),
    /// No worker takes requests.
    NoWorker,
    /// The time is over.
    TimedOut,
}

/// The facts about a job's request while the job is unknown.
struct Pending<'b> {
    message_id: Uuid,
    set_aside: SetAside<'b>,
    since: Instant,
    is_reminded: bool,
}

/// Follows jobs, and prints each change.
pub struct Follower<'f> {
    /// The database.
    pub store: &'f Store,
    /// The broker, to notice that no worker runs; none if it is away.
    pub broker: Option<&'f dyn Broker>,
    /// True to print JSON.
    pub json: bool,
    /// The time at which to stop.
    pub deadline: Option<Instant>,
}

impl Follower<'_> {
    /// Follows a request to the end of its job, and that of the job that it lets go on.
    async fn request(&self, broker: &dyn Broker, sent: &Sent<'_>) -> Result<Exit> {
        let Sent { request, message_id } = sent;
        let request_id = printable(request.header().request_id.as_str());
        let mut pending = Pending::new(broker, *message_id);
        match self.to_end(request.job_id().0, Some(&mut pending), is_at_rest).await? {
            End::SetAside(dead_letter) => {
                report_set_aside(&request_id, &dead_letter, self.json)?;
                Ok(Exit::Failed)
            }
            End::NoWorker => Ok(no_worker(&format!("the request {request_id}"))),
            End::TimedOut => Ok(timed_out(&format!("the request {request_id}"))),
            End::Job(_) if jobs::is_request_id_taken(self.store, request).await? => {
                output::note(format!(
                    "the request id {request_id} was used before with another body: this request was not done"
                ));
                Ok(Exit::Failed)
            }
            End::Job(job) => match continued_job(request, &job) {
                Some(target) => self.known_job(target).await,
                None => self.print_end(&job).await,
            },
        }
    }

    /// Follows a job that the ledger knows.
    pub async fn known_job(&self, id: Uuid) -> Result<Exit> {
        match self.to_end(id, None, has_stopped).await? {
            End::Job(job) => self.print_end(&job).await,
            End::NoWorker => Ok(no_worker(&format!("the job {id}"))),
            // Only the request of an unknown job can be set aside.
            End::TimedOut | End::SetAside(_) => Ok(timed_out(&format!("the job {id}"))),
        }
    }

    /// Follows a job until `is_over`. `pending` is its request, if the job may be unknown yet.
    async fn to_end(&self, id: Uuid, mut pending: Option<&mut Pending<'_>>, is_over: fn(&Job) -> bool) -> Result<End> {
        let mut printed = String::new();
        let mut workers = self.broker.map(WorkerPresence::new);
        loop {
            let mut waits_on = Channel::Requests;
            match (jobs::status(self.store, id).await?, &mut pending) {
                (Some(status), _) => {
                    let line = describe(&status, self.json);
                    if line != printed {
                        print_status(&line)?;
                        printed = line;
                    }
                    if is_over(&status.job) {
                        return Ok(End::Job(Box::new(status.job)));
                    }
                    waits_on = Channel::Steps;
                }
                (None, Some(pending)) => {
                    if let Some(end) = pending.look(id).await? {
                        return Ok(end);
                    }
                }
                (None, None) => {}
            }
            if let Some(workers) = &mut workers
                && workers.is_missing(waits_on).await
            {
                return Ok(End::NoWorker);
            }
            if self.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Ok(End::TimedOut);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Prints a job that ended, and returns the exit code for its state.
    pub async fn print_end(&self, job: &Job) -> Result<Exit> {
        if !self.json
            && let Some(details) = jobs::details(self.store, job.id, false).await?
        {
            jobs_command::print_details(&details)?;
        }
        Ok(Exit::of_state(job.state))
    }
}

impl Pending<'_> {
    fn new(broker: &dyn Broker, message_id: Uuid) -> Pending<'_> {
        let set_aside = SetAside::new(broker);
        Pending { message_id, set_aside, since: Instant::now(), is_reminded: false }
    }

    /// Looks for the request among the dead letters. Reminds of a missing worker once.
    async fn look(&mut self, job: Uuid) -> Result<Option<End>> {
        if let Some(dead_letter) = self.set_aside.look(&[self.message_id]).await?.remove(&self.message_id) {
            return Ok(Some(End::SetAside(Box::new(dead_letter))));
        }
        if self.since.elapsed() >= PATIENCE && !std::mem::replace(&mut self.is_reminded, true) {
            output::note(format!(
                "the job {job} is still unknown: is a worker running (`handover run`)? Still waiting."
            ));
        }
        Ok(None)
    }
}

fn timed_out(what: &str) -> Exit {
    output::note(format!("the time is over: {what} goes on without being watched"));
    Exit::Failed
}

fn no_worker(what: &str) -> Exit {
    output::note(format!("{what} waits on the queue, and no worker takes it: run `handover run`"));
    Exit::Failed
}

/// Returns the job that goes on after a completed command.
fn continued_job(request: &Request, command: &Job) -> Option<Uuid> {
    match request {
        Request::Job(asked) if command.state == State::Completed => {
            matches!(asked.kind, RequestType::Resume | RequestType::Amend).then_some(asked.job_id.0)
        }
        Request::Job(_) | Request::Handover(_) | Request::User(_) | Request::Invite(_) => None,
    }
}

/// Returns true if a job ended or waits for a person.
pub fn has_stopped(job: &Job) -> bool {
    job.state.is_final() || job.state.is_held()
}

/// Returns true if a job ended, waits for a person, or waits for its date.
fn is_at_rest(job: &Job) -> bool {
    let is_later = job.effective_at.is_some_and(|at| at > OffsetDateTime::now_utc());
    has_stopped(job) || (job.state == State::Scheduled && is_later)
}

fn report_set_aside(request_id: &str, dead_letter: &DeadLetterView, json: bool) -> Result<()> {
    if json {
        output::json_line(dead_letter)?;
    }
    let hint = dead_letter.hint.as_deref().unwrap_or("see `handover dead show`");
    let DeadLetterView { reason, detail, .. } = dead_letter;
    let why = printable(&format!("{reason}: {detail}: {hint}"));
    output::note(format!("the request {request_id} was set aside: {why}"));
    Ok(())
}

/// Prints a job's status. It stays one line, for programs that read it.
pub fn print_status(status: &str) -> Result<()> {
    output::lines(printable(status))
}

/// Describes a job and its progress, in a line or as JSON.
pub fn describe(Status { job, chunks }: &Status, json: bool) -> String {
    if json {
        let (kind, starts) = (job.kind, job.effective_at.and_then(|at| at.format(&Rfc3339).ok()));
        return serde_json::json!({
            "job_id": job.id, "type": kind, "state": job.state, "effective_at": starts, "chunks": chunks,
        })
        .to_string();
    }
    let all = chunks.open + chunks.closed;
    match all {
        0 => format!("{} {}", job.id, job.state),
        _ => format!(
            "{} {}: {} of {} in {} of {}",
            job.id,
            job.state,
            chunks.done,
            counted(chunks.records, "record"),
            chunks.closed,
            counted(all, "chunk")
        ),
    }
}
