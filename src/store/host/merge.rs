//! Adding a leaver's row to the one that the successor has of the same record.
//!
//! The leaver's row goes, with a copy in the journal's copies: its columns there are what was added, and under `$before`
//! stands what the successor's row held, so that undo can take the one from the other and tell an empty column from a zero.
//!
//! Locks: both rows, until the caller commits. Several leavers' rows may be added to one: each statement reads the sum as
//! the last one left it.

use std::collections::BTreeMap;

use super::apply::WorkItem;
use super::journal_write::{JournalRow, journal_insert, journal_rows, journal_selected, run_journaled};
use super::predicates::{Key, has_key, key_json, tests, user_column};
use super::remove::{Retention, copy_insert, delete_journaled};
use super::row_codec::{columns_json, row_json};
use super::selection::{Selected, selection};
use super::transfer::touch;
use crate::catalog::{Column, Engine, Occupied, Reference};
use crate::contract::UserId;
use crate::store::dialect::sql::{cast, column, quoted, table};
use crate::store::{Result, Session};

/// Rows that are to be added to their successors' where these have one.
pub struct Merging<'m> {
    /// The reference.
    pub reference: &'m Reference,
    /// The part that they are of.
    pub part: &'m WorkItem,
    /// For each key its successor.
    pub pairs: &'m BTreeMap<Key, UserId>,
    /// What tells the successor's row, beside the user.
    pub occupied: &'m Occupied,
    /// The columns that are added up.
    pub columns: &'m [Column],
}

const ACTION: &str = "merged";

/// Adds what the successors have already: what was journaled of it.
pub async fn merge(session: &Session, merging: &Merging<'_>) -> Result<Vec<JournalRow>> {
    match session.engine() {
        Engine::Postgres => merge_at_once(session, merging).await,
        Engine::Sqlite => merge_in_steps(session, merging).await,
    }
}

/// PostgreSQL: one statement. Whatever is added was read under the locks of both rows, and only what was added goes.
async fn merge_at_once(session: &Session, merging: &Merging<'_>) -> Result<Vec<JournalRow>> {
    let Merging { reference, part, pairs, occupied, columns } = merging;
    let engine = Engine::Postgres;
    let mut sql = session.sql("");
    let selected = Selected::OccupiedPairs(pairs, std::slice::from_ref(*occupied));
    let selection = selection(&mut sql, reference, &[part], &selected);
    let tests = tests(&mut sql, reference, "t");
    let journal = journal_insert(&mut sql, engine, reference, &[part], ACTION, "gone");
    let select = "SELECT p.job, p.chunk, CAST(p.leaver AS text), m.content, CAST(NULL AS text)";
    let from = "FROM gone m JOIN part p ON p.part = m.part";
    let copied = copy_insert(&mut sql, reference, &[part], &reference.table, Retention::Always, select, from);
    sql.add(&format!(
        "WITH {selection}, \
         pair AS (SELECT x.*, {read}, {content} || jsonb_build_object('$before', {before}) AS content \
           FROM x JOIN {host} t ON {has_key} AND t.{user} = x.leaver{tests} JOIN {host} o ON {theirs} FOR UPDATE OF t, o), \
         added AS (UPDATE {host} AS o SET {sums}{touch} FROM pair WHERE {summed} RETURNING 1), \
         gone AS (DELETE FROM {host} AS t USING pair WHERE {pair_key} \
           RETURNING pair.part, pair.successor, {key} AS key, pair.content), \
         copied AS ({copied}) {journal}",
        content = row_json(engine, &reference.columns, "t"),
        before = columns_json(engine, &columns.iter().collect::<Vec<_>>(), "o"),
        host = table(&reference.table),
        has_key = has_key(reference, "t", "x"),
        pair_key = has_key(reference, "t", "pair"),
        user = user_column(reference),
        theirs = theirs(merging, "x.successor"),
        read = read_of_leaver(merging),
        sums = sums(columns, "pair"),
        touch = touch(reference, engine, "o"),
        summed = summed(merging, "pair", "pair.successor"),
        key = key_json(engine, reference, "t"),
    ));
    Ok(run_journaled(session, &doing(reference), sql, &[part]).await?.lines)
}

/// SQLite: journal, copies, sums and deletes one after the other; nobody writes in between.
async fn merge_in_steps(session: &Session, merging: &Merging<'_>) -> Result<Vec<JournalRow>> {
    let Merging { reference, part, pairs, occupied, columns } = merging;
    let (engine, doing) = (Engine::Sqlite, doing(reference));
    let mut sql = session.sql("");
    let selected = Selected::OccupiedPairs(pairs, std::slice::from_ref(*occupied));
    let selection = selection(&mut sql, reference, &[part], &selected);
    let journaled = journal_selected(session, reference, &[part], sql, &selection, ACTION).await?;
    let Some(ids) = journaled.ids else { return Ok(journaled.lines) };
    let host = table(&reference.table);
    let (has_key, theirs) = (has_key(reference, "t", "x"), theirs(merging, &cast("x.to_user", &reference.user.cast)));

    let mut sql = session.sql("");
    let rows = journal_rows(&mut sql, reference, ids);
    let content = row_json(engine, &reference.columns, "t");
    let before = columns_json(engine, &columns.iter().collect::<Vec<_>>(), "o");
    let select = format!("SELECT x.job_id, x.chunk, x.from_user, json_set({content}, '$.\"$before\"', {before}), NULL");
    let from = format!("FROM {rows} JOIN {host} t ON {has_key} JOIN {host} o ON {theirs}");
    let insert = copy_insert(&mut sql, reference, &[part], &reference.table, Retention::Always, &select, &from);
    sql.add(&insert);
    session.run(&doing, sql).await?;

    let mut sql = session.sql("");
    let rows = journal_rows(&mut sql, reference, ids);
    sql.add(&format!(
        "UPDATE {host} AS o SET {sums}{touch} FROM (SELECT x.*, {read} FROM {rows} JOIN {host} t ON {has_key}) pair WHERE {summed}",
        sums = sums(columns, "pair"),
        touch = touch(reference, engine, "o"),
        read = read_of_leaver(merging),
        summed = summed(merging, "pair", &cast("pair.to_user", &reference.user.cast)),
    ));
    journaled.all_changed(&doing, session.run(&doing, sql).await?)?;
    delete_journaled(session, reference, &journaled, ids).await?;
    Ok(journaled.lines)
}

/// That `o` is the row which the successor has of the leaver's record `t`.
fn theirs(merging: &Merging<'_>, successor: &str) -> String {
    let same: String =
        merging.occupied.0.iter().map(|name| format!(" AND {} = {}", column("o", name), column("t", name))).collect();
    format!("o.{} = {successor}{same}", user_column(merging.reference))
}

/// What is read of the leaver's row `t`: what is added, as `a0`, `a1` …, and what tells the successor's row, as `o0`, `o1` ….
fn read_of_leaver(merging: &Merging<'_>) -> String {
    let added =
        merging.columns.iter().enumerate().map(|(index, add)| format!("{} AS a{index}", column("t", &add.name)));
    let same = merging.occupied.0.iter().enumerate().map(|(index, name)| format!("{} AS o{index}", column("t", name)));
    added.chain(same).collect::<Vec<_>>().join(", ")
}

/// That `o` is the row which takes what `from` has read.
fn summed(merging: &Merging<'_>, from: &str, successor: &str) -> String {
    let names = merging.occupied.0.iter().enumerate();
    let same: String = names.map(|(index, name)| format!(" AND {} = {from}.o{index}", column("o", name))).collect();
    format!("o.{} = {successor}{same}", user_column(merging.reference))
}

/// The successor's columns with the leaver's added, which `from` holds as `a0`, `a1` …; what is empty adds nothing.
fn sums(columns: &[Column], from: &str) -> String {
    let sum = |(index, add): (usize, &Column)| {
        let (own, theirs) = (column("o", &add.name), format!("{from}.a{index}"));
        format!("{} = COALESCE({own} + {theirs}, {own}, {theirs})", quoted(&add.name))
    };
    columns.iter().enumerate().map(sum).collect::<Vec<_>>().join(", ")
}

fn doing(reference: &Reference) -> String {
    format!("merging {}", reference.kind)
}
