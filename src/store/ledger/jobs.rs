//! Jobs: where each stands, and who may touch it.

use sea_orm::sea_query::{Expr, LockBehavior, LockType};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::bulk_insert::add;
use super::entity::{job_successors, jobs};
use super::failed;
use crate::catalog::Engine;
use crate::contract::{RequestType, UnknownName, UserId};
use crate::job::State;
use crate::metrics::Observation;
use crate::store::error::Error;
use crate::store::{Locking, Result, Session};

pub use super::entity::jobs::Model as Job;

impl Job {
    /// Its state. What the ledger holds was written by [`State::name`].
    pub fn state(&self) -> Result<State> {
        let unknown = |error: UnknownName| Error::unexpected("reading a job", format!("{error}: the job {}", self.id));
        self.state.parse().map_err(unknown)
    }
}

impl Job {
    /// Returns the type of the request that made it.
    pub fn request_type(&self) -> Result<RequestType> {
        let unknown = |error: crate::contract::UnknownName| Error::unexpected("reading a job", error.to_string());
        self.kind.parse().map_err(unknown)
    }

    /// Whether a request of this type made it.
    pub fn is(&self, kind: RequestType) -> bool {
        self.kind == kind.name()
    }

    /// Whether it undoes what others did, instead of doing something itself.
    pub fn undoes(&self) -> bool {
        [RequestType::Revert, RequestType::Cancel, RequestType::Reactivate].into_iter().any(|kind| self.is(kind))
    }

    /// Whether its user was forgotten.
    pub fn is_forgotten(&self) -> bool {
        UserId::try_from(self.user_id.clone()).is_ok_and(|user| user.is_pseudonym())
    }

    /// Its user.
    pub fn user(&self) -> Result<UserId> {
        UserId::try_from(self.user_id.clone()).map_err(|what| Error::unexpected("reading a job", what))
    }
}

/// Opens jobs.
pub async fn insert(session: &Session, jobs: Vec<Job>) -> Result<()> {
    let rows = rows(session, jobs);
    add(session, "opening jobs", rows, "").await?;
    Ok(())
}

/// Jobs as rows to be added.
pub(super) fn rows(session: &Session, jobs: Vec<Job>) -> Vec<jobs::ActiveModel> {
    jobs.iter().for_each(|job| observe(session, None, job));
    jobs.into_iter().map(IntoActiveModel::into_active_model).collect()
}

/// Who receives something from which job, and of which organization.
pub type Successor = (Uuid, String, UserId);

/// What becomes of successors that are noted already.
pub(super) const NOTED: &str = " ON CONFLICT (job_id, user_id) DO NOTHING";

/// Successors as rows to be added.
pub(super) fn successor_rows(successors: Vec<Successor>) -> Vec<job_successors::ActiveModel> {
    let row = |(job_id, org, user): Successor| {
        job_successors::Model { job_id, org, user_id: user.into() }.into_active_model()
    };
    successors.into_iter().map(row).collect()
}

/// Notes who receives something from jobs.
pub async fn insert_successors(session: &Session, successors: Vec<Successor>) -> Result<()> {
    add(session, "noting successors", successor_rows(successors), NOTED).await?;
    Ok(())
}

/// A job.
pub async fn get(session: &Session, id: Uuid) -> Result<Option<Job>> {
    jobs::Entity::find_by_id(id).one(session).await.map_err(failed("reading a job"))
}

/// Those of these jobs that there are.
pub async fn of_ids(session: &Session, ids: &[Uuid]) -> Result<Vec<Job>> {
    let find = jobs::Entity::find().filter(jobs::Column::Id.is_in(ids.iter().copied()));
    find.all(session).await.map_err(failed("reading jobs"))
}

/// A job, locked until the transaction ends: whoever changes its state comes here first.
pub async fn lock(session: &Session, id: Uuid) -> Result<Option<Job>> {
    let mut find = jobs::Entity::find_by_id(id);
    if session.engine() == Engine::Postgres {
        find = find.lock(LockType::Update);
    }
    find.one(session).await.map_err(failed("locking a job"))
}

/// Writes a job back that was read in the state `from`. In any other state now, somebody else was here: nothing is
/// written and the caller must stop.
pub async fn update(session: &Session, from: State, job: Job) -> Result<()> {
    let doing = "updating a job";
    let id = job.id;
    observe(session, Some(from), &job);
    let changes = job.into_active_model().reset_all();
    let update = jobs::Entity::update_many().set(changes).filter(jobs::Column::Id.eq(id));
    let update = update.filter(jobs::Column::State.eq(from.name()));
    let result = update.exec(session).await.map_err(failed(doing))?;
    match result.rows_affected {
        1 => Ok(()),
        _ => Err(Error::superseded(doing)),
    }
}

/// Notes what has become of a job, to be counted.
fn observe(session: &Session, from: Option<State>, job: &Job) {
    let Some(state) = job.state().ok().filter(|state| Some(*state) != from) else { return };
    let kind = || job.kind.clone();
    if let (None | Some(State::Scheduled), Some(started_at)) = (from, job.started_at) {
        let could_begin = job.effective_at.map_or(job.requested_at, |at| at.max(job.requested_at));
        session.observe(Observation::JobStarted { kind: kind(), waited: started_at - could_begin });
    }
    if state.is_final() || state == State::NeedsAttention {
        let began = job.started_at.filter(|_| state == State::Completed);
        session.observe(Observation::JobEnded { kind: kind(), outcome: state.name(), began });
    }
}

/// How many jobs that have not ended stand in each state: as many rows are read, by the index on them, whatever has
/// ended.
pub async fn count_open(session: &Session) -> Result<Vec<(State, u64)>> {
    let doing = "counting open jobs";
    // In the words of the index, so that it serves.
    let states = State::OPEN.map(|state| format!("'{}'", state.name())).join(", ");
    let sql = format!(
        "SELECT j.state AS state, count(*) AS n FROM handover.jobs j WHERE state IN ({states}) GROUP BY j.state"
    );
    let mut counts = State::OPEN.map(|state| (state, 0)).to_vec();
    for row in session.all(doing, session.sql(&sql)).await? {
        let read = || Ok::<(String, i64), DbErr>((row.try_get("", "state")?, row.try_get("", "n")?));
        let (name, n) = read().map_err(failed(doing))?;
        counts.iter_mut().filter(|(state, _)| state.name() == name).for_each(|(_, count)| *count = n as u64);
    }
    Ok(counts)
}

/// A user's last job that handed something over and was not undone.
pub async fn last_handover(session: &Session, org: &str, user: &str, locking: Locking) -> Result<Option<Job>> {
    let kinds = [RequestType::Deactivate.name(), RequestType::Reassign.name()];
    let mut find = jobs::Entity::find().filter(jobs::Column::Org.eq(org)).filter(jobs::Column::UserId.eq(user));
    find = find.filter(jobs::Column::Kind.is_in(kinds)).filter(jobs::Column::State.eq(State::Completed.name()));
    find = find.order_by_desc(jobs::Column::RequestedAt).limit(1);
    if locking.applies(session.capabilities()) {
        find = find.lock(LockType::Update);
    }
    find.one(session).await.map_err(failed("looking for a user's last job"))
}

/// A user's job that has not ended.
pub async fn open(session: &Session, org: &str, user: &str, locking: Locking) -> Result<Option<Job>> {
    let mut find = jobs::Entity::find().filter(jobs::Column::Org.eq(org)).filter(jobs::Column::UserId.eq(user));
    find = find.filter(jobs::Column::State.is_in(State::OPEN.map(State::name)));
    if locking.applies(session.capabilities()) {
        find = find.lock(LockType::Update);
    }
    find.one(session).await.map_err(failed("looking for a user's open job"))
}

/// No count of a user's completed jobs is repeated any more: what points at them may point at them again.
pub async fn end_recounts(session: &Session, org: &str, user: &str) -> Result<()> {
    let none = Expr::value(Option::<OffsetDateTime>::None);
    let update = jobs::Entity::update_many().col_expr(jobs::Column::RecountAt, none);
    let update = update.filter(jobs::Column::Org.eq(org)).filter(jobs::Column::UserId.eq(user));
    update.filter(jobs::Column::RecountAt.is_not_null()).exec(session).await.map_err(failed("ending recounts"))?;
    Ok(())
}

/// Jobs by state, newest first.
pub async fn list(session: &Session, states: &[State], limit: u64) -> Result<Vec<Job>> {
    let mut find = jobs::Entity::find().order_by_desc(jobs::Column::RequestedAt).limit(limit);
    if !states.is_empty() {
        find = find.filter(jobs::Column::State.is_in(states.iter().map(|state| state.name())));
    }
    find.all(session).await.map_err(failed("listing jobs"))
}

/// Jobs that the sweeper has to look at, locked; those that somebody works on just now are passed over.
pub async fn lock_due(session: &Session, now: OffsetDateTime, limit: u64) -> Result<Vec<Job>> {
    let find = jobs::Entity::find().filter(jobs::Column::WakeAt.lte(now)).order_by_asc(jobs::Column::WakeAt);
    lock_some(session, find.limit(limit)).await
}

/// Completed jobs whose count is due again, locked.
pub async fn lock_recounts(session: &Session, now: OffsetDateTime, limit: u64) -> Result<Vec<Job>> {
    let find = jobs::Entity::find().filter(jobs::Column::RecountAt.lte(now)).order_by_asc(jobs::Column::RecountAt);
    lock_some(session, find.limit(limit)).await
}

async fn lock_some(session: &Session, mut find: sea_orm::Select<jobs::Entity>) -> Result<Vec<Job>> {
    if session.engine() == Engine::Postgres {
        find = find.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
    }
    find.all(session).await.map_err(failed("looking for jobs that are due"))
}

/// The jobs that wait for one of these.
pub async fn waiting_for(session: &Session, ids: &[Uuid]) -> Result<Vec<Job>> {
    let find = jobs::Entity::find().filter(jobs::Column::WaitFor.is_in(ids.iter().copied()));
    let find = find.filter(jobs::Column::State.eq(State::Scheduled.name()));
    find.all(session).await.map_err(failed("looking for jobs that wait"))
}

/// The orders about a job, oldest first.
pub async fn about(session: &Session, job: Uuid) -> Result<Vec<Job>> {
    let find = jobs::Entity::find().filter(jobs::Column::Target.eq(job)).order_by_asc(jobs::Column::RequestedAt);
    find.all(session).await.map_err(failed("looking for orders about a job"))
}

/// The successors of a job.
pub async fn successors(session: &Session, job: Uuid) -> Result<Vec<UserId>> {
    let doing = "reading the successors of a job";
    let find = job_successors::Entity::find().filter(job_successors::Column::JobId.eq(job));
    let rows = find.order_by_asc(job_successors::Column::UserId).all(session).await.map_err(failed(doing))?;
    let read =
        |row: job_successors::Model| UserId::try_from(row.user_id).map_err(|what| Error::unexpected(doing, what));
    rows.into_iter().map(read).collect()
}
