//! Rows of a table without a unique key.
//!
//! Only a row's address in the database identifies it. An address is valid for one transaction: it is read and used there,
//! and not stored. So a chunk has no bounds: it takes the next rows of the leaver, in any order. A row that
//! the database refuses would come first again and again: it is set aside by its image, that is by what it looks like. For
//! an undo, each row has a snapshot of how it was left.
//!
//! Locks: rows are locked when they are picked. A second mover waits, and then picks others.

use super::item::{RowRange, WorkItem};
use super::predicates::{key_columns, row_tests};
use super::row_codec::row_json;
use super::user_match::points_at;
use crate::catalog::Reference;
use crate::store::dialect::sql::{INT64, MATERIALIZED, Sql, TEXT, table};
use crate::store::dialect::{RowLock, SharedDialect, Type};
use crate::store::{Result, Session};

/// Returns the image of a row: all its columns.
fn image(sql: &Sql, reference: &Reference, alias: &str) -> String {
    row_json(sql.dialect(), &reference.columns, alias)
}

/// Returns the rows of an item without bounds as a table `picked`, or nothing for other items.
pub fn picked(sql: &mut Sql, reference: &Reference, item: &WorkItem, tests: &str) -> Option<String> {
    let (rows, looks) = match &item.range {
        RowRange::Next { rows, but } => (*rows, unlike(sql, reference, but)),
        RowRange::Like(one) => {
            let one = sql.list_of(&Type::Json, [one.as_str()]);
            (1, format!(" AND {} IN {one}", image(sql, reference, "t")))
        }
        RowRange::Whole | RowRange::Keys { .. } => return None,
    };
    let (leaver, rows) = (sql.host(&reference.user, item.leaver.as_str()), sql.bind(rows as i64));
    let lock = sql.dialect().row_lock(RowLock::Wait, Some("t"));
    Some(format!(
        "picked AS {MATERIALIZED}(SELECT {keys} FROM {host} t WHERE {is_theirs}{looks}{tests} LIMIT {rows}{lock})",
        keys = key_columns(reference, "t"),
        host = table(&reference.table),
        is_theirs = points_at(&reference.user, "t", &leaver),
    ))
}

fn unlike(sql: &mut Sql, reference: &Reference, but: &[String]) -> String {
    if but.is_empty() {
        return String::new();
    }
    let but = sql.list_of(&Type::Json, but.iter().map(String::as_str));
    format!(" AND {} NOT IN {but}", image(sql, reference, "t"))
}

/// Counts the rows of a leaver, at most `limit`. Scans what the index on the user finds, and takes no locks.
pub async fn count_next(session: &Session, reference: &Reference, leaver: &str, limit: u64) -> Result<u64> {
    let doing = format!("counting {}", reference.kind);
    let mut sql = session.sql("");
    let tests = row_tests(&mut sql, reference, "t");
    let leaver = sql.host(&reference.user, leaver);
    let limit = sql.bind(i64::try_from(limit).unwrap_or(i64::MAX));
    sql.add(&format!(
        "SELECT CAST(count(*) AS {INT64}) AS n FROM \
         (SELECT 1 FROM {host} t WHERE {is_theirs}{tests} LIMIT {limit}) s",
        host = table(&reference.table),
        is_theirs = points_at(&reference.user, "t", &leaver),
    ));
    session.one(&doing, sql).await?.map_or(Ok(0), |row| row.count("n"))
}

/// Returns the image of a leaver's next row, except rows that look like one of `but`. Rows that another mover has locked are
/// left out: that mover reports them itself.
pub async fn image_of_next(
    session: &Session,
    reference: &Reference,
    leaver: &str,
    but: &[String],
) -> Result<Option<String>> {
    let doing = format!("reading the next row of {}", reference.kind);
    let mut sql = session.sql("");
    let (tests, unlike) = (row_tests(&mut sql, reference, "t"), unlike(&mut sql, reference, but));
    let leaver = sql.host(&reference.user, leaver);
    let lock = sql.dialect().row_lock(RowLock::SkipLocked, Some("t"));
    sql.add(&format!(
        "SELECT CAST({image} AS {TEXT}) AS image FROM {host} t WHERE {is_theirs}{unlike}{tests} LIMIT 1{lock}",
        image = image(&sql, reference, "t"),
        host = table(&reference.table),
        is_theirs = points_at(&reference.user, "t", &leaver),
    ));
    session.one(&doing, sql).await?.map(|row| row.get("image")).transpose()
}

/// Returns the content of a snapshot of a row that was set: what it looks like now, and its old values.
pub fn set_content(dialect: SharedDialect, image: &str, old: &str) -> String {
    dialect.json_object_of_json(&[("is", image), ("was", old)])
}
