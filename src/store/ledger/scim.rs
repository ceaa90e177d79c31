//! The connections of identity providers, and the deprovisionings that they have asked for.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, Condition, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect, Select};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::bulk_insert::add as insert;
pub use super::entity::scim_connections::Model as Connection;
use super::entity::scim_connections::{Column, Entity};
pub use super::entity::scim_deprovisionings::Model as Deprovisioning;
use super::entity::{jobs, scim_deprovisionings};
use super::query;
use crate::job::State;
use crate::store::dialect::RowLock;
use crate::store::{Result, Session};

/// The time for which deprovisionings are kept at least: longer than breakers count them, whatever the clocks of the workers say.
const KEPT: Duration = Duration::days(1);

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

/// Locks and returns a connection.
pub async fn lock(session: &Session, org: &str, name: &str) -> Result<Option<Connection>> {
    let find = Entity::find_by_id((org.to_owned(), name.to_owned()));
    query::one(session, "locking a connection", query::locked(session, find, RowLock::Wait)).await
}

/// Writes a connection back.
pub async fn update(session: &Session, connection: Connection) -> Result<()> {
    query::save(session, "updating a connection", connection.into_active_model()).await
}

/// Records a deprovisioning.
pub async fn deprovision(session: &Session, deprovisioning: Deprovisioning) -> Result<()> {
    insert(session, "recording a deprovisioning", vec![deprovisioning.into_active_model()], "").await?;
    Ok(())
}

/// Returns the deprovisioning that made a job, if one did.
pub async fn deprovisioning(session: &Session, job: Uuid) -> Result<Option<Deprovisioning>> {
    query::one(session, "reading a deprovisioning", scim_deprovisionings::Entity::find_by_id(job)).await
}

fn of_connection(org: &str, name: &str) -> Select<scim_deprovisionings::Entity> {
    let find = scim_deprovisionings::Entity::find().filter(scim_deprovisionings::Column::Org.eq(org));
    find.filter(scim_deprovisionings::Column::Connection.eq(name))
}

/// Counts the deprovisionings of a connection since a time that are in no wave.
pub async fn count_since(session: &Session, org: &str, name: &str, since: OffsetDateTime) -> Result<u64> {
    let find = of_connection(org, name).filter(scim_deprovisionings::Column::At.gt(since));
    let find = find.filter(scim_deprovisionings::Column::Wave.is_null());
    let find = find.select_only().column_as(scim_deprovisionings::Column::JobId.count(), "n");
    let counts: Vec<i64> = query::tuples(session, "counting deprovisionings", find).await?;
    Ok(counts.first().map_or(0, |count| count.unsigned_abs()))
}

/// Puts the deprovisionings of a connection since a time into a wave, unless they are in one.
pub async fn join_wave(session: &Session, org: &str, name: &str, since: OffsetDateTime, wave: i64) -> Result<()> {
    let update = scim_deprovisionings::Entity::update_many().filter(scim_deprovisionings::Column::Org.eq(org));
    let update = update.filter(scim_deprovisionings::Column::Connection.eq(name));
    let update = update.filter(scim_deprovisionings::Column::At.gt(since));
    let update = update.filter(scim_deprovisionings::Column::Wave.is_null());
    let update = update.col_expr(scim_deprovisionings::Column::Wave, Expr::value(wave));
    query::update(session, "putting deprovisionings into a wave", update).await?;
    Ok(())
}

/// Returns the deprovisionings of a wave, oldest first.
pub async fn of_wave(session: &Session, org: &str, name: &str, wave: i64) -> Result<Vec<Deprovisioning>> {
    let find = of_connection(org, name).filter(scim_deprovisionings::Column::Wave.eq(wave));
    let find = find.order_by_asc(scim_deprovisionings::Column::At).order_by_asc(scim_deprovisionings::Column::JobId);
    query::all(session, "reading a wave of deprovisionings", find).await
}

/// Deletes old deprovisionings whose jobs have ended and that no breaker holds, and returns how many.
pub async fn purge(session: &Session, now: OffsetDateTime, limit: u64) -> Result<u64> {
    let doing = "deleting old deprovisionings";
    let held = query::all(session, doing, Entity::find().filter(Column::TrippedAt.is_not_null())).await?;
    let open = jobs::Entity::find().select_only().column(jobs::Column::Id);
    let open = open.filter(jobs::Column::State.is_in(State::OPEN));
    let mut of_no_use = Condition::all()
        .add(scim_deprovisionings::Column::At.lt(now - KEPT))
        .add(scim_deprovisionings::Column::JobId.not_in_subquery(query::subquery(session, open)));
    for connection in held {
        let others = Condition::any()
            .add(scim_deprovisionings::Column::Wave.is_null())
            .add(scim_deprovisionings::Column::Wave.ne(connection.wave))
            .add(scim_deprovisionings::Column::Org.ne(connection.org))
            .add(scim_deprovisionings::Column::Connection.ne(connection.name));
        of_no_use = of_no_use.add(others);
    }
    let find = scim_deprovisionings::Entity::find().filter(of_no_use).limit(limit);
    let ids: Vec<Uuid> =
        query::tuples(session, doing, find.select_only().column(scim_deprovisionings::Column::JobId)).await?;
    if ids.is_empty() {
        return Ok(0);
    }
    let delete = scim_deprovisionings::Entity::delete_many().filter(scim_deprovisionings::Column::JobId.is_in(ids));
    query::delete(session, doing, delete).await
}
