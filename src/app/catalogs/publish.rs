//! Publishes a catalog: makes it the current one for every worker.

use serde::Serialize;

use crate::app::error::Result;
use crate::catalog::Catalog;
use crate::stages::now;
use crate::store::Store;
use crate::store::ledger::audit::{self, CATALOG_PUBLISHED, Entry};
use crate::store::ledger::catalogs::{self, Version};

/// The result of publishing a catalog.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Published {
    /// The version of the current catalog.
    pub version: i64,
    /// The catalog's hash.
    pub catalog: String,
    /// False if it was the current one already.
    pub is_new: bool,
}

/// Makes a checked catalog the current one. Jobs that have begun keep theirs.
pub async fn publish(store: &Store, catalog: &Catalog, by: &str) -> Result<Published> {
    let now = now();
    let session = store.begin("publishing a catalog").await?;
    let current = catalogs::current_version(&session).await?;
    let published = |version: i64, is_new: bool| Published { version, catalog: catalog.hash.clone(), is_new };
    if let Some(current) = current.as_ref().filter(|current| current.hash == catalog.hash) {
        return Ok(published(current.version, false));
    }
    let version = 1 + current.map_or(0, |current| current.version);
    catalogs::remember(&session, catalog, now).await?;
    let (hash, published_by) = (catalog.hash.clone(), by.to_owned());
    catalogs::publish(&session, Version { version, hash, published_by, published_at: now }).await?;
    let detail = serde_json::json!({ "version": version, "catalog": catalog.hash, "name": catalog.name });
    let entry = Entry {
        id: 0,
        at: now,
        org: String::new(),
        actor: by.to_owned(),
        action: CATALOG_PUBLISHED.to_owned(),
        user_id: String::new(),
        job_id: None,
        request_id: String::new(),
        detail: Some(detail),
    };
    audit::append(&session, vec![entry]).await?;
    session.commit().await?;
    Ok(published(version, true))
}
