//! `handover revert`: sends a revert, or previews it.

use anyhow::{Result, anyhow};
use clap::Args;

use super::exit::Exit;
use super::{job_commands, open, output};
use crate::app::preview::{LicensePreview, RevertPreview, preview_revert};
use crate::config::Settings;
use crate::contract::{ReferenceResult, RequestType, UserId};

#[derive(Debug, Args)]
pub struct RevertArguments {
    #[command(flatten)]
    command: job_commands::Arguments,
    /// Show what would be restored and what would be skipped, and change nothing.
    #[arg(long, conflicts_with_all = ["wait", "request_id"])]
    preview: bool,
}

pub async fn run(arguments: RevertArguments, settings: Settings) -> Result<Exit> {
    match arguments.preview {
        true => preview(arguments.command, settings).await,
        false => job_commands::run(RequestType::Revert, arguments.command, settings).await,
    }
}

async fn preview(arguments: job_commands::Arguments, settings: Settings) -> Result<Exit> {
    let job_commands::Arguments { job, by, json, .. } = arguments;
    let requester = UserId::try_from(by).map_err(|what| anyhow!("--by: {what}"))?;
    let store = open::ledger(&settings).await?;
    let context = open::context(&settings, store).await?;
    let Some(preview) = preview_revert(&context, job, &requester).await? else {
        return Err(open::unknown_job(job));
    };
    match json {
        true => output::json_line(&preview)?,
        false => print(&preview)?,
    }
    Ok(if preview.accepted { Exit::Done } else { Exit::Rejected })
}

fn print(preview: &RevertPreview) -> Result<()> {
    output::line(format!("user {}, job {}", preview.user_id, preview.job_id))?;
    if !preview.accepted {
        output::line("would be rejected:")?;
        output::reasons(&preview.rejections)?;
    }
    let rows: Vec<Vec<String>> = preview.references.iter().map(row).collect();
    if !rows.is_empty() {
        output::table(&["kind", "found", "would be restored", "skipped"], &rows)?;
    }
    output::line(match preview.license {
        LicensePreview::NotNeeded => "license: the revert takes none",
        LicensePreview::Free => "license: one is free",
        LicensePreview::NoneFree => "license: none is free",
    })
}

fn row(result: &ReferenceResult) -> Vec<String> {
    let number = |count: Option<u64>| count.unwrap_or(0).to_string();
    let no_copy = result.impossible.filter(|count| *count > 0).map(|count| format!("{count} without a snapshot"));
    let skipped = result.skipped.iter().map(|(reason, count)| format!("{count} {reason}")).chain(no_copy);
    let skipped: Vec<String> = skipped.collect();
    vec![result.kind.clone(), number(result.found), number(result.restored), skipped.join(", ")]
}
