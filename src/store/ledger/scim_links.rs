//! The keys that identity providers have for users, by connection; and the users whom they have removed.

use sea_orm::{ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter};
use time::OffsetDateTime;

use super::bulk_insert::add;
use super::entity::scim_links::{Column, Entity, Model};
use super::query;
use crate::store::{Result, Session};

/// A user, as a connection knows them.
#[derive(Debug, Clone, Copy)]
pub struct Linked<'l> {
    /// The organization; empty if the host has none.
    pub org: &'l str,
    /// The name of the connection.
    pub connection: &'l str,
    /// The user's key, as the host writes it.
    pub user_key: &'l str,
}

/// Links a user with the provider's key, in place of the one before. Returns false if another user has it.
pub async fn link(session: &Session, linked: Linked<'_>, external_id: &str, now: OffsetDateTime) -> Result<bool> {
    unlink(session, linked).await?;
    let once = session.dialect().on_conflict_do_nothing(&["org", "connection", "external_id"]);
    let row = Model { external_id: Some(external_id.to_owned()), ..row(linked, now) };
    Ok(add(session, "linking a user", vec![row.into_active_model()], &once).await? == 1)
}

/// Forgets what a connection knows of a user.
pub async fn unlink(session: &Session, linked: Linked<'_>) -> Result<()> {
    let of = Entity::delete_many().filter(Column::Org.eq(linked.org)).filter(Column::Connection.eq(linked.connection));
    query::delete(session, "forgetting a link", of.filter(Column::UserKey.eq(linked.user_key))).await?;
    Ok(())
}

/// Forgets that a connection has removed a user whom it sees again.
pub async fn keep(session: &Session, linked: Linked<'_>) -> Result<()> {
    let of = Entity::delete_many().filter(Column::Org.eq(linked.org)).filter(Column::Connection.eq(linked.connection));
    let of = of.filter(Column::UserKey.eq(linked.user_key)).filter(Column::RemovedAt.is_not_null());
    query::delete(session, "keeping a user", of).await?;
    Ok(())
}

/// Notes that a connection has removed a user, and forgets the provider's key.
pub async fn remove(session: &Session, linked: Linked<'_>, now: OffsetDateTime) -> Result<()> {
    unlink(session, linked).await?;
    let row = Model { removed_at: Some(now), ..row(linked, now) };
    add(session, "removing a user", vec![row.into_active_model()], "").await?;
    Ok(())
}

fn row(Linked { org, connection, user_key }: Linked<'_>, now: OffsetDateTime) -> Model {
    Model {
        org: org.to_owned(),
        connection: connection.to_owned(),
        user_key: user_key.to_owned(),
        external_id: None,
        created_at: now,
        removed_at: None,
    }
}
