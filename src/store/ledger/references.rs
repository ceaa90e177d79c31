//! The plan of a job for each reference, and its progress in cutting the reference into chunks.

use std::collections::BTreeMap;

use sea_orm::{ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder};
use uuid::Uuid;

use super::bulk_insert::add;
use super::entity::job_references::{ActiveModel, Column, Entity, Model};
use super::query;
use crate::contract::UserId;
use crate::plan::{Deal, Planned};
use crate::store::{Error, Result, Session};

/// A job's plan for one reference, and its progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferenceProgress {
    /// The job.
    pub job: Uuid,
    /// The reference, by its position in the catalog.
    pub position: usize,
    /// The catalog's name for it.
    pub kind: String,
    /// The successor of each rank.
    pub deal: Deal,
    /// Records that go to a successor of their own.
    pub named: BTreeMap<String, UserId>,
    /// True if records move to successors.
    pub transfers: bool,
    /// True if everything is cut.
    pub cut: bool,
    /// The last key that was cut.
    pub cursor: Option<Vec<String>>,
    /// The rank of the next record.
    pub next_rank: u64,
}

impl ReferenceProgress {
    /// Returns the progress of a planned reference. Work that the planner's own transaction does is cut already.
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

    fn into_model(self, doing: &str) -> Result<Model> {
        let failed = |error: serde_json::Error| Error::unexpected(doing, error.to_string());
        Ok(Model {
            job_id: self.job,
            position: self.position as i32,
            kind: self.kind,
            deal: serde_json::to_value(self.deal).map_err(failed)?,
            named: serde_json::to_value(self.named).map_err(failed)?,
            transfers: self.transfers,
            cut: self.cut,
            cursor: self.cursor.map(serde_json::Value::from),
            next_rank: self.next_rank as i64,
        })
    }

    pub(super) fn from_model(doing: &str, model: Model) -> Result<ReferenceProgress> {
        let failed = |error: serde_json::Error| Error::unexpected(doing, error.to_string());
        Ok(ReferenceProgress {
            job: model.job_id,
            position: model.position as usize,
            kind: model.kind,
            deal: serde_json::from_value(model.deal).map_err(failed)?,
            named: serde_json::from_value(model.named).map_err(failed)?,
            transfers: model.transfers,
            cut: model.cut,
            cursor: model.cursor.map(serde_json::from_value).transpose().map_err(failed)?,
            next_rank: model.next_rank as u64,
        })
    }
}

const ADDING: &str = "adding what jobs do with each reference";

/// Adds what jobs do with each reference.
pub async fn insert(session: &Session, progress: Vec<ReferenceProgress>) -> Result<()> {
    add(session, ADDING, rows(progress)?, "").await?;
    Ok(())
}

/// Returns what jobs do as rows to add.
pub(super) fn rows(progress: Vec<ReferenceProgress>) -> Result<Vec<ActiveModel>> {
    progress.into_iter().map(|progress| progress.into_model(ADDING).map(Model::into_active_model)).collect()
}

/// Returns what jobs do, in the catalog's order.
pub async fn of_jobs(session: &Session, jobs: &[Uuid]) -> Result<Vec<ReferenceProgress>> {
    let doing = "reading what jobs do";
    let find = Entity::find().filter(Column::JobId.is_in(jobs.iter().copied()));
    let rows = query::all(session, doing, find.order_by_asc(Column::JobId).order_by_asc(Column::Position)).await?;
    rows.into_iter().map(|model| ReferenceProgress::from_model(doing, model)).collect()
}

/// Deletes what a job was to do, so that a new plan can take its place.
pub async fn forget(session: &Session, job: Uuid) -> Result<()> {
    query::delete(session, "deleting a plan", Entity::delete_many().filter(Column::JobId.eq(job))).await?;
    Ok(())
}

/// Writes back how far a reference has been cut. The caller holds the job's lock.
pub async fn update(session: &Session, progress: ReferenceProgress) -> Result<()> {
    let doing = "writing how far a job is cut";
    query::save(session, doing, progress.into_model(doing)?.into_active_model()).await
}
