//! Resuming a job.

use crate::contract::{CatalogChoice, JobCommand, Reason};
use crate::job::State;
use crate::stages::commands::context::CommandContext;
use crate::stages::commands::go_on::go_on;
use crate::stages::commands::switch_catalog::switch_catalog;
use crate::stages::lifecycle::JobChange;
use crate::stages::refusal::refusal;
use crate::store::Result;

/// Resumes a job that is paused or needs attention.
pub async fn resume(
    command: &mut CommandContext<'_>,
    asked: &JobCommand,
    mut target: JobChange,
) -> Result<Vec<Reason>> {
    if let Some(reason) = refusal(&target.job, &[State::Paused, State::NeedsAttention], "resumed") {
        return Ok(vec![reason]);
    }
    if asked.catalog == Some(CatalogChoice::Current)
        && let Err(reasons) = switch_catalog(command, &mut target).await?
    {
        return Ok(reasons);
    }
    go_on(command, target).await?;
    Ok(Vec::new())
}
