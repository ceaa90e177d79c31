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
use crate::contract::{RequestType, check_json};

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

/// Sends an amendment with its new allotments.
pub async fn amend(arguments: AmendArguments, settings: Settings) -> Result<Exit> {
    let holds_none = || format!("{} holds no allotments", arguments.reassign.display());
    let content = request_file::read_file(&arguments.reassign)?;
    check_json(&content).with_context(holds_none)?;
    let text = String::from_utf8(content).with_context(holds_none)?;
    send(RequestType::Amend, arguments.command, Some(text), settings).await
}

/// Sends a command.
pub async fn run(kind: RequestType, arguments: Arguments, settings: Settings) -> Result<Exit> {
    send(kind, arguments, None, settings).await
}

async fn send(kind: RequestType, arguments: Arguments, reassign: Option<String>, settings: Settings) -> Result<Exit> {
    let store = open::ledger(&settings).await?;
    let target = open::job(&store, arguments.job).await?;
    let Arguments { by: requested_by, reason, request_id, wait, confirmation, json, .. } = arguments;
    let command = JobCommand { kind, requested_by, reason, request_id, reassign };
    let requests = vec![command.about(&target).context("nothing was sent")?];
    Submission { store, requests, confirmation, wait, json }.perform(&settings).await
}
