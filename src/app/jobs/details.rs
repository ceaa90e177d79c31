//! Reads everything that the ledger knows about one job, from the request to the certificate.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::progress::progress;
use super::summary::Summary;
use crate::app::error::{Error, Result};
use crate::broker::Channel;
use crate::contract::{RequestOutcome, RequestType, SkipReason};
use crate::job::State;
use crate::store::ledger::catalogs::{self, Version};
use crate::store::ledger::chunks::{self, ChunkCounts, ChunkState};
use crate::store::ledger::jobs::{self, Job};
use crate::store::ledger::journal::{self, Action};
use crate::store::ledger::{audit, outbox, requests};
use crate::store::{Session, Store};

/// Outbox messages that the details list, at most.
const MAX_WAITING: u64 = 1000;

/// Skipped journal rows that the details list, at most.
const MAX_SKIPPED: u64 = 1000;

/// Everything that the ledger knows about a job. The certificate's fields come first.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Details {
    /// The certificate's fields, if the job has one.
    #[serde(flatten)]
    pub certificate: Map<String, Value>,
    /// The fields that the certificate lacks.
    #[serde(flatten)]
    pub job: Map<String, Value>,
    /// The request as it was sent, with its last amendment.
    pub request: Option<ReceivedRequest>,
    /// The totals of the journal.
    pub journal: Vec<JournalTotal>,
    /// The chunks of each reference; empty for a job that was done at once.
    pub progress: BTreeMap<String, ChunkCounts>,
    /// The chunks that failed or were retried.
    pub failed_chunks: Vec<FailedChunk>,
    /// The failed attempts at chunks, in order.
    pub failed_attempts: Vec<FailedAttempt>,
    /// The job's messages that are still in the outbox: steps and, if a broker carries them, events.
    pub waiting_messages: Vec<WaitingMessage>,
    /// The commands about this job, in order.
    pub commands: Vec<Command>,
    /// The records that an undo skipped, each with the reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    pub skipped: Vec<Skipped>,
    /// The audit trail, in order.
    pub history: Vec<HistoryEntry>,
}

/// A request as it was received.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ReceivedRequest {
    #[serde(with = "time::serde::rfc3339")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    received_at: OffsetDateTime,
    outcome: RequestOutcome,
    body: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    amended: Option<Value>,
}

/// The number of records with one action, by kind and successor.
#[derive(Debug, Serialize, JsonSchema)]
pub struct JournalTotal {
    kind: String,
    #[schemars(with = "String")]
    action: Action,
    #[serde(skip_serializing_if = "Option::is_none")]
    to_user: Option<String>,
    records: u64,
}

/// A message that is still in the outbox.
#[derive(Debug, Serialize, JsonSchema)]
pub struct WaitingMessage {
    /// The id of the message.
    pub message_id: Uuid,
    /// Its channel.
    pub channel: Channel,
    /// Its routing key.
    pub routing_key: String,
    /// The time at which it was written.
    #[serde(with = "time::serde::rfc3339")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub created_at: OffsetDateTime,
    /// The time from which it may be published.
    #[serde(with = "time::serde::rfc3339")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub due_at: OffsetDateTime,
}

/// A command about a job.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Command {
    /// The job of the command itself.
    pub job_id: Uuid,
    /// The type of the command.
    #[serde(rename = "type")]
    pub kind: RequestType,
    /// The state of the command's job.
    pub state: State,
    /// The user who asked.
    pub requested_by: String,
    /// The time of the command.
    #[serde(with = "time::serde::rfc3339")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub requested_at: OffsetDateTime,
    /// The reason that the request gives.
    pub reason: Option<String>,
}

/// A chunk that failed or was retried.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FailedChunk {
    /// The chunk's number.
    pub number: i32,
    /// Its state.
    pub state: ChunkState,
    /// The number of failed attempts.
    pub attempts: i32,
    /// The last error.
    pub error: Option<String>,
}

/// Records that an undo skipped.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Skipped {
    /// The kind of the records.
    pub kind: String,
    /// The reason.
    pub reason: SkipReason,
    /// The number of records.
    pub records: i64,
    /// Their keys, if the records are of the reference's own table.
    pub keys: Value,
}

/// An entry of the audit trail.
#[derive(Debug, Serialize, JsonSchema)]
pub struct HistoryEntry {
    /// The time.
    #[serde(with = "time::serde::rfc3339")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: OffsetDateTime,
    /// The user or the part of Handover that acted.
    pub actor: String,
    /// The action.
    pub action: String,
    /// Reasons and figures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<Value>,
}

/// An entry of the audit trail about a failed attempt.
pub type FailedAttempt = HistoryEntry;

/// Reads a job's details. `carries_events`: true if events leave by a broker; otherwise they stay in the outbox.
pub async fn details(store: &Store, id: Uuid, carries_events: bool) -> Result<Option<Details>> {
    let session = store.reader();
    let Some(job) = jobs::get(&session, id).await? else { return Ok(None) };
    Ok(Some(Details {
        certificate: certificate_fields(&job),
        job: job_fields(&job, catalogs::version_of(&session, &job.catalog_hash).await?)?,
        request: request(&session, &job).await?,
        journal: journal_totals(&session, id).await?,
        progress: progress(store, id).await?.into_iter().collect(),
        failed_chunks: failed_chunks(&session, id).await?,
        failed_attempts: history(audit::failed_of_job(&session, id).await?),
        waiting_messages: waiting_messages(&session, id, carries_events).await?,
        commands: commands(&session, id).await?,
        skipped: skipped(&session, &job).await?,
        history: history(audit::of_job(&session, id).await?),
    }))
}

/// Returns the certificate's fields, with the state of the job itself: a job may go on after its certificate, and an undo's
/// certificate has the state of the job that it has undone.
fn certificate_fields(job: &Job) -> Map<String, Value> {
    let mut fields = fields_of(job.certificate.clone());
    if let Some(state) = fields.get_mut("state") {
        *state = job.state.name().into();
    }
    fields
}

/// Returns the fields that the certificate lacks, or lacks until the job ends.
fn job_fields(job: &Job, version: Option<Version>) -> Result<Map<String, Value>> {
    let summary = serde_json::to_value(Summary::of(job)).map_err(Error::json("a job's summary"))?;
    let mut fields = fields_of(Some(summary));
    fields.insert("reason".into(), job.reason.clone().into());
    fields.insert("catalog".into(), job.catalog_hash.clone().into());
    fields.insert("catalog_version".into(), version.map(|version| version.version).into());
    fields.insert("wait_for".into(), job.wait_for.map(|job| job.to_string()).into());
    if job.certificate.is_none() {
        fields.insert("access_ended_at".into(), job.access_ended_at.and_then(|at| at.format(&Rfc3339).ok()).into());
    }
    fields.insert("reasons".into(), job.reasons.clone().unwrap_or(Value::Null));
    if job.certificate.is_some() {
        for field in ["job_id", "state", "org_id", "user_id", "requested_by", "requested_at", "completed_at"] {
            fields.remove(field);
        }
    }
    Ok(fields)
}

fn fields_of(value: Option<Value>) -> Map<String, Value> {
    if let Some(Value::Object(fields)) = value { fields } else { Map::new() }
}

async fn request(session: &Session, job: &Job) -> Result<Option<ReceivedRequest>> {
    let request = requests::get(session, &job.org, &job.request_id).await?;
    Ok(request.map(|request| ReceivedRequest {
        received_at: request.received_at,
        outcome: request.outcome,
        body: request.body,
        amended: request.amended,
    }))
}

async fn journal_totals(session: &Session, job: Uuid) -> Result<Vec<JournalTotal>> {
    let tallies = journal::tallies(session, &[job]).await?.remove(&job).unwrap_or_default();
    let total = |tally: journal::Tally| JournalTotal {
        kind: tally.kind,
        action: tally.action,
        to_user: tally.to_user,
        records: tally.records,
    };
    Ok(tallies.into_iter().map(total).collect())
}

async fn failed_chunks(session: &Session, job: Uuid) -> Result<Vec<FailedChunk>> {
    let failed = |chunk: chunks::Chunk| FailedChunk {
        number: chunk.number,
        state: chunk.state,
        attempts: chunk.attempts,
        error: chunk.error,
    };
    Ok(chunks::failed_or_retried(session, job).await?.into_iter().map(failed).collect())
}

async fn waiting_messages(session: &Session, job: Uuid, carries_events: bool) -> Result<Vec<WaitingMessage>> {
    let messages = outbox::of_job(session, job, MAX_WAITING).await?;
    // Without a broker, subscribers read events in the outbox: these never leave.
    let leaves = |message: &outbox::OutboxMessage| carries_events || message.channel != Channel::Events;
    let waiting = |message: outbox::OutboxMessage| WaitingMessage {
        message_id: message.message_id,
        channel: message.channel,
        routing_key: message.routing_key,
        created_at: message.created_at,
        due_at: message.due_at,
    };
    Ok(messages.into_iter().filter(leaves).map(waiting).collect())
}

async fn commands(session: &Session, job: Uuid) -> Result<Vec<Command>> {
    let command = |command: Job| Command {
        job_id: command.id,
        kind: command.kind,
        state: command.state,
        requested_by: command.requested_by,
        requested_at: command.requested_at,
        reason: command.reason,
    };
    Ok(jobs::about(session, job).await?.into_iter().map(command).collect())
}

/// Returns the records that an undo skipped, in the order of the undo.
async fn skipped(session: &Session, job: &Job) -> Result<Vec<Skipped>> {
    if !job.undoes() {
        return Ok(Vec::new());
    }
    let skipped = |entry: journal::Entry| match entry.action {
        Action::Skipped(reason) => {
            Some(Skipped { reason, kind: entry.kind, records: entry.records, keys: entry.keys.unwrap_or(Value::Null) })
        }
        Action::Restored | Action::Handover(_) => None,
    };
    Ok(journal::skipped(session, job.id, MAX_SKIPPED).await?.into_iter().filter_map(skipped).collect())
}

fn history(entries: Vec<audit::Entry>) -> Vec<HistoryEntry> {
    let entry = |entry: audit::Entry| HistoryEntry {
        at: entry.at,
        actor: entry.actor,
        action: entry.action,
        detail: entry.detail,
    };
    entries.into_iter().map(entry).collect()
}
