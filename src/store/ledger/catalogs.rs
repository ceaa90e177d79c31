//! Catalogs that were used, by their hash.

use sea_orm::sea_query::OnConflict;
use sea_orm::{EntityTrait, IntoActiveModel, QueryOrder};
use time::OffsetDateTime;

use super::entity::catalogs::{Column, Entity, Model};
use super::failed;
use crate::catalog::Catalog;
use crate::store::{Result, Session};

/// Keeps a catalog's text, so that a job and its undo can use the one they were planned with.
pub async fn remember(session: &Session, catalog: &Catalog, now: OffsetDateTime) -> Result<()> {
    let model = Model {
        hash: catalog.hash.clone(),
        name: catalog.name.clone(),
        source: catalog.source.clone(),
        first_used_at: now,
    };
    let once = OnConflict::column(Column::Hash).do_nothing().to_owned();
    let insert = Entity::insert_many([model.into_active_model()]).on_conflict(once);
    insert.exec_without_returning(session).await.map_err(failed("keeping the catalog"))?;
    Ok(())
}

/// The name and the text of a catalog.
pub async fn get(session: &Session, hash: &str) -> Result<Option<(String, String)>> {
    let found = Entity::find_by_id(hash).one(session).await.map_err(failed("looking for a catalog"))?;
    Ok(found.map(|model| (model.name, model.source)))
}

/// The name and the text of every catalog that was used, in the order of their names and first use.
pub async fn all(session: &Session) -> Result<Vec<(String, String)>> {
    let find = Entity::find().order_by_asc(Column::Name).order_by_asc(Column::FirstUsedAt);
    let found = find.all(session).await.map_err(failed("reading the catalogs that were used"))?;
    Ok(found.into_iter().map(|model| (model.name, model.source)).collect())
}
