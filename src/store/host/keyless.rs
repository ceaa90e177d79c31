//! Rows of a table without any unique key.
//!
//! Such rows are told from each other only by where the database keeps them, and that is good within one transaction: it
//! is asked for and used in the same statement, and written down nowhere. So a chunk has no bounds: it takes the next so many
//! rows of the leaver's, whichever come first. A row that the database refuses would come first again and again: it is
//! set aside by what it looks like. For the undo each row is copied as it was left.
//!
//! Locks: rows are locked when they are picked. Of two movers the second waits, and then picks others.

use sea_orm::DbErr;

use super::apply::{RowRange, WorkItem};
use super::journal_write::journal_rows;
use super::predicates::{has_key, key_columns, tests, user_column};
use super::remove::{Retention, copy_insert};
use super::row_codec::row_json;
use crate::catalog::{Column, Engine, Family, Reference};
use crate::store::dialect::sql::{Sql, column, quoted, table};
use crate::store::{Error, Result, Session};

/// What a whole row looks like.
fn whole(engine: Engine, reference: &Reference, alias: &str) -> String {
    row_json(engine, &reference.columns, alias)
}

/// Images as the right side of an `IN`, of the type that they have.
fn images<'i>(sql: &mut Sql, images: impl IntoIterator<Item = &'i str>) -> String {
    let cast = if sql.engine() == Engine::Postgres { "jsonb" } else { "" };
    let column = Column { name: "image".into(), cast: cast.into(), family: Family::Other };
    sql.host_list(&column, images)
}

/// The rows of a part that has no bounds, as a table `picked`; nothing for other parts.
pub fn picked(sql: &mut Sql, reference: &Reference, part: &WorkItem, tests: &str) -> Option<String> {
    let (rows, looks) = match &part.range {
        RowRange::Next { rows, but } => (*rows, unlike(sql, reference, but)),
        RowRange::Like(one) => {
            let one = images(sql, [one.as_str()]);
            (1, format!(" AND {} IN {one}", whole(sql.engine(), reference, "t")))
        }
        RowRange::Whole | RowRange::Keys { .. } => return None,
    };
    let (leaver, rows) = (sql.host(&reference.user, part.leaver.as_str()), sql.bind(rows as i64));
    let lock = if sql.engine() == Engine::Postgres { " FOR UPDATE OF t" } else { "" };
    Some(format!(
        "picked AS MATERIALIZED (SELECT {keys} FROM {host} t WHERE t.{user} = {leaver}{looks}{tests} LIMIT {rows}{lock})",
        keys = key_columns(reference, "t"),
        host = table(&reference.table),
        user = user_column(reference),
    ))
}

fn unlike(sql: &mut Sql, reference: &Reference, but: &[String]) -> String {
    if but.is_empty() {
        return String::new();
    }
    let but = images(sql, but.iter().map(String::as_str));
    format!(" AND {} NOT IN {but}", whole(sql.engine(), reference, "t"))
}

/// How many rows a leaver has, at most `limit`. One scan of what the index on the user finds; no locks.
pub async fn count_next(session: &Session, reference: &Reference, leaver: &str, limit: u64) -> Result<u64> {
    let doing = format!("counting {}", reference.kind);
    let mut sql = session.sql("");
    let tests = tests(&mut sql, reference, "t");
    let leaver = sql.host(&reference.user, leaver);
    let limit = sql.bind(i64::try_from(limit).unwrap_or(i64::MAX));
    sql.add(&format!(
        "SELECT CAST(count(*) AS bigint) AS n FROM \
         (SELECT 1 FROM {host} t WHERE t.{user} = {leaver}{tests} LIMIT {limit}) s",
        host = table(&reference.table),
        user = user_column(reference),
    ));
    let row = session.one(&doing, sql).await?;
    let count: Option<i64> = row.map(|row| row.try_get("", "n")).transpose().map_err(failed(&doing))?;
    Ok(count.unwrap_or(0).max(0) as u64)
}

/// What the next row of a leaver looks like, but for those that look like one of `but`. Rows that a mover holds are passed
/// over: it will tell of them itself.
pub async fn image_of_next(
    session: &Session,
    reference: &Reference,
    leaver: &str,
    but: &[String],
) -> Result<Option<String>> {
    let doing = format!("looking at the next row of {}", reference.kind);
    let mut sql = session.sql("");
    let (tests, unlike) = (tests(&mut sql, reference, "t"), unlike(&mut sql, reference, but));
    let leaver = sql.host(&reference.user, leaver);
    let lock = if session.engine() == Engine::Postgres { " FOR UPDATE OF t SKIP LOCKED" } else { "" };
    sql.add(&format!(
        "SELECT CAST({image} AS text) AS image FROM {host} t WHERE t.{user} = {leaver}{unlike}{tests} LIMIT 1{lock}",
        image = whole(session.engine(), reference, "t"),
        host = table(&reference.table),
        user = user_column(reference),
    ));
    let row = session.one(&doing, sql).await?;
    row.map(|row| row.try_get("", "image")).transpose().map_err(failed(&doing))
}

/// PostgreSQL: copies of rows that a statement has `moved`, as they are now: what it returns beside their keys, and the
/// table of its WITH list that keeps it. Nothing where rows have keys.
pub fn copy_moved(sql: &mut Sql, reference: &Reference, parts: &[&WorkItem]) -> (String, String) {
    if !reference.keyless {
        return (String::new(), String::new());
    }
    let select = "SELECT p.job, p.chunk, CAST(p.leaver AS text), m.content, CAST(m.successor AS text)";
    let from = "FROM moved m JOIN part p ON p.part = m.part";
    let insert = copy_insert(sql, reference, parts, &reference.table, Retention::Always, select, from);
    let image = whole(Engine::Postgres, reference, "t");
    (format!(", {image} AS content"), format!(", copied AS ({insert})"))
}

/// SQLite: copies the rows that the journal names as moved, as they are now.
pub async fn copy_journaled(
    session: &Session,
    reference: &Reference,
    parts: &[&WorkItem],
    ids: (i64, i64),
) -> Result<()> {
    let mut sql = session.sql("");
    let rows = journal_rows(&mut sql, reference, ids);
    let image = whole(Engine::Sqlite, reference, "t");
    let select = format!("SELECT x.job_id, x.chunk, x.from_user, {image}, x.to_user");
    let has_key = has_key(reference, "t", "x");
    let from = format!("FROM {rows} JOIN {host} t ON {has_key}", host = table(&reference.table));
    let insert = copy_insert(&mut sql, reference, parts, &reference.table, Retention::Always, &select, &from);
    sql.add(&insert);
    session.run(&format!("copying {}", reference.kind), sql).await?;
    Ok(())
}

/// What a copy of a row that was set holds when a statement has set it: what it looks like now, and the old values.
pub fn content_after(reference: &Reference) -> String {
    match reference.keyless {
        true => {
            let is = whole(Engine::Postgres, reference, "t");
            format!("jsonb_build_object('is', {is}, 'was', old.content)")
        }
        false => "old.content".to_owned(),
    }
}

/// SQLite: what it holds until the row is set: where the row is, and the old values.
pub fn content_before(engine: Engine, reference: &Reference, old: &str) -> String {
    match (engine, reference.key.as_slice()) {
        (Engine::Sqlite, [place]) if reference.keyless => {
            format!("json_object('row', {}, 'was', json({old}))", column("t", &place.name))
        }
        _ => old.to_owned(),
    }
}

/// SQLite: puts what rows look like that were set in the place of where they are.
pub async fn note_how_set(session: &Session, reference: &Reference, parts: &[&WorkItem]) -> Result<()> {
    let ([place], true) = (reference.key.as_slice(), reference.keyless) else { return Ok(()) };
    let mut sql = session.sql("");
    let kind = sql.bind(reference.kind.as_str());
    let jobs: Vec<String> = parts.iter().map(|part| sql.bind(part.job)).collect();
    sql.add(&format!(
        "UPDATE handover.row_snapshots SET content = json_object('is', json((SELECT {image} FROM {host} t \
           WHERE t.{place} = content ->> 'row')), 'was', json(content -> 'was')) \
         WHERE kind = {kind} AND job_id IN ({jobs}) AND content ->> 'row' IS NOT NULL",
        image = whole(Engine::Sqlite, reference, "t"),
        host = table(&reference.table),
        place = quoted(&place.name),
        jobs = jobs.join(", "),
    ));
    session.run(&format!("copying {}", reference.kind), sql).await?;
    Ok(())
}

fn failed(doing: &str) -> impl Fn(DbErr) -> Error + '_ {
    move |error| Error::unexpected(doing, error.to_string())
}
