//! The audit trail: who asked for what, when, and what became of it. Only ever appended to.

use sea_orm::{ActiveValue, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder};
use uuid::Uuid;

use super::entity::audit::{Column, Entity};
use super::failed;
use crate::store::{Result, Session};

pub use super::entity::audit::Model as Entry;

/// Appends entries; their ids are given here.
pub async fn append(session: &Session, entries: Vec<Entry>) -> Result<()> {
    if entries.is_empty() {
        return Ok(());
    }
    let rows = entries.into_iter().map(|entry| {
        let mut row = entry.into_active_model();
        row.id = ActiveValue::NotSet;
        row
    });
    Entity::insert_many(rows).exec_without_returning(session).await.map_err(failed("appending to the audit trail"))?;
    Ok(())
}

/// The story of a job.
pub async fn of_job(session: &Session, job: Uuid) -> Result<Vec<Entry>> {
    let find = Entity::find().filter(Column::JobId.eq(job)).order_by_asc(Column::Id);
    find.all(session).await.map_err(failed("reading the audit trail"))
}
