//! Snapshots of removed rows and of replaced values: found when they can come back, deleted when they expire.
//!
//! Their content stays in the database; code knows them by their numbers.

use std::collections::HashSet;

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use time::OffsetDateTime;
use uuid::Uuid;

use super::entity::jobs;
use super::entity::row_snapshots::{Column, Entity};
use super::query;
use crate::job::State;
use crate::store::dialect::RowLock;
use crate::store::{Result, Session};

pub use super::codes::SnapshotOutcome;

/// The kind of the snapshots of freed licenses. No reference has this kind: a catalog's kinds hold no brackets.
pub const LICENSE: &str = "[license]";

/// Deletes at most `limit` snapshots that have expired, and returns how many.
pub async fn purge(session: &Session, now: OffsetDateTime, limit: u64) -> Result<u64> {
    let doing = "deleting expired snapshots";
    let find = Entity::find().filter(Column::KeepUntil.lte(now)).order_by_asc(Column::KeepUntil).limit(limit);
    let ids: Vec<i64> = query::tuples(session, doing, find.select_only().column(Column::Id)).await?;
    if ids.is_empty() {
        return Ok(0);
    }
    query::delete(session, doing, Entity::delete_many().filter(Column::Id.is_in(ids))).await
}

/// A snapshot that can come back.
#[derive(Debug, Clone, PartialEq, Eq, sea_orm::FromQueryResult)]
pub struct PendingSnapshot {
    /// Its number.
    pub id: i64,
    /// The job that made it.
    pub job_id: Uuid,
    /// The catalog's name of the reference; of rows that followed, with the table after it.
    pub kind: String,
    /// The user whose row it was.
    pub from_user: String,
    /// The other user of a row between two.
    pub other_user: Option<String>,
}

/// Returns the snapshots of some kinds that a chunk of a job has made and that have not come back yet; without a chunk, those
/// that the job has made outside of chunks.
pub async fn of_chunk(
    session: &Session,
    job: Uuid,
    chunk: Option<i32>,
    kinds: &[String],
) -> Result<Vec<PendingSnapshot>> {
    let mut find = Entity::find().filter(Column::JobId.eq(job)).filter(Column::Kind.is_in(kinds));
    find = match chunk {
        Some(chunk) => find.filter(Column::Chunk.eq(chunk)),
        None => find.filter(Column::Chunk.is_null()),
    };
    list(session, find.filter(Column::Outcome.is_null())).await
}

/// Returns the numbers of the last snapshots of some kinds that a job has made and that have not come back yet: those before a
/// number, at most `limit`.
pub async fn pending_before(
    session: &Session,
    job: Uuid,
    kinds: &[String],
    id: Option<i64>,
    limit: u64,
) -> Result<Vec<i64>> {
    let mut find = Entity::find().filter(Column::JobId.eq(job)).filter(Column::Kind.is_in(kinds));
    if let Some(id) = id {
        find = find.filter(Column::Id.lt(id));
    }
    let find = find.filter(Column::Outcome.is_null()).order_by_desc(Column::Id).limit(limit);
    query::tuples(session, "looking for snapshots", find.select_only().column(Column::Id)).await
}

/// The snapshots that a user's return may bring back: of rows that were theirs, or between them and another user.
#[derive(Debug, Clone, Copy)]
pub struct Restorable<'r> {
    /// The organization.
    pub org: &'r str,
    /// The user.
    pub user: &'r str,
    /// The kinds that the catalog restores.
    pub kinds: &'r [String],
    /// Further kinds, of jobs that were undone: what their undo could not give back.
    pub kinds_of_undone: &'r [String],
    /// A job whose own snapshots come back another way.
    pub except: Option<Uuid>,
}

impl Restorable<'_> {
    fn find(&self, session: &Session) -> sea_orm::Select<Entity> {
        let of_org = jobs::Entity::find().select_only().column(jobs::Column::Id).filter(jobs::Column::Org.eq(self.org));
        let undone = of_org.clone().filter(jobs::Column::State.is_in([State::Reverted, State::Cancelled]));
        let of_undone = Condition::all()
            .add(Column::Kind.is_in(self.kinds_of_undone))
            .add(Column::JobId.in_subquery(query::subquery(session, undone)));
        let kinds = Condition::any().add(Column::Kind.is_in(self.kinds)).add(of_undone);
        let theirs = Condition::any().add(Column::FromUser.eq(self.user)).add(Column::OtherUser.eq(self.user));
        let mut find = Entity::find().filter(Column::Outcome.is_null()).filter(theirs);
        if let Some(except) = self.except {
            find = find.filter(Column::JobId.ne(except));
        }
        find.filter(kinds).filter(Column::JobId.in_subquery(query::subquery(session, of_org)))
    }

    /// Returns the numbers of the last of them before one, at most `limit`.
    pub async fn before(&self, session: &Session, id: Option<i64>, limit: u64) -> Result<Vec<i64>> {
        let mut find = self.find(session);
        if let Some(id) = id {
            find = find.filter(Column::Id.lt(id));
        }
        let find = find.order_by_desc(Column::Id).limit(limit).select_only().column(Column::Id);
        query::tuples(session, "finding snapshots to restore", find).await
    }

    /// Returns those between two numbers, both included.
    pub async fn between(&self, session: &Session, first: i64, last: i64) -> Result<Vec<PendingSnapshot>> {
        list(session, self.find(session).filter(Column::Id.between(first, last))).await
    }
}

/// Returns the numbers of the snapshots of licenses that a job has freed and that nobody has got back.
pub async fn freed_licenses(session: &Session, job: Uuid) -> Result<Vec<i64>> {
    let find = Entity::find().filter(Column::JobId.eq(job)).filter(Column::Kind.eq(LICENSE));
    let find = find.filter(Column::Outcome.is_null()).order_by_asc(Column::Id).select_only().column(Column::Id);
    query::tuples(session, "reading which licenses were freed", find).await
}

/// Returns true if an undo has given a user licenses back that a job had freed.
pub async fn has_given_licenses_back(session: &Session, job: Uuid, by: Uuid) -> Result<bool> {
    let find = Entity::find().filter(Column::JobId.eq(job)).filter(Column::Kind.eq(LICENSE));
    let find = find.filter(Column::Outcome.eq(SnapshotOutcome::Restored { by })).select_only().column(Column::Id);
    let ids: Vec<i64> = query::tuples(session, "reading which licenses were given back", find.limit(1)).await?;
    Ok(!ids.is_empty())
}

async fn list(session: &Session, find: sea_orm::Select<Entity>) -> Result<Vec<PendingSnapshot>> {
    let find = find.order_by_desc(Column::Id).select_only();
    let find = find.columns([Column::Id, Column::JobId, Column::Kind, Column::FromUser, Column::OtherUser]);
    query::rows(session, "reading snapshots", find).await?.iter().map(|row| row.entity("")).collect()
}

/// Locks these snapshots and returns those that can still come back. An undo that restores the same ones at the same time
/// has set their outcome first, or finds it set.
pub async fn lock(session: &Session, mut pending: Vec<PendingSnapshot>) -> Result<Vec<PendingSnapshot>> {
    if !session.capabilities().row_locks || pending.is_empty() {
        return Ok(pending);
    }
    let find = Entity::find().filter(Column::Id.is_in(pending.iter().map(|snapshot| snapshot.id)));
    let find = find.filter(Column::Outcome.is_null()).order_by_asc(Column::Id).select_only().column(Column::Id);
    let ids: Vec<i64> =
        query::tuples(session, "locking snapshots", query::locked(session, find, RowLock::Wait)).await?;
    let ids: HashSet<i64> = ids.into_iter().collect();
    pending.retain(|snapshot| ids.contains(&snapshot.id));
    Ok(pending)
}

/// Writes down what an undo has done with snapshots.
pub async fn set_outcome(session: &Session, ids: &[i64], outcome: SnapshotOutcome) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let update = Entity::update_many().col_expr(Column::Outcome, Expr::value(outcome));
    let update = update.filter(Column::Id.is_in(ids.iter().copied()));
    query::update(session, "writing the outcome of snapshots", update).await?;
    Ok(())
}

/// Returns how many snapshots a job has made of a kind, and how many of them jobs other than `by` have restored.
pub async fn made(session: &Session, job: Uuid, kind: &str, by: Uuid) -> Result<(u64, u64)> {
    let find = Entity::find().filter(Column::JobId.eq(job)).filter(Column::Kind.eq(kind)).select_only();
    let find = find.column(Column::Outcome).column_as(Column::Id.count(), "n").group_by(Column::Outcome);
    let counts: Vec<(Option<SnapshotOutcome>, i64)> = query::tuples(session, "counting snapshots", find).await?;
    let (mut made, mut elsewhere) = (0, 0);
    for (outcome, n) in counts {
        made += n as u64;
        match outcome {
            Some(SnapshotOutcome::Restored { by: other }) if other != by => elsewhere += n as u64,
            Some(SnapshotOutcome::Restored { .. } | SnapshotOutcome::Skipped { .. }) | None => {}
        }
    }
    Ok((made, elsewhere))
}
