//! `handover watch ID`: follows a job to its end.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;
use uuid::Uuid;

use super::exit::Exit;
use super::{job_id, jobs as jobs_command, open, output};
use crate::app::dead_letters::DeadLetterView;
use crate::app::jobs::{self, Status};
use crate::app::set_aside::SetAside;
use crate::broker::Broker;
use crate::config::Settings;
use crate::contract::{Request, printable};
use crate::store::Store;
use crate::store::ledger::jobs::Job;

/// The polling interval.
const POLL: Duration = Duration::from_millis(200);

/// The time after which an unknown job makes the command ask for a worker.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub struct Arguments {
    /// The job.
    #[arg(value_parser = job_id::parse)]
    id: Uuid,
    /// Print as JSON, one line per change.
    #[arg(long)]
    json: bool,
}

pub async fn run(arguments: Arguments, settings: Settings) -> Result<Exit> {
    let store = open::ledger(&settings).await?;
    if jobs::find(&store, arguments.id).await?.is_none() {
        bail!("there is no job {} (yet): `handover jobs` lists all jobs", arguments.id);
    }
    // The job is known, so its request was taken.
    let is_taken = async || Ok(None::<Infallible>);
    match follow(&store, arguments.id, arguments.json, is_taken).await? {
        End::Job(job) => print_end(&store, &job, arguments.json).await,
        End::SetAside(never) => match never {},
    }
}

/// A request that was sent.
pub struct Sent<'r> {
    /// The request.
    pub request: &'r Request,
    /// The id of its message.
    pub message_id: Uuid,
}

/// Follows requests that were just sent to the ends of their jobs, one after the other.
pub async fn wait_for_requests(store: &Store, broker: &dyn Broker, sent: &[Sent<'_>], json: bool) -> Result<Exit> {
    let mut worst = Exit::Done;
    for Sent { request, message_id } in sent {
        let request_id = printable(request.header().request_id.as_str());
        let mut set_aside = SetAside::new(broker);
        let look = async || Ok(set_aside.look(&[*message_id]).await?.remove(message_id));
        let exit = match follow(store, request.job_id().0, json, look).await? {
            End::SetAside(dead_letter) => {
                report_set_aside(&request_id, &dead_letter, json)?;
                Exit::Failed
            }
            End::Job(_) if jobs::is_request_id_taken(store, request).await? => {
                eprintln!("the request id {request_id} was used before with another body: this request was not done");
                Exit::Failed
            }
            End::Job(job) => print_end(store, &job, json).await?,
        };
        worst = worst.max(exit);
    }
    Ok(worst)
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

/// The end of a request. `D` is its dead letter, if there can be one.
enum End<D> {
    /// Its job ended, or waits for a person.
    Job(Box<Job>),
    /// Its message was set aside.
    SetAside(D),
}

/// Follows a job until it ends or waits for a person. While the job is unknown, `set_aside` returns its request's dead letter.
async fn follow<D>(
    store: &Store,
    id: Uuid,
    json: bool,
    mut set_aside: impl AsyncFnMut() -> Result<Option<D>>,
) -> Result<End<D>> {
    let began = Instant::now();
    let mut printed = String::new();
    let mut is_reminded = false;
    loop {
        let status = jobs::status(store, id).await?;
        if let Some(status) = status {
            let line = describe(&status, json);
            if line != printed {
                output::line(&line)?;
                printed = line;
            }
            let state = status.job.state;
            if state.is_final() || state.is_held() {
                return Ok(End::Job(Box::new(status.job)));
            }
        } else if let Some(dead_letter) = set_aside().await? {
            return Ok(End::SetAside(dead_letter));
        }
        if printed.is_empty() && !is_reminded && began.elapsed() > PATIENCE {
            is_reminded = true;
            eprintln!("the job {id} is still unknown: is a worker running (`handover run`)? Still waiting.");
        }
        tokio::time::sleep(POLL).await;
    }
}

fn describe(Status { job, chunks }: &Status, json: bool) -> String {
    if json {
        return serde_json::json!({ "job_id": job.id, "state": job.state, "chunks": chunks }).to_string();
    }
    let all = chunks.open + chunks.closed;
    format!(
        "{} {}: {} of {} records in {} of {all} chunks",
        job.id, job.state, chunks.done, chunks.records, chunks.closed
    )
}

async fn print_end(store: &Store, job: &Job, json: bool) -> Result<Exit> {
    if !json && let Some(details) = jobs::details(store, job.id, false).await? {
        jobs_command::print_details(&details)?;
    }
    Ok(Exit::of_state(job.state))
}
