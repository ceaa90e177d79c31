//! `handover watch ID`: follows a job to its end.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;
use uuid::Uuid;

use super::exit::Exit;
use super::{follow, job_id, open};
use crate::app::jobs;
use crate::config::Settings;

#[derive(Debug, Args)]
pub struct Arguments {
    /// The job.
    #[arg(value_parser = job_id::parse)]
    id: Uuid,
    /// Stop watching after this time, with exit code 1: `30s`, `10m`. The job goes on.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    timeout: Option<Duration>,
    /// Print as JSON, one line per change.
    #[arg(long)]
    json: bool,
}

pub async fn run(arguments: Arguments, settings: Settings) -> Result<Exit> {
    let Arguments { id, timeout, json } = arguments;
    let store = open::ledger(&settings).await?;
    if jobs::find(&store, id).await?.is_none() {
        bail!("there is no job {id} (yet): `handover jobs` lists all jobs");
    }
    let deadline = timeout.map(|timeout| Instant::now() + timeout);
    follow::to_end_of_job(&store, id, deadline, json).await
}
