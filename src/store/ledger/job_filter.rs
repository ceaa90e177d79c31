//! The list of jobs, filtered.

use sea_orm::sea_query::{ExprTrait, Func, LikeExpr, SimpleExpr};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select};
use time::OffsetDateTime;
use uuid::Uuid;

use super::entity::jobs::{Column, Entity};
use super::jobs::Job;
use super::query;
use crate::contract::RequestType;
use crate::job::State;
use crate::store::{Result, Session};

/// A filter of jobs: a job must pass every test that is present.
#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    /// In one of these states.
    pub states: Vec<State>,
    /// Of one of these types.
    pub kinds: Vec<RequestType>,
    /// About this user.
    pub user: Option<String>,
    /// Of this organization.
    pub org: Option<String>,
    /// Requested by this user.
    pub requested_by: Option<String>,
    /// Requested at this time or later.
    pub since: Option<OffsetDateTime>,
    /// With this text in the request's id or reason, in upper or lower case.
    pub text: Option<String>,
    /// Before the job with this time and id, in the order of the list.
    pub before: Option<(OffsetDateTime, Uuid)>,
}

impl JobFilter {
    fn find(&self) -> Select<Entity> {
        let mut find = Entity::find();
        if !self.states.is_empty() {
            find = find.filter(Column::State.is_in(self.states.iter().copied()));
        }
        if !self.kinds.is_empty() {
            find = find.filter(Column::Kind.is_in(self.kinds.iter().copied()));
        }
        let equal = [(Column::UserId, &self.user), (Column::Org, &self.org), (Column::RequestedBy, &self.requested_by)];
        for (column, value) in equal {
            if let Some(value) = value {
                find = find.filter(column.eq(value.as_str()));
            }
        }
        if let Some(since) = self.since {
            find = find.filter(Column::RequestedAt.gte(since));
        }
        if let Some(text) = &self.text {
            find = find.filter(Condition::any().add(holds(Column::RequestId, text)).add(holds(Column::Reason, text)));
        }
        if let Some((at, id)) = self.before {
            let same_time = Condition::all().add(Column::RequestedAt.eq(at)).add(Column::Id.lt(id));
            find = find.filter(Condition::any().add(Column::RequestedAt.lt(at)).add(same_time));
        }
        find
    }

    /// Returns the number of jobs that pass.
    pub async fn count(&self, session: &Session) -> Result<u64> {
        let find = self.find().select_only().column_as(Column::Id.count(), "n");
        let counts: Vec<i64> = query::tuples(session, "counting jobs", find).await?;
        Ok(counts.first().map_or(0, |count| count.unsigned_abs()))
    }

    /// Returns jobs that pass, newest first.
    pub async fn list(&self, session: &Session, limit: u64, skip: u64) -> Result<Vec<Job>> {
        let find = self.find().order_by_desc(Column::RequestedAt).order_by_desc(Column::Id);
        query::all(session, "listing jobs", find.limit(limit).offset(skip)).await
    }
}

/// Returns the condition that a column holds a text, in upper or lower case.
pub(super) fn holds(column: impl ColumnTrait, text: &str) -> SimpleExpr {
    Func::lower(column.into_expr()).like(containing(text))
}

/// Returns the pattern of texts with a part, which may hold `_` or `%` itself.
fn containing(text: &str) -> LikeExpr {
    let escaped = text.to_lowercase().replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    LikeExpr::new(format!("%{escaped}%")).escape('\\')
}
