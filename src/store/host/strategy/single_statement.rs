//! One data-modifying statement for a change: it changes rows, and journals what the change returned.
//!
//! Each test is asked again by the change itself, so that a row that the host has changed since it was read stays as the
//! host wants it. Moved rows are not locked beforehand: that would write each of them twice.
//!
//! Locks: the rows that change, until the caller commits; in key order as far as the plan follows the index on (user, key).
//! Only the host competes for them, for the caller has locked the leavers. A row that two leavers share (a follow between
//! them) may be wanted by two transactions: the second waits, and finds it gone.

use super::fast_path::{are_sole_wholes, sole_range, update_range};
use crate::catalog::{Column, Occupied, Reference, Retention, SetValue};
use crate::contract::UserId;
use crate::store::dialect::sql::{Sql, as_text, table};
use crate::store::dialect::{RowLock, Type};
use crate::store::host::item::{RowRange, WorkItem};
use crate::store::host::journal_write::{JournalRow, journal_insert, journal_range, run_journaled};
use crate::store::host::keyless;
use crate::store::host::predicates::{
    has_key, key_json, keys_aggregate, picked_key_json, row_tests, touch, user_column,
};
use crate::store::host::row_codec::{BEFORE, LEFT, row_json, snapshot_json};
use crate::store::host::row_snapshots::{SnapshotSource, snapshot_insert, written_columns};
use crate::store::host::selection::{Selected, item_table, selection};
use crate::store::host::statements::{
    Effect, MergeColumns, RowChange, assignments, other_user, set_columns, timed_columns,
};
use crate::store::host::user_match::points_at;
use crate::store::{Result, Session};

/// Makes a change.
pub async fn run(session: &Session, change: &RowChange<'_>) -> Result<Vec<JournalRow>> {
    let sql = match &change.effect {
        Effect::Move => match sole_range(change) {
            Some((item, successor)) => move_range(session, change, item, successor),
            None if are_sole_wholes(change) => move_wholes(session, change),
            None => move_selected(session, change),
        },
        Effect::Delete => delete(session, change, &removed_columns(session, change).await?),
        Effect::Set(values) => set(session, change, values),
        Effect::Merge { occupied, columns } => {
            merge(session, change, occupied, (columns, &removed_columns(session, change).await?))
        }
    };
    Ok(run_journaled(session, &change.doing(), sql, change.items).await?.rows)
}

/// Returns the columns that snapshots of removed rows hold: those that the table has now.
async fn removed_columns(session: &Session, change: &RowChange<'_>) -> Result<Vec<Column>> {
    match change.kept() {
        Some(_) => written_columns(session, &change.reference.table).await,
        None => Ok(Vec::new()),
    }
}

/// Moves everything of a range to one successor.
fn move_range(session: &Session, change: &RowChange<'_>, item: &WorkItem, successor: &UserId) -> Sql {
    let reference = change.reference;
    let mut sql = session.sql("");
    let update = update_range(&mut sql, change, item, successor);
    let keys = keys_aggregate(sql.dialect(), reference, "key");
    let journal = journal_range(&mut sql, reference, item, (successor, change.action), (&keys, "moved"));
    let key = key_json(sql.dialect(), reference, "t");
    sql.add(&format!("WITH moved AS ({update} RETURNING {key} AS key) {journal}"));
    sql
}

/// Moves all rows of each item to its one successor. Only the items are joined.
fn move_wholes(session: &Session, change: &RowChange<'_>) -> Sql {
    let RowChange { reference, items, action, .. } = change;
    let mut sql = session.sql("");
    let item = item_table(&mut sql, reference, items);
    let tests = row_tests(&mut sql, reference, "t");
    let journal = journal_insert(&mut sql, reference, items, *action, "moved", false);
    sql.add(&format!(
        "WITH {item}, \
         moved AS (UPDATE {host} AS t SET {user} = i.sole{touch} FROM item i WHERE {is_theirs}{tests} \
           RETURNING i.item, i.sole AS successor, {key} AS key) \
         {journal}",
        host = table(&reference.table),
        user = user_column(reference),
        is_theirs = points_at(&reference.user, "t", "i.leaver"),
        touch = touch(sql.dialect(), reference, "t"),
        key = key_json(sql.dialect(), reference, "t"),
    ));
    sql
}

/// Moves the selected rows, each to its successor.
fn move_selected(session: &Session, change: &RowChange<'_>) -> Sql {
    let RowChange { reference, items, action, .. } = change;
    let mut sql = session.sql("");
    let selection = selection(&mut sql, reference, items, &change.rows);
    let tests = row_tests(&mut sql, reference, "t");
    let journal = journal_insert(&mut sql, reference, items, *action, "moved", false);
    // A snapshot of a moved row shows it as it is now: an undo finds it by that.
    let image = row_json(sql.dialect(), &reference.columns, "t");
    let image = change.kept().map_or(String::new(), |_| format!(", {image} AS content"));
    let snapshots = snapshots(&mut sql, change, "moved", &as_text("m.successor"));
    sql.add(&format!(
        "WITH {selection}, \
         moved AS (UPDATE {host} AS t SET {user} = x.successor{touch} FROM x \
           WHERE {has_key} AND {is_theirs}{tests} RETURNING x.item, t.{user} AS successor, {key} AS key{image}){snapshots} \
         {journal}",
        host = table(&reference.table),
        user = user_column(reference),
        is_theirs = points_at(&reference.user, "t", "x.leaver"),
        touch = touch(sql.dialect(), reference, "t"),
        has_key = has_key(reference, "t", "x"),
        // The user whom the row has now: a trigger may have chosen another one. The key as it was: the returned row holds the successor, even in its key if the user is part of it.
        key = picked_key_json(sql.dialect(), reference, "x"),
    ));
    sql
}

/// Deletes the selected rows.
fn delete(session: &Session, change: &RowChange<'_>, columns: &[Column]) -> Sql {
    let RowChange { reference, items, action, .. } = change;
    let mut sql = session.sql("");
    let target = target(&mut sql, change);
    let tests = row_tests(&mut sql, reference, "t");
    let journal = journal_insert(&mut sql, reference, items, *action, "gone", false);
    let snapshots = snapshots(&mut sql, change, "gone", "m.other_user");
    sql.add(&format!(
        "WITH {rows}, \
         gone AS (DELETE FROM {host} AS t USING {using} WHERE {is_one}{is_theirs}{tests} \
           RETURNING x.item, {successor} AS successor, {key} AS key, {content} AS content, {other} AS other_user){snapshots} \
         {journal}",
        host = table(&reference.table),
        is_theirs = points_at(&reference.user, "t", "x.leaver"),
        rows = target.rows,
        using = target.using,
        is_one = target.is_one,
        successor = target.successor,
        key = key_json(sql.dialect(), reference, "t"),
        content = row_json(sql.dialect(), columns, "t"),
        other = other_user(reference, "t"),
    ));
    sql
}

/// The rows that a DELETE is about.
struct Target {
    /// The WITH list.
    rows: String,
    /// The table of it that is joined as `x`.
    using: &'static str,
    /// The test of a row `t`, with `AND` after it.
    is_one: String,
    /// The row's successor.
    successor: String,
}

/// If all rows of the items go, their user alone identifies them, and only the items are joined.
fn target(sql: &mut Sql, change: &RowChange<'_>) -> Target {
    let RowChange { reference, items, rows, .. } = change;
    let is_whole = |item: &&WorkItem| item.range == RowRange::Whole;
    match rows {
        Selected::All if !reference.keyless && items.iter().all(is_whole) => Target {
            rows: item_table(sql, reference, items),
            using: "item x",
            is_one: String::new(),
            successor: as_text("NULL"),
        },
        Selected::All | Selected::Dealt | Selected::Pairs(_) | Selected::OccupiedPairs(_) => Target {
            rows: selection(sql, reference, items, rows),
            using: "x",
            is_one: format!("{} AND ", has_key(reference, "t", "x")),
            successor: "x.successor".to_owned(),
        },
    }
}

/// Sets the columns of the selected rows. Old values are read under the rows' locks: before PostgreSQL 18 an UPDATE returns
/// only the new ones.
fn set(session: &Session, change: &RowChange<'_>, values: &[(Column, SetValue)]) -> Sql {
    let RowChange { reference, items, action, .. } = change;
    let mut sql = session.sql("");
    let selection = selection(&mut sql, reference, items, &change.rows);
    let tests = row_tests(&mut sql, reference, "t");
    let assignments = assignments(&mut sql, reference, values);
    let journal = journal_insert(&mut sql, reference, items, *action, "changed", false);
    let snapshots = snapshots(&mut sql, change, "changed", &as_text("NULL"));
    sql.add(&format!(
        "WITH {selection}, \
         old AS (SELECT x.*, {old} AS content FROM {host} t JOIN x ON {has_key} WHERE {is_theirs}{lock}), \
         changed AS (UPDATE {host} AS t SET {assignments} FROM old WHERE {old_key} AND {is_still_theirs}{tests} \
           RETURNING old.item, old.successor, {key} AS key, {content} AS content){snapshots} {journal}",
        host = table(&reference.table),
        is_theirs = points_at(&reference.user, "t", "x.leaver"),
        is_still_theirs = points_at(&reference.user, "t", "old.leaver"),
        old = snapshot_json(sql.dialect(), &set_columns(reference, values), "t"),
        has_key = has_key(reference, "t", "x"),
        lock = sql.dialect().row_lock(RowLock::Wait, Some("t")),
        old_key = has_key(reference, "t", "old"),
        key = key_json(sql.dialect(), reference, "t"),
        content = set_content(&sql, reference, values),
    ));
    sql
}

/// Returns the content of a snapshot of a row `t` that was set: its old values, and the times that it was set to; without a key
/// its image now.
fn set_content(sql: &Sql, reference: &Reference, values: &[(Column, SetValue)]) -> String {
    let (dialect, timed) = (sql.dialect(), timed_columns(values));
    match (reference.keyless, timed.is_empty()) {
        (true, _) => keyless::set_content(dialect, &row_json(dialect, &reference.columns, "t"), "old.content"),
        (false, true) => "old.content".to_owned(),
        (false, false) => dialect.json_with("old.content", LEFT, &snapshot_json(dialect, &timed, "t")),
    }
}

/// Adds the selected rows to those of their successors, and deletes them. What is added was read under the locks of both
/// rows, and only what was added goes. Several leavers' rows may be added to one: each statement reads the sum as the last
/// one left it.
fn merge(
    session: &Session,
    change: &RowChange<'_>,
    occupied: &Occupied,
    (columns, kept): (&[Column], &[Column]),
) -> Sql {
    let RowChange { reference, items, action, .. } = change;
    let merge = MergeColumns { reference, occupied, columns };
    let mut sql = session.sql("");
    let selection = selection(&mut sql, reference, items, &change.rows);
    let tests = row_tests(&mut sql, reference, "t");
    let journal = journal_insert(&mut sql, reference, items, *action, "gone", false);
    let snapshots = snapshots(&mut sql, change, "gone", &as_text("NULL"));
    let dialect = sql.dialect();
    let before = snapshot_json(dialect, &columns.iter().collect::<Vec<_>>(), "o");
    sql.add(&format!(
        "WITH {selection}, \
         pair AS (SELECT x.*, {read}, {content} AS content FROM x JOIN {host} t ON {has_key} AND {is_theirs}{tests} \
           JOIN {host} o ON {theirs}{lock}), \
         added AS (UPDATE {host} AS o SET {sums}{touch} FROM pair WHERE {takes} RETURNING 1), \
         gone AS (DELETE FROM {host} AS t USING pair WHERE {pair_key} \
           RETURNING pair.item, pair.successor, {key} AS key, pair.content){snapshots} {journal}",
        read = merge.read(),
        content = dialect.json_with(&row_json(dialect, kept, "t"), BEFORE, &before),
        host = table(&reference.table),
        has_key = has_key(reference, "t", "x"),
        is_theirs = points_at(&reference.user, "t", "x.leaver"),
        theirs = merge.is_same_record("x.successor"),
        lock = dialect.row_lock(RowLock::Wait, Some("t, o")),
        sums = merge.sums("pair"),
        touch = touch(dialect, reference, "o"),
        takes = merge.takes("pair", "pair.successor"),
        pair_key = has_key(reference, "t", "pair"),
        key = key_json(dialect, reference, "t"),
    ));
    sql
}

/// Returns the part of the WITH list that takes snapshots of the rows that `from` returned, if any are kept.
fn snapshots(sql: &mut Sql, change: &RowChange<'_>, from: &str, other_user: &str) -> String {
    let Some(retention): Option<Retention> = change.kept() else { return String::new() };
    let leaver = sql.dialect().cast("i.leaver", &Type::Text);
    let select = format!("SELECT i.job, i.chunk, {leaver}, m.content, {other_user}");
    let from = format!("FROM {from} m JOIN item i ON i.item = m.item");
    let source = SnapshotSource::of(change.reference, &select, &from);
    format!(", copied AS ({})", snapshot_insert(sql, change.items, retention, &source))
}
