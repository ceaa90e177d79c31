//! Catalogs that jobs have used, by their hash, and the versions of the current one.

use sea_orm::{ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder};
use time::OffsetDateTime;

use super::bulk_insert::add;
use super::entity::catalog_versions;
pub use super::entity::catalog_versions::Model as Version;
use super::entity::catalogs::{Column, Entity, Model};
use super::query;
use crate::catalog::Catalog;
use crate::store::dialect::CATALOG_VERSIONS;
use crate::store::{Result, Session};

/// Keeps a catalog's text, so that a job and its undo use the catalog that the job was planned with.
pub async fn remember(session: &Session, catalog: &Catalog, now: OffsetDateTime) -> Result<()> {
    let model = Model {
        hash: catalog.hash.clone(),
        name: catalog.name.clone(),
        source: catalog.source.clone(),
        first_used_at: now,
    };
    let once = session.dialect().on_conflict_do_nothing(&["hash"]);
    add(session, "keeping the catalog", vec![model.into_active_model()], &once).await?;
    Ok(())
}

/// Returns the version that is current; none if nobody has published one.
pub async fn current_version(session: &Session) -> Result<Option<Version>> {
    let columns = query::columns::<catalog_versions::Entity>("v", "");
    let sql = session.sql(&format!("SELECT {columns} FROM {CATALOG_VERSIONS} v ORDER BY v.version DESC LIMIT 1"));
    session.one("reading the current catalog", sql).await?.map(|row| row.entity("")).transpose()
}

/// Returns the newest version of a catalog; none if nobody has published it.
pub async fn version_of(session: &Session, hash: &str) -> Result<Option<Version>> {
    let find = catalog_versions::Entity::find().filter(catalog_versions::Column::Hash.eq(hash));
    let find = find.order_by_desc(catalog_versions::Column::Version);
    query::one(session, "reading the version of a catalog", find).await
}

/// Makes a catalog the current one. Fails if somebody else publishes one at the same time.
pub async fn publish(session: &Session, version: Version) -> Result<()> {
    add(session, "publishing a catalog", vec![version.into_active_model()], "").await?;
    Ok(())
}

/// Returns the name and the text of a catalog.
pub async fn get(session: &Session, hash: &str) -> Result<Option<(String, String)>> {
    let found = query::one(session, "reading a catalog", Entity::find_by_id(hash)).await?;
    Ok(found.map(|model| (model.name, model.source)))
}

/// Returns the name and the text of every catalog, ordered by name and first use.
pub async fn all(session: &Session) -> Result<Vec<(String, String)>> {
    let find = Entity::find().order_by_asc(Column::Name).order_by_asc(Column::FirstUsedAt);
    let found = query::all(session, "reading the catalogs that jobs have used", find).await?;
    Ok(found.into_iter().map(|model| (model.name, model.source)).collect())
}
