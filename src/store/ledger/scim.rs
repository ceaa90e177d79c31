//! The connections of identity providers, and the deprovisionings that they have asked for.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder};
use time::OffsetDateTime;

use super::bulk_insert::add as insert;
pub use super::entity::scim_connections::Model as Connection;
use super::entity::scim_connections::{Column, Entity};
use super::query;
use crate::store::{Result, Session};

/// Adds a connection. Returns false if the organization has one with this name.
pub async fn add(session: &Session, connection: Connection) -> Result<bool> {
    let once = session.dialect().on_conflict_do_nothing(&["org", "name"]);
    Ok(insert(session, "adding a connection", vec![connection.into_active_model()], &once).await? == 1)
}

/// Returns a connection.
pub async fn get(session: &Session, org: &str, name: &str) -> Result<Option<Connection>> {
    query::one(session, "reading a connection", Entity::find_by_id((org.to_owned(), name.to_owned()))).await
}

/// Returns every connection, by organization and name.
pub async fn all(session: &Session) -> Result<Vec<Connection>> {
    let find = Entity::find().order_by_asc(Column::Org).order_by_asc(Column::Name);
    query::all(session, "listing connections", find).await
}

/// Removes a connection.
pub async fn remove(session: &Session, org: &str, name: &str) -> Result<()> {
    let delete = Entity::delete_many().filter(Column::Org.eq(org)).filter(Column::Name.eq(name));
    query::delete(session, "removing a connection", delete).await?;
    Ok(())
}

/// Notes the last error of a connection.
pub async fn note_error(session: &Session, org: &str, name: &str, error: &str, now: OffsetDateTime) -> Result<()> {
    let update = Entity::update_many().filter(Column::Org.eq(org)).filter(Column::Name.eq(name));
    let update = update.col_expr(Column::LastError, Expr::value(error)).col_expr(Column::LastErrorAt, Expr::value(now));
    query::update(session, "noting an error of a connection", update).await?;
    Ok(())
}
