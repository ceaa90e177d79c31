//! The audit trail: who asked for what, when, and what became of it. Only ever appended to.

use std::collections::HashMap;

use sea_orm::sea_query::LikeExpr;
use sea_orm::{ActiveValue, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect};
use time::OffsetDateTime;
use uuid::Uuid;

use super::bulk_insert::add;
use super::entity::audit::{ActiveModel, Column, Entity};
use super::entity::jobs;
use super::failed;
use crate::store::{Result, Session};

pub use super::entity::audit::Model as Entry;

/// The action of an entry that tells of an attempt at a chunk that failed: what it says stays when a later one succeeds.
pub const CHUNK_FAILED: &str = "chunk.failed";

/// Appends entries; their ids are given here.
pub async fn append(session: &Session, entries: Vec<Entry>) -> Result<()> {
    add(session, "appending to the audit trail", rows(entries), "").await?;
    Ok(())
}

/// Failed attempts of one job that the trail tells one by one. Where the application refuses every row of a million there
/// are millions, and whoever looks has seen the reason long before.
pub const MOST_FAILED: u64 = 1_000;

/// Appends what it says of an attempt that failed, `left_out` after the last that is told, and then nothing: those are told
/// by their chunks.
pub async fn append_failed(session: &Session, entry: Entry, left_out: serde_json::Value) -> Result<()> {
    let Some(job) = entry.job_id else { return append(session, vec![entry]).await };
    let told = of_action(job).limit(MOST_FAILED + 1).select_only().column(Column::Id).into_tuple::<i64>();
    let told = told.all(session).await.map_err(failed("counting failed attempts"))?.len() as u64;
    match told {
        ..MOST_FAILED => append(session, vec![entry]).await,
        MOST_FAILED => append(session, vec![Entry { detail: Some(left_out), ..entry }]).await,
        _ => Ok(()),
    }
}

fn of_action(job: Uuid) -> sea_orm::Select<Entity> {
    Entity::find().filter(Column::JobId.eq(job)).filter(Column::Action.eq(CHUNK_FAILED)).order_by_asc(Column::Id)
}

/// Entries as rows to be added.
pub(super) fn rows(entries: Vec<Entry>) -> Vec<ActiveModel> {
    let row = |entry: Entry| ActiveModel { id: ActiveValue::NotSet, ..entry.into_active_model() };
    entries.into_iter().map(row).collect()
}

/// The story of a job, but for its failed attempts.
pub async fn of_job(session: &Session, job: Uuid) -> Result<Vec<Entry>> {
    let find = Entity::find().filter(Column::JobId.eq(job)).filter(Column::Action.ne(CHUNK_FAILED));
    find.order_by_asc(Column::Id).all(session).await.map_err(failed("reading the audit trail"))
}

/// The attempts of a job that failed.
pub async fn failed_of_job(session: &Session, job: Uuid) -> Result<Vec<Entry>> {
    // With the entry that says that there are more.
    of_action(job).limit(MOST_FAILED + 1).all(session).await.map_err(failed("reading the failed attempts of a job"))
}

/// Which entries are asked for: those that pass every test that is there.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// About this user.
    pub user: Option<String>,
    /// Of this organization.
    pub org: Option<String>,
    /// Of this job.
    pub job: Option<Uuid>,
    /// By whom.
    pub actor: Option<String>,
    /// Actions that begin so.
    pub action: Option<String>,
    /// Not before this time.
    pub since: Option<OffsetDateTime>,
}

impl AuditFilter {
    fn find(&self) -> sea_orm::Select<Entity> {
        let mut find = Entity::find();
        let equal = [(Column::UserId, &self.user), (Column::Org, &self.org), (Column::Actor, &self.actor)];
        for (column, value) in equal {
            if let Some(value) = value {
                find = find.filter(column.eq(value.as_str()));
            }
        }
        if let Some(job) = self.job {
            find = find.filter(Column::JobId.eq(job));
        }
        if let Some(prefix) = &self.action {
            find = find.filter(Column::Action.like(begins_with(prefix)));
        }
        if let Some(since) = self.since {
            find = find.filter(Column::At.gte(since));
        }
        find
    }

    /// The number of the first of the last so many; none where there are not so many.
    pub async fn first_of_last(&self, session: &Session, count: u64) -> Result<Option<i64>> {
        let find = self.find().order_by_desc(Column::Id).offset(count.saturating_sub(1)).limit(1);
        let find = find.select_only().column(Column::Id).into_tuple();
        find.one(session).await.map_err(failed("looking where the audit trail is to begin"))
    }

    /// A page of them, oldest first, from a number on.
    pub async fn from(&self, session: &Session, id: i64, limit: u64) -> Result<Vec<AuditRecord>> {
        let find = self.find().filter(Column::Id.gte(id)).order_by_asc(Column::Id).limit(limit);
        let entries = find.all(session).await.map_err(failed("reading the audit trail"))?;
        let jobs = why(session, entries.iter().filter_map(|entry| entry.job_id).collect()).await?;
        let told = |entry: Entry| {
            let job = entry.job_id.and_then(|id| jobs.get(&id).cloned());
            let (reason, target) = job.unwrap_or_default();
            AuditRecord { entry, reason, target }
        };
        Ok(entries.into_iter().map(told).collect())
    }
}

/// An entry, with what its job says of why and of what it was about.
#[derive(Debug, Clone)]
pub struct AuditRecord {
    /// The entry.
    pub entry: Entry,
    /// The request's reason.
    pub reason: Option<String>,
    /// Of a request about a job: that job.
    pub target: Option<Uuid>,
}

type Why = (Option<String>, Option<Uuid>);

async fn why(session: &Session, ids: Vec<Uuid>) -> Result<HashMap<Uuid, Why>> {
    use jobs::Column as Job;
    let find = jobs::Entity::find().filter(Job::Id.is_in(ids)).select_only();
    let find = find.columns([Job::Id, Job::Reason, Job::Target]).into_tuple();
    let rows: Vec<(Uuid, Option<String>, Option<Uuid>)> =
        find.all(session).await.map_err(failed("reading the reasons of requests"))?;
    Ok(rows.into_iter().map(|(id, reason, target)| (id, (reason, target))).collect())
}

/// The prefix means what it says: `accept_invitation` has no character that stands for any.
fn begins_with(prefix: &str) -> LikeExpr {
    let escaped = prefix.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    LikeExpr::new(format!("{escaped}%")).escape('\\')
}
