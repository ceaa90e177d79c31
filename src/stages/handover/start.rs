//! Starting jobs, written once for many: shuts the leavers out, does what fits into this transaction, opens the rest.

use std::borrow::Cow;
use std::collections::HashMap;

use time::OffsetDateTime;
use uuid::Uuid;

use crate::catalog::{Catalog, Disposition, Reference};
use crate::contract::{Change, HandoverRequest, RequestType, UserId};
use crate::job::{State, StepKind, Transition, next};
use crate::plan::deal::key_order;
use crate::plan::{Plan, Planned};
use crate::stages::handover::certify::{Closing, Conclusion, conclude};
use crate::stages::{Context, messages};
use crate::store::host::{Assignment, RowRange, WorkItem};
use crate::store::ledger::jobs::{Job, Successor};
use crate::store::ledger::journal::Tally;
use crate::store::ledger::outbox::OutboxMessage;
use crate::store::ledger::references::ReferenceProgress;
use crate::store::ledger::round_robin;
use crate::store::{Error, Result, Session, host};

/// A job that is about to begin, and its plan.
pub struct Ready<'r> {
    /// The request.
    pub request: &'r HandoverRequest,
    /// The job; its state is changed here.
    pub job: Job,
    /// What is to be done.
    pub plan: Plan,
    /// Whether the user's access has to be ended: not of one who is out already, nor where records only move.
    pub locks_out: bool,
}

impl<'r> Ready<'r> {
    /// A job whose user is still in.
    pub fn new(request: &'r HandoverRequest, job: Job, plan: Plan) -> Self {
        let locks_out = request.kind == RequestType::Deactivate;
        Ready { request, job, plan, locks_out }
    }
}

/// A job that has begun: to be written by the caller, with what it leaves for others.
pub struct Begun {
    /// The job in its new state.
    pub job: Job,
    /// Its messages and events.
    pub messages: Vec<OutboxMessage>,
    /// Of a leave that has begun and ended: the job that brings the user back.
    pub follows: Option<Job>,
    /// What it does with each reference.
    pub courses: Vec<ReferenceProgress>,
    /// Who receives something from it, where it goes on.
    pub successors: Vec<Successor>,
}

/// How far the transaction that begins a job goes. Where the database refuses one, the next is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FastPath {
    /// Jobs that fit one chunk are done whole.
    Whole,
    /// Jobs are only opened, and what goes at the start goes.
    Start,
    /// What goes at the start is cut into chunks as well, where the row to blame is found and told: the leaver is inactive at
    /// once, and sessions end a moment later.
    Status,
}

impl FastPath {
    /// All of them, the furthest first.
    pub const EACH: [FastPath; 3] = [FastPath::Whole, FastPath::Start, FastPath::Status];

    /// Whether rows of a reference are dealt with here, whatever the size of the job. Those over the last of a group are: they
    /// are handed on under the guard's locks.
    fn starts(self, reference: &Reference) -> bool {
        let guards = matches!(reference.disposition, Disposition::Block { sole_in: Some(_), .. });
        reference.at_start && (self != FastPath::Status || guards)
    }
}

/// Begins jobs. Those that fit one chunk are moved and proved here, where they may; the others are opened.
pub async fn start(
    session: &Session,
    context: &Context,
    catalog: &Catalog,
    mut ready: Vec<Ready<'_>>,
    fast_path: FastPath,
    now: OffsetDateTime,
) -> Result<Vec<Begun>> {
    if ready.is_empty() {
        return Ok(Vec::new());
    }
    ready.iter_mut().for_each(|ready| ready.job.license_exempt = ready.plan.license_exempt);
    reserve_turns(session, &mut ready).await?;
    lock_out_leavers(session, catalog, ready.iter()).await?;
    let small = choose_small(context, catalog, &ready, fast_path);
    let mut did: HashMap<Uuid, Vec<Tally>> = HashMap::new();
    for reference in &catalog.references {
        let due = || {
            ready.iter().zip(&small).filter(|(_, small)| fast_path.starts(reference) || **small).map(|(ready, _)| ready)
        };
        let dealt: Vec<WorkItem> = due().filter_map(|ready| item_of(reference, ready, now)).collect();
        let named: Vec<WorkItem> = due().filter_map(|ready| named_item(reference, ready, now)).collect();
        for items in [dealt, named] {
            if !items.is_empty() {
                let done = host::apply(session, catalog, reference, &items).await?;
                (items.iter().zip(done)).for_each(|(item, done)| did.entry(item.job).or_default().extend(done.tallies));
            }
        }
    }
    let small = Small { is: &small, did, fast_path };
    let conclusions = conclude_small(session, catalog, &ready, small, now).await?;
    open(context, catalog, ready, conclusions, fast_path, now)
}

/// Makes leavers inactive whose access is to be ended.
pub async fn lock_out_leavers<'r>(
    session: &Session,
    catalog: &Catalog,
    ready: impl Iterator<Item = &'r Ready<'r>>,
) -> Result<()> {
    let leavers: Vec<&UserId> = ready.filter(|ready| ready.locks_out).map(|ready| &ready.request.user_id).collect();
    match leavers.is_empty() {
        true => Ok(()),
        false => host::lock_out(session, catalog, &leavers).await,
    }
}

/// How many chunks' worth of rows a group may move in its own transaction, all its small jobs together.
const CHUNKS_OF_A_GROUP: u64 = 4;

/// Which jobs are done at once: those that fit one chunk, as long as the group's transaction stays short.
fn choose_small(context: &Context, catalog: &Catalog, ready: &[Ready<'_>], fast_path: FastPath) -> Vec<bool> {
    let chunk = context.limits.chunk_rows;
    let mut room = chunk.saturating_mul(CHUNKS_OF_A_GROUP);
    let mut choose = |ready: &Ready<'_>| {
        let rows = rows_of(catalog, &ready.plan, fast_path);
        let fits = fast_path == FastPath::Whole && rows <= chunk.min(room);
        room -= if fits { rows } else { 0 };
        fits
    };
    ready.iter().map(&mut choose).collect()
}

/// Rows that the plan would move, remove or set, not counting what stays and what is done at the start anyhow.
fn rows_of(catalog: &Catalog, plan: &Plan, fast_path: FastPath) -> u64 {
    let later =
        plan.references.iter().filter(|planned| is_cut(&catalog.references[planned.position], planned, fast_path));
    later.map(|planned| planned.count.rows.saturating_add(u64::from(!planned.count.exact))).sum()
}

/// The part of a job's plan that is this reference's, for all its rows at once.
pub fn item_of(reference: &Reference, ready: &Ready<'_>, now: OffsetDateTime) -> Option<WorkItem> {
    let planned = ready.plan.references.iter().find(|planned| planned.position == reference.position)?;
    if planned.count.rows == 0 {
        return None;
    }
    let assignment = match (&reference.disposition, planned.transfers) {
        (Disposition::Keep, _) | (Disposition::Transfer { .. } | Disposition::Block { .. }, false) => return None,
        (Disposition::Transfer { .. } | Disposition::Block { .. }, true) => assignment(planned),
        _ => Assignment::None,
    };
    Some(item(ready, assignment, now))
}

/// The records of a reference that the request names one by one.
fn named_item(reference: &Reference, ready: &Ready<'_>, now: OffsetDateTime) -> Option<WorkItem> {
    let planned = ready.plan.references.iter().find(|planned| planned.position == reference.position)?;
    (!planned.named.is_empty()).then(|| item(ready, Assignment::Named(planned.named.clone()), now))
}

fn item(ready: &Ready<'_>, assignment: Assignment, at: OffsetDateTime) -> WorkItem {
    WorkItem {
        job: ready.job.id,
        chunk: None,
        leaver: ready.request.user_id.clone(),
        range: RowRange::Whole,
        assignment,
        at,
    }
}

fn assignment(planned: &Planned) -> Assignment {
    match planned.deal.sole() {
        Some(successor) if planned.named.is_empty() => Assignment::Sole(successor.clone()),
        _ => Assignment::Dealt {
            successors: (0..planned.ranked()).map(|rank| planned.deal.successor(rank).cloned()).collect(),
            except: planned.named.keys().cloned().collect(),
        },
    }
}

/// Takes the turn of every round-robin group that the plans use: each plan begins with who follows the last one served,
/// and the last of all is remembered. Taken after every guard has passed and before any row of the host is written, in the
/// order of (organization, group): transactions wait for each other here and nowhere behind it.
pub async fn reserve_turns(session: &Session, ready: &mut [Ready<'_>]) -> Result<()> {
    let mut wanted: Vec<(String, Vec<String>)> = Vec::new();
    for ready in ready.iter() {
        let groups = ready.plan.references.iter().flat_map(|planned| planned.deal.groups()).map(str::to_owned);
        match wanted.iter_mut().find(|(org, _)| org == ready.request.org()) {
            Some((_, of_org)) => of_org.extend(groups),
            None => wanted.push((ready.request.org().to_owned(), groups.collect())),
        }
    }
    wanted.retain_mut(|(_, groups)| {
        groups.sort();
        groups.dedup();
        !groups.is_empty()
    });
    wanted.sort();
    for (org, groups) in wanted {
        for mut turn in round_robin::lock(session, &org, &groups).await? {
            let before = turn.last_user.clone();
            let plans = ready.iter_mut().filter(|ready| ready.request.org() == org);
            for planned in plans.flat_map(|ready| &mut ready.plan.references) {
                let ranked = planned.ranked();
                if let Some(last) = planned.deal.take_turn(&turn.group_name, &turn.last_user, ranked, key_order) {
                    turn.last_user = last.into();
                }
            }
            if turn.last_user != before {
                round_robin::remember(session, turn).await?;
            }
        }
    }
    Ok(())
}

/// The jobs that are done at once.
struct Small<'s> {
    /// Which of those that begin.
    is: &'s [bool],
    /// What each did.
    did: HashMap<Uuid, Vec<Tally>>,
    fast_path: FastPath,
}

async fn conclude_small(
    session: &Session,
    catalog: &Catalog,
    ready: &[Ready<'_>],
    mut small: Small<'_>,
    now: OffsetDateTime,
) -> Result<HashMap<Uuid, Conclusion>> {
    let closings: Vec<Closing<'_>> = (ready.iter().zip(small.is))
        .filter(|(_, small)| **small)
        .map(|(ready, _)| Closing {
            job: &ready.job,
            leaver: &ready.request.user_id,
            reassign: Cow::Borrowed(&ready.request.reassign),
            courses: courses(catalog, ready.job.id, &ready.plan, small.fast_path, true),
            started_at: now,
            supplement: 0,
            // One that was stopped at its start may have ended somebody's access already.
            tallies: ready.job.started_at.is_none().then(|| small.did.remove(&ready.job.id).unwrap_or_default()),
        })
        .collect();
    conclude(session, catalog, &closings, now).await
}

/// What a plan does with each reference, as the ledger keeps it.
fn courses(catalog: &Catalog, job: Uuid, plan: &Plan, fast_path: FastPath, cut: bool) -> Vec<ReferenceProgress> {
    let course = |planned: &Planned| {
        let reference = &catalog.references[planned.position];
        ReferenceProgress::of(job, &reference.kind, planned, cut || !is_cut(reference, planned, fast_path))
    };
    plan.references.iter().map(course).collect()
}

/// What is still to be cut: everything of a job that is too large; of one that was moved here, what arrived late. Its
/// ranks are given: late records take the next ones.
fn open_courses(
    catalog: &Catalog,
    job: Uuid,
    plan: &Plan,
    fast_path: FastPath,
    conclusion: Option<Conclusion>,
) -> Vec<ReferenceProgress> {
    let mut courses = courses(catalog, job, plan, fast_path, conclusion.is_some());
    if let Some(Conclusion::More(late)) = conclusion {
        courses.iter_mut().for_each(|course| course.cut = !late.contains_key(&course.position));
    }
    courses
}

/// Whether a reference's rows are cut into chunks: what stays, and what was done at the start, is not.
fn is_cut(reference: &Reference, planned: &Planned, fast_path: FastPath) -> bool {
    match reference.disposition {
        Disposition::Keep => false,
        Disposition::Transfer { .. } | Disposition::Block { .. } => planned.transfers && !fast_path.starts(reference),
        Disposition::Detach { .. } | Disposition::Set { .. } | Disposition::Purge { .. } => {
            !fast_path.starts(reference)
        }
    }
}

/// Settles the state that each job begins with, what it does and for whom.
fn open(
    context: &Context,
    catalog: &Catalog,
    ready: Vec<Ready<'_>>,
    mut conclusions: HashMap<Uuid, Conclusion>,
    fast_path: FastPath,
    now: OffsetDateTime,
) -> Result<Vec<Begun>> {
    let mut begun = Vec::with_capacity(ready.len());
    for Ready { request, mut job, plan, .. } in ready {
        job.started_at = Some(job.started_at.unwrap_or(now));
        job.wait_for = None;
        let (mut follows, mut successors) = (None, Vec::new());
        let (messages, courses) = match conclusions.remove(&job.id) {
            Some(Conclusion::Proved(certificate)) => {
                job.state = transition(&job, Transition::Proved)?;
                let ended = crate::stages::handover::finalizer::complete(&mut job, *certificate, context.limits, now);
                follows = ended.follows;
                (ended.messages, courses(catalog, job.id, &plan, fast_path, true))
            }
            // It is too large, or somebody still writes: the stages go on with it.
            conclusion => {
                let receives = |user: &UserId| (job.id, request.org().to_owned(), user.clone());
                successors = plan.successors().into_iter().map(receives).collect();
                job.wake_at = Some(now + context.limits.stalled_after);
                let started = messages::news(&mut job, Change::Started, Vec::new(), now);
                let messages = vec![messages::step(StepKind::Cut, &job, now), started];
                (messages, open_courses(catalog, job.id, &plan, fast_path, conclusion))
            }
        };
        begun.push(Begun { job, messages, follows, courses, successors });
    }
    Ok(begun)
}

/// The name of the state that follows.
pub fn transition(job: &Job, happening: Transition) -> Result<String> {
    let illegal = |error: crate::job::IllegalTransition| {
        Error::unexpected(format!("moving the job {} on", job.id), error.to_string())
    };
    Ok(next(job.state()?, happening).map_err(illegal)?.name().to_owned())
}

/// The state that a job has while it begins: [`start`] goes on from it.
pub const BEGINNING: State = State::Cutting;
