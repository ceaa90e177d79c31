//! `handover watch ID`: follows a job to its end.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;
use uuid::Uuid;

use super::{Ended, jobs as jobs_command, open, output};
use crate::config::Settings;
use crate::contract::{Request, printable};
use crate::job::State;
use crate::store::Store;
use crate::store::ledger::chunks;
use crate::store::ledger::jobs::{self, Job};
use crate::store::ledger::requests;

/// How often the ledger is looked at.
pub const EVERY: Duration = Duration::from_millis(200);

/// How long nothing may be seen of a job before it is asked whether a worker runs.
pub const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub struct Arguments {
    /// The job.
    id: Uuid,
    /// Print as JSON, a line each time something has changed.
    #[arg(long)]
    json: bool,
}

pub async fn run(arguments: Arguments, settings: Settings) -> Result<Ended> {
    let store = open::ledger(&settings).await?;
    if jobs::get(&store.reader(), arguments.id).await?.is_none() {
        bail!("there is no job {} (yet): `handover jobs` lists those that there are", arguments.id);
    }
    let job = follow(&store, arguments.id, arguments.json).await?;
    tell_end(&store, &job, arguments.json).await
}

/// Follows the jobs of requests just sent, one after the other, to their end.
pub async fn wait_for_requests(store: &Store, requests: &[Request], json: bool) -> Result<Ended> {
    let mut worst = Ended::Done;
    for request in requests {
        let head = request.header();
        let job = follow(store, request.job_id().0, json).await?;
        let known = requests::get(&store.reader(), head.org(), head.request_id.as_str()).await?;
        if known.is_some_and(|known| known.body_hash != request.body_hash()) {
            eprintln!(
                "the request id {} was used before with another body: this request was not done",
                printable(head.request_id.as_str())
            );
            worst = Ended::Failed;
            continue;
        }
        match (tell_end(store, &job, json).await?, worst) {
            (ended, Ended::Done) => worst = ended,
            (Ended::Failed, _) => worst = Ended::Failed,
            _ => {}
        }
    }
    Ok(worst)
}

/// Follows a job until nothing more happens to it by itself.
async fn follow(store: &Store, id: Uuid, json: bool) -> Result<Job> {
    let began = Instant::now();
    let mut told = String::new();
    let mut asked = false;
    loop {
        let session = store.reader();
        let job = jobs::get(&session, id).await?;
        if let Some(job) = job.as_ref() {
            let standing = chunks::counts_of_job(&session, id).await?;
            let now = match json {
                true => serde_json::json!({ "job_id": id, "state": job.state, "chunks": standing }).to_string(),
                false => format!(
                    "{} {}: {} of {} records in {} of {} chunks",
                    id,
                    job.state,
                    standing.done,
                    standing.records,
                    standing.closed,
                    standing.open + standing.closed
                ),
            };
            if now != told {
                output::line(&now)?;
                told = now;
            }
        }
        if let Some(job) = job
            && (job.state()?.is_final() || job.state()?.is_held())
        {
            return Ok(job);
        }
        if told.is_empty() && !asked && began.elapsed() > PATIENCE {
            asked = true;
            eprintln!("nothing has been seen of the job {id} yet: does a worker run (`handover run`)? Waiting on.");
        }
        tokio::time::sleep(EVERY).await;
    }
}

async fn tell_end(store: &Store, job: &Job, json: bool) -> Result<Ended> {
    let ended = match job.state()? {
        State::Rejected => Ended::Rejected,
        State::NeedsAttention | State::Paused => Ended::Failed,
        _ => Ended::Done,
    };
    if !json {
        jobs_command::tell(store, job.id).await?;
    }
    Ok(ended)
}
