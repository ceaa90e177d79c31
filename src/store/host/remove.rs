//! Removing rows, with a copy of each in the journal's copies.
//!
//! Locks: row locks on the rows removed, until the caller commits, in key order as far as the plan follows the index. A
//! row that two leavers have in common (a follow between them) may be wanted by two transactions: the second waits, and
//! finds it gone.

use std::time::Duration;

use super::apply::{RowRange, WorkItem};
use super::journal_write::{
    JournalRow, Journaled, forget_keys, journal_insert, journal_rows, journal_selected, run_journaled,
};
use super::predicates::{as_text, has_key, key_columns, key_json, tests, user_column};
use super::row_codec::row_json;
use super::selection::{Selected, part_table, picked_keys, range_test, selection};
use crate::catalog::{Child, Disposition, Engine, Reference, TableName};
use crate::store::dialect::sql::{Sql, column, table};
use crate::store::{Result, Session};

/// Removes the rows of every part: what was journaled of it.
pub async fn remove(session: &Session, reference: &Reference, parts: &[&WorkItem]) -> Result<Vec<JournalRow>> {
    let (action, keep) = match &reference.disposition {
        Disposition::Purge { keep_copy, .. } => ("purged", Retention::For(*keep_copy)),
        _ => ("detached", Retention::Always),
    };
    for part in parts {
        for child in (0..reference.disposition.children().len()).rev() {
            remove_children(session, reference, part, child, keep).await?;
        }
    }
    remove_selected(session, reference, parts, &Selected::All, action, keep).await
}

/// How long copies of removed rows are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retention {
    /// As long as the journal.
    Always,
    /// For a while; none at all where it is zero.
    For(Duration),
}

impl Retention {
    fn copies(self) -> bool {
        self != Retention::For(Duration::ZERO)
    }
}

/// Removes the selected rows.
pub async fn remove_selected(
    session: &Session,
    reference: &Reference,
    parts: &[&WorkItem],
    selected: &Selected<'_>,
    action: &str,
    keep: Retention,
) -> Result<Vec<JournalRow>> {
    let engine = session.engine();
    let doing = format!("removing {}", reference.kind);
    let mut sql = session.sql("");
    if engine == Engine::Sqlite {
        let selection = selection(&mut sql, reference, parts, selected);
        let journaled = journal_selected(session, reference, parts, sql, &selection, action).await?;
        if let Some(ids) = journaled.ids {
            if keep.copies() {
                copy_journaled(session, reference, parts, ids, keep).await?;
            }
            delete_journaled(session, reference, &journaled, ids).await?;
            forget_keys(session, reference, ids).await?;
        }
        return Ok(journaled.lines);
    }
    let which = which(&mut sql, reference, parts, selected);
    let tests = tests(&mut sql, reference, "t");
    let journal = journal_insert(&mut sql, engine, reference, parts, action, "gone");
    let copied = match keep.copies() {
        true => {
            let select = "SELECT p.job, p.chunk, CAST(p.leaver AS text), m.content, m.other_user";
            let from = "FROM gone m JOIN part p ON p.part = m.part";
            format!(", copied AS ({})", copy_insert(&mut sql, reference, parts, &reference.table, keep, select, from))
        }
        false => String::new(),
    };
    sql.add(&format!(
        "WITH {rows}, \
         gone AS (DELETE FROM {host} AS t USING {using} WHERE {is_one}t.{user} = x.leaver{tests} \
           RETURNING x.part, {successor} AS successor, {key} AS key, {content} AS content, {other} AS other_user){copied} \
         {journal}",
        host = table(&reference.table),
        user = user_column(reference),
        rows = which.rows,
        using = which.using,
        is_one = which.is_one,
        successor = which.successor,
        key = key_json(engine, reference, "t"),
        content = row_json(engine, &reference.columns, "t"),
        other = other_user(reference, "t"),
    ));
    Ok(run_journaled(session, &doing, sql, parts).await?.lines)
}

/// PostgreSQL: which rows a DELETE is about.
struct Which {
    /// The WITH list.
    rows: String,
    /// The table of it that is joined, as `x`.
    using: &'static str,
    /// That a row is one of those, with `AND` behind it.
    is_one: String,
    /// Who receives it.
    successor: &'static str,
}

/// All rows of the parts are told by their user alone: then nothing is joined but the parts.
fn which(sql: &mut Sql, reference: &Reference, parts: &[&WorkItem], selected: &Selected<'_>) -> Which {
    let whole = |part: &&WorkItem| part.range == RowRange::Whole;
    match selected {
        Selected::All if !reference.keyless && parts.iter().all(whole) => Which {
            rows: part_table(sql, reference, parts),
            using: "part x",
            is_one: String::new(),
            successor: "CAST(NULL AS text)",
        },
        _ => Which {
            rows: selection(sql, reference, parts, selected),
            using: "x",
            is_one: format!("{} AND ", has_key(reference, "t", "x")),
            successor: "x.successor",
        },
    }
}

/// Who else a row stands between, as text.
fn other_user(reference: &Reference, alias: &str) -> String {
    reference.other_user.as_ref().map_or("CAST(NULL AS text)".to_owned(), |other| as_text(&column(alias, &other.name)))
}

/// `INSERT INTO handover.row_snapshots …` of what `select` gives (job, chunk, leaver, content, other user) `from` somewhere.
pub fn copy_insert(
    sql: &mut Sql,
    reference: &Reference,
    parts: &[&WorkItem],
    of: &TableName,
    keep: Retention,
    select: &str,
    from: &str,
) -> String {
    let kind = sql.bind(reference.kind.as_str());
    let name = sql.bind(of.to_string());
    let at = parts.first().map(|part| part.at);
    let until = match keep {
        Retention::Always => None,
        Retention::For(while_) => at.map(|at| at + while_),
    };
    let (at, until) = (sql.bind(at), sql.bind(until));
    format!(
        "INSERT INTO handover.row_snapshots (job_id, chunk, from_user, content, other_user, kind, table_name, at, keep_until) \
         {select}, {kind}, {name}, {at}, {until} {from}"
    )
}

/// SQLite: copies the rows that the journal names.
async fn copy_journaled(
    session: &Session,
    reference: &Reference,
    parts: &[&WorkItem],
    ids: (i64, i64),
    keep: Retention,
) -> Result<()> {
    let mut sql = session.sql("");
    let rows = journal_rows(&mut sql, reference, ids);
    let content = row_json(Engine::Sqlite, &reference.columns, "t");
    let other = other_user(reference, "t");
    let select = format!("SELECT x.job_id, x.chunk, x.from_user, {content}, {other}");
    let from = format!(
        "FROM {rows} JOIN {host} t ON {has_key}",
        host = table(&reference.table),
        has_key = has_key(reference, "t", "x"),
    );
    let insert = copy_insert(&mut sql, reference, parts, &reference.table, keep, &select, &from);
    sql.add(&insert);
    session.run(&format!("copying {}", reference.kind), sql).await?;
    Ok(())
}

/// SQLite: deletes the rows that the journal names, all of them.
pub async fn delete_journaled(
    session: &Session,
    reference: &Reference,
    journaled: &Journaled,
    ids: (i64, i64),
) -> Result<()> {
    let doing = format!("removing {}", reference.kind);
    let of_journaled = |act: &str| {
        let mut sql = session.sql(act);
        let rows = journal_rows(&mut sql, reference, ids);
        sql.add(&format!(
            " FROM {host} AS t WHERE ({keys}) IN (SELECT {chosen} FROM {rows})",
            host = table(&reference.table),
            keys = key_columns(reference, "t"),
            chosen = picked_keys(reference, "x"),
        ));
        sql
    };
    let Err(ignored) = journaled.all_changed(&doing, session.run(&doing, of_journaled("DELETE")).await?) else {
        return Ok(());
    };
    // Rows that go with others, by a foreign key of the table to itself, are not counted.
    match session.one(&doing, of_journaled("SELECT 1 AS n")).await? {
        None => Ok(()),
        Some(_) => Err(ignored),
    }
}

/// Removes rows of another table that point at the rows which are about to go.
async fn remove_children(
    session: &Session,
    reference: &Reference,
    part: &WorkItem,
    child: usize,
    keep: Retention,
) -> Result<()> {
    let children = reference.disposition.children();
    let this = &children[child];
    let doing = format!("removing {} with {}", this.table, reference.kind);
    let host = table(&this.table);
    let content = row_json(session.engine(), &this.columns, "c");
    let mut sql = session.sql("");
    let points = points_at(&mut sql, reference, part, children, child);
    let (job, chunk, leaver) = (sql.bind(part.job), sql.bind(part.chunk), sql.bind(part.leaver.as_str()));
    let select = format!("SELECT {job}, {chunk}, {leaver}");
    if session.engine() == Engine::Postgres && keep.copies() {
        let insert = copy_insert(
            &mut sql,
            reference,
            &[part],
            &this.table,
            keep,
            &format!("{select}, content, CAST(NULL AS text)"),
            "FROM gone",
        );
        sql.add(&format!(
            "WITH gone AS (DELETE FROM {host} AS c WHERE {points} RETURNING {content} AS content) {insert}"
        ));
        session.run(&doing, sql).await?;
        return Ok(());
    }
    if keep.copies() {
        let from = format!("FROM {host} c WHERE {points}");
        let insert = copy_insert(
            &mut sql,
            reference,
            &[part],
            &this.table,
            keep,
            &format!("{select}, {content}, CAST(NULL AS text)"),
            &from,
        );
        sql.add(&insert);
        session.run(&doing, sql).await?;
    }
    let mut sql = session.sql("");
    let points = points_at(&mut sql, reference, part, children, child);
    sql.add(&format!("DELETE FROM {host} AS c WHERE {points}"));
    session.run(&doing, sql).await?;
    Ok(())
}

/// That a row `c` of a child table points, over its parents, at a row of the part.
fn points_at(sql: &mut Sql, reference: &Reference, part: &WorkItem, children: &[Child], child: usize) -> String {
    let this = &children[child];
    let listed = |alias: &str, names: &[String]| -> String {
        names.iter().map(|name| column(alias, name)).collect::<Vec<_>>().join(", ")
    };
    let target = match this.parent {
        Some(parent) => {
            let above = points_at(sql, reference, part, children, parent);
            format!("SELECT {} FROM {} c WHERE {above}", listed("c", &this.at), table(&children[parent].table))
        }
        None => {
            let leaver = sql.host(&reference.user, part.leaver.as_str());
            let range = range_test(sql, reference, &part.range);
            let tests = tests(sql, reference, "t");
            let (host, user) = (table(&reference.table), user_column(reference));
            format!("SELECT {} FROM {host} t WHERE t.{user} = {leaver}{range}{tests}", listed("t", &this.at))
        }
    };
    format!("({}) IN ({target})", listed("c", &this.points))
}
