//! `handover revert JOB --preview`: what a revert would do, in a snapshot that is only read, without locks.

use anyhow::{Result, anyhow};
use uuid::Uuid;

use super::{Ended, open, order, output};
use crate::config::Settings;
use crate::contract::{ReferenceResult, UserId};
use crate::stages::undo::preview::{self, LicensePreview, RevertPreview};

pub async fn run(job: Uuid, by: String, json: bool, settings: Settings) -> Result<Ended> {
    let requester = UserId::try_from(by).map_err(|what| anyhow!("--by: {what}"))?;
    let store = open::ledger(&settings).await?;
    let target = order::target(&store, job).await?;
    let context = open::context(&settings, store).await?;
    let foreseen = preview::revert(&context, &target, &requester).await?;
    match json {
        true => output::json_line(&foreseen)?,
        false => print(&foreseen)?,
    }
    Ok(if foreseen.accepted { Ended::Done } else { Ended::Rejected })
}

fn print(foreseen: &RevertPreview) -> Result<()> {
    output::line(format!("user {}, job {}", foreseen.user_id, foreseen.job_id))?;
    if !foreseen.accepted {
        output::line("would be rejected:")?;
        output::reasons(&foreseen.rejections)?;
    }
    let rows: Vec<Vec<String>> = foreseen.references.iter().map(row).collect();
    if !rows.is_empty() {
        output::table(&["kind", "found", "would go back", "left alone"], &rows)?;
    }
    output::line(match foreseen.license {
        LicensePreview::NotNeeded => "license: the revert takes none",
        LicensePreview::Free => "license: one is free",
        LicensePreview::NoneFree => "license: none is free",
    })
}

fn row(result: &ReferenceResult) -> Vec<String> {
    let number = |count: Option<u64>| count.unwrap_or(0).to_string();
    let no_copy = result.impossible.filter(|count| *count > 0).map(|count| format!("{count} no copy any more"));
    let left = result.skipped.iter().map(|(reason, count)| format!("{count} {reason}")).chain(no_copy);
    let left: Vec<String> = left.collect();
    vec![result.kind.clone(), number(result.found), number(result.restored), left.join(", ")]
}
