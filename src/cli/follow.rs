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
use crate::app::workers;
use crate::broker::Broker;
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
    /// Follow the requests to the ends of their jobs. Exit code 3 if one is rejected, 1 if one needs attention, becomes a dead
    /// letter, or finds no worker. A job for later is not waited for.
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
        let follower = Follower { store, json, deadline: self.timeout.map(|timeout| Instant::now() + timeout) };
        for sent in sent {
            worst = worst.max(follower.request(broker, sent).await?);
        }
        Ok(worst)
    }
}

/// Follows a known job to its end.
pub async fn to_end_of_job(store: &Store, id: Uuid, deadline: Option<Instant>, json: bool) -> Result<Exit> {
    let follower = Follower { store, json, deadline };
    follower.known_job(id).await
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
    broker: &'b dyn Broker,
    message_id: Uuid,
    set_aside: SetAside<'b>,
    since: Instant,
    is_reminded: bool,
}

struct Follower<'f> {
    store: &'f Store,
    json: bool,
    deadline: Option<Instant>,
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
            End::NoWorker => {
                eprintln!("the request {request_id} waits on the queue, and no worker takes it: run `handover run`");
                Ok(Exit::Failed)
            }
            End::TimedOut => Ok(self.timed_out(&format!("the request {request_id}"))),
            End::Job(_) if jobs::is_request_id_taken(self.store, request).await? => {
                eprintln!("the request id {request_id} was used before with another body: this request was not done");
                Ok(Exit::Failed)
            }
            End::Job(job) => match continued_job(request, &job) {
                Some(target) => self.known_job(target).await,
                None => self.print_end(&job).await,
            },
        }
    }

    /// Follows a job that the ledger knows.
    async fn known_job(&self, id: Uuid) -> Result<Exit> {
        match self.to_end(id, None, has_stopped).await? {
            End::Job(job) => self.print_end(&job).await,
            // Only an unknown job's request can be set aside or wait for a worker.
            End::TimedOut | End::SetAside(_) | End::NoWorker => Ok(self.timed_out(&format!("the job {id}"))),
        }
    }

    /// Follows a job until `is_over`. `pending` is its request, if the job may be unknown yet.
    async fn to_end(&self, id: Uuid, mut pending: Option<&mut Pending<'_>>, is_over: fn(&Job) -> bool) -> Result<End> {
        let mut printed = String::new();
        loop {
            match (jobs::status(self.store, id).await?, &mut pending) {
                (Some(status), _) => {
                    let line = describe(&status, self.json);
                    if line != printed {
                        output::line(&line)?;
                        printed = line;
                    }
                    if is_over(&status.job) {
                        return Ok(End::Job(Box::new(status.job)));
                    }
                }
                (None, Some(pending)) => {
                    if let Some(end) = pending.look(id).await? {
                        return Ok(end);
                    }
                }
                (None, None) => {}
            }
            if self.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Ok(End::TimedOut);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    fn timed_out(&self, what: &str) -> Exit {
        eprintln!("the time is over: {what} goes on without being watched");
        Exit::Failed
    }

    async fn print_end(&self, job: &Job) -> Result<Exit> {
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
        Pending { broker, message_id, set_aside, since: Instant::now(), is_reminded: false }
    }

    /// Looks for the request among the dead letters, and for a worker. Reminds of a missing worker once.
    async fn look(&mut self, job: Uuid) -> Result<Option<End>> {
        if let Some(dead_letter) = self.set_aside.look(&[self.message_id]).await?.remove(&self.message_id) {
            return Ok(Some(End::SetAside(Box::new(dead_letter))));
        }
        if self.since.elapsed() < PATIENCE {
            return Ok(None);
        }
        self.since = Instant::now();
        if workers::none_takes_requests(self.broker).await {
            return Ok(Some(End::NoWorker));
        }
        if !std::mem::replace(&mut self.is_reminded, true) {
            eprintln!("the job {job} is still unknown: is a worker running (`handover run`)? Still waiting.");
        }
        Ok(None)
    }
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
fn has_stopped(job: &Job) -> bool {
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
    eprintln!("the request {request_id} was set aside: {}", printable(&format!("{reason}: {detail}: {hint}")));
    Ok(())
}

fn describe(Status { job, chunks }: &Status, json: bool) -> String {
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
