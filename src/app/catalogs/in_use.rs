//! The catalog that is in use.

use schemars::JsonSchema;
use serde::Serialize;

use crate::app::error::Result;
use crate::stages::Context;
use crate::store::ledger::catalogs;

/// The catalog that is in use.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CatalogInUse {
    /// The name of an embedded catalog, or of a file.
    pub name: String,
    /// The hash of its text.
    pub hash: String,
    /// Its version; absent if it comes from the settings alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
    /// The text, in TOML.
    pub source: String,
}

/// Returns the catalog that is in use.
pub async fn in_use(context: &Context) -> Result<CatalogInUse> {
    let session = context.store.reader();
    let catalog = context.catalogs.current_now(&session).await;
    let version = catalogs::version_of(&session, &catalog.hash).await?;
    Ok(CatalogInUse {
        name: catalog.name.clone(),
        hash: catalog.hash.clone(),
        version: version.map(|version| version.version),
        source: catalog.source.clone(),
    })
}
