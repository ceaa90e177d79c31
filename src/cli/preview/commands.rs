//! Prints what requests about a job, a user or an invitation would do.

use anyhow::Result;

use crate::app::preview::{CommandPreview, LicensePreview, RevertPreview};
use crate::cli::output;
use crate::contract::ReferenceResult;

/// Prints what a revert would restore and what it would skip.
pub fn print_revert(preview: &RevertPreview) -> Result<()> {
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

/// Prints whether a request would be accepted.
pub fn print(preview: &CommandPreview) -> Result<()> {
    let job = preview.job_id.map(|job| format!(", job {job}"));
    let user = preview.user_id.as_ref().map(|user| format!(", user {user}"));
    let about = job.or(user).unwrap_or_default();
    output::line(format!("{}{about}", preview.kind.name()))?;
    if preview.accepted {
        return output::line("would be accepted");
    }
    output::line("would be rejected:")?;
    output::reasons(&preview.rejections)
}
