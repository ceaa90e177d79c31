//! Rows that came back, and point at a row that is not there.

use std::collections::HashSet;

use crate::catalog::ForeignKey;
use crate::store::dialect::sql::{Sql, column, quoted, table};
use crate::store::{Result, Session};

/// True if the database checks these foreign keys at the commit, and cannot check them earlier. The commit would name
/// no row.
pub fn checks_late(session: &Session, keys: &[ForeignKey]) -> bool {
    !keys.is_empty() && !session.capabilities().deferrable_constraints
}

/// Tests that `alias` points at a row that is not there, by one of these foreign keys.
pub fn is_orphan(keys: &[ForeignKey], alias: &str) -> String {
    let one = |key: &ForeignKey| {
        let points: Vec<String> =
            key.columns.iter().map(|name| format!("{} IS NOT NULL", column(alias, name))).collect();
        let meets: Vec<String> = (key.columns.iter().zip(&key.target))
            .map(|(name, target)| format!("above.{} = {}", quoted(target), column(alias, name)))
            .collect();
        format!(
            "({} AND NOT EXISTS (SELECT 1 FROM {} above WHERE {}))",
            points.join(" AND "),
            table(&key.table),
            meets.join(" AND ")
        )
    };
    keys.iter().map(one).collect::<Vec<_>>().join(" OR ")
}

/// Reads the numbers that a query returns as `n`.
pub async fn read_numbers(session: &Session, sql: Sql) -> Result<HashSet<i64>> {
    session.all("looking for parents", sql).await?.iter().map(|row| row.get("n")).collect()
}
