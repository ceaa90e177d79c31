//! `handover jobs` and `handover job ID`: lists jobs and shows one.

mod print;

use anyhow::Result;
use clap::Args;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

pub use self::print::{print_details, print_references};
use super::exit::Exit;
use super::{job_id, open, output};
use crate::app::jobs::{self, Summary};
use crate::config::Settings;
use crate::job::State;

#[derive(Debug, Args)]
pub struct ListArguments {
    /// Only jobs in this state.
    #[arg(long, value_parser = parse_state)]
    state: Option<State>,
    /// The number of jobs, at most.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    limit: u64,
    /// Print as JSON, one line per job.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub struct ShowArguments {
    /// The job.
    #[arg(value_parser = job_id::parse)]
    id: Uuid,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

fn parse_state(text: &str) -> Result<State, String> {
    text.parse().map_err(|_| format!("one of {}", State::ALL.map(State::name).join(", ")))
}

pub async fn list(arguments: ListArguments, settings: Settings) -> Result<Exit> {
    let store = open::ledger(&settings).await?;
    let states: Vec<State> = arguments.state.into_iter().collect();
    let jobs = jobs::list(&store, &states, arguments.limit).await?;
    match arguments.json {
        true => jobs.iter().try_for_each(output::json_line)?,
        false => {
            let rows = jobs.iter().map(row).collect::<Result<Vec<_>>>()?;
            output::table(&["job", "state", "organization", "user", "requested", "request"], &rows)?;
        }
    }
    Ok(Exit::Done)
}

fn row(job: &Summary) -> Result<Vec<String>> {
    let requested = job.requested_at.format(&Rfc3339)?;
    let (id, state) = (job.job_id.to_string(), job.state.to_string());
    Ok(vec![id, state, job.org_id.clone(), job.user_id.clone(), requested, job.request_id.clone()])
}

pub async fn show(arguments: ShowArguments, settings: Settings) -> Result<Exit> {
    let store = open::ledger(&settings).await?;
    let carries_events = settings.broker.is_external();
    let Some(details) = jobs::details(&store, arguments.id, carries_events).await? else {
        return Err(open::unknown_job(arguments.id));
    };
    match arguments.json {
        true => output::json(&details)?,
        false => print_details(&details)?,
    }
    Ok(Exit::Done)
}
