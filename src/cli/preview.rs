//! `handover preview`: what requests would do. Runs the planner's own code in a snapshot that is only read, without locks.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use clap::Args;
use serde::Serialize;

use super::estimate::Estimator;
use super::{Ended, open, output, submit};
use crate::catalog::{Catalog, Disposition, Engine};
use crate::config::Settings;
use crate::contract::{HandoverRequest, JobId, Reason, Request};
use crate::plan::token::PlanToken;
use crate::plan::{Decision, Plan, Planned, normalize_handover};
use crate::stages::Context;
use crate::stages::handover::evaluate::{Counting, evaluate, parties};
use crate::store::host;
use crate::store::ledger::chunks;
use crate::worker::{self, host_activity};

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
    pub rejections: Vec<Reason>,
    /// What would become of each reference.
    pub references: Vec<PreviewedReference>,
    /// Kinds that the request names successors for and that do not count for this leaver: nothing of them would move.
    pub without_effect: Vec<String>,
    /// Chunks that the job would be cut into; 0: it would be done at once.
    pub chunks: u64,
    /// How long it would take one worker of these settings with nothing else to do, roughly, in milliseconds.
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
        let Request::Handover(request) = request else {
            bail!(
                "only a `deactivate` or a `reassign` has a preview here; of an undo: `handover revert JOB --preview`"
            );
        };
        let preview = preview(&context, settings.worker, request).await?;
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

/// Previews a request that a worker of these settings would do.
pub async fn preview(context: &Context, worker: worker::Settings, request: HandoverRequest) -> Result<Preview> {
    let catalog = context.catalogs.current();
    let request = normalize_handover(&catalog, request)?;
    let session = context.store.snapshot().await?;
    host::enter(&session, &catalog, request.org()).await?;
    let catalog = catalog.within(request.org());
    let parties = parties(&session, &catalog, &[&request]).await?;
    let parties: Vec<_> = parties.iter().collect();
    let evaluation = evaluate(&session, &catalog, &[&request], &parties, Counting::Exactly).await?;
    let recently = chunks::recent_times(&session).await?;
    let movers = match context.store.engine() {
        Engine::Postgres => worker.movers.min(context.limits.window as usize),
        // One writes at a time.
        Engine::Sqlite => 1,
    };
    drop(session);
    let chunk_rows = context.limits.chunk_rows;
    let estimator = Estimator { recently, chunk_rows, movers, pace: worker.pace, is_host_active: false };
    let verdict = evaluation.verdicts.into_iter().next().ok_or_else(|| anyhow!("there is no verdict"))?;
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
        Decision::Rejected(reasons) | Decision::LockedOut(_, reasons) => {
            preview.accepted = false;
            preview.rejections = reasons;
        }
        Decision::Accepted(plan) => {
            preview.references = plan.references.iter().map(|planned| previewed(&catalog, planned)).collect();
            (preview.chunks, preview.estimate_ms) = size(context, estimator, &catalog, &plan).await?;
            preview.token = Some(PlanToken::of(&catalog, &request, &evaluation.facts, &plan).token());
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

/// How many chunks, and how long.
async fn size(context: &Context, mut estimator: Estimator, catalog: &Catalog, plan: &Plan) -> Result<(u64, u64)> {
    let works = |planned: &&Planned| {
        let reference = &catalog.references[planned.position];
        !reference.at_start && !matches!(reference.disposition, Disposition::Keep)
    };
    let kind = |planned: &Planned| catalog.references[planned.position].kind.as_str();
    let works = plan.references.iter().filter(works);
    let rows: Vec<(&str, u64)> = works.map(|planned| (kind(planned), planned.count.rows)).collect();
    let at_once = rows.iter().map(|(_, rows)| rows).sum::<u64>() <= estimator.chunk_rows;
    let chunks = match at_once {
        true => 0,
        false => rows.iter().map(|(_, rows)| rows.div_ceil(estimator.chunk_rows)).sum(),
    };
    let may_share_the_database = context.store.engine() == Engine::Postgres && estimator.pace.backs_off();
    if !at_once && may_share_the_database {
        // A hint, for which no preview fails.
        estimator.is_host_active = host_activity::is_active(&context.store).await.unwrap_or(false);
    }
    Ok((chunks, estimator.milliseconds(&rows, at_once)))
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
        output::line(format!("there is nothing of `{kind}` to receive: what the request says of it has no effect"))?;
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
