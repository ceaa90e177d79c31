//! A job's whole story, from the request to the certificate: for whoever has to account for it.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::{print_references, progress, summary};
use crate::cli::output;
use crate::contract::ReferenceResult;
use crate::store::ledger::chunks::{self, ChunkCounts};
use crate::store::ledger::jobs::{self, Job};
use crate::store::ledger::{audit, journal, outbox, requests};
use crate::store::{Session, Store};

/// All that the ledger knows of a job. A completed one is its certificate, with this beside it.
#[derive(Debug, Serialize)]
pub(super) struct Story {
    #[serde(flatten)]
    certificate: serde_json::Map<String, serde_json::Value>,
    #[serde(flatten)]
    job: serde_json::Map<String, serde_json::Value>,
    /// The request as it was sent, and as it was amended last.
    request: Option<Asked>,
    /// What the journal says of what was done, added up.
    journal: Vec<Done>,
    /// How far each reference has come; empty for a job that was done at once.
    progress: BTreeMap<String, ChunkCounts>,
    /// Chunks that failed or were tried more than once.
    troubled_chunks: Vec<TroubledChunk>,
    /// The attempts at chunks that failed, in order.
    failed_attempts: Vec<History>,
    /// Messages of the job that have not left yet: steps and, where a broker carries them, events.
    waiting_messages: Vec<Waiting>,
    /// What was asked for about this job, in order.
    orders: Vec<Ordered>,
    /// Of an undo: what was left alone, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    left_alone: Vec<LeftAlone>,
    /// What happened, in order.
    history: Vec<History>,
}

#[derive(Debug, Serialize)]
struct Asked {
    #[serde(with = "time::serde::rfc3339")]
    received_at: OffsetDateTime,
    outcome: String,
    body: serde_json::Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    amended: Option<serde_json::Value>,
}

#[derive(Debug, Serialize)]
struct Done {
    kind: String,
    action: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    to_user: Option<String>,
    records: u64,
}

#[derive(Debug, Serialize)]
struct Waiting {
    message_id: Uuid,
    channel: String,
    routing_key: String,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    due_at: OffsetDateTime,
}

#[derive(Debug, Serialize)]
struct Ordered {
    job_id: Uuid,
    #[serde(rename = "type")]
    kind: String,
    state: String,
    requested_by: String,
    #[serde(with = "time::serde::rfc3339")]
    requested_at: OffsetDateTime,
    reason: Option<String>,
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

/// Messages that a job's story tells of, at most.
const MOST_WAITING: u64 = 1000;

/// Rows of the journal that a job's story tells of what was left alone, at most.
const MOST_LEFT_ALONE: u64 = 1000;

/// Of each kind of trouble, what is printed for people at most.
const MOST_PRINTED: usize = 20;

#[derive(Debug, Serialize)]
struct History {
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    actor: String,
    action: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<serde_json::Value>,
}

pub(super) async fn story(store: &Store, id: Uuid, carries_events: bool) -> Result<Option<Story>> {
    let session = store.reader();
    let Some(job) = jobs::get(&session, id).await? else { return Ok(None) };
    let troubled = chunks::failed_or_retried(&session, id).await?;
    let told =
        |entry: audit::Entry| History { at: entry.at, actor: entry.actor, action: entry.action, detail: entry.detail };
    let history = audit::of_job(&session, id).await?;
    let failed = audit::failed_of_job(&session, id).await?;
    Ok(Some(Story {
        request: asked(&session, &job).await?,
        journal: done(&session, id).await?,
        failed_attempts: failed.into_iter().map(told).collect(),
        waiting_messages: waiting(&session, id, carries_events).await?,
        orders: orders(&session, id).await?,
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
        history: history.into_iter().map(told).collect(),
    }))
}

async fn asked(session: &Session, job: &Job) -> Result<Option<Asked>> {
    let request = requests::get(session, &job.org, &job.request_id).await?;
    Ok(request.map(|request| Asked {
        received_at: request.received_at,
        outcome: request.outcome,
        body: request.body,
        amended: request.amended,
    }))
}

async fn done(session: &Session, job: Uuid) -> Result<Vec<Done>> {
    let tallies = journal::tallies(session, &[job]).await?.remove(&job).unwrap_or_default();
    let told = |tally: journal::Tally| Done {
        kind: tally.kind,
        action: tally.action,
        to_user: tally.to_user,
        records: tally.records,
    };
    Ok(tallies.into_iter().map(told).collect())
}

/// Without a broker, events stay where they are.
async fn waiting(session: &Session, job: Uuid, carries_events: bool) -> Result<Vec<Waiting>> {
    let letters = outbox::of_job(session, job, MOST_WAITING).await?;
    let told = |letter: outbox::OutboxMessage| Waiting {
        message_id: letter.message_id,
        channel: letter.channel,
        routing_key: letter.routing_key,
        created_at: letter.created_at,
        due_at: letter.due_at,
    };
    let leaves = |letter: &outbox::OutboxMessage| carries_events || letter.channel != "events";
    Ok(letters.into_iter().filter(leaves).map(told).collect())
}

async fn orders(session: &Session, job: Uuid) -> Result<Vec<Ordered>> {
    let told = |order: Job| Ordered {
        job_id: order.id,
        kind: order.kind,
        state: order.state,
        requested_by: order.requested_by,
        requested_at: order.requested_at,
        reason: order.reason,
    };
    Ok(jobs::about(session, job).await?.into_iter().map(told).collect())
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

pub(super) fn print(story: &Story) -> Result<()> {
    print_facts(story)?;
    print_work(story)?;
    print_around(story)?;
    output::line("")?;
    for entry in &story.history {
        output::line(format!("{}  {}  by {}", entry.at.format(&Rfc3339)?, entry.action, entry.actor))?;
    }
    Ok(())
}

fn print_facts(story: &Story) -> Result<()> {
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
    Ok(())
}

/// What was done, and how far it has come.
fn print_work(story: &Story) -> Result<()> {
    let references: Vec<ReferenceResult> = match story.certificate.get("references") {
        Some(references) => serde_json::from_value(references.clone())?,
        None => Vec::new(),
    };
    if !references.is_empty() {
        output::line("")?;
        print_references(&references)?;
    }
    for kind in story.certificate.get("without_effect").and_then(|kinds| kinds.as_array()).into_iter().flatten() {
        let kind = kind.as_str().unwrap_or_default();
        output::line(format!("there was nothing of `{kind}` to receive: what the request says of it had no effect"))?;
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
    Ok(())
}

/// What went wrong, what waits, what was ordered, and what an undo has left alone.
fn print_around(story: &Story) -> Result<()> {
    for chunk in some(&story.troubled_chunks, "chunks with failures")? {
        let error = chunk.error.as_deref().unwrap_or("");
        output::line(format!("chunk {} {} after {} failures: {error}", chunk.number, chunk.state, chunk.attempts))?;
    }
    for failed in some(&story.failed_attempts, "failed attempts")? {
        output::line(format!("failed        {}  {}", failed.at.format(&Rfc3339)?, attempt(failed)))?;
    }
    for waiting in some(&story.waiting_messages, "messages that wait to go")? {
        output::line(format!("waits to go   {}  since {}", waiting.routing_key, waiting.created_at.format(&Rfc3339)?))?;
    }
    for order in &story.orders {
        let at = order.requested_at.format(&Rfc3339)?;
        output::line(format!("order         {at}  {} by {}: {}", order.kind, order.requested_by, order.state))?;
    }
    for left in some(&story.left_alone, "entries of the journal that were left alone")? {
        let keys: Vec<String> = left.keys.as_array().into_iter().flatten().take(5).map(ToString::to_string).collect();
        let keys = if keys.is_empty() { String::new() } else { format!(" ({})", keys.join(", ")) };
        output::line(format!("left alone    {} of {}: {}{keys}", left.records, left.kind, left.reason))?;
    }
    Ok(())
}

/// The first few of many; says how many there are.
fn some<'s, T>(all: &'s [T], what: &str) -> Result<&'s [T]> {
    if all.len() > MOST_PRINTED {
        let count = all.len();
        output::line(format!("{what}: {count}; the first {MOST_PRINTED} are here, --json has them all"))?;
    }
    Ok(&all[..all.len().min(MOST_PRINTED)])
}

/// A failed attempt, as the audit trail has it.
fn attempt(failed: &History) -> String {
    let detail = failed.detail.as_ref().and_then(|detail| detail.get(0)).cloned().unwrap_or_default();
    let message = detail["message"].as_str().unwrap_or_default();
    match (detail["chunk"].as_i64(), detail["attempt"].as_i64()) {
        (Some(chunk), Some(attempt)) => format!("chunk {chunk}, attempt {attempt}: {message}"),
        _ => message.to_owned(),
    }
}

/// Prints a job for people.
pub async fn tell(store: &Store, id: Uuid) -> Result<()> {
    match story(store, id, false).await? {
        Some(story) => print(&story),
        None => Ok(()),
    }
}
