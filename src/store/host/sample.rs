//! Samples of the host's columns, to guess what they hold. For a person who writes a catalog.

use super::predicates::is_value;
use crate::catalog::{Column, TableName};
use crate::store::dialect::Type;
use crate::store::dialect::sql::{as_text, column, table};
use crate::store::{Result, Session};

/// The most rows that are read.
const ROWS: i64 = 1000;

/// The most different values that are returned.
const VALUES: i64 = 20;

const SAMPLING: &str = "sampling a column";

/// Counts the different values in a column's first rows, and those of them that are keys of users. An empty text and a zero
/// are no values.
pub async fn count_known_values(
    session: &Session,
    (users, key): (&TableName, &str),
    (of, name): (&TableName, &str),
) -> Result<(u64, u64)> {
    let mut sql = session.sql("");
    let rows = sql.bind(ROWS);
    sql.add(&format!(
        "SELECT count(*) AS seen, count(u.id) AS known FROM (SELECT DISTINCT s.v AS v FROM \
           (SELECT {value} AS v FROM {host} t WHERE {column} IS NOT NULL LIMIT {rows}) s WHERE s.v NOT IN ('', '0')) s \
         LEFT JOIN (SELECT {id} AS id FROM {users} w) u ON u.id = s.v",
        value = as_text(&column("t", name)),
        host = table(of),
        column = column("t", name),
        id = as_text(&column("w", key)),
        users = table(users),
    ));
    let row = session.one(SAMPLING, sql).await?;
    row.map_or(Ok((0, 0)), |row| Ok((row.count("seen")?, row.count("known")?)))
}

/// Counts the users whose keys are among these texts.
pub async fn count_users_among<'i>(
    session: &Session,
    (users, key): (&TableName, &str),
    ids: impl IntoIterator<Item = &'i str>,
) -> Result<u64> {
    let mut sql = session.sql("");
    let list = sql.list_of(&Type::Text, ids);
    let id = as_text(&column("w", key));
    sql.add(&format!("SELECT count(*) AS n FROM {host} w WHERE {id} IN {list}", host = table(users)));
    session.one(SAMPLING, sql).await?.map_or(Ok(0), |row| row.count("n"))
}

/// True if some row has this value in a column. Empty tables tell nothing, and count as having it.
pub async fn has_value(session: &Session, of: &TableName, with: &Column, value: &str) -> Result<bool> {
    let mut sql = session.sql("");
    let host = table(of);
    let has_value = is_value(&mut sql, with, "t", value);
    sql.add(&format!(
        "SELECT 1 AS one WHERE EXISTS (SELECT 1 FROM {host} t WHERE {has_value}) OR NOT EXISTS (SELECT 1 FROM {host} t)"
    ));
    Ok(session.one("looking for a value", sql).await?.is_some())
}

/// Returns a few different values of a column, the most frequent of its first rows first.
pub async fn sample_values(session: &Session, of: &TableName, name: &str) -> Result<Vec<String>> {
    let mut sql = session.sql("");
    let (rows, values) = (sql.bind(ROWS), sql.bind(VALUES));
    sql.add(&format!(
        "SELECT s.v AS v FROM (SELECT {value} AS v FROM {host} t WHERE {column} IS NOT NULL LIMIT {rows}) s \
         GROUP BY s.v ORDER BY count(*) DESC, s.v LIMIT {values}",
        value = as_text(&column("t", name)),
        host = table(of),
        column = column("t", name),
    ));
    session.all(SAMPLING, sql).await?.iter().map(|row| row.get("v")).collect()
}
