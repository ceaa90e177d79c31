//! `handover revert`, `cancel`, `pause`, `resume` and `amend`: commands about a job, sent to the queue as `submit` sends requests.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use uuid::Uuid;

use super::confirmation::Confirmation;
use super::exit::Exit;
use super::follow::Wait;
use super::submit::Submission;
use super::{job_id, open, request_file};
use crate::app::submit::JobCommand;
use crate::config::Settings;
use crate::contract::{CatalogChoice, RequestType, check_json};

/// The arguments of every command about a job.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The job.
    #[arg(value_parser = job_id::parse)]
    job: Uuid,
    /// The user who asks.
    #[arg(long, value_name = "USER")]
    by: String,
    /// The reason, for the audit trail.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// The idempotency key: a command sent twice with the same key is done once. Default: a new one.
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    #[command(flatten)]
    wait: Wait,
    #[command(flatten)]
    pub(super) confirmation: Confirmation,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub struct AmendArguments {
    #[command(flatten)]
    pub(super) command: Arguments,
    /// A file with the new allotments, as in a request's `reassign`: {"contact": {"user": "11"}}; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    reassign: PathBuf,
}

#[derive(Debug, Args)]
pub struct ResumeArguments {
    #[command(flatten)]
    pub(super) command: Arguments,
    /// Continue with the current catalog instead of the job's own: guards and successors are evaluated again.
    #[arg(long, value_parser = CatalogChoice::ALL.map(CatalogChoice::name))]
    catalog: Option<String>,
}

/// Resumes a job.
pub async fn resume(arguments: ResumeArguments, settings: Settings) -> Result<Exit> {
    let more = More { catalog: arguments.catalog, ..More::default() };
    send(RequestType::Resume, arguments.command, more, settings).await
}

/// Sends an amendment with its new allotments.
pub async fn amend(arguments: AmendArguments, settings: Settings) -> Result<Exit> {
    let holds_none = || format!("{} holds no allotments", arguments.reassign.display());
    let content = request_file::read_file(&arguments.reassign)?;
    check_json(&content).with_context(holds_none)?;
    let text = String::from_utf8(content).with_context(holds_none)?;
    send(RequestType::Amend, arguments.command, More { reassign: Some(text), ..More::default() }, settings).await
}

/// Sends a command.
pub async fn run(kind: RequestType, arguments: Arguments, settings: Settings) -> Result<Exit> {
    send(kind, arguments, More::default(), settings).await
}

/// The arguments that only some commands have.
#[derive(Default)]
struct More {
    catalog: Option<String>,
    reassign: Option<String>,
}

async fn send(kind: RequestType, arguments: Arguments, more: More, settings: Settings) -> Result<Exit> {
    let store = open::ledger(&settings).await?;
    let target = open::job(&store, arguments.job).await?;
    let Arguments { by: requested_by, reason, request_id, wait, confirmation, json, .. } = arguments;
    let More { catalog, reassign } = more;
    let command = JobCommand { kind, requested_by, reason, request_id, catalog, reassign };
    let requests = vec![command.about(&target).context("nothing was sent")?];
    Submission { store, requests, confirmation, wait, json }.perform(&settings).await
}
