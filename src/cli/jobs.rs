//! `handover jobs` and `handover job ID`: what is going on.

mod story;

use anyhow::{Result, bail};
use clap::Args;
use serde::Serialize;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

pub use self::story::tell;
use self::story::{print, story};
use super::{Ended, open, output};
use crate::config::Settings;
use crate::job::State;
use crate::store::Session;
use crate::store::ledger::chunks::{self, ChunkCounts};
use crate::store::ledger::jobs::{self, Job};
use crate::store::ledger::references;

#[derive(Debug, Args)]
pub struct ListArguments {
    /// Only jobs in this state.
    #[arg(long, value_parser = parse_state)]
    state: Option<State>,
    /// How many, at most.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    limit: u64,
    /// Print as JSON, a line a job.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub struct ShowArguments {
    /// The job.
    id: Uuid,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

fn parse_state(text: &str) -> Result<State, String> {
    text.parse().map_err(|_| format!("one of {}", State::ALL.map(State::name).join(", ")))
}

pub async fn list(arguments: ListArguments, settings: Settings) -> Result<Ended> {
    let store = open::ledger(&settings).await?;
    let states: Vec<State> = arguments.state.into_iter().collect();
    let jobs = jobs::list(&store.reader(), &states, arguments.limit).await?;
    if arguments.json {
        jobs.iter().try_for_each(|job| output::json_line(&summary(job)))?;
        return Ok(Ended::Done);
    }
    let rows: Vec<Vec<String>> = (jobs.iter())
        .map(|job| {
            let requested = job.requested_at.format(&Rfc3339).unwrap_or_default();
            vec![
                job.id.to_string(),
                job.state.clone(),
                job.org.clone(),
                job.user_id.clone(),
                requested,
                job.request_id.clone(),
            ]
        })
        .collect();
    output::table(&["job", "state", "organization", "user", "requested", "request"], &rows)?;
    Ok(Ended::Done)
}

pub async fn show(arguments: ShowArguments, settings: Settings) -> Result<Ended> {
    let store = open::ledger(&settings).await?;
    let carries_events = settings.broker.is_external();
    let Some(story) = story(&store, arguments.id, carries_events).await? else {
        bail!("there is no job {}: `handover jobs` lists those that there are", arguments.id);
    };
    match arguments.json {
        true => output::json(&story)?,
        false => print(&story)?,
    }
    Ok(Ended::Done)
}

/// A job in a list.
#[derive(Debug, Serialize)]
struct Summary {
    job_id: Uuid,
    state: String,
    org_id: String,
    user_id: String,
    request_id: String,
    requested_by: String,
    #[serde(with = "time::serde::rfc3339")]
    requested_at: time::OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    completed_at: Option<time::OffsetDateTime>,
}

fn summary(job: &Job) -> Summary {
    Summary {
        job_id: job.id,
        state: job.state.clone(),
        org_id: job.org.clone(),
        user_id: job.user_id.clone(),
        request_id: job.request_id.clone(),
        requested_by: job.requested_by.clone(),
        requested_at: job.requested_at,
        completed_at: job.completed_at,
    }
}

/// How far each reference of a job has come, in the catalog's order.
pub async fn progress(session: &Session, job: Uuid) -> Result<Vec<(String, ChunkCounts)>> {
    let standing = chunks::counts(session, &[job]).await?;
    let courses = references::of_jobs(session, &[job]).await?;
    let of_course =
        |course: references::ReferenceProgress| Some((course.kind, *standing.get(&(job, course.position))?));
    Ok(courses.into_iter().filter_map(of_course).collect())
}

/// A certificate's references, as a table.
pub fn print_references(references: &[crate::contract::ReferenceResult]) -> Result<()> {
    let row = |reference: &crate::contract::ReferenceResult| {
        let what = [
            ("moved", reference.moved),
            ("merged", reference.merged),
            ("dropped", reference.dropped),
            ("removed", reference.removed),
            ("purged", reference.purged),
            ("set", reference.set),
            ("kept", reference.kept),
            ("left behind", reference.left_behind.filter(|count| *count > 0)),
            ("changed meanwhile", reference.changed_meanwhile.filter(|count| *count > 0)),
        ];
        let told: Vec<String> =
            what.into_iter().filter_map(|(what, count)| Some(format!("{} {what}", count?))).collect();
        let to = reference.successors.iter().map(|(user, count)| format!("{user}: {count}"));
        let to: Vec<String> = to.chain(reference.received_nothing.iter().map(|user| format!("{user}: none"))).collect();
        vec![reference.kind.clone(), reference.disposition.clone(), told.join(", "), to.join(", ")]
    };
    let some =
        |reference: &&crate::contract::ReferenceResult| reference.found.unwrap_or(0) + reference.kept.unwrap_or(0) > 0;
    let rows: Vec<Vec<String>> = references.iter().filter(some).map(row).collect();
    output::table(&["kind", "became", "records", "to"], &rows)
}
