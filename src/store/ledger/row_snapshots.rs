//! Copies of rows removed and values replaced: found when they are to come back, purged when they expire. What they hold
//! stays in the database; here they are known by their numbers.

use std::collections::HashSet;

use sea_orm::sea_query::{Expr, LockType};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait};
use time::OffsetDateTime;
use uuid::Uuid;

use super::entity::jobs;

use super::entity::row_snapshots::{Column, Entity};
use super::failed;
use crate::catalog::Engine;
use crate::store::{Result, Session};

/// Deletes copies that are past their keeping time, at most `limit` of them; how many.
pub async fn purge(session: &Session, now: OffsetDateTime, limit: u64) -> Result<u64> {
    let doing = "purging copies past their keeping";
    let find = Entity::find().filter(Column::KeepUntil.lte(now)).order_by_asc(Column::KeepUntil).limit(limit);
    let ids: Vec<i64> = find.select_only().column(Column::Id).into_tuple().all(session).await.map_err(failed(doing))?;
    if ids.is_empty() {
        return Ok(0);
    }
    let delete = Entity::delete_many().filter(Column::Id.is_in(ids));
    Ok(delete.exec(session).await.map_err(failed(doing))?.rows_affected)
}

/// A copy that may come back.
#[derive(Debug, Clone, PartialEq, Eq, sea_orm::FromQueryResult)]
pub struct PendingSnapshot {
    /// Its number.
    pub id: i64,
    /// The job that made it.
    pub job_id: Uuid,
    /// The catalog's name of the reference.
    pub kind: String,
    /// The table that the row was in.
    pub table_name: String,
    /// Whose row it was.
    pub from_user: String,
    /// Who else it stands between.
    pub other_user: Option<String>,
}

/// Copies that a chunk of a job (or its work outside of chunks) has made of a kind, and that have not come back yet.
pub async fn of_chunk(session: &Session, job: Uuid, chunk: Option<i32>, kind: &str) -> Result<Vec<PendingSnapshot>> {
    let mut find = Entity::find().filter(Column::JobId.eq(job)).filter(Column::Kind.eq(kind));
    find = match chunk {
        Some(chunk) => find.filter(Column::Chunk.eq(chunk)),
        None => find.filter(Column::Chunk.is_null()),
    };
    list(session, find.filter(Column::Outcome.is_null())).await
}

/// Copies of these kinds that a user's return may bring back: of rows that were theirs, or stood between them and another.
#[derive(Debug, Clone, Copy)]
pub struct Restorable<'r> {
    /// The organization.
    pub org: &'r str,
    /// The user.
    pub user: &'r str,
    /// The kinds that the catalog restores.
    pub kinds: &'r [String],
    /// A job whose own copies come back another way.
    pub except: Option<Uuid>,
}

impl Restorable<'_> {
    fn find(&self) -> sea_orm::Select<Entity> {
        let of_org = jobs::Entity::find().select_only().column(jobs::Column::Id).filter(jobs::Column::Org.eq(self.org));
        let theirs = Condition::any().add(Column::FromUser.eq(self.user)).add(Column::OtherUser.eq(self.user));
        let mut find = Entity::find().filter(Column::Outcome.is_null()).filter(theirs);
        if let Some(except) = self.except {
            find = find.filter(Column::JobId.ne(except));
        }
        find.filter(Column::Kind.is_in(self.kinds)).filter(Column::JobId.in_subquery(of_org.into_query()))
    }

    /// The last of them before one, by their numbers, at most so many.
    pub async fn before(&self, session: &Session, id: Option<i64>, limit: u64) -> Result<Vec<i64>> {
        let mut find = self.find();
        if let Some(id) = id {
            find = find.filter(Column::Id.lt(id));
        }
        let find = find.order_by_desc(Column::Id).limit(limit).select_only().column(Column::Id);
        find.into_tuple().all(session).await.map_err(failed("looking for what comes back"))
    }

    /// Those between two numbers, both included.
    pub async fn between(&self, session: &Session, first: i64, last: i64) -> Result<Vec<PendingSnapshot>> {
        list(session, self.find().filter(Column::Id.between(first, last))).await
    }
}

async fn list(session: &Session, find: sea_orm::Select<Entity>) -> Result<Vec<PendingSnapshot>> {
    let find = find.order_by_desc(Column::Id).select_only();
    let find =
        find.columns([Column::Id, Column::JobId, Column::Kind, Column::TableName, Column::FromUser, Column::OtherUser]);
    find.into_model().all(session).await.map_err(failed("reading copies"))
}

/// Those of these copies that wait still, locked: who brings others of the same back at the same time has settled them
/// first, or finds them settled.
pub async fn lock(session: &Session, mut pending: Vec<PendingSnapshot>) -> Result<Vec<PendingSnapshot>> {
    if session.engine() == Engine::Sqlite || pending.is_empty() {
        return Ok(pending);
    }
    let find = Entity::find().filter(Column::Id.is_in(pending.iter().map(|copy| copy.id)));
    let find = find.filter(Column::Outcome.is_null()).order_by_asc(Column::Id).lock(LockType::Update);
    let ids = find.select_only().column(Column::Id).into_tuple::<i64>();
    let ids: HashSet<i64> = ids.all(session).await.map_err(failed("locking copies"))?.into_iter().collect();
    pending.retain(|copy| ids.contains(&copy.id));
    Ok(pending)
}

/// Notes what became of copies that were to come back.
pub async fn set_outcome(session: &Session, ids: &[i64], outcome: &str) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let update = Entity::update_many().col_expr(Column::Outcome, Expr::value(outcome));
    update.filter(Column::Id.is_in(ids.iter().copied())).exec(session).await.map_err(failed("settling copies"))?;
    Ok(())
}

/// How many copies a job has made of a kind's own table, and how many of them were brought back by other jobs than `by`.
pub async fn made(session: &Session, job: Uuid, kind: &str, table: &str, by: Uuid) -> Result<(u64, u64)> {
    let find = Entity::find().filter(Column::JobId.eq(job)).filter(Column::Kind.eq(kind));
    let find = find.filter(Column::TableName.eq(table)).select_only();
    let find = find.column(Column::Outcome).column_as(Column::Id.count(), "n").group_by(Column::Outcome);
    let counts: Vec<(Option<String>, i64)> = find.into_tuple().all(session).await.map_err(failed("counting copies"))?;
    let elsewhere = |outcome: &Option<String>| {
        outcome.as_ref().is_some_and(|outcome| outcome.starts_with(RESTORED) && !outcome.ends_with(&by.to_string()))
    };
    let sum = |some: &dyn Fn(&Option<String>) -> bool| {
        counts.iter().filter(|(outcome, _)| some(outcome)).map(|(_, n)| *n as u64).sum::<u64>()
    };
    Ok((sum(&|_| true), sum(&elsewhere)))
}

/// The word of a copy that came back; behind it stands the job that brought it.
pub const RESTORED: &str = "restored";
