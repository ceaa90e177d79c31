//! Uploads: files with one leaver per row, kept for a few days.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QuerySelect};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::bulk_insert::add as insert;
pub use super::entity::uploads::Model as Upload;
use super::entity::uploads::{Column, Entity};
use super::query;
use crate::contract::OwnerKind;
use crate::store::dialect::RowLock;
use crate::store::{Result, Session};

/// Adds an upload, unless it is there.
pub async fn add(session: &Session, upload: Upload) -> Result<()> {
    let once = session.dialect().on_conflict_do_nothing(&["id"]);
    insert(session, "keeping an upload", vec![upload.into_active_model()], &once).await?;
    Ok(())
}

/// Returns an upload that has not expired.
pub async fn get(session: &Session, id: Uuid, now: OffsetDateTime) -> Result<Option<Upload>> {
    query::one(session, "reading an upload", Entity::find_by_id(id).filter(Column::ExpiresAt.gt(now))).await
}

/// Locks an upload until the transaction ends, and returns the rows of it that were sent. Returns nothing if it is gone.
pub async fn lock(session: &Session, id: Uuid) -> Result<Option<Value>> {
    let find = query::locked(session, Entity::find_by_id(id), RowLock::Wait).select_only().column(Column::Sent);
    let sent: Vec<Value> = query::tuples(session, "locking an upload", find).await?;
    Ok(sent.into_iter().next())
}

/// Notes which rows of an upload were sent.
pub async fn note_sent(session: &Session, id: Uuid, sent: &Value) -> Result<()> {
    let update = Entity::update_many().col_expr(Column::Sent, Expr::value(sent.clone())).filter(Column::Id.eq(id));
    query::update(session, "noting the rows of an upload", update).await?;
    Ok(())
}

/// Returns the ids of an owner's uploads.
pub async fn of_owner(session: &Session, kind: OwnerKind, org: &str, owner: &str) -> Result<Vec<Uuid>> {
    let find = Entity::find().filter(Column::Org.eq(org)).filter(Column::Owner.eq(owner));
    let find = find.filter(Column::OwnerKind.eq(kind)).select_only().column(Column::Id);
    query::tuples(session, "counting uploads", find).await
}

/// Deletes uploads that have expired, and returns how many.
pub async fn purge(session: &Session, now: OffsetDateTime) -> Result<u64> {
    query::delete(session, "deleting uploads", Entity::delete_many().filter(Column::ExpiresAt.lte(now))).await
}
