//! Whose turn it is in each round-robin group, remembered between jobs.

use sea_orm::sea_query::{LockType, OnConflict};
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect};

use super::entity::round_robin::{Column, Entity, Model};
use super::failed;
use crate::catalog::Engine;
use crate::store::{Result, Session};

/// Locks the turns of groups of an organization, in order, and tells who was served last in each; the empty text where
/// nobody was. The lock is held until the transaction ends, so it is taken after every guard has passed.
pub async fn lock(session: &Session, org: &str, groups: &[String]) -> Result<Vec<Model>> {
    let doing = "taking the groups' turns";
    let mut groups = groups.to_vec();
    groups.sort();
    let rows = groups.iter().map(|group| {
        Model { org: org.to_owned(), group_name: group.clone(), last_user: String::new() }.into_active_model()
    });
    let keep = OnConflict::columns([Column::Org, Column::GroupName]).do_nothing().to_owned();
    let insert = Entity::insert_many(rows).on_conflict(keep);
    insert.exec_without_returning(session).await.map_err(failed(doing))?;
    let mut find = Entity::find().filter(Column::Org.eq(org)).filter(Column::GroupName.is_in(groups));
    if session.engine() == Engine::Postgres {
        find = find.lock(LockType::Update);
    }
    find.order_by_asc(Column::GroupName).all(session).await.map_err(failed(doing))
}

/// Remembers who was served last.
pub async fn remember(session: &Session, turn: Model) -> Result<()> {
    let changes = turn.into_active_model().reset_all();
    Entity::update(changes).exec(session).await.map_err(failed("remembering a group's turn"))?;
    Ok(())
}
