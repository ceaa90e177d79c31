//! `handover revert`, `cancel`, `pause`, `resume` and `amend`: orders about a job, sent to the queue as `submit` does.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::de::IgnoredAny;
use uuid::Uuid;

use super::{Ended, open, revert_preview, submit};
use crate::config::Settings;
use crate::contract::{Request, RequestType, read_request};
use crate::store::Store;
use crate::store::ledger::jobs::{self, Job};

/// What every order says.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The job that the order is about.
    job: Uuid,
    /// Who asks.
    #[arg(long, value_name = "USER")]
    by: String,
    /// Why, for the audit trail.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// The order's own name: sent twice under the same, it is done once. A new one where it is not given.
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    /// Follow the order to its end: exit code 3 where it is rejected, 1 where it needs attention.
    #[arg(long)]
    wait: bool,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub struct RevertArguments {
    #[command(flatten)]
    order: Arguments,
    /// Show what would go back and what would not, and change nothing.
    #[arg(long, conflicts_with_all = ["wait", "request_id"])]
    preview: bool,
}

#[derive(Debug, Args)]
pub struct AmendArguments {
    #[command(flatten)]
    order: Arguments,
    /// A file with the new allotments, as a request's `reassign` has them: {"contact": {"user": "11"}}; `-` is standard
    /// input.
    #[arg(long, value_name = "FILE")]
    reassign: PathBuf,
}

/// Sends an order, or previews it.
pub async fn revert(arguments: RevertArguments, settings: Settings) -> Result<Ended> {
    if !arguments.preview {
        return run(RequestType::Revert, arguments.order, settings).await;
    }
    let Arguments { job, by, json, .. } = arguments.order;
    revert_preview::run(job, by, json, settings).await
}

/// Sends an order that names successors.
pub async fn amend(arguments: AmendArguments, settings: Settings) -> Result<Ended> {
    let text = submit::read_file(&arguments.reassign)?;
    serde_json::from_str::<IgnoredAny>(&text)
        .with_context(|| format!("{} holds no allotments", arguments.reassign.display()))?;
    send(RequestType::Amend, arguments.order, Some(&text), settings).await
}

/// Sends an order.
pub async fn run(kind: RequestType, arguments: Arguments, settings: Settings) -> Result<Ended> {
    send(kind, arguments, None, settings).await
}

async fn send(kind: RequestType, arguments: Arguments, reassign: Option<&str>, settings: Settings) -> Result<Ended> {
    let store = open::ledger(&settings).await?;
    let target = target(&store, arguments.job).await?;
    let request = order(kind, &arguments, &target, reassign)?;
    let broker = open::broker(&settings, &store).await?;
    submit::send(&store, broker.as_ref(), &[request], arguments.wait, arguments.json).await
}

/// The job that an order is about.
pub async fn target(store: &Store, id: Uuid) -> Result<Job> {
    match jobs::get(&store.reader(), id).await? {
        Some(job) => Ok(job),
        None => bail!("there is no job {id}: `handover jobs` lists those that there are"),
    }
}

/// The order, read as the planner reads it, so that what it would park is told here.
fn order(kind: RequestType, arguments: &Arguments, target: &Job, reassign: Option<&str>) -> Result<Request> {
    let mut body = serde_json::json!({
        "type": kind.name(),
        "request_id": arguments.request_id.clone().unwrap_or_else(|| Uuid::new_v4().to_string()),
        "job_id": target.id,
        "requested_by": arguments.by,
    });
    if !target.org.is_empty() {
        body["org_id"] = target.org.clone().into();
    }
    if let Some(reason) = &arguments.reason {
        body["reason"] = reason.clone().into();
    }
    let mut body = body.to_string();
    if let Some(reassign) = reassign {
        // As it was written, so that a kind that stands there twice is seen.
        body.truncate(body.len() - 1);
        body.push_str(&format!(",\"reassign\":{reassign}}}"));
    }
    read_request(body.as_bytes()).context("nothing was sent")
}
