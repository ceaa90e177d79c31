//! `handover preview`: shows what requests would do, as `--dry-run` does.

mod commands;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde::Serialize;

use super::exit::Exit;
use super::{open, output, request_file};
use crate::app::organizations;
use crate::app::preview::{self, Capacity, Preview, PreviewedReference};
use crate::config::Settings;
use crate::contract::{HandoverRequest, Request, counted, hash_of};
use crate::stages::Context;
use crate::worker::{self, host_activity};

#[derive(Debug, Args)]
pub struct Arguments {
    /// A file with one request, or one per line; `-` is standard input.
    #[arg(default_value = "-")]
    file: PathBuf,
    /// Write the plan token of the request to this file, for `expect`. The screen shows a digest.
    #[arg(long, value_name = "FILE")]
    token: Option<PathBuf>,
    /// Print as JSON, one line per request.
    #[arg(long)]
    json: bool,
}

pub async fn run(arguments: Arguments, settings: Settings) -> Result<Exit> {
    let requests = request_file::read_requests(&arguments.file)?;
    let store = open::ledger(&settings).await?;
    let context = open::context(&settings, store).await?;
    organizations::check_all(&context.store, &context.catalogs.current(), &requests).await?;
    if let Some(file) = &arguments.token {
        write_token(&context, settings.worker, &requests, file).await?;
    }
    show(&context, settings.worker, requests, arguments.json).await
}

/// Writes the plan token of a request to a file.
async fn write_token(context: &Context, worker: worker::Settings, requests: &[Request], file: &Path) -> Result<()> {
    let [Request::Handover(request)] = requests else {
        bail!("--token: one request that hands records over is needed")
    };
    let previewed = preview(context, worker, request.clone()).await?;
    let Some(token) = previewed.token else { return Ok(()) };
    std::fs::write(file, format!("{token}\n")).with_context(|| format!("{} cannot be written", file.display()))
}

/// Shows what requests would do. Exit code 3 if one of them would be rejected.
pub async fn show(context: &Context, worker: worker::Settings, requests: Vec<Request>, json: bool) -> Result<Exit> {
    let mut exit = Exit::Done;
    for request in requests {
        let is_accepted = match request {
            Request::Handover(request) => {
                let preview = preview(context, worker, request).await?;
                show_one(&preview, json, print)?;
                preview.accepted
            }
            request @ (Request::User(_) | Request::Invite(_) | Request::Job(_)) => {
                show_command(context, request, json).await?
            }
        };
        if !is_accepted {
            exit = Exit::Rejected;
        }
    }
    Ok(exit)
}

/// Shows what a request about a job, a user or an invitation would do, and returns true if it would be accepted.
async fn show_command(context: &Context, request: Request, json: bool) -> Result<bool> {
    if let Some(revert) = preview::preview_revert(context, &request).await? {
        show_one(&revert, json, commands::print_revert)?;
        return Ok(revert.accepted);
    }
    let preview = preview::preview_command(context, request).await?;
    show_one(&preview, json, commands::print)?;
    Ok(preview.accepted)
}

fn show_one<P: Serialize>(preview: &P, json: bool, print: impl Fn(&P) -> Result<()>) -> Result<()> {
    match json {
        true => output::json_line(preview),
        false => print(preview),
    }
}

/// Returns the capacity of a worker with these settings.
pub fn capacity(worker: worker::Settings) -> Capacity {
    Capacity {
        movers: worker.movers,
        share: worker.pace.share(),
        shared_with_host: worker.pace.backs_off().then_some(host_activity::WORK_SHARE),
    }
}

/// Previews a request for a worker with these settings.
pub async fn preview(context: &Context, worker: worker::Settings, request: HandoverRequest) -> Result<Preview> {
    // The host's activity only refines the estimate: a failed look must not fail the preview.
    let is_host_active = async { host_activity::is_active(&context.store).await.unwrap_or(false) };
    Ok(preview::preview(context, capacity(worker), request, is_host_active).await?)
}

/// Prints a preview for people.
pub fn print(preview: &Preview) -> Result<()> {
    output::line(format!("user {}, job {}", preview.user_id, preview.job_id))?;
    if !preview.accepted {
        output::line("would be rejected:")?;
        return output::reasons(&preview.rejections);
    }
    let rows: Vec<Vec<String>> = preview.references.iter().filter(|reference| reference.found > 0).map(row).collect();
    output::table(&["kind", "disposition", "assigned", "to"], &rows)?;
    for reference in &preview.references {
        let left = reference.assigned.map_or(0, |assigned| reference.found.saturating_sub(assigned));
        if left > 0 {
            let records = counted(left, "record");
            output::line(format!("{records} of kind `{}` would stay with the leaver", reference.kind))?;
        }
    }
    for reference in preview.references.iter().filter(|reference| reference.conflicts > 0) {
        let (kind, conflicts) = (&reference.kind, counted(reference.conflicts, "record"));
        output::line(format!("{conflicts} of `{kind}`: a successor has it already, by a unique index"))?;
    }
    for kind in &preview.without_effect {
        output::line(format!("nothing of kind `{kind}` to move: the request's allotment for it has no effect"))?;
    }
    if let Some(job) = preview.supersedes {
        output::line(format!("replaces the user's job {job}, which has changed nothing yet"))?;
    }
    if let Some(job) = preview.wait_for {
        output::line(format!("waits for the job {job} to end"))?;
    }
    if !preview.open_reasons.is_empty() {
        output::line("the user would be locked out, and the job would then need attention:")?;
        return output::reasons(&preview.open_reasons);
    }
    let how = match preview.chunks {
        0 => "at once, in one transaction".to_owned(),
        chunks => format!("in {}", counted(chunks, "chunk")),
    };
    let estimate = humantime::format_duration(Duration::from_millis(preview.estimate_ms));
    output::line(format!("would be done {how}, in about {estimate}"))?;
    if let Some(token) = &preview.token {
        output::line(format!("plan sha256:{} (`--json` or `--token FILE` has the token for `expect`)", digest(token)))?;
    }
    Ok(())
}

/// Returns a few digits by which people compare plan tokens.
fn digest(token: &str) -> String {
    hash_of(&token.into()).chars().take(12).collect()
}

fn row(reference: &PreviewedReference) -> Vec<String> {
    let assigned = match reference.assigned {
        Some(assigned) => format!("{assigned}/{}", reference.found),
        None => reference.found.to_string(),
    };
    let to: Vec<String> = reference.successors.iter().map(|(user, count)| format!("{user}: {count}")).collect();
    vec![reference.kind.clone(), reference.disposition.to_owned(), assigned, to.join(", ")]
}
