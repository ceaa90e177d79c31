//! Scans the schema for columns that point at users and that the catalog does not cover.

use serde::Serialize;

use super::contained::users_inside;
use super::evidence::evidence;
use crate::app::error::Result;
use crate::catalog::{self, Catalog, Uncovered, guess, scan_names};
use crate::store::{Error, Store, host};

/// The gaps of a catalog.
pub struct Scan {
    /// Foreign keys to the users' table that no reference covers.
    pub uncovered: Vec<Uncovered>,
    /// Other columns that may hold user ids.
    pub suspected: Vec<SuspectedColumn>,
}

/// A column that may hold user ids.
#[derive(Debug, Serialize)]
pub struct SuspectedColumn {
    /// The table.
    pub table: String,
    /// The column.
    pub column: String,
    /// Why the column may hold user ids, for people to read.
    pub why: String,
}

/// Scans the schema.
pub async fn scan(store: &Store, catalog: &Catalog) -> Result<Scan> {
    let session = store.reader();
    let schema = host::read_schema(&session).await?;
    let uncovered = catalog::scan(catalog, &schema);
    let users = schema.named(&catalog.users.table);
    let users = users.ok_or_else(|| {
        let missing =
            format!("the catalog's users table {} does not exist, or this role cannot see it", catalog.users.table);
        Error::unexpected("scanning the schema", missing)
    })?;
    let mut suspected = Vec::new();
    for candidate in scan_names(catalog, &schema) {
        if let Some(why) = evidence(&session, users, &catalog.users.key.name, &candidate).await? {
            let (table, column) = (candidate.table.name.to_string(), candidate.column.name.clone());
            suspected.push(SuspectedColumn { table, column, why });
        }
    }
    if let Some(key) = users.column(&catalog.users.key.name) {
        for (table, column) in guess::containers(&schema) {
            let is_covered = catalog::covers(catalog, &table.name, &column.name);
            let found = users_inside(&session, (users, key), (table, column)).await?;
            suspected.extend(found.filter(|_| !is_covered).map(|why| SuspectedColumn {
                table: table.name.to_string(),
                column: column.name.clone(),
                why,
            }));
        }
    }
    Ok(Scan { uncovered, suspected })
}
