//! Jobs: their states, and the locks on them.

use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::bulk_insert::add;
use super::entity::{job_successors, jobs};
use super::query;
use crate::contract::{RequestType, UserId};
use crate::job::State;
use crate::metrics::Observation;
use crate::store::dialect::{JOBS, RowLock, Type};
use crate::store::{Error, Locking, Result, Session};

pub use super::entity::jobs::Model as Job;

impl Job {
    /// True if it undoes another job.
    pub fn undoes(&self) -> bool {
        match self.kind {
            RequestType::Revert | RequestType::Cancel | RequestType::Reactivate => true,
            RequestType::Deactivate
            | RequestType::Reassign
            | RequestType::Invite
            | RequestType::ResendInvitation
            | RequestType::AcceptInvitation
            | RequestType::CancelInvitation
            | RequestType::Pause
            | RequestType::Resume
            | RequestType::Amend => false,
        }
    }

    /// True if its user was forgotten.
    pub fn is_forgotten(&self) -> bool {
        UserId::try_from(self.user_id.clone()).is_ok_and(|user| user.is_pseudonym())
    }

    /// Returns the user that the job is about.
    pub fn user(&self) -> Result<UserId> {
        UserId::try_from(self.user_id.clone()).map_err(|what| Error::unexpected("reading a job", what.to_string()))
    }
}

/// Adds jobs.
pub async fn insert(session: &Session, jobs: Vec<Job>) -> Result<()> {
    let rows = rows(session, jobs);
    add(session, "adding jobs", rows, "").await?;
    Ok(())
}

/// Returns jobs as rows to add.
pub(super) fn rows(session: &Session, jobs: Vec<Job>) -> Vec<jobs::ActiveModel> {
    jobs.iter().for_each(|job| observe(session, None, job));
    jobs.into_iter().map(IntoActiveModel::into_active_model).collect()
}

/// A job, its organization, and a user who receives records from it.
pub type Successor = (Uuid, String, UserId);

/// Leaves out successors that were added before.
pub(super) fn unless_noted(session: &Session) -> String {
    session.dialect().on_conflict_do_nothing(&["job_id", "user_id"])
}

/// Returns successors as rows to add.
pub(super) fn successor_rows(successors: Vec<Successor>) -> Vec<job_successors::ActiveModel> {
    let row = |(job_id, org, user): Successor| {
        job_successors::Model { job_id, org, user_id: user.into() }.into_active_model()
    };
    successors.into_iter().map(row).collect()
}

/// Adds the successors of jobs.
pub async fn insert_successors(session: &Session, successors: Vec<Successor>) -> Result<()> {
    add(session, "adding successors", successor_rows(successors), &unless_noted(session)).await?;
    Ok(())
}

/// Returns a job.
pub async fn get(session: &Session, id: Uuid) -> Result<Option<Job>> {
    let job = query::one(session, "reading a job", jobs::Entity::find_by_id(id)).await?;
    job.iter().for_each(|job| name(session, job));
    Ok(job)
}

/// Notes which job a transaction is about, for the log.
pub(super) fn name(session: &Session, job: &Job) {
    session.observe(Observation::JobNamed { org: job.org.clone(), request: job.request_id.clone() });
}

/// Returns those of these jobs that exist.
pub async fn of_ids(session: &Session, ids: &[Uuid]) -> Result<Vec<Job>> {
    let find = jobs::Entity::find().filter(jobs::Column::Id.is_in(ids.iter().copied()));
    query::all(session, "reading jobs", find).await
}

/// Locks a job until the transaction ends, and returns it. A transaction that changes a job's state locks it first.
pub async fn lock(session: &Session, id: Uuid) -> Result<Option<Job>> {
    let find = query::locked(session, jobs::Entity::find_by_id(id), RowLock::Wait);
    let job = query::one(session, "locking a job", find).await?;
    job.iter().for_each(|job| name(session, job));
    Ok(job)
}

/// Writes back a job that was read in the state `from`. If it is in another state now, nothing is written and the caller
/// must stop.
pub async fn update(session: &Session, from: State, job: Job) -> Result<()> {
    let doing = "updating a job";
    let id = job.id;
    observe(session, Some(from), &job);
    let changes = job.into_active_model().reset_all();
    let update = jobs::Entity::update_many().set(changes).filter(jobs::Column::Id.eq(id));
    let update = update.filter(jobs::Column::State.eq(from));
    match query::update(session, doing, update).await? {
        1 => Ok(()),
        _ => Err(Error::superseded(doing)),
    }
}

/// Notes a job's change of state for the metrics.
fn observe(session: &Session, from: Option<State>, job: &Job) {
    let (state, kind) = (job.state, job.kind.name());
    if from == Some(state) {
        return;
    }
    if let (None | Some(State::Scheduled), Some(started_at)) = (from, job.started_at) {
        let could_begin = job.effective_at.map_or(job.requested_at, |at| at.max(job.requested_at));
        session.observe(Observation::JobStarted { kind, waited: started_at - could_begin });
    }
    if state.is_final() || state == State::NeedsAttention {
        let began = job.started_at.filter(|_| state == State::Completed);
        session.observe(Observation::JobEnded { kind, outcome: state.name(), began });
    }
}

/// Counts the jobs in each state that is not final. An index holds only these jobs, so ended ones cost nothing.
pub async fn count_open(session: &Session) -> Result<Vec<(State, u64)>> {
    let doing = "counting open jobs";
    // The same words as the index has, so that it serves.
    let states = State::OPEN.map(|state| format!("'{}'", state.name())).join(", ");
    let sql =
        format!("SELECT j.state AS state, count(*) AS n FROM {JOBS} j WHERE state IN ({states}) GROUP BY j.state");
    let mut counts = State::OPEN.map(|state| (state, 0)).to_vec();
    for row in session.all(doing, session.sql(&sql)).await? {
        let (state, n): (State, u64) = (row.get("state")?, row.count("n")?);
        counts.iter_mut().filter(|(open, _)| *open == state).for_each(|(_, count)| *count = n);
    }
    Ok(counts)
}

/// Returns a user's last completed handover that was not undone.
pub async fn last_handover(session: &Session, org: &str, user: &str, locking: Locking) -> Result<Option<Job>> {
    let kinds = [RequestType::Deactivate, RequestType::Reassign];
    let mut find = jobs::Entity::find().filter(jobs::Column::Org.eq(org)).filter(jobs::Column::UserId.eq(user));
    find = find.filter(jobs::Column::Kind.is_in(kinds)).filter(jobs::Column::State.eq(State::Completed));
    find = find.order_by_desc(jobs::Column::RequestedAt).limit(1);
    query::one(session, "reading a user's last handover", with_locking(session, find, locking)).await
}

/// Returns the last request that has let a user in or out: a deactivation that has ended their access and was not undone, or a
/// reactivation.
pub async fn last_change_of_access(session: &Session, org: &str, user: &str) -> Result<Option<Job>> {
    let undone = [State::Rejected, State::Reverting, State::Reverted, State::Cancelled];
    let mut find = jobs::Entity::find().filter(jobs::Column::Org.eq(org)).filter(jobs::Column::UserId.eq(user));
    find = find.filter(jobs::Column::State.is_not_in(undone));
    let leaves = Condition::all().add(jobs::Column::Kind.eq(RequestType::Deactivate));
    let leaves = leaves.add(jobs::Column::AccessEndedAt.is_not_null());
    find = find.filter(Condition::any().add(leaves).add(jobs::Column::Kind.eq(RequestType::Reactivate)));
    find = find.order_by_desc(jobs::Column::RequestedAt).order_by_desc(jobs::Column::Id);
    query::one(session, "reading who has ended a user's access", find).await
}

/// Returns the last handover of each of these users of an organization, unless it was rejected.
pub async fn last_handovers(session: &Session, org: &str, users: &[&str]) -> Result<Vec<Job>> {
    let mut sql = session.sql("");
    let (columns, org) = (query::columns::<jobs::Entity>("j", ""), sql.bind(org));
    let users = sql.list_of(&Type::Text, users.iter().copied());
    let is_handover = |alias: &str| {
        format!("{alias}.kind IN ('deactivate', 'reassign') AND {alias}.state <> '{}'", State::Rejected.name())
    };
    sql.add(&format!(
        "SELECT {columns} FROM {JOBS} j WHERE j.org = {org} AND j.user_id IN {users} AND {this} AND NOT EXISTS (\
         SELECT 1 FROM {JOBS} k WHERE k.org = j.org AND k.user_id = j.user_id AND {later} \
         AND (k.requested_at, k.id) > (j.requested_at, j.id))",
        this = is_handover("j"),
        later = is_handover("k"),
    ));
    session.all("reading the last handovers of users", sql).await?.iter().map(|row| row.entity("")).collect()
}

/// Returns a user's job that has not ended.
pub async fn open(session: &Session, org: &str, user: &str, locking: Locking) -> Result<Option<Job>> {
    let mut find = jobs::Entity::find().filter(jobs::Column::Org.eq(org)).filter(jobs::Column::UserId.eq(user));
    find = find.filter(jobs::Column::State.is_in(State::OPEN));
    query::one(session, "reading a user's open job", with_locking(session, find, locking)).await
}

/// Locks and returns the last open job by which a user is locked out, if there is one.
pub async fn lock_lock_out(session: &Session, org: &str, user: &str) -> Result<Option<Job>> {
    let mut find = jobs::Entity::find().filter(jobs::Column::Org.eq(org)).filter(jobs::Column::UserId.eq(user));
    find = find.filter(jobs::Column::State.is_in(State::OPEN)).filter(jobs::Column::AccessEndedAt.is_not_null());
    find = find.order_by_desc(jobs::Column::RequestedAt).limit(1);
    query::one(session, "locking a user's lock-out", query::locked(session, find, RowLock::Wait)).await
}

fn with_locking(
    session: &Session,
    find: sea_orm::Select<jobs::Entity>,
    locking: Locking,
) -> sea_orm::Select<jobs::Entity> {
    match locking {
        Locking::Locked => query::locked(session, find, RowLock::Wait),
        Locking::Unlocked => find,
    }
}

/// Ends the recounts of a user's completed jobs: records may point at the user again.
pub async fn end_recounts(session: &Session, org: &str, user: &str) -> Result<()> {
    let none = Expr::value(Option::<OffsetDateTime>::None);
    let update = jobs::Entity::update_many().col_expr(jobs::Column::RecountAt, none);
    let update = update.filter(jobs::Column::Org.eq(org)).filter(jobs::Column::UserId.eq(user));
    query::update(session, "ending recounts", update.filter(jobs::Column::RecountAt.is_not_null())).await?;
    Ok(())
}

/// Locks and returns jobs that the sweeper must look at. Jobs that another transaction has locked are left out.
pub async fn lock_due(session: &Session, now: OffsetDateTime, limit: u64) -> Result<Vec<Job>> {
    let find = jobs::Entity::find().filter(jobs::Column::WakeAt.lte(now)).order_by_asc(jobs::Column::WakeAt);
    lock_some(session, find.limit(limit)).await
}

/// Locks and returns completed jobs whose recount is due.
pub async fn lock_recounts(session: &Session, now: OffsetDateTime, limit: u64) -> Result<Vec<Job>> {
    let find = jobs::Entity::find().filter(jobs::Column::RecountAt.lte(now)).order_by_asc(jobs::Column::RecountAt);
    lock_some(session, find.limit(limit)).await
}

async fn lock_some(session: &Session, find: sea_orm::Select<jobs::Entity>) -> Result<Vec<Job>> {
    query::all(session, "locking due jobs", query::locked(session, find, RowLock::SkipLocked)).await
}

/// Returns the jobs that wait for one of these.
pub async fn waiting_for(session: &Session, ids: &[Uuid]) -> Result<Vec<Job>> {
    let find = jobs::Entity::find().filter(jobs::Column::WaitFor.is_in(ids.iter().copied()));
    let find = find.filter(jobs::Column::State.eq(State::Scheduled));
    query::all(session, "reading waiting jobs", find).await
}

/// Returns the commands about a job, oldest first.
pub async fn about(session: &Session, job: Uuid) -> Result<Vec<Job>> {
    let find = jobs::Entity::find().filter(jobs::Column::Target.eq(job)).order_by_asc(jobs::Column::RequestedAt);
    query::all(session, "reading the commands about a job", find).await
}

/// Returns the successors of a job.
pub async fn successors(session: &Session, job: Uuid) -> Result<Vec<UserId>> {
    let doing = "reading the successors of a job";
    let find = job_successors::Entity::find().filter(job_successors::Column::JobId.eq(job));
    let rows = query::all(session, doing, find.order_by_asc(job_successors::Column::UserId)).await?;
    let read = |row: job_successors::Model| {
        UserId::try_from(row.user_id).map_err(|what| Error::unexpected(doing, what.to_string()))
    };
    rows.into_iter().map(read).collect()
}
