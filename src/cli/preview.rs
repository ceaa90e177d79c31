//! `handover preview`: what requests would do. Runs the planner's own code in a snapshot that is only read, without locks.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use clap::Args;
use serde::Serialize;

use super::{Ended, open, output, submit};
use crate::catalog::{Catalog, Disposition};
use crate::config::Settings;
use crate::contract::{AnyRequest, JobId, Rejection, Request};
use crate::plan::token::Seen;
use crate::plan::{Plan, Planned, Verdict, fit_handover};
use crate::stages::Context;
use crate::stages::assess::{Counting, assess, parties};
use crate::store::host;
use crate::store::ledger::chunks;

#[derive(Debug, Args)]
pub struct Arguments {
    /// A file with a request, or with one on each line; `-` is standard input.
    #[arg(default_value = "-")]
    file: PathBuf,
    /// Print as JSON, a line a request.
    #[arg(long)]
    json: bool,
}

/// What a request would do.
#[derive(Debug, Clone, Serialize)]
pub struct Preview {
    /// The job that it would make.
    pub job_id: JobId,
    /// The leaver.
    pub user_id: String,
    /// Whether it would be accepted.
    pub accepted: bool,
    /// Every reason why not.
    pub rejections: Vec<Rejection>,
    /// What would become of each reference.
    pub references: Vec<PreviewedReference>,
    /// Kinds that the request names successors for and that do not count for this leaver: nothing of them would move.
    pub without_effect: Vec<String>,
    /// Chunks that the job would be cut into; 0: it would be done at once.
    pub chunks: u64,
    /// How long it would take, roughly, in milliseconds.
    pub estimate_ms: u64,
    /// The plan token: put it into the request's `expect` to have it refused when something has changed.
    pub token: Option<String>,
    /// A job that it would wait for.
    pub wait_for: Option<JobId>,
}

/// What would become of one reference.
#[derive(Debug, Clone, Serialize)]
pub struct PreviewedReference {
    /// The catalog's name for it.
    pub kind: String,
    /// The catalog's disposition.
    pub disposition: &'static str,
    /// Rows found.
    pub found: u64,
    /// Of a transfer, and of a guard that the request resolves: how many somebody would receive.
    pub assigned: Option<u64>,
    /// Who would receive how many.
    pub successors: BTreeMap<String, u64>,
}

pub async fn run(arguments: Arguments, settings: Settings) -> Result<Ended> {
    let requests = submit::read_requests(&arguments.file)?;
    let store = open::ledger(&settings).await?;
    let context = open::context(&settings, store).await?;
    let mut ended = Ended::Done;
    for request in requests {
        let AnyRequest::Handover(request) = request else {
            bail!(
                "only a `deactivate` or a `reassign` has a preview here; of an undo: `handover revert JOB --preview`"
            );
        };
        let preview = preview(&context, request).await?;
        if !preview.accepted {
            ended = Ended::Rejected;
        }
        match arguments.json {
            true => output::json_line(&preview)?,
            false => print(&preview)?,
        }
    }
    Ok(ended)
}

/// Previews a request.
pub async fn preview(context: &Context, request: Request) -> Result<Preview> {
    let catalog = context.catalogs.current();
    let request = fit_handover(&catalog, request)?;
    let session = context.store.snapshot().await?;
    host::enter(&session, &catalog, request.org()).await?;
    let catalog = catalog.within(request.org());
    let parties = parties(&session, &catalog, &[&request]).await?;
    let parties: Vec<_> = parties.iter().collect();
    let assessment = assess(&session, &catalog, &[&request], &parties, Counting::Exactly).await?;
    let pace = chunks::recent_pace(&session).await?;
    let verdict = assessment.verdicts.into_iter().next().ok_or_else(|| anyhow!("there is no verdict"))?;
    let mut preview = Preview {
        job_id: request.job_id(),
        user_id: request.user_id.to_string(),
        accepted: true,
        rejections: Vec::new(),
        references: Vec::new(),
        without_effect: Vec::new(),
        chunks: 0,
        estimate_ms: 0,
        token: None,
        wait_for: None,
    };
    match verdict {
        Verdict::Rejected(reasons) | Verdict::LockedOut(_, reasons) => {
            preview.accepted = false;
            preview.rejections = reasons;
        }
        Verdict::Accepted(plan) => {
            preview.references = plan.references.iter().map(|planned| previewed(&catalog, planned)).collect();
            (preview.chunks, preview.estimate_ms) = size(context, &catalog, &plan, pace);
            preview.token = Some(Seen::of(&catalog, &request, &assessment.facts, &plan).token());
            preview.wait_for = plan.wait_for;
            preview.without_effect = plan.without_effect;
        }
    }
    Ok(preview)
}

fn previewed(catalog: &Catalog, planned: &Planned) -> PreviewedReference {
    let reference = &catalog.references[planned.position];
    let totals = planned.totals();
    let moves = planned.transfers || matches!(reference.disposition, Disposition::Transfer { .. });
    PreviewedReference {
        kind: reference.kind.clone(),
        disposition: reference.disposition.name(),
        found: planned.count.rows,
        assigned: moves.then(|| totals.values().sum()),
        successors: totals.into_iter().map(|(user, count)| (user.into(), count)).collect(),
    }
}

/// How many chunks, and how long: at the pace of recent chunks where there are any, else at a careful guess.
fn size(context: &Context, catalog: &Catalog, plan: &Plan, pace: Option<(u64, u64)>) -> (u64, u64) {
    const GUESSED_ROWS_A_SECOND: u64 = 20_000;
    let rows_each = context.limits.chunk_rows;
    let works = |planned: &&Planned| {
        let reference = &catalog.references[planned.position];
        !reference.at_start && !matches!(reference.disposition, Disposition::Keep)
    };
    let rows: Vec<u64> = plan.references.iter().filter(works).map(|planned| planned.count.rows).collect();
    let total: u64 = rows.iter().sum();
    let chunks = if total <= rows_each { 0 } else { rows.iter().map(|rows| rows.div_ceil(rows_each)).sum() };
    let estimate = match pace {
        Some((records, took_ms)) if records > 0 => total.saturating_mul(took_ms) / records,
        _ => total.saturating_mul(1_000) / GUESSED_ROWS_A_SECOND,
    };
    (chunks, estimate.max(5))
}

/// Prints a preview for people.
pub fn print(preview: &Preview) -> Result<()> {
    output::line(format!("user {}, job {}", preview.user_id, preview.job_id))?;
    if !preview.accepted {
        output::line("would be rejected:")?;
        return output::reasons(&preview.rejections);
    }
    let rows: Vec<Vec<String>> = preview.references.iter().filter(|reference| reference.found > 0).map(row).collect();
    output::table(&["kind", "becomes", "assigned", "to"], &rows)?;
    for kind in &preview.without_effect {
        output::line(format!("`{kind}` does not count for this user: what the request says of it has no effect"))?;
    }
    if let Some(job) = preview.wait_for {
        output::line(format!("waits for the job {job}, which gives this user records"))?;
    }
    let how = match preview.chunks {
        0 => "at once, in one transaction".to_owned(),
        chunks => format!("in {chunks} chunks"),
    };
    let estimate = humantime::format_duration(Duration::from_millis(preview.estimate_ms));
    output::line(format!("would be done {how}, in about {estimate}"))?;
    if let Some(token) = &preview.token {
        output::line(format!("plan token: {token}"))?;
    }
    Ok(())
}

fn row(reference: &PreviewedReference) -> Vec<String> {
    let assigned = match reference.assigned {
        Some(assigned) => format!("{assigned}/{}", reference.found),
        None => reference.found.to_string(),
    };
    let to: Vec<String> = reference.successors.iter().map(|(user, count)| format!("{user}: {count}")).collect();
    vec![reference.kind.clone(), reference.disposition.to_owned(), assigned, to.join(", ")]
}
