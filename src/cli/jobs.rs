//! `handover jobs` and `handover job ID`: lists jobs and shows one.

mod print;

use std::str::FromStr;

use anyhow::Result;
use clap::Args;
use time::OffsetDateTime;
use uuid::Uuid;

pub use self::print::{print_details, print_references};
use super::exit::Exit;
use super::list::{self, Cell, Column, Listing, Page};
use super::{job_id, open, output, time_argument};
use crate::app::jobs::{self, Summary};
use crate::config::Settings;
use crate::contract::{RequestType, most_similar};
use crate::job::State;
use crate::store::ledger::job_filter::JobFilter;

#[derive(Debug, Args)]
pub struct ListArguments {
    /// Only jobs in this state; more than one may be given.
    #[arg(long, value_parser = parse_named::<State>, value_delimiter = ',')]
    state: Vec<State>,
    /// Only jobs of this type; more than one may be given.
    #[arg(long = "type", value_name = "TYPE", value_parser = parse_named::<RequestType>, value_delimiter = ',')]
    kinds: Vec<RequestType>,
    /// Only jobs about this user.
    #[arg(long)]
    user: Option<String>,
    /// Only jobs of this organization.
    #[arg(long)]
    org: Option<String>,
    /// Only jobs that this user asked for.
    #[arg(long, value_name = "USER")]
    by: Option<String>,
    /// Only jobs requested since this time: RFC 3339, a day in UTC (2026-11-22), or an age (2h, 7d).
    #[arg(long, value_name = "TIME", value_parser = time_argument::parse)]
    since: Option<OffsetDateTime>,
    /// Only jobs with this text in the request's id or reason.
    #[arg(long)]
    text: Option<String>,
    #[command(flatten)]
    list: list::ListOptions,
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

fn parse_named<N: FromStr + Named>(text: &str) -> Result<N, String> {
    let hint = || match most_similar(text, N::names()) {
        Some(likely) => format!("did you mean {likely}? known are {}", N::names().join(", ")),
        None => format!("one of {}", N::names().join(", ")),
    };
    text.parse().map_err(|_| hint())
}

/// An enum whose values have names.
trait Named {
    /// Returns the names.
    fn names() -> Vec<&'static str>;
}

impl Named for State {
    fn names() -> Vec<&'static str> {
        State::ALL.map(State::name).to_vec()
    }
}

impl Named for RequestType {
    fn names() -> Vec<&'static str> {
        RequestType::ALL.map(RequestType::name).to_vec()
    }
}

const LISTING: Listing<Summary> = Listing::new(&COLUMNS, "job");

const COLUMNS: [Column<Summary>; 12] = [
    Column::shown("job", |job| Cell::word(&job.job_id.to_string())),
    Column::shown("type", |job| Cell::word(job.kind.name())),
    Column::shown("state", |job| Cell::word(job.state.name())),
    Column::shown("user", |job| Cell::text(&job.user_id)),
    Column::shown("starts", |job| Cell::time(job.effective_at)),
    Column::shown("requested", |job| Cell::Time(job.requested_at)),
    Column::shown("organization", |job| Cell::text(&job.org_id)),
    Column::shown("request", |job| Cell::text(&job.request_id)),
    Column::extra("by", |job| Cell::text(&job.requested_by)),
    Column::extra("about", |job| Cell::word(&job.about_job.map(|job| job.to_string()).unwrap_or_default())),
    Column::extra("returns", |job| Cell::time(job.return_at)),
    Column::extra("completed", |job| Cell::time(job.completed_at)),
];

pub async fn list(arguments: ListArguments, settings: Settings) -> Result<Exit> {
    let ListArguments { state: states, kinds, user, org, by: requested_by, since, text, list } = arguments;
    let store = open::ledger(&settings).await?;
    let filter = JobFilter { states, kinds, user, org: org.clone(), requested_by, since, text, before: None };
    let Page { limit, skip } = list.page();
    let (jobs, total) = jobs::list(&store, &filter, limit, skip).await?;
    if total == 0 {
        open::organization(&settings, &store, org.as_deref()).await?;
    }
    list.print(&LISTING, &jobs, total)?;
    Ok(Exit::Done)
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
