//! Moving records to successors.
//!
//! A record is moved only while the leaver still owns it and it passes the reference's tests: the UPDATE asks again, so
//! what the host has changed since it was read stays as the host wants it. Rows are not locked beforehand, that would
//! write each of them twice.
//!
//! Locks: row locks on the records moved, held until the caller commits; taken in key order as far as the plan follows
//! the index on (user, key). Nobody but the host competes for them, for the leaver is locked by whoever moves.

use std::collections::BTreeMap;

use super::apply::{Assignment, RowRange, WorkItem};
use super::cut::read_key;
use super::journal_write::{
    JournalRow, RETURNED, forget_keys, journal_insert, journal_rows, journal_selected, run_journaled,
};
use super::keyless;
use super::merge::{Merging, merge};
use super::predicates::{
    Key, has_key, is_sole, key_columns, key_has_user, key_json, keys_aggregate, now, picked_key_json, raise_version,
    tests, user_column,
};
use super::remove::{Retention, remove_selected};
use super::selection::{Selected, part_table, range_test, selection};
use crate::catalog::{Catalog, Disposition, Engine, OnConflict, Reference};
use crate::contract::UserId;
use crate::store::dialect::sql::{Sql, as_texts, cast, quoted, table};
use crate::store::{Error, Result, Session};

/// Moves the records of every part: what was journaled of it.
pub async fn transfer(
    session: &Session,
    catalog: &Catalog,
    reference: &Reference,
    parts: &[&WorkItem],
) -> Result<Vec<JournalRow>> {
    match parts {
        [part] => transfer_part(session, catalog, reference, part).await,
        parts if session.engine() == Engine::Postgres && matches_by_user(reference, parts) => {
            move_parts(session, reference, parts).await
        }
        parts => move_selected(session, reference, parts, &Selected::Dealt).await,
    }
}

async fn transfer_part(
    session: &Session,
    catalog: &Catalog,
    reference: &Reference,
    part: &WorkItem,
) -> Result<Vec<JournalRow>> {
    match &part.assignment {
        Assignment::None => Ok(Vec::new()),
        Assignment::Named(named) => {
            let pairs = named.iter().map(|(key, user)| (vec![key.clone()], user.clone())).collect();
            move_pairs(session, reference, part, &pairs).await
        }
        _ if needs_pairs(reference) => {
            let pairs = deal_rows(session, catalog, reference, part).await?;
            move_pairs(session, reference, part, &pairs).await
        }
        Assignment::Sole(successor) if !key_has_user(reference) && !reference.keyless => {
            move_range(session, reference, part, successor).await
        }
        _ => move_selected(session, reference, &[part], &Selected::Dealt).await,
    }
}

/// Whether who receives which row must be known before the statement: where rows may be dropped, and where the test of
/// a row looks at its neighbours, which the statement itself is changing.
pub fn needs_pairs(reference: &Reference) -> bool {
    let looks_around = matches!(reference.disposition, Disposition::Block { .. }) && !reference.keyless;
    *on_conflict(reference) != OnConflict::Fail || looks_around
}

fn on_conflict(reference: &Reference) -> &OnConflict {
    match &reference.disposition {
        Disposition::Transfer { on_conflict, .. } | Disposition::Block { on_conflict, .. } => on_conflict,
        _ => &OnConflict::Fail,
    }
}

/// Everything of a range to one successor: no deal and no join, as fast as a bare UPDATE; in SQLite by two
/// statements: one writes the journal, the other changes rows by the same test.
async fn move_range(
    session: &Session,
    reference: &Reference,
    part: &WorkItem,
    successor: &UserId,
) -> Result<Vec<JournalRow>> {
    let (doing, engine) = (doing(reference), session.engine());
    let (host, key) = (table(&reference.table), key_json(engine, reference, "t"));
    let mut sql = session.sql("");
    match engine {
        Engine::Postgres => {
            let update = update_range(&mut sql, reference, part, successor);
            let keys = keys_aggregate(engine, reference, "key");
            let journal = journal_range(&mut sql, reference, part, successor, &keys, "moved");
            sql.add(&format!("WITH moved AS ({update} RETURNING {key} AS key) {journal}"));
            Ok(run_journaled(session, &doing, sql, &[part]).await?.lines)
        }
        Engine::Sqlite => {
            let rows = format!("{host} AS t WHERE {}", in_range(&mut sql, reference, part));
            let keys = keys_aggregate(engine, reference, &key);
            let journal = journal_range(&mut sql, reference, part, successor, &keys, &rows);
            sql.add(&journal);
            let journaled = run_journaled(session, &doing, sql, &[part]).await?;
            if journaled.ids.is_some() {
                let mut sql = session.sql("");
                let update = update_range(&mut sql, reference, part, successor);
                sql.add(&update);
                journaled.all_changed(&doing, session.run(&doing, sql).await?)?;
            }
            Ok(journaled.lines)
        }
    }
}

fn update_range(sql: &mut Sql, reference: &Reference, part: &WorkItem, successor: &UserId) -> String {
    let to = sql.host(&reference.user, successor.as_str());
    format!(
        "UPDATE {host} AS t SET {user} = {to}{touch} WHERE {in_range}",
        host = table(&reference.table),
        user = user_column(reference),
        touch = touch(reference, sql.engine(), "t"),
        in_range = in_range(sql, reference, part),
    )
}

/// Which rows of `t` are the leaver's, in the part's range, and pass the reference's tests.
fn in_range(sql: &mut Sql, reference: &Reference, part: &WorkItem) -> String {
    let from = sql.host(&reference.user, part.leaver.as_str());
    let range = range_test(sql, reference, &part.range);
    format!("t.{} = {from}{range}{}", user_column(reference), tests(sql, reference, "t"))
}

/// `INSERT INTO handover.journal …` of rows that one successor receives.
fn journal_range(
    sql: &mut Sql,
    reference: &Reference,
    part: &WorkItem,
    successor: &UserId,
    keys: &str,
    rows: &str,
) -> String {
    let (job, chunk) = (sql.bind(part.job), sql.bind(part.chunk));
    let kind = sql.bind(reference.kind.as_str());
    let (leaver, to_user) = (sql.bind(part.leaver.as_str()), sql.bind(successor.as_str()));
    let at = sql.bind(part.at);
    format!(
        "INSERT INTO handover.journal (job_id, chunk, kind, action, from_user, to_user, records, keys, at) \
         SELECT {job}, {chunk}, {kind}, 'moved', {leaver}, {to_user}, count(*), {keys}, {at} FROM {rows} \
         HAVING count(*) > 0 RETURNING {RETURNED}"
    )
}

/// Whether all rows of each part go to one successor, and the row that is returned still tells its key.
fn matches_by_user(reference: &Reference, parts: &[&WorkItem]) -> bool {
    let has_one = |part: &&WorkItem| matches!(part.assignment, Assignment::Sole(_)) && part.range == RowRange::Whole;
    parts.iter().all(has_one) && !key_has_user(reference) && !reference.keyless
}

/// Everything of each part to its one successor: no deal, and no join but with the parts.
async fn move_parts(session: &Session, reference: &Reference, parts: &[&WorkItem]) -> Result<Vec<JournalRow>> {
    let mut sql = session.sql("");
    let part = part_table(&mut sql, reference, parts);
    let tests = tests(&mut sql, reference, "t");
    let journal = journal_insert(&mut sql, Engine::Postgres, reference, parts, "moved", "moved");
    sql.add(&format!(
        "WITH {part}, \
         moved AS (UPDATE {host} AS t SET {user} = p.sole{touch} FROM part p WHERE t.{user} = p.leaver{tests} \
           RETURNING p.part, p.sole AS successor, {key} AS key) \
         {journal}",
        host = table(&reference.table),
        user = user_column(reference),
        touch = touch(reference, Engine::Postgres, "t"),
        key = key_json(Engine::Postgres, reference, "t"),
    ));
    Ok(run_journaled(session, &doing(reference), sql, parts).await?.lines)
}

/// Moves the selected rows of every part, each to whom it was dealt.
async fn move_selected(
    session: &Session,
    reference: &Reference,
    parts: &[&WorkItem],
    selected: &Selected<'_>,
) -> Result<Vec<JournalRow>> {
    let doing = doing(reference);
    let engine = session.engine();
    let mut sql = session.sql("");
    let selection = selection(&mut sql, reference, parts, selected);
    let (host, user, touch) = (table(&reference.table), user_column(reference), touch(reference, engine, "t"));
    match engine {
        Engine::Postgres => {
            let tests = tests(&mut sql, reference, "t");
            let journal = journal_insert(&mut sql, engine, reference, parts, "moved", "moved");
            let (image, copied) = keyless::copy_moved(&mut sql, reference, parts);
            sql.add(&format!(
                "WITH {selection}, \
                 moved AS (UPDATE {host} AS t SET {user} = x.successor{touch} FROM x \
                   WHERE {has_key} AND t.{user} = x.leaver{tests} RETURNING x.part, x.successor, {key} AS key{image}){copied} \
                 {journal}",
                has_key = has_key(reference, "t", "x"),
                // As it was: the row returned holds the successor, in its key too where the user is part of it.
                key = picked_key_json(engine, reference, "x"),
            ));
            Ok(run_journaled(session, &doing, sql, parts).await?.lines)
        }
        Engine::Sqlite => {
            let journaled = journal_selected(session, reference, parts, sql, &selection, "moved").await?;
            if let Some(ids) = journaled.ids {
                let mut sql = session.sql("");
                let rows = journal_rows(&mut sql, reference, ids);
                sql.add(&format!(
                    "UPDATE {host} AS t SET {user} = {to}{touch} FROM {rows} WHERE {has_key}",
                    to = cast("x.to_user", &reference.user.cast),
                    has_key = has_key(reference, "t", "x"),
                ));
                journaled.all_changed(&doing, session.run(&doing, sql).await?)?;
                if reference.keyless {
                    keyless::copy_journaled(session, reference, parts, ids).await?;
                    forget_keys(session, reference, ids).await?;
                }
            }
            Ok(journaled.lines)
        }
    }
}

/// Moves rows named one by one. Where the successor holds a record already and the catalog says so, the leaver's row
/// goes first, or is added to theirs.
async fn move_pairs(
    session: &Session,
    reference: &Reference,
    part: &WorkItem,
    pairs: &BTreeMap<Key, UserId>,
) -> Result<Vec<JournalRow>> {
    if pairs.is_empty() {
        return Ok(Vec::new());
    }
    let mut done = Vec::new();
    match on_conflict(reference) {
        OnConflict::Fail => {}
        OnConflict::Drop(occupied) => {
            let selected = Selected::OccupiedPairs(pairs, occupied);
            done.extend(remove_selected(session, reference, &[part], &selected, "dropped", Retention::Always).await?);
        }
        OnConflict::Add { occupied, columns } => {
            let merging = Merging { reference, part, pairs, occupied, columns };
            done.extend(merge(session, &merging).await?);
        }
    }
    done.extend(move_selected(session, reference, &[part], &Selected::Pairs(pairs)).await?);
    Ok(done)
}

/// Deals a part's rows as they are now: for each key, its successor.
async fn deal_rows(
    session: &Session,
    catalog: &Catalog,
    reference: &Reference,
    part: &WorkItem,
) -> Result<BTreeMap<Key, UserId>> {
    let doing = format!("reading {}", reference.kind);
    let mut sql = session.sql("");
    let leaver = sql.host(&reference.user, part.leaver.as_str());
    let range = range_test(&mut sql, reference, &part.range);
    let mut tests = tests(&mut sql, reference, "t");
    if let Disposition::Block { sole_in: Some(sole_in), .. } = &reference.disposition {
        tests.push_str(&is_sole(&mut sql, catalog, reference, sole_in, "t", &[part.leaver.to_string()]));
    }
    sql.add(&format!(
        "SELECT {texts} FROM {host} t WHERE t.{user} = {leaver}{range}{tests} ORDER BY {order}",
        texts = as_texts(&reference.key, "t"),
        host = table(&reference.table),
        user = user_column(reference),
        order = key_columns(reference, "t"),
    ));
    let mut pairs = BTreeMap::new();
    let mut place = 0;
    for row in session.all(&doing, sql).await? {
        let key = read_key(&doing, reference, &row)?;
        let successor = match &part.assignment {
            Assignment::Sole(successor) => Some(successor.clone()),
            Assignment::Dealt { except, .. } if key.first().is_some_and(|key| except.contains(key)) => continue,
            Assignment::Dealt { successors, .. } => successors.get(place).cloned().flatten(),
            Assignment::None | Assignment::Named(_) => {
                return Err(Error::unexpected(doing, "these rows are dealt to nobody"));
            }
        };
        place += 1;
        if let Some(successor) = successor {
            pairs.insert(key, successor);
        }
    }
    Ok(pairs)
}

/// `, "updated_at" = now(), "lock_version" = …` for a table under this alias, where the catalog says which columns.
pub fn touch(reference: &Reference, engine: Engine, alias: &str) -> String {
    let touch = match &reference.disposition {
        Disposition::Transfer { touch: Some(touch), .. } => {
            format!(", {} = {}", quoted(&touch.name), now(engine, touch))
        }
        _ => String::new(),
    };
    touch + &raise_version(reference, alias)
}

fn doing(reference: &Reference) -> String {
    format!("moving {}", reference.kind)
}
