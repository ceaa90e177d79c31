//! Scans the schema for columns that point at users and that the catalog does not cover.

use serde::Serialize;

use super::contained;
use super::evidence::evidence;
use crate::app::error::Result;
use crate::catalog::{self, Catalog, Uncovered, scan_names};
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
        for (table, column, contents) in contained::places(&schema) {
            let (name, column_name) = (table.name.to_string(), &column.name);
            let is_suspected = |found: &SuspectedColumn| found.table == name && found.column == *column_name;
            if catalog::covers(catalog, &table.name, column_name) || suspected.iter().any(is_suspected) {
                continue;
            }
            let found = contained::users_inside(&session, (users, key), (table, column), contents).await?;
            suspected.extend(found.map(|why| SuspectedColumn { table: name, column: column_name.clone(), why }));
        }
    }
    Ok(Scan { uncovered, suspected })
}
