//! The audit trail: who asked for what, when, and with what outcome. Rows are only ever appended.

use std::collections::HashMap;

use sea_orm::sea_query::LikeExpr;
use sea_orm::{
    ActiveValue, ColumnTrait, Condition, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::bulk_insert::add;
use super::entity::audit::{ActiveModel, Column, Entity};
use super::entity::jobs;
use super::job_filter::holds;
use super::query;
use crate::store::{Result, Session};

pub use super::entity::audit::Model as Entry;

/// The action of an entry about a failed attempt at a chunk. The entry stays when a later attempt succeeds.
pub const CHUNK_FAILED: &str = "chunk.failed";

/// The action of an entry about a lock-out that has ended a user's access before the handover began.
pub const ACCESS_ENDED: &str = "access.ended";

/// The action of an entry about a catalog that somebody has made the current one.
pub const CATALOG_PUBLISHED: &str = "catalog.published";

/// The action of an entry about a job that was given the current catalog.
pub const CATALOG_CHANGED: &str = "catalog.changed";

/// Appends entries; the database numbers them.
pub async fn append(session: &Session, entries: Vec<Entry>) -> Result<()> {
    add(session, "appending to the audit trail", rows(entries), "").await?;
    Ok(())
}

/// Failed attempts of one job that the trail lists one by one. If the application refuses every row of a million, there are
/// millions of attempts with the same few reasons.
pub const MOST_FAILED: u64 = 1_000;

/// Appends an entry about a failed attempt. After the last that the trail lists it appends `left_out`, and then nothing:
/// the chunks show the rest.
pub async fn append_failed(session: &Session, entry: Entry, left_out: serde_json::Value) -> Result<()> {
    let Some(job) = entry.job_id else { return append(session, vec![entry]).await };
    let find = failed_attempts(job).limit(MOST_FAILED + 1).select_only().column(Column::Id);
    let listed: Vec<i64> = query::tuples(session, "counting failed attempts", find).await?;
    match listed.len() as u64 {
        ..MOST_FAILED => append(session, vec![entry]).await,
        MOST_FAILED => append(session, vec![Entry { detail: Some(left_out), ..entry }]).await,
        _ => Ok(()),
    }
}

fn failed_attempts(job: Uuid) -> sea_orm::Select<Entity> {
    Entity::find().filter(Column::JobId.eq(job)).filter(Column::Action.eq(CHUNK_FAILED)).order_by_asc(Column::Id)
}

/// Returns entries as rows to add.
pub(super) fn rows(entries: Vec<Entry>) -> Vec<ActiveModel> {
    let row = |entry: Entry| ActiveModel { id: ActiveValue::NotSet, ..entry.into_active_model() };
    entries.into_iter().map(row).collect()
}

/// Returns the entries about a job, except failed attempts at chunks.
pub async fn of_job(session: &Session, job: Uuid) -> Result<Vec<Entry>> {
    let find = Entity::find().filter(Column::JobId.eq(job)).filter(Column::Action.ne(CHUNK_FAILED));
    query::all(session, "reading the audit trail", find.order_by_asc(Column::Id)).await
}

/// Returns the entries about a job's failed attempts at chunks.
pub async fn failed_of_job(session: &Session, job: Uuid) -> Result<Vec<Entry>> {
    // One more: the entry that says that the rest is left out.
    query::all(session, "reading the failed attempts of a job", failed_attempts(job).limit(MOST_FAILED + 1)).await
}

/// A filter of entries: an entry must pass every test that is present.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// About this user.
    pub user: Option<String>,
    /// Of this organization.
    pub org: Option<String>,
    /// Of this job.
    pub job: Option<Uuid>,
    /// By this actor.
    pub actor: Option<String>,
    /// With an action that begins with this.
    pub action: Option<String>,
    /// Not before this time.
    pub since: Option<OffsetDateTime>,
    /// With this text in the id or the reason of the request, in upper or lower case.
    pub text: Option<String>,
}

impl AuditFilter {
    fn find(&self, session: &Session) -> sea_orm::Select<Entity> {
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
        if let Some(text) = &self.text {
            let with_reason = jobs::Entity::find().filter(holds(jobs::Column::Reason, text)).select_only();
            let with_reason = query::subquery(session, with_reason.column(jobs::Column::Id));
            let has_reason = Column::JobId.in_subquery(with_reason);
            find = find.filter(Condition::any().add(holds(Column::RequestId, text)).add(has_reason));
        }
        find
    }

    /// Returns the number of the first of the last `count` entries; nothing if there are fewer.
    pub async fn first_of_last(&self, session: &Session, count: u64) -> Result<Option<i64>> {
        let find = self.find(session).order_by_desc(Column::Id).offset(count.saturating_sub(1)).limit(1);
        let find = find.select_only().column(Column::Id);
        Ok(query::tuples(session, "finding the start of the audit trail", find).await?.pop())
    }

    /// Returns the number of entries that pass.
    pub async fn count(&self, session: &Session) -> Result<u64> {
        let find = self.find(session).select_only().column_as(Column::Id.count(), "n");
        let counts: Vec<i64> = query::tuples(session, "counting the audit trail", find).await?;
        Ok(counts.first().map_or(0, |count| count.unsigned_abs()))
    }

    /// Returns a page of them, oldest first, from a number on.
    pub async fn from(&self, session: &Session, id: i64, limit: u64) -> Result<Vec<AuditRecord>> {
        let find = self.find(session).filter(Column::Id.gte(id)).order_by_asc(Column::Id).limit(limit);
        let entries = query::all(session, "reading the audit trail", find).await?;
        let jobs = causes(session, entries.iter().filter_map(|entry| entry.job_id).collect()).await?;
        let record = |entry: Entry| {
            let job = entry.job_id.and_then(|id| jobs.get(&id).cloned());
            let (reason, target) = job.unwrap_or_default();
            AuditRecord { entry, reason, target }
        };
        Ok(entries.into_iter().map(record).collect())
    }
}

/// An entry, with its job's reason and target.
#[derive(Debug, Clone)]
pub struct AuditRecord {
    /// The entry.
    pub entry: Entry,
    /// The request's reason.
    pub reason: Option<String>,
    /// The job that a command is about.
    pub target: Option<Uuid>,
}

type Cause = (Option<String>, Option<Uuid>);

async fn causes(session: &Session, ids: Vec<Uuid>) -> Result<HashMap<Uuid, Cause>> {
    use jobs::Column as Job;
    let find = jobs::Entity::find().filter(Job::Id.is_in(ids)).select_only();
    let find = find.columns([Job::Id, Job::Reason, Job::Target]);
    let rows: Vec<(Uuid, Option<String>, Option<Uuid>)> =
        query::tuples(session, "reading the reasons of requests", find).await?;
    Ok(rows.into_iter().map(|(id, reason, target)| (id, (reason, target))).collect())
}

/// Returns the pattern of texts that begin with a prefix, which may hold `_` or `%` itself.
fn begins_with(prefix: &str) -> LikeExpr {
    let escaped = prefix.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    LikeExpr::new(format!("{escaped}%")).escape('\\')
}
