//! Setting columns, with the old values in the journal's copies. Who stays the user: only the columns change.
//!
//! Locks: row locks on the rows set, until the caller commits.

use super::apply::WorkItem;
use super::journal_write::{JournalRow, forget_keys, journal_insert, journal_rows, journal_selected, run_journaled};
use super::keyless;
use super::predicates::{has_key, key_json, now, raise_version, tests, user_column};
use super::remove::{Retention, copy_insert};
use super::row_codec::columns_json;
use super::selection::{Selected, selection};
use crate::catalog::{Column, Engine, Reference, SetValue};
use crate::store::dialect::sql::{Sql, quoted, table};
use crate::store::{Result, Session};

/// Sets the rows of every part that still lack a value: what was journaled of it.
pub async fn set(
    session: &Session,
    reference: &Reference,
    values: &[(Column, SetValue)],
    parts: &[&WorkItem],
) -> Result<Vec<JournalRow>> {
    let engine = session.engine();
    let doing = format!("setting {}", reference.kind);
    let (host, user) = (table(&reference.table), user_column(reference));
    let kept = kept_columns(reference, values);
    let old = columns_json(engine, &kept, "t");
    let content = keyless::content_before(engine, reference, &old);
    let mut sql = session.sql("");
    let selection = selection(&mut sql, reference, parts, &Selected::All);
    if engine == Engine::Sqlite {
        let journaled = journal_selected(session, reference, parts, sql, &selection, "set").await?;
        if let Some(ids) = journaled.ids {
            let mut sql = session.sql("");
            let rows = journal_rows(&mut sql, reference, ids);
            let from = format!("FROM {rows} JOIN {host} t ON {}", has_key(reference, "t", "x"));
            let select = format!("SELECT x.job_id, x.chunk, x.from_user, {content}, NULL");
            let insert = copy_insert(&mut sql, reference, parts, &reference.table, Retention::Always, &select, &from);
            sql.add(&insert);
            session.run(&doing, sql).await?;
            let mut sql = session.sql("");
            let rows = journal_rows(&mut sql, reference, ids);
            let assignments = assignments(&mut sql, engine, values) + &raise_version(reference, "t");
            let has_key = has_key(reference, "t", "x");
            sql.add(&format!("UPDATE {host} AS t SET {assignments} FROM {rows} WHERE {has_key}"));
            journaled.all_changed(&doing, session.run(&doing, sql).await?)?;
            keyless::note_how_set(session, reference, parts).await?;
            forget_keys(session, reference, ids).await?;
        }
        return Ok(journaled.lines);
    }
    let tests = tests(&mut sql, reference, "t");
    let assignments = assignments(&mut sql, engine, values) + &raise_version(reference, "t");
    let journal = journal_insert(&mut sql, engine, reference, parts, "set", "changed");
    let select = "SELECT p.job, p.chunk, CAST(p.leaver AS text), m.content, CAST(NULL AS text)";
    let from = "FROM changed m JOIN part p ON p.part = m.part";
    let copied = copy_insert(&mut sql, reference, parts, &reference.table, Retention::Always, select, from);
    // The old values are read under the rows' locks: an UPDATE returns only the new ones before PostgreSQL 18.
    sql.add(&format!(
        "WITH {selection}, \
         old AS (SELECT x.*, {old} AS content FROM {host} t JOIN x ON {has_key} WHERE t.{user} = x.leaver FOR UPDATE OF t), \
         changed AS (UPDATE {host} AS t SET {assignments} FROM old WHERE {old_key} AND t.{user} = old.leaver{tests} \
           RETURNING old.part, old.successor, {key} AS key, {content} AS content), \
         copied AS ({copied}) {journal}",
        has_key = has_key(reference, "t", "x"),
        old_key = has_key(reference, "t", "old"),
        key = key_json(engine, reference, "t"),
        content = keyless::content_after(reference),
    ));
    Ok(run_journaled(session, &doing, sql, parts).await?.lines)
}

/// What a copy of a row that was set holds: its key, and the columns as they were.
pub fn kept_columns<'r>(reference: &'r Reference, values: &'r [(Column, SetValue)]) -> Vec<&'r Column> {
    reference.key.iter().filter(|_| !reference.keyless).chain(values.iter().map(|(column, _)| column)).collect()
}

fn assignments(sql: &mut Sql, engine: Engine, values: &[(Column, SetValue)]) -> String {
    let assign = values.iter().map(|(column, value)| {
        let value = match value {
            SetValue::Text(text) => sql.host(column, text),
            SetValue::Now => format!("COALESCE({}, {})", quoted(&column.name), now(engine, column)),
        };
        format!("{} = {value}", quoted(&column.name))
    });
    assign.collect::<Vec<_>>().join(", ")
}
