//! Collects the rights that a worker's role needs.

use crate::app::error::Result;
use crate::catalog::{Catalog, Rights, check};
use crate::store::ledger::catalogs;
use crate::store::{Store, grants as statements, host};

/// The statements that grant a role what the worker needs.
pub struct Grants {
    /// The statements.
    pub script: String,
    /// The catalogs of earlier jobs that need further rights.
    pub earlier_catalogs: Vec<String>,
}

/// Writes the statements that grant a role what a catalog needs, and nothing more.
pub async fn grants(store: &Store, catalog: &Catalog, role: &str) -> Result<Grants> {
    let mut rights = Rights::of(catalog);
    let earlier_catalogs = add_earlier_catalogs(store, &mut rights).await?;
    let script = statements::script(&store.reader(), &rights, role).await?;
    Ok(Grants { script, earlier_catalogs })
}

/// Adds what earlier jobs need: each continues, and is undone, with its own catalog. A catalog that no longer fits the
/// schema cannot run, and needs nothing.
async fn add_earlier_catalogs(store: &Store, rights: &mut Rights) -> Result<Vec<String>> {
    let session = store.reader();
    let mut names = Vec::new();
    if store.check_ledger().await?.is_err() {
        return Ok(names);
    }
    let schema = host::read_schema(&session).await?;
    for (name, source) in catalogs::all(&session).await? {
        if let Ok(checked) = check(&name, &source, &schema) {
            let before = rights.clone();
            rights.add(&checked.catalog);
            if *rights != before {
                names.push(name);
            }
        }
    }
    Ok(names)
}
