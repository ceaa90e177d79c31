//! Rows that row-level security hides although a foreign key proves that they exist.
//!
//! With wrong settings a transaction sees a part of the host's rows, and could certify that nothing is left. A row that is seen
//! and points at a row that is not seen shows it.

use super::item::WorkItem;
use super::selection::item_test;
use crate::catalog::{Catalog, ForeignKey, Reference};
use crate::store::dialect::sql::{column, table};
use crate::store::{Error, Result, Session};

/// Fails if rows of these items point at rows that row-level security hides.
pub async fn check_parents(
    session: &Session,
    catalog: &Catalog,
    reference: &Reference,
    items: &[WorkItem],
) -> Result<()> {
    if catalog.session.is_empty() {
        return Ok(());
    }
    for key in &reference.secured_parents {
        for item in items {
            let mut sql = session.sql("");
            let tests = item_test(&mut sql, reference, item);
            sql.add(&format!(
                "SELECT 1 FROM {} t WHERE {tests} AND {} LIMIT 1",
                table(&reference.table),
                is_hidden(key)
            ));
            if session.one("looking for parents of rows", sql).await?.is_some() {
                return Err(Error::hidden(&reference.table.to_string(), &key.table.to_string()));
            }
        }
    }
    Ok(())
}

/// Tests that a row `t` points at a row that is not seen.
fn is_hidden(key: &ForeignKey) -> String {
    let points = key.columns.iter().map(|name| format!("{} IS NOT NULL", column("t", name)));
    let same = key.columns.iter().zip(&key.target);
    let same = same.map(|(name, target)| format!("{} = {}", column("p", target), column("t", name)));
    format!(
        "{} AND NOT EXISTS (SELECT 1 FROM {} p WHERE {})",
        points.collect::<Vec<_>>().join(" AND "),
        table(&key.table),
        same.collect::<Vec<_>>().join(" AND ")
    )
}
