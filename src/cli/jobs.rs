//! `handover jobs` and `handover job ID`: what is going on.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use clap::Args;
use serde::Serialize;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::{Ended, open, output};
use crate::config::Settings;
use crate::job::State;
use crate::store::ledger::chunks::{self, Standing};
use crate::store::ledger::jobs::{self, Job};
use crate::store::ledger::{audit, journal, references};
use crate::store::{Session, Store};

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
    State::from_name(text).ok_or_else(|| format!("one of {}", State::ALL.map(State::name).join(", ")))
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
    let Some(story) = story(&store, arguments.id).await? else {
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

/// All that the ledger knows of a job. A completed one is its certificate, with this beside it.
#[derive(Debug, Serialize)]
struct Story {
    #[serde(flatten)]
    certificate: serde_json::Map<String, serde_json::Value>,
    #[serde(flatten)]
    job: serde_json::Map<String, serde_json::Value>,
    /// How far each reference has come; empty for a job that was done at once.
    progress: BTreeMap<String, Standing>,
    /// Chunks that failed or were tried more than once.
    troubled_chunks: Vec<TroubledChunk>,
    /// Of an undo: what was left alone, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    left_alone: Vec<LeftAlone>,
    /// What happened, in order.
    history: Vec<History>,
}

#[derive(Debug, Serialize)]
struct TroubledChunk {
    number: i32,
    state: String,
    attempts: i32,
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct LeftAlone {
    kind: String,
    reason: String,
    records: i64,
    /// Their keys, where the records are of the reference's own table.
    keys: serde_json::Value,
}

/// Rows of the journal that a job's story tells of what was left alone, at most.
const MOST_LEFT_ALONE: u64 = 1000;

#[derive(Debug, Serialize)]
struct History {
    #[serde(with = "time::serde::rfc3339")]
    at: time::OffsetDateTime,
    actor: String,
    action: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<serde_json::Value>,
}

async fn story(store: &Store, id: Uuid) -> Result<Option<Story>> {
    let session = store.reader();
    let Some(job) = jobs::get(&session, id).await? else { return Ok(None) };
    let troubled = chunks::troubled(&session, id).await?;
    let history = audit::of_job(&session, id).await?;
    Ok(Some(Story {
        certificate: object(job.certificate.clone()),
        progress: progress(&session, id).await?.into_iter().collect(),
        job: facts(&job)?,
        troubled_chunks: (troubled.into_iter())
            .map(|chunk| TroubledChunk {
                number: chunk.number,
                state: chunk.state,
                attempts: chunk.attempts,
                error: chunk.error,
            })
            .collect(),
        left_alone: left_alone(&session, &job).await?,
        history: (history.into_iter())
            .map(|entry| History { at: entry.at, actor: entry.actor, action: entry.action, detail: entry.detail })
            .collect(),
    }))
}

/// What an undo has left alone, in the order in which it came upon it.
async fn left_alone(session: &Session, job: &Job) -> Result<Vec<LeftAlone>> {
    if !job.undoes() {
        return Ok(Vec::new());
    }
    let entries = journal::skipped(session, job.id, MOST_LEFT_ALONE).await?;
    let told = entries.into_iter().map(|entry| LeftAlone {
        reason: entry.action.trim_start_matches(journal::SKIPPED).to_owned(),
        kind: entry.kind,
        records: entry.records,
        keys: entry.keys.unwrap_or_default(),
    });
    Ok(told.collect())
}

/// How far each reference of a job has come, in the catalog's order.
pub async fn progress(session: &Session, job: Uuid) -> Result<Vec<(String, Standing)>> {
    let standing = chunks::standing(session, &[job]).await?;
    let courses = references::of_jobs(session, &[job]).await?;
    let of_course = |course: references::Course| Some((course.kind, *standing.get(&(job, course.position))?));
    Ok(courses.into_iter().filter_map(of_course).collect())
}

/// What the certificate does not say, or does not say yet.
fn facts(job: &Job) -> Result<serde_json::Map<String, serde_json::Value>> {
    let mut facts = object(Some(serde_json::to_value(summary(job))?));
    facts.insert("reason".into(), serde_json::to_value(&job.reason)?);
    facts.insert("catalog".into(), job.catalog_hash.clone().into());
    facts.insert("wait_for".into(), serde_json::to_value(job.wait_for)?);
    facts
        .insert("effective_at".into(), serde_json::to_value(job.effective_at.and_then(|at| at.format(&Rfc3339).ok()))?);
    facts.insert("reasons".into(), job.reasons.clone().unwrap_or_default());
    if job.certificate.is_some() {
        for key in ["job_id", "state", "org_id", "user_id", "requested_by", "requested_at", "completed_at"] {
            facts.remove(key);
        }
    }
    Ok(facts)
}

fn object(value: Option<serde_json::Value>) -> serde_json::Map<String, serde_json::Value> {
    match value {
        Some(serde_json::Value::Object(object)) => object,
        _ => serde_json::Map::new(),
    }
}

fn print(story: &Story) -> Result<()> {
    let field = |name: &str| {
        let value = story.certificate.get(name).or_else(|| story.job.get(name));
        match value {
            Some(serde_json::Value::String(text)) => text.clone(),
            Some(serde_json::Value::Null) | None => "-".to_owned(),
            Some(other) => other.to_string(),
        }
    };
    for (label, name) in [
        ("job", "job_id"),
        ("state", "state"),
        ("organization", "org_id"),
        ("user", "user_id"),
        ("request", "request_id"),
        ("requested by", "requested_by"),
        ("reason", "reason"),
        ("requested at", "requested_at"),
        ("started at", "started_at"),
        ("completed at", "completed_at"),
        ("waits for", "wait_for"),
        ("license", "license"),
        ("orphans", "orphans"),
    ] {
        if field(name) != "-" {
            output::line(format!("{label:13} {}", field(name)))?;
        }
    }
    for reason in story.job.get("reasons").and_then(|reasons| reasons.as_array()).into_iter().flatten() {
        output::line(format!(
            "because       {}: {}",
            reason["code"].as_str().unwrap_or("-"),
            reason["message"].as_str().unwrap_or("-")
        ))?;
    }
    let references: Vec<crate::contract::ReferenceResult> = match story.certificate.get("references") {
        Some(references) => serde_json::from_value(references.clone())?,
        None => Vec::new(),
    };
    if !references.is_empty() {
        output::line("")?;
        print_references(&references)?;
    }
    if !story.progress.is_empty() {
        output::line("")?;
        let rows: Vec<Vec<String>> = (story.progress.iter())
            .map(|(kind, s)| {
                [kind.clone()]
                    .into_iter()
                    .chain([s.records, s.done, s.closed, s.open, s.failed].map(|n| n.to_string()))
                    .collect()
            })
            .collect();
        output::table(&["chunks of", "records", "done", "closed", "open", "failed"], &rows)?;
    }
    for chunk in &story.troubled_chunks {
        let error = chunk.error.as_deref().unwrap_or("");
        output::line(format!("chunk {} {} after {} failures: {error}", chunk.number, chunk.state, chunk.attempts))?;
    }
    for left in &story.left_alone {
        let keys: Vec<String> = left.keys.as_array().into_iter().flatten().take(5).map(ToString::to_string).collect();
        let keys = if keys.is_empty() { String::new() } else { format!(" ({})", keys.join(", ")) };
        output::line(format!("left alone    {} of {}: {}{keys}", left.records, left.kind, left.reason))?;
    }
    output::line("")?;
    for entry in &story.history {
        output::line(format!("{}  {}  by {}", entry.at.format(&Rfc3339)?, entry.action, entry.actor))?;
    }
    Ok(())
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
        let to: Vec<String> = reference.successors.iter().map(|(user, count)| format!("{user}: {count}")).collect();
        vec![reference.kind.clone(), reference.disposition.clone(), told.join(", "), to.join(", ")]
    };
    let some =
        |reference: &&crate::contract::ReferenceResult| reference.found.unwrap_or(0) + reference.kept.unwrap_or(0) > 0;
    let rows: Vec<Vec<String>> = references.iter().filter(some).map(row).collect();
    output::table(&["kind", "became", "records", "to"], &rows)
}

/// Prints a job for people.
pub async fn tell(store: &Store, id: Uuid) -> Result<()> {
    match story(store, id).await? {
        Some(story) => print(&story),
        None => Ok(()),
    }
}
