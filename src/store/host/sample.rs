//! Looks into a few values of the host's columns, to tell what they may be. For a person who writes a catalog.

use super::predicates::as_text;
use crate::catalog::TableName;
use crate::store::dialect::sql::{column, table};
use crate::store::{Error, Result, Row, Session};

/// Rows that are looked at, at most.
const ROWS: i64 = 1000;

/// Different values that are told, at most.
const VALUES: i64 = 20;

/// How many different values a column's first rows hold, and how many of these are keys of users. An empty text and a
/// zero are no values.
pub async fn count_known_values(
    session: &Session,
    (users, key): (&TableName, &str),
    (of, name): (&TableName, &str),
) -> Result<(u64, u64)> {
    let doing = "looking into a column";
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
    let Some(row) = session.one(doing, sql).await? else { return Ok((0, 0)) };
    let read = |name: &str| {
        row.try_get::<i64>("", name).map(|n| n as u64).map_err(|error| Error::unexpected(doing, error.to_string()))
    };
    Ok((read("seen")?, read("known")?))
}

/// A few different values that a column holds, the most frequent of its first rows first.
pub async fn sample_values(session: &Session, of: &TableName, name: &str) -> Result<Vec<String>> {
    let doing = "looking into a column";
    let mut sql = session.sql("");
    let (rows, values) = (sql.bind(ROWS), sql.bind(VALUES));
    sql.add(&format!(
        "SELECT s.v AS v FROM (SELECT {value} AS v FROM {host} t WHERE {column} IS NOT NULL LIMIT {rows}) s \
         GROUP BY s.v ORDER BY count(*) DESC, s.v LIMIT {values}",
        value = as_text(&column("t", name)),
        host = table(of),
        column = column("t", name),
    ));
    let rows = session.all(doing, sql).await?;
    let read = |row: &Row| row.try_get("", "v");
    let values: std::result::Result<Vec<String>, _> = rows.iter().map(read).collect();
    values.map_err(|error| Error::unexpected(doing, error.to_string()))
}
