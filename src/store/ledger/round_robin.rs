//! The member of each round-robin group who was served last, remembered between jobs.

use sea_orm::{ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder};

use super::bulk_insert::add;
use super::entity::round_robin::{Column, Entity, Model};
use super::query;
use crate::store::dialect::RowLock;
use crate::store::{Result, Session};

/// Locks the turns of groups of an organization, in order, and returns who was served last in each: the empty text if
/// nobody was.
///
/// Locks: the groups' rows until the transaction ends. Call it after every guard has passed.
pub async fn lock(session: &Session, org: &str, groups: &[String]) -> Result<Vec<Model>> {
    let doing = "locking the turns of round-robin groups";
    let mut groups = groups.to_vec();
    groups.sort();
    let row = |group: &String| {
        Model { org: org.to_owned(), group_name: group.clone(), last_user: String::new() }.into_active_model()
    };
    let once = session.dialect().on_conflict_do_nothing(&["org", "group_name"]);
    add(session, doing, groups.iter().map(row).collect(), &once).await?;
    let find = Entity::find().filter(Column::Org.eq(org)).filter(Column::GroupName.is_in(groups));
    let find = find.order_by_asc(Column::GroupName);
    query::all(session, doing, query::locked(session, find, RowLock::Wait)).await
}

/// Returns who was served last in each group of an organization that has served anybody.
pub async fn of_org(session: &Session, org: &str) -> Result<Vec<Model>> {
    query::all(session, "reading the turns of round-robin groups", Entity::find().filter(Column::Org.eq(org))).await
}

/// Remembers who was served last.
pub async fn remember(session: &Session, turn: Model) -> Result<()> {
    query::save(session, "remembering a round-robin group's turn", turn.into_active_model()).await
}
