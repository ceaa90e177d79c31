//! The planner: accepts requests to hand over what users own, in groups.
//!
//! One transaction a group: it locks the users, checks every guard, then writes every outcome: a rejected job with its
//! reasons, a scheduled job, a lock-out, a job that is done at once, or a job that is opened for the other stages. Run twice, it finds the
//! requests known and answers with the same outcome. A crash leaves nothing, and the messages are delivered again.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use time::OffsetDateTime;

use crate::catalog::Catalog;
use crate::contract::{HandoverRequest, Reason, ReasonCode, RequestOutcome};
use crate::plan::group::Parties;
use crate::plan::{Decision, Occasion, Scope, check_return};
use crate::retry::RetryPolicy;
use crate::stages::accepted::Accepted;
use crate::stages::changes::{LedgerChanges, NewJobs};
use crate::stages::context::{self, Context, enter, now};
use crate::stages::handover::evaluate::{Counting, evaluate, evaluate_access};
use crate::stages::handover::guard_rows::lock_guard_rows;
use crate::stages::handover::lock_out::{LockedOut, Next, lock_out};
use crate::stages::handover::settle::{self, Settling};
use crate::stages::handover::start::{ACCESS_WITHIN, FastPath, Ready, StartFailure, lock_shared_rows, start};
use crate::stages::handover::supersede::supersede;
use crate::stages::handover::wait::{START_AFTER, due_of, start_later};
use crate::stages::lifecycle::JobChange;
use crate::stages::new_job::{Dates, new_job};
use crate::stages::outcome::{Answer, AnswerResult, Outcome, answer_known, failed};
use crate::stages::retry::at_once;
use crate::store::ledger::jobs::Job;
use crate::store::ledger::requests;
use crate::store::{Result, Session, host};

/// The transaction of a group of requests.
pub const PLAN: &str = "plan";

/// After this time, no further request of a failed group is taken alone. Those that are left come next, without those that are
/// blocked.
const ONE_BY_ONE_FOR: Duration = Duration::from_secs(10);

/// A request with all that is known of it before its transaction.
pub struct Asked<'m> {
    /// Its place among the messages.
    pub place: usize,
    /// The request.
    pub accepted: Accepted<HandoverRequest>,
    /// The trace context that came with it.
    pub traceparent: Option<&'m str>,
    /// The users whom it concerns.
    pub parties: Parties,
    /// The terms of a deprovisioning by an identity provider.
    pub settling: Option<&'m Settling>,
}

impl Asked<'_> {
    fn request(&self) -> &HandoverRequest {
        &self.accepted.request
    }
}

/// Takes a group of requests, together if that works, else one by one. Returns the outcomes by place.
pub async fn take_group(context: &Context, catalog: &Arc<Catalog>, group: Vec<Asked<'_>>) -> Vec<(usize, Outcome)> {
    let together: Vec<&Asked<'_>> = group.iter().collect();
    let planned = plan(context, catalog, &together, FastPath::Whole).await;
    let GroupOutcome { mut outcomes, alone } = match (planned, together.as_slice()) {
        (Ok(outcome), _) => outcome,
        (Err(failure), [asked]) => return vec![(asked.place, take_narrower(context, catalog, asked, failure).await)],
        (Err(failure), _) => {
            tracing::warn!(requests = group.len(), error = %failure.error, "group of requests failed; taking them one by one");
            end_access_first(context, catalog, &together, &failure).await
        }
    };
    let began = Instant::now();
    for asked in group.iter().filter(|asked| alone.contains(&asked.place)) {
        let outcome = match began.elapsed() < ONE_BY_ONE_FOR {
            true => take_alone(context, catalog, asked).await,
            false => Outcome::NotReached,
        };
        outcomes.push((asked.place, outcome));
    }
    outcomes
}

/// Ends the access of a failed group's lock-outs, if they need not wait for whatever made the group fail. All others, and lock-outs that
/// fail once more, are taken alone.
async fn end_access_first(
    context: &Context,
    catalog: &Arc<Catalog>,
    group: &[&Asked<'_>],
    failure: &StartFailure,
) -> GroupOutcome {
    let ends_first = FastPath::Whole.after(failure, true) == Some(FastPath::Access);
    let began = Instant::now();
    let mut outcome = GroupOutcome::default();
    for asked in group {
        let ends = ends_first && asked.request().lock_out && began.elapsed() < ONE_BY_ONE_FOR;
        // One by one: each waits for nobody but its own leaver.
        let ended = if ends { plan(context, catalog, &[asked], FastPath::Access).await.ok() } else { None };
        match ended {
            Some(ended) => outcome.outcomes.push((asked.place, ended.only())),
            None => drop(outcome.alone.insert(asked.place)),
        }
    }
    outcome
}

async fn take_alone(context: &Context, catalog: &Arc<Catalog>, asked: &Asked<'_>) -> Outcome {
    match plan(context, catalog, &[asked], FastPath::Whole).await {
        Ok(planned) => planned.only(),
        Err(failure) => take_narrower(context, catalog, asked, failure).await,
    }
}

/// Takes one request of a sender who waits for the outcome. Access ends here, and other stages move the records, whatever the size of
/// the job.
pub async fn take_at_once(context: &Context, catalog: &Arc<Catalog>, asked: &Asked<'_>) -> Outcome {
    match plan(context, catalog, &[asked], FastPath::Start).await {
        Ok(planned) => planned.only(),
        Err(failure) => take_after(FastPath::Start, context, catalog, asked, failure).await,
    }
}

/// Takes one request that failed alone, by the first narrower path that the database accepts. Such a path opens the job for the
/// other stages, which isolate the record to blame, or only ends access. A request that cannot even be opened is blocked, or a dead
/// letter.
pub async fn take_narrower(
    context: &Context,
    catalog: &Arc<Catalog>,
    asked: &Asked<'_>,
    failure: StartFailure,
) -> Outcome {
    take_after(FastPath::Whole, context, catalog, asked, failure).await
}

/// Takes one request that failed alone on a path, by the first narrower one.
async fn take_after(
    mut path: FastPath,
    context: &Context,
    catalog: &Arc<Catalog>,
    asked: &Asked<'_>,
    mut failure: StartFailure,
) -> Outcome {
    let mut attempts = 1;
    while let Some(next) = path.after(&failure, asked.request().lock_out) {
        (path, attempts) = (next, attempts + 1);
        match plan(context, catalog, &[asked], path).await {
            Ok(planned) => return planned.only(),
            Err(narrower) => failure = narrower,
        }
    }
    failed(asked.request().job_id(), &failure.error, attempts)
}

/// The outcome of a group: outcomes by place, and the places of requests that must be taken alone.
#[derive(Default)]
struct GroupOutcome {
    outcomes: Vec<(usize, Outcome)>,
    alone: HashSet<usize>,
}

impl GroupOutcome {
    /// Returns the outcome of a group of one request.
    fn only(self) -> Outcome {
        self.outcomes.into_iter().next().map_or(Outcome::Done, |(_, outcome)| outcome)
    }
}

/// A group's outcome, or why the group failed.
type Planned<T> = std::result::Result<T, StartFailure>;

async fn plan(
    context: &Context,
    catalog: &Arc<Catalog>,
    group: &[&Asked<'_>],
    path: FastPath,
) -> Planned<GroupOutcome> {
    let retries = RetryPolicy::RECONNECT.start("planning requests");
    at_once(retries, || plan_once(context, catalog, group, path)).await
}

/// Runs the transaction of a group.
async fn plan_once(
    context: &Context,
    catalog: &Arc<Catalog>,
    group: &[&Asked<'_>],
    path: FastPath,
) -> Planned<GroupOutcome> {
    let (began, now) = (Instant::now(), now());
    let session = match group.iter().any(|asked| asked.request().lock_out) {
        true => context.store.begin_within(PLAN, ACCESS_WITHIN).await?,
        false => context.store.begin(PLAN).await?,
    };
    lock(&session, group, path.scope()).await?;
    let (mut outcome, fresh) = sort_out_known(&session, group).await?;
    let Some(first) = fresh.first() else { return Ok(outcome) };
    let catalog = match path.scope() {
        // Compared with the schema again, if an attempt has failed because of it.
        Scope::Whole => context.catalogs.of_hash(&session, &catalog.hash).await?,
        // Another look might wait for a table.
        Scope::Access => catalog.clone(),
    };
    let catalog = &*enter(&session, catalog, first.request().org()).await?;
    let requests: Vec<&HandoverRequest> = fresh.iter().map(|asked| asked.request()).collect();
    lock_guard_rows(&session, catalog, &requests, path.scope()).await?;
    let decisions = decide(&session, context, catalog, &fresh, path.scope(), now).await?;
    let (mut decided, mut settling) = (Decided::default(), Vec::new());
    for (asked, decision) in fresh.iter().zip(decisions) {
        let unfit = match asked.settling {
            Some(_) => settle::check_protected(&session, catalog, asked.request()).await?,
            None => check_return(asked.request(), now),
        };
        let decision = decision.refused_for(unfit);
        if fresh.len() > 1 && is_about_neighbors(catalog, &decision) {
            outcome.alone.insert(asked.place);
            continue;
        }
        supersede(&session, &mut decided.changes, asked.request(), &decision, now).await?;
        let answer = decided.add(context, catalog, asked, decision, path, now)?;
        let terms = asked.settling.filter(|_| matches!(answer.result, AnswerResult::Accepted));
        settling.extend(terms.map(|terms| (terms, asked.request())));
        outcome.outcomes.push((asked.place, Outcome::Answered(answer)));
    }
    context.catalogs.keep(&session, now).await?;
    let new_jobs = decided.write(&session, context, catalog, path, now).await.map_err(StartFailure::evaluated)?;
    for (terms, request) in settling {
        settle::record(&session, terms, request, now).await?;
    }
    session.commit().await.map_err(StartFailure::evaluated)?;
    context.catalogs.kept();
    new_jobs.log(PLAN, began.elapsed());
    Ok(outcome)
}

/// Locks the leavers and, if records may be dealt, those who may receive some.
async fn lock(session: &Session, group: &[&Asked<'_>], scope: Scope) -> Result<()> {
    let leavers: Vec<_> = group.iter().map(|asked| (asked.request().org(), &asked.request().user_id)).collect();
    let receivers =
        group.iter().flat_map(|asked| asked.parties.receivers.iter().map(|user| (asked.request().org(), user)));
    let receivers: Vec<_> = receivers.filter(|_| scope == Scope::Whole).collect();
    host::lock_users(session, &leavers, &receivers).await
}

/// Evaluates the guards of a scope, for each request.
async fn decide(
    session: &Session,
    context: &Context,
    catalog: &Catalog,
    fresh: &[&Asked<'_>],
    scope: Scope,
    now: OffsetDateTime,
) -> Result<Vec<Decision>> {
    let requests: Vec<&HandoverRequest> = fresh.iter().map(|asked| asked.request()).collect();
    let occasion = (Occasion::Request, now);
    let evaluation = match scope {
        Scope::Access => evaluate_access(session, catalog, &requests, occasion).await?,
        Scope::Whole => {
            let parties: Vec<&Parties> = fresh.iter().map(|asked| &asked.parties).collect();
            let counting = Counting::UpTo(context.limits.chunk_rows);
            evaluate(session, catalog, &requests, &parties, counting, occasion).await?
        }
    };
    Ok(evaluation.decisions)
}

/// Answers the requests that are known, and returns the others.
async fn sort_out_known<'g, 'm>(
    session: &Session,
    group: &[&'g Asked<'m>],
) -> Result<(GroupOutcome, Vec<&'g Asked<'m>>)> {
    let ids: Vec<(&str, &str)> =
        group.iter().map(|asked| (asked.request().org(), asked.request().request_id.as_str())).collect();
    let known = requests::known(session, &ids).await?;
    let mut outcome = GroupOutcome::default();
    let mut fresh = Vec::new();
    for asked in group {
        let id = (asked.request().org().to_owned(), asked.request().request_id.to_string());
        match known.get(&id) {
            None => fresh.push(*asked),
            Some(earlier) => outcome.outcomes.push((asked.place, answer_known(earlier, &asked.accepted.body_hash))),
        }
    }
    Ok((outcome, fresh))
}

/// Returns true if a reason may be due to others of the group. Two users who share a duty and leave together each look like the
/// last one; taken alone, the first of them may go.
fn is_about_neighbors(catalog: &Catalog, decision: &Decision) -> bool {
    let (Decision::Rejected(reasons) | Decision::LockedOut(_, reasons)) = decision else { return false };
    let is_sole = |reason: &Reason| {
        let reference = reason.concerning.kind.as_deref().and_then(|kind| catalog.reference(kind));
        let guards = reference.is_some_and(|reference| reference.disposition.sole_in().is_some());
        guards && [ReasonCode::Blocked, ReasonCode::Protected].contains(&reason.code)
    };
    reasons.iter().any(is_sole)
}

/// The jobs of a group, by the decision on each.
#[derive(Default)]
struct Decided<'g> {
    changes: LedgerChanges,
    ready: Vec<Ready<'g>>,
    locked_out: Vec<LockedOut<'g>>,
}

impl<'g> Decided<'g> {
    fn add(
        &mut self,
        context: &Context,
        catalog: &Catalog,
        asked: &'g Asked<'_>,
        decision: Decision,
        path: FastPath,
        now: OffsetDateTime,
    ) -> Result<Answer> {
        let request = asked.request();
        let dates = Dates { effective_at: request.effective_at, return_at: request.return_at };
        let job = new_job(catalog, request.header(), request.user_id.as_str(), dates, asked.traceparent, now);
        let answer = answer(&job, &decision);
        self.changes.request(&asked.accepted, &job, outcome_of(&decision));
        let mut change = JobChange::of_new(job);
        let (plan, open) = match decision {
            Decision::Rejected(reasons) => {
                change.reject(reasons, context::now())?;
                change.save(&mut self.changes);
                return Ok(answer);
            }
            Decision::Accepted(plan) => (plan, Vec::new()),
            Decision::LockedOut(plan, reasons) => (plan, reasons),
        };
        let is_due = request.effective_at.is_none_or(|at| at <= now);
        let settles = asked.settling.is_some();
        if !is_due || plan.wait_for.is_some() && !request.lock_out {
            let due = due_of(context, &mut change.job, &plan, now);
            change.schedule(due, open, now)?;
            change.save(&mut self.changes);
        } else if plan.wait_for.is_none() && open.is_empty() && !settles {
            self.ready.push(Ready::new(request, change, plan));
        } else {
            let due = due_of(context, &mut change.job, &plan, now);
            let next = if path == FastPath::Access || settles && plan.wait_for.is_none() {
                let after = asked.settling.map_or(START_AFTER, |settling| settling.settle);
                Next::Start { due: start_later(context, &mut change.job, after, now) }
            } else if open.is_empty() {
                Next::Wait { due }
            } else {
                Next::Attention
            };
            self.locked_out.push(LockedOut { ready: Ready::new(request, change, plan), reasons: open, next });
        }
        Ok(answer)
    }

    /// Starts the jobs that begin now, and writes the whole group.
    async fn write(
        self,
        session: &Session,
        context: &Context,
        catalog: &Catalog,
        path: FastPath,
        now: OffsetDateTime,
    ) -> Result<NewJobs> {
        let Decided { mut changes, ready, locked_out } = self;
        let all = ready.iter().chain(locked_out.iter().map(|locked_out| &locked_out.ready));
        lock_shared_rows(session, catalog, all).await?;
        changes.merge(start(session, context, catalog, ready, path).await?);
        changes.merge(lock_out(session, catalog, locked_out, path, now).await?);
        let new_jobs = changes.new_jobs();
        changes.write(session).await?;
        Ok(new_jobs)
    }
}

fn answer(job: &Job, decision: &Decision) -> Answer {
    match decision {
        Decision::Rejected(reasons) => Answer::to(job, AnswerResult::Rejected(reasons.clone())),
        Decision::Accepted(_) | Decision::LockedOut(..) => Answer::to(job, AnswerResult::Accepted),
    }
}

fn outcome_of(decision: &Decision) -> RequestOutcome {
    match decision {
        Decision::Rejected(_) => RequestOutcome::Rejected,
        Decision::Accepted(_) | Decision::LockedOut(..) => RequestOutcome::Accepted,
    }
}
