//! The schema that a catalog was checked against, compared with the schema as it is.

use std::collections::BTreeMap;

use crate::catalog::{Catalog, Reference, Rights, TableName};
use crate::store::driver;
use crate::store::{Result, Session};

/// Returns a fingerprint of each table that a catalog uses: it changes with the table's columns, constraints, indexes, triggers,
/// rules and policies.
pub async fn fingerprints(session: &Session, catalog: &Catalog) -> Result<BTreeMap<TableName, String>> {
    let mut tables: Vec<TableName> = Rights::of(catalog).0.into_keys().collect();
    tables.extend(catalog.references.iter().flat_map(children_of).cloned());
    tables.sort();
    tables.dedup();
    driver::of(session).fingerprints(session, &tables).await
}

fn children_of(reference: &Reference) -> impl Iterator<Item = &TableName> {
    reference
        .disposition
        .followers()
        .into_iter()
        .flat_map(|followers| &followers.tables)
        .map(|follower| &follower.table)
}

/// Fails if rows of a reference were deleted under another schema than the one that the catalog was checked against: a new foreign
/// key may have deleted more rows with them. The deletion locks the table, so its schema cannot change after it.
pub async fn check_schema(session: &Session, catalog: &Catalog, reference: &Reference) -> Result<()> {
    if catalog.fingerprints.is_empty() || !reference.disposition.deletes() {
        return Ok(());
    }
    let tables: Vec<TableName> = std::iter::once(&reference.table).chain(children_of(reference)).cloned().collect();
    let now = driver::of(session).fingerprints(session, &tables).await?;
    match now.iter().find(|(table, now)| catalog.fingerprints.get(*table).is_some_and(|then| then != *now)) {
        None => Ok(()),
        Some((table, _)) => Err(session.outdated_schema(&table.to_string())),
    }
}
