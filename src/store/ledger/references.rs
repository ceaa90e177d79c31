//! What a job does with each reference, and how far it has been cut.

use std::collections::BTreeMap;

use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder};
use uuid::Uuid;

use super::bulk_insert::add;
use super::entity::job_references::{ActiveModel, Column, Entity, Model};
use super::failed;
use crate::contract::UserId;
use crate::plan::{Deal, Planned};
use crate::store::error::Error;
use crate::store::{Result, Session};

/// What a job does with one reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferenceProgress {
    /// The job.
    pub job: Uuid,
    /// The reference, by its position in the catalog.
    pub position: usize,
    /// The catalog's name for it.
    pub kind: String,
    /// Who receives which rank.
    pub deal: Deal,
    /// Records that go to a successor of their own.
    pub named: BTreeMap<String, UserId>,
    /// Whether records move to successors.
    pub transfers: bool,
    /// Whether everything is cut.
    pub cut: bool,
    /// The last key that was cut.
    pub cursor: Option<Vec<String>>,
    /// The rank of the next record.
    pub next_rank: u64,
}

impl ReferenceProgress {
    /// The course of a planned reference. What a group does in the planner's own transaction is cut already.
    pub fn of(job: Uuid, kind: &str, planned: &Planned, cut: bool) -> ReferenceProgress {
        ReferenceProgress {
            job,
            position: planned.position,
            kind: kind.to_owned(),
            deal: planned.deal.clone(),
            named: planned.named.clone(),
            transfers: planned.transfers,
            cut,
            cursor: None,
            next_rank: if cut { planned.ranked() } else { 0 },
        }
    }

    fn into_model(self) -> Model {
        Model {
            job_id: self.job,
            position: self.position as i32,
            kind: self.kind,
            deal: serde_json::to_value(self.deal).unwrap_or_default(),
            named: serde_json::to_value(self.named).unwrap_or_default(),
            transfers: self.transfers,
            cut: self.cut,
            cursor: self.cursor.map(serde_json::Value::from),
            next_rank: self.next_rank as i64,
        }
    }

    pub(super) fn from_model(model: Model) -> std::result::Result<ReferenceProgress, serde_json::Error> {
        Ok(ReferenceProgress {
            job: model.job_id,
            position: model.position as usize,
            kind: model.kind,
            deal: serde_json::from_value(model.deal)?,
            named: serde_json::from_value(model.named)?,
            transfers: model.transfers,
            cut: model.cut,
            cursor: model.cursor.map(serde_json::from_value).transpose()?,
            next_rank: model.next_rank as u64,
        })
    }
}

/// Notes what jobs do.
pub async fn insert(session: &Session, courses: Vec<ReferenceProgress>) -> Result<()> {
    add(session, "noting what jobs do", rows(courses), "").await?;
    Ok(())
}

/// What jobs do, as rows to be added.
pub(super) fn rows(courses: Vec<ReferenceProgress>) -> Vec<ActiveModel> {
    courses.into_iter().map(|course| course.into_model().into_active_model()).collect()
}

/// What jobs do, in the catalog's order.
pub async fn of_jobs(session: &Session, jobs: &[Uuid]) -> Result<Vec<ReferenceProgress>> {
    let doing = "reading what jobs do";
    let find = Entity::find().filter(Column::JobId.is_in(jobs.iter().copied()));
    let rows =
        find.order_by_asc(Column::JobId).order_by_asc(Column::Position).all(session).await.map_err(failed(doing))?;
    let read =
        |model| ReferenceProgress::from_model(model).map_err(|error| Error::unexpected(doing, error.to_string()));
    rows.into_iter().map(read).collect()
}

/// Forgets what a job was to do: its plan is made anew.
pub async fn forget(session: &Session, job: Uuid) -> Result<()> {
    Entity::delete_many().filter(Column::JobId.eq(job)).exec(session).await.map_err(failed("forgetting a plan"))?;
    Ok(())
}

/// Writes back how far a reference has been cut. Whoever cuts holds the job's lock.
pub async fn update(session: &Session, course: ReferenceProgress) -> Result<()> {
    let changes = course.into_model().into_active_model().reset_all();
    Entity::update(changes).exec(session).await.map_err(failed("noting how far a job is cut"))?;
    Ok(())
}
