//! Copies of rows removed and values replaced. They expire, and their purge is all that happens to them here.

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use time::OffsetDateTime;

use super::entity::copies::{Column, Entity};
use super::failed;
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
