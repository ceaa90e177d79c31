//! The start of jobs, for many at once: ends the leavers' access, does what fits into this transaction, opens the rest.

use std::borrow::{Borrow, Cow};
use std::collections::HashMap;
use std::time::Duration;

use time::OffsetDateTime;
use uuid::Uuid;

use crate::catalog::{Catalog, Reference};
use crate::contract::{HandoverRequest, RequestType, UserId};
use crate::plan::{Plan, Planned, Scope};
use crate::stages::changes::LedgerChanges;
use crate::stages::context::{self, Context};
use crate::stages::handover::certify::{Closing, Conclusion, conclude};
use crate::stages::handover::turns::reserve_turns;
use crate::stages::lifecycle::JobChange;
use crate::store::host::{Assignment, RowRange, WorkItem};
use crate::store::ledger::journal::Tally;
use crate::store::ledger::references::ReferenceProgress;
use crate::store::ledger::{sign_ins, tokens};
use crate::store::{Error, FailureClass, Result, Session, host};

/// A job that is about to begin, and its plan.
pub struct Ready<'r> {
    /// The request.
    pub request: &'r HandoverRequest,
    /// The job.
    pub change: JobChange,
    /// The plan.
    pub plan: Plan,
    /// True if the user's access has to be ended: not if it has ended already, nor if records only move.
    pub locks_out: bool,
    /// True if an earlier transaction of the job has changed something: it has ended the user's access.
    has_begun: bool,
}

impl<'r> Ready<'r> {
    /// Creates a job whose user still has access.
    pub fn new(request: &'r HandoverRequest, change: JobChange, plan: Plan) -> Self {
        let locks_out = request.kind == RequestType::Deactivate;
        let has_begun = change.job.access_ended_at.is_some();
        Ready { request, change, plan, locks_out, has_begun }
    }

    /// Leaves the user's status as it is, if their access has ended already.
    pub fn of_user_who_is_out(self, is_out: bool) -> Self {
        Ready { locks_out: self.locks_out && !is_out, ..self }
    }

    fn id(&self) -> Uuid {
        self.change.job.id
    }
}

/// The time that a statement may take in a transaction that ends a lock-out's access with everything else. If it takes longer, access
/// ends first.
pub const ACCESS_WITHIN: Duration = Duration::from_secs(5);

/// The path of a transaction that begins a job. If one path fails, the next is tried: access ends first, and records move later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FastPath {
    /// Jobs that fit one chunk are done whole.
    Whole,
    /// Jobs are only opened; references that are handled at the start are handled.
    Start,
    /// References that are handled at the start are cut into chunks as well, which find and report the row to blame. The
    /// leaver is inactive at once, and sessions end a moment later.
    Status,
    /// A lock-out ends access, by the users' rows alone: their guards are checked, and their status changes. The job starts a moment
    /// later, and evaluates everything else.
    Access,
}

impl FastPath {
    /// Returns the path to try after this one has failed, if one may succeed.
    ///
    /// Rows that the database refuses are isolated by narrower paths. Those evaluate every guard, so they wait for whatever made this
    /// path wait; the end of access does not.
    pub fn after(self, failure: &StartFailure, is_lock_out: bool) -> Option<FastPath> {
        if failure.error.is_superseded() || failure.error.class() == FailureClass::Away {
            return None;
        }
        let isolates = failure.is_evaluated && (failure.error.is_refused() || !is_lock_out);
        let last = is_lock_out.then_some(FastPath::Access);
        match self {
            FastPath::Whole if isolates => Some(FastPath::Start),
            FastPath::Start if isolates => Some(FastPath::Status),
            FastPath::Whole | FastPath::Start | FastPath::Status => last,
            FastPath::Access => None,
        }
    }

    /// Returns the guards that the path evaluates.
    pub fn scope(self) -> Scope {
        match self {
            FastPath::Whole | FastPath::Start | FastPath::Status => Scope::Whole,
            FastPath::Access => Scope::Access,
        }
    }

    /// Returns true if this path handles a reference whatever the size of the job. Rows over the last member of a group always
    /// are: they are handed on under the guard's locks.
    fn starts(self, reference: &Reference) -> bool {
        let removes = match self {
            FastPath::Whole | FastPath::Start => true,
            FastPath::Status | FastPath::Access => reference.disposition.sole_in().is_some(),
        };
        reference.at_start && removes
    }
}

/// A failed attempt to begin jobs.
pub struct StartFailure {
    /// The error.
    pub error: Error,
    /// True if the guards had passed. Then a narrower path may succeed.
    pub is_evaluated: bool,
}

impl StartFailure {
    /// Creates the failure of an attempt whose guards had passed.
    pub fn evaluated(error: Error) -> StartFailure {
        StartFailure { error, is_evaluated: true }
    }
}

impl From<Error> for StartFailure {
    fn from(error: Error) -> StartFailure {
        StartFailure { error, is_evaluated: false }
    }
}

impl Borrow<Error> for StartFailure {
    fn borrow(&self) -> &Error {
        &self.error
    }
}

/// Begins jobs. Jobs that fit one chunk are moved and proved here, if the path allows it; the others are opened.
pub async fn start(
    session: &Session,
    context: &Context,
    catalog: &Catalog,
    mut ready: Vec<Ready<'_>>,
    path: FastPath,
) -> Result<LedgerChanges> {
    if ready.is_empty() {
        return Ok(LedgerChanges::default());
    }
    // The request came before its users were locked and its guards evaluated.
    let now = context::now();
    for Ready { change, plan, locks_out, .. } in &mut ready {
        change.job.license_exempt = plan.license_exempt;
        if *locks_out {
            change.job.access_ended_at = Some(now);
        }
    }
    let mut plans: Vec<_> = ready.iter_mut().map(|ready| (ready.request.org(), &mut ready.plan)).collect();
    reserve_turns(session, &mut plans).await?;
    lock_out_leavers(session, catalog, ready.iter(), now).await?;
    let is_small = choose_small(context, catalog, &ready, path);
    let mut tallies: HashMap<Uuid, Vec<Tally>> = HashMap::new();
    for reference in &catalog.references {
        let due = || {
            let due = |(_, is_small): &(&Ready<'_>, &bool)| path.starts(reference) || **is_small;
            ready.iter().zip(&is_small).filter(due).map(|(ready, _)| ready)
        };
        let dealt: Vec<WorkItem> = due().filter_map(|ready| item_of(reference, ready, now)).collect();
        let named: Vec<WorkItem> = due().filter_map(|ready| named_item(reference, ready, now)).collect();
        for items in [dealt, named] {
            if !items.is_empty() {
                let applied = host::apply(session, catalog, reference, &items).await?;
                for (item, applied) in items.iter().zip(applied) {
                    tallies.entry(item.job).or_default().extend(applied.tallies);
                }
            }
        }
    }
    let small = ready.iter().zip(&is_small).filter(|(_, is_small)| **is_small).map(|(ready, _)| ready).collect();
    let times = Times { started: now, ended: context::now() };
    let concluded = conclude_small(session, catalog, small, tallies, times).await?;
    begin(context, catalog, ready, concluded, path, times)
}

/// Locks the rows that the leavers of these jobs may share with other leavers, if they have any.
///
/// Locks: as [`host::lock_shared_rows`]. Call it once in a transaction, for all its jobs.
pub async fn lock_shared_rows<'r>(
    session: &Session,
    catalog: &Catalog,
    ready: impl Iterator<Item = &'r Ready<'r>>,
) -> Result<()> {
    let is_shared =
        |planned: &&Planned| planned.count.rows > 0 && catalog.shares_rows(&catalog.references[planned.position]);
    let ready: Vec<&Ready<'_>> = ready.collect();
    // Their own rows are those of somebody's reports, who are locked in another order.
    let are_several = catalog.changes_users() && ready.iter().filter(|ready| ready.locks_out).count() > 1;
    let shares = |ready: &&&Ready<'_>| are_several || ready.plan.references.iter().any(|planned| is_shared(&planned));
    let orgs = ready.iter().filter(shares).map(|ready| ready.request.org()).collect();
    host::lock_shared_rows(session, &orgs).await
}

/// Ends the access of leavers who still have it, to the host and to our own API.
pub async fn lock_out_leavers<'r>(
    session: &Session,
    catalog: &Catalog,
    ready: impl Iterator<Item = &'r Ready<'r>>,
    now: OffsetDateTime,
) -> Result<()> {
    let requests: Vec<&HandoverRequest> = ready.filter(|ready| ready.locks_out).map(|ready| ready.request).collect();
    if requests.is_empty() {
        return Ok(());
    }
    let leavers: Vec<&UserId> = requests.iter().map(|request| &request.user_id).collect();
    host::lock_out(session, catalog, &leavers).await?;
    let users = requests.iter().map(|request| (request.org(), request.user_id.as_str())).collect();
    tokens::revoke_of_users(session, &users, now).await?;
    sign_ins::end_of_users(session, &users, now).await
}

/// The most rows that the small jobs of a group may move together in the group's transaction, in chunks.
const CHUNKS_OF_A_GROUP: u64 = 4;

/// Chooses the jobs that are done at once: those that fit one chunk, as long as the group's transaction stays short.
fn choose_small(context: &Context, catalog: &Catalog, ready: &[Ready<'_>], path: FastPath) -> Vec<bool> {
    let chunk = context.limits.chunk_rows;
    let mut room = chunk.saturating_mul(CHUNKS_OF_A_GROUP);
    let mut choose = |ready: &Ready<'_>| {
        let rows = rows_to_cut(catalog, &ready.plan, path);
        let fits = path == FastPath::Whole && rows <= chunk.min(room);
        room -= if fits { rows } else { 0 };
        fits
    };
    ready.iter().map(&mut choose).collect()
}

/// Counts the rows that the plan would change in chunks. Rows that stay, or are handled at the start, do not count.
fn rows_to_cut(catalog: &Catalog, plan: &Plan, path: FastPath) -> u64 {
    let cut = plan.references.iter().filter(|planned| is_cut(&catalog.references[planned.position], planned, path));
    cut.map(|planned| planned.count.rows.saturating_add(u64::from(!planned.count.exact))).sum()
}

/// Returns the work of a job on all rows of a reference, if there is any.
pub fn item_of(reference: &Reference, ready: &Ready<'_>, now: OffsetDateTime) -> Option<WorkItem> {
    let planned = ready.plan.references.iter().find(|planned| planned.position == reference.position)?;
    if planned.count.rows == 0 {
        return None;
    }
    if !reference.disposition.changes_rows(planned.transfers) {
        return None;
    }
    let assignment = match reference.disposition.moves() {
        true => assignment(planned),
        false => Assignment::None,
    };
    Some(item(ready, assignment, now))
}

/// Returns the work of a job on the records of a reference that the request names one by one.
fn named_item(reference: &Reference, ready: &Ready<'_>, now: OffsetDateTime) -> Option<WorkItem> {
    let planned = ready.plan.references.iter().find(|planned| planned.position == reference.position)?;
    (!planned.named.is_empty()).then(|| item(ready, Assignment::Named(planned.named.clone()), now))
}

fn item(ready: &Ready<'_>, assignment: Assignment, at: OffsetDateTime) -> WorkItem {
    let leaver = ready.request.user_id.clone();
    WorkItem { job: ready.id(), chunk: None, leaver, range: RowRange::Whole, assignment, at }
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

/// The times of jobs that start in this transaction.
#[derive(Debug, Clone, Copy)]
struct Times {
    /// Their start.
    started: OffsetDateTime,
    /// The end of those that are done at once.
    ended: OffsetDateTime,
}

/// The jobs that were done at once, each with its conclusion and what it did with each reference.
type Concluded = HashMap<Uuid, (Conclusion, Vec<ReferenceProgress>)>;

async fn conclude_small(
    session: &Session,
    catalog: &Catalog,
    small: Vec<&Ready<'_>>,
    mut tallies: HashMap<Uuid, Vec<Tally>>,
    times: Times,
) -> Result<Concluded> {
    let mut progress: HashMap<Uuid, Vec<ReferenceProgress>> =
        small.iter().map(|ready| (ready.id(), progress_of(catalog, ready.id(), &ready.plan, |_, _| true))).collect();
    let closings: Vec<Closing<'_>> = (small.iter())
        .map(|ready| Closing {
            job: &ready.change.job,
            leaver: &ready.request.user_id,
            reassign: Cow::Borrowed(&ready.request.reassign),
            progress: progress.get(&ready.id()).map_or(&[][..], Vec::as_slice),
            started_at: times.started,
            supplement: 0,
            tallies: (!ready.has_begun).then(|| tallies.remove(&ready.id()).unwrap_or_default()),
        })
        .collect();
    let conclusions = conclude(session, catalog, &closings, times.ended).await?;
    drop(closings);
    let with_progress = |(job, conclusion): (Uuid, Conclusion)| {
        let progress = progress.remove(&job).unwrap_or_default();
        (job, (conclusion, progress))
    };
    Ok(conclusions.into_iter().map(with_progress).collect())
}

/// Returns what a plan does with each reference, as the ledger stores it.
fn progress_of(
    catalog: &Catalog,
    job: Uuid,
    plan: &Plan,
    is_done: impl Fn(&Reference, &Planned) -> bool,
) -> Vec<ReferenceProgress> {
    let progress = |planned: &Planned| {
        let reference = &catalog.references[planned.position];
        ReferenceProgress::of(job, &reference.kind, planned, is_done(reference, planned))
    };
    plan.references.iter().map(progress).collect()
}

/// Returns true if a reference's rows are cut into chunks. Rows that stay, or are handled at the start, are not.
fn is_cut(reference: &Reference, planned: &Planned, path: FastPath) -> bool {
    reference.disposition.is_cut(planned.transfers, path.starts(reference))
}

/// Gives each job the state that it begins with, and collects what it does and for whom.
fn begin(
    context: &Context,
    catalog: &Catalog,
    ready: Vec<Ready<'_>>,
    mut concluded: Concluded,
    path: FastPath,
    times: Times,
) -> Result<LedgerChanges> {
    let mut changes = LedgerChanges::default();
    for Ready { request, mut change, plan, .. } in ready {
        let id = change.job.id;
        change.job.started_at = Some(change.job.started_at.unwrap_or(times.started));
        (change.job.wait_for, change.job.reasons) = (None, None);
        let progress = match concluded.remove(&id) {
            Some((Conclusion::Proved(certificate), progress)) => {
                change.complete(&certificate, context, times.ended)?;
                progress
            }
            // The job is too large, or the application still writes: the other stages continue with it.
            concluded => {
                let receives = |user: &UserId| (id, request.org().to_owned(), user.clone());
                changes.successors(plan.successors().into_iter().map(receives));
                change.open(context.limits, times.started)?;
                match concluded {
                    Some((conclusion, progress)) => progress_after(conclusion, progress),
                    None => progress_of(catalog, id, &plan, |reference, planned| !is_cut(reference, planned, path)),
                }
            }
        };
        changes.progress(progress);
        change.save(&mut changes);
    }
    Ok(changes)
}

/// Opens the references of a job that was moved here where records arrived late. The late ones take the next ranks.
fn progress_after(conclusion: Conclusion, mut progress: Vec<ReferenceProgress>) -> Vec<ReferenceProgress> {
    if let Conclusion::More(late) = conclusion {
        progress.iter_mut().for_each(|progress| progress.cut = !late.contains_key(&progress.position));
    }
    progress
}
