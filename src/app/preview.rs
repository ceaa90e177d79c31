//! Previews requests with the guards of the stages. A handover and a revert are read in a snapshot, without locks; any other
//! request is tried in a transaction that is rolled back.

mod estimate;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use schemars::JsonSchema;
use serde::Serialize;

use self::estimate::Estimator;
use super::error::Result;
use super::jobs;
use crate::catalog::{Catalog, Disposition};
use crate::contract::{HandoverRequest, JobId, Reason, Request, RequestType, UserId};
use crate::plan::token::PlanToken;
use crate::plan::{Decision, Facts, Occasion, Plan, Planned, check_return, normalize, normalize_handover};
use crate::stages::handover::evaluate::{Counting, evaluate, parties};
use crate::stages::spelling::respell;
pub use crate::stages::undo::preview::{LicensePreview, RevertPreview};
use crate::stages::{Context, commands, now, undo};
use crate::store::ledger::chunks;
use crate::store::{Error, Session, host};

/// The effect of a request.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Preview {
    /// The job that the request would create.
    pub job_id: JobId,
    /// The leaver.
    pub user_id: String,
    /// True if the request would be accepted.
    pub accepted: bool,
    /// Every reason against it.
    pub rejections: Vec<Reason>,
    /// Every reason why the job would need attention once a lock-out has ended the user's access.
    pub open_reasons: Vec<Reason>,
    /// The effect on each reference.
    pub references: Vec<PreviewedReference>,
    /// Kinds that the request names successors for and that have no record to move.
    pub without_effect: Vec<String>,
    /// The number of chunks; 0 if the job would be done at once.
    pub chunks: u64,
    /// A rough duration in milliseconds, for one worker with nothing else to do.
    pub estimate_ms: u64,
    /// The plan token. A request with this token in `expect` is rejected if the plan has changed.
    pub token: Option<String>,
    /// A job that this one would wait for.
    pub wait_for: Option<JobId>,
    /// A job of the same user that the lock-out would replace.
    pub supersedes: Option<JobId>,
}

/// The effect on one reference.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PreviewedReference {
    /// The catalog's name for it.
    pub kind: String,
    /// The catalog's disposition.
    pub disposition: &'static str,
    /// Rows found.
    pub found: u64,
    /// Rows with a successor, if the reference is transferred or resolved by the request.
    pub assigned: Option<u64>,
    /// The number of rows per successor.
    pub successors: BTreeMap<String, u64>,
    /// Rows that at least one of the successors has already, by a unique index. Without `on_conflict` the database refuses those
    /// that it would give to such a successor.
    pub conflicts: u64,
}

impl PreviewedReference {
    /// Returns a reference of which only the number of records is known.
    pub fn counted(kind: String, found: u64) -> PreviewedReference {
        PreviewedReference {
            kind,
            disposition: "transfer",
            found,
            assigned: None,
            successors: BTreeMap::new(),
            conflicts: 0,
        }
    }
}

/// The capacity of the worker that an estimate assumes.
#[derive(Debug, Clone, Copy)]
pub struct Capacity {
    /// Chunks that it moves at the same time.
    pub movers: usize,
    /// The share of its time that a mover works.
    pub share: f64,
    /// The share of the time that all movers together work while the host is active. `None` if they do not yield to it.
    pub shared_with_host: Option<f64>,
}

/// Previews a request. `is_host_active` is awaited only if the answer changes the estimate.
pub async fn preview(
    context: &Context,
    capacity: Capacity,
    request: HandoverRequest,
    is_host_active: impl Future<Output = bool>,
) -> Result<Preview> {
    let (catalog, now) = (context.catalogs.current(), now());
    let request = respell_handover(context, &catalog, normalize_handover(&catalog, request)?).await?;
    let session = context.store.snapshot().await?;
    host::enter(&session, &catalog, request.org()).await?;
    let catalog = catalog.within(request.org());
    let parties = parties(&session, &catalog, &[&request]).await?;
    let parties: Vec<_> = parties.iter().collect();
    let evaluation =
        evaluate(&session, &catalog, &[&request], &parties, Counting::Exactly, (Occasion::Request, now)).await?;
    let recent = chunks::recent_times(&session).await?;
    let conflicts = count_conflicts(&session, &catalog, &request, &evaluation.decisions).await?;
    drop(session);
    let decision = evaluation.decisions.into_iter().next();
    let decision = decision.ok_or_else(|| Error::unexpected("previewing a request", "there is no decision"))?;
    match decision.refused_for(check_return(&request, now)) {
        Decision::Rejected(reasons) => Ok(Preview::rejected(&request, reasons)),
        Decision::LockedOut(plan, open_reasons) => Ok(Preview {
            open_reasons,
            token: None,
            ..Preview::accepted(&catalog, &request, &evaluation.facts, &plan, &conflicts)
        }),
        Decision::Accepted(plan) => {
            let mut preview = Preview::accepted(&catalog, &request, &evaluation.facts, &plan, &conflicts);
            let size = Size::of(&catalog, &plan, context.limits.chunk_rows);
            let yields = capacity.shared_with_host.filter(|_| !size.at_once && sees_host_activity(context));
            let shared_with_host = match yields {
                Some(share) => is_host_active.await.then_some(share),
                None => None,
            };
            let estimator = Estimator {
                recent,
                chunk_rows: context.limits.chunk_rows,
                movers: movers(context, capacity),
                share: capacity.share,
                shared_with_host,
            };
            preview.chunks = size.chunks;
            preview.estimate_ms = estimator.milliseconds(&size.rows, size.at_once);
            Ok(preview)
        }
    }
}

/// Counts the records that successors have already, by the position of their reference.
async fn count_conflicts(
    session: &Session,
    catalog: &Catalog,
    request: &HandoverRequest,
    decisions: &[Decision],
) -> Result<HashMap<usize, u64>> {
    let mut conflicts = HashMap::new();
    let Some(Decision::Accepted(plan) | Decision::LockedOut(plan, _)) = decisions.first() else { return Ok(conflicts) };
    for planned in plan.references.iter().filter(|planned| planned.count.rows > 0) {
        let reference = &catalog.references[planned.position];
        let successors: BTreeSet<_> = planned.deal.successors().into_iter().chain(planned.named.values()).collect();
        let successors: Vec<_> = successors.into_iter().collect();
        let found = host::count_collisions(session, reference, &request.user_id, &successors).await?;
        conflicts.insert(planned.position, found);
    }
    Ok(conflicts)
}

async fn respell_handover(context: &Context, catalog: &Catalog, request: HandoverRequest) -> Result<HandoverRequest> {
    let request = respell(context, catalog, Request::Handover(request)).await?.into_handover();
    Ok(request.ok_or_else(|| Error::unexpected("previewing a request", "it hands nothing over"))?)
}

/// Previews the revert of a job. Returns `None` if the request is no revert, or its organization has no such job.
pub async fn preview_revert(context: &Context, request: &Request) -> Result<Option<RevertPreview>> {
    let Request::Job(asked) = request else { return Ok(None) };
    let job = jobs::find(&context.store, asked.job_id.0).await?;
    let is_revert = asked.kind == RequestType::Revert;
    let Some(job) = job.filter(|job| is_revert && job.org == request.header().org()) else { return Ok(None) };
    Ok(Some(undo::preview::revert(context, &job, &asked.requested_by).await?))
}

/// The effect of a request about a job, a user or an invitation.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct CommandPreview {
    /// The request type.
    #[serde(rename = "type")]
    pub kind: RequestType,
    /// The job that the request is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_id: Option<JobId>,
    /// The user whom the request is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// True if the request would be accepted.
    pub accepted: bool,
    /// Every reason against it.
    pub rejections: Vec<Reason>,
}

/// Previews a request about a job, a user or an invitation.
pub async fn preview_command(context: &Context, request: Request) -> Result<CommandPreview> {
    let catalog = context.catalogs.current();
    let request = respell(context, &catalog, normalize(&catalog, request)?).await?;
    let rejections = commands::preview(context, &request).await?;
    let (job_id, user_id) = match &request {
        Request::Job(asked) => (Some(asked.job_id), None),
        Request::User(asked) => (None, Some(asked.user_id.clone())),
        Request::Invite(_) => (None, None),
        Request::Handover(asked) => (None, Some(asked.user_id.clone())),
    };
    let kind = request.header().kind;
    Ok(CommandPreview { kind, job_id, user_id, accepted: rejections.is_empty(), rejections })
}

impl Preview {
    fn rejected(request: &HandoverRequest, rejections: Vec<Reason>) -> Preview {
        Preview { accepted: false, rejections, ..Preview::empty(request) }
    }

    fn accepted(
        catalog: &Catalog,
        request: &HandoverRequest,
        facts: &Facts,
        plan: &Plan,
        conflicts: &HashMap<usize, u64>,
    ) -> Preview {
        let previewed = |planned: &Planned| {
            let conflicts = conflicts.get(&planned.position).copied().unwrap_or_default();
            PreviewedReference::of(catalog, planned, conflicts)
        };
        Preview {
            references: plan.references.iter().map(previewed).collect(),
            token: Some(PlanToken::of(catalog, request, facts, plan).write()),
            wait_for: plan.wait_for,
            supersedes: plan.supersedes,
            without_effect: plan.without_effect.clone(),
            ..Preview::empty(request)
        }
    }

    fn empty(request: &HandoverRequest) -> Preview {
        Preview {
            job_id: request.job_id(),
            user_id: request.user_id.to_string(),
            accepted: true,
            rejections: Vec::new(),
            open_reasons: Vec::new(),
            references: Vec::new(),
            without_effect: Vec::new(),
            chunks: 0,
            estimate_ms: 0,
            token: None,
            wait_for: None,
            supersedes: None,
        }
    }
}

impl PreviewedReference {
    fn of(catalog: &Catalog, planned: &Planned, conflicts: u64) -> PreviewedReference {
        let reference = &catalog.references[planned.position];
        let totals = planned.totals();
        let moves = planned.transfers || matches!(reference.disposition, Disposition::Transfer { .. });
        PreviewedReference {
            kind: reference.kind.clone(),
            disposition: reference.disposition.name(),
            found: planned.count.rows,
            assigned: moves.then(|| totals.values().sum()),
            successors: totals.into_iter().map(|(user, count)| (user.into(), count)).collect(),
            conflicts,
        }
    }
}

/// The amount of work in a plan.
struct Size<'c> {
    /// Rows by kind, of the references that chunks are cut from.
    rows: Vec<(&'c str, u64)>,
    /// True if the job fits one chunk, and so is done at once.
    at_once: bool,
    chunks: u64,
}

impl Size<'_> {
    fn of<'c>(catalog: &'c Catalog, plan: &Plan, chunk_rows: u64) -> Size<'c> {
        let is_cut = |planned: &&Planned| {
            let reference = &catalog.references[planned.position];
            !reference.at_start && !matches!(reference.disposition, Disposition::Keep)
        };
        let kind = |planned: &Planned| catalog.references[planned.position].kind.as_str();
        let cut = plan.references.iter().filter(is_cut);
        let rows: Vec<(&str, u64)> = cut.map(|planned| (kind(planned), planned.count.rows)).collect();
        let at_once = rows.iter().map(|(_, rows)| rows).sum::<u64>() <= chunk_rows;
        let chunks = if at_once { 0 } else { rows.iter().map(|(_, rows)| rows.div_ceil(chunk_rows)).sum() };
        Size { rows, at_once, chunks }
    }
}

/// Returns the number of chunks of one job that move at the same time.
fn movers(context: &Context, capacity: Capacity) -> usize {
    let at_once = capacity.movers.min(context.limits.window as usize);
    context.store.capabilities().max_concurrent_writers.map_or(at_once, |writers| at_once.min(writers))
}

/// Returns true if the database shows whether the host is active.
fn sees_host_activity(context: &Context) -> bool {
    context.store.capabilities().sees_activity
}
