//! `handover watch ID`: follows a job to its end.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;
use uuid::Uuid;

use super::exit::Exit;
use super::{jobs as jobs_command, open, output};
use crate::app::jobs::{self, Status};
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
    let job = follow(&store, arguments.id, arguments.json).await?;
    print_end(&store, &job, arguments.json).await
}

/// Follows the jobs of requests that were just sent to their end, one after the other.
pub async fn wait_for_requests(store: &Store, requests: &[Request], json: bool) -> Result<Exit> {
    let mut worst = Exit::Done;
    for request in requests {
        let job = follow(store, request.job_id().0, json).await?;
        let exit = match jobs::is_request_id_taken(store, request).await? {
            true => {
                let request_id = printable(request.header().request_id.as_str());
                eprintln!("the request id {request_id} was used before with another body: this request was not done");
                Exit::Failed
            }
            false => print_end(store, &job, json).await?,
        };
        worst = worst.max(exit);
    }
    Ok(worst)
}

/// Follows a job until it ends or waits for a person.
async fn follow(store: &Store, id: Uuid, json: bool) -> Result<Job> {
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
                return Ok(status.job);
            }
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
