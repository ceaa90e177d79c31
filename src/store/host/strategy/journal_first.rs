//! Lock and journal the rows, take snapshots, change the rows, compare the counts: for databases that cannot do it in one
//! statement.
//!
//! It is written for many writers. The statement that journals rows also locks them, so that between the journal and the
//! change nobody else can change them; what follows works on the rows that the journal names. A database without row
//! locks has one writer, and nothing to lock. If a count differs, the transaction must not go on.
//!
//! Locks: the rows that change, until the caller commits, in the order in which the selection finds them. Only the host
//! competes for them, for the caller has locked the leavers.

use std::sync::Arc;

use super::fast_path::{sole_range, update_range};
use super::journal_rows::{JournalIds, delete_journaled, forget_addresses, journal_rows, note_left, take_snapshots};
use super::triggers::{redirected, refuse_unset};
use super::working_set::{WorkingSet, snapshot_columns};
use crate::catalog::{Column, Occupied, Retention, SetValue};
use crate::contract::UserId;
use crate::store::dialect::sql::{MATERIALIZED, Sql, UpdateFrom, as_text, cast, column, quoted, table};
use crate::store::dialect::{ROW_SNAPSHOTS, RowLock};
use crate::store::host::item::WorkItem;
use crate::store::host::journal_write::{JournalRow, Journaled, journal_insert, journal_range, run_journaled};
use crate::store::host::keyless;
use crate::store::host::predicates::{
    has_key, key_json, keys_aggregate, picked_key_json, row_tests, touch, user_column,
};
use crate::store::host::row_codec::{BEFORE, row_json, snapshot_json};
use crate::store::host::row_snapshots::written_columns;
use crate::store::host::selection::{Selected, item_test, selection};
use crate::store::host::statements::{
    Effect, MergeColumns, RowChange, assignments, other_user, set_columns, timed_columns,
};
use crate::store::host::user_match::points_at;
use crate::store::{Error, Result, Session};

/// Makes a change.
pub async fn run(session: &Session, change: &RowChange<'_>) -> Result<Vec<JournalRow>> {
    let has_one_writer = session.capabilities().max_concurrent_writers == Some(1);
    if let Some((item, successor)) = sole_range(change).filter(|_| has_one_writer && !change.fires_triggers()) {
        return move_range(session, change, item, successor).await;
    }
    // Rows without a key cannot be read back.
    if matches!(change.effect, Effect::Move) && change.fires_triggers() && !change.reference.keyless {
        return move_by_triggers(session, change).await;
    }
    Ok(run_once(session, change).await?.rows)
}

/// Moves rows of which a trigger may decide who gets them. If one has given rows to others, they are moved again, to those: so the
/// journal names the users who have them.
async fn move_by_triggers(session: &Session, change: &RowChange<'_>) -> Result<Vec<JournalRow>> {
    session.savepoint().await?;
    let moved = run_once(session, change).await?;
    let Some(holders) = redirected(session, change, &moved).await? else {
        session.forget_savepoint().await?;
        return Ok(moved.rows);
    };
    session.back_to_savepoint().await?;
    let again = RowChange { rows: Selected::Pairs(Arc::new(holders)), ..change.clone() };
    let moved = run_once(session, &again).await?;
    match redirected(session, &again, &moved).await? {
        None => Ok(moved.rows),
        Some(_) => Err(Error::ignored(&change.doing(), 0, moved.records())),
    }
}

/// Makes a change, and returns what was journaled.
async fn run_once(session: &Session, change: &RowChange<'_>) -> Result<Journaled> {
    let mut journaled = lock_and_journal(session, change).await?;
    let Some(ids) = journaled.ids else { return Ok(journaled) };
    let followed = match &change.effect {
        Effect::Move => move_journaled(session, change, &journaled, ids).await?,
        Effect::Delete => delete(session, change, &journaled, ids).await?,
        Effect::Set(values) => set(session, change, values, &journaled, ids).await?,
        Effect::Merge { occupied, columns } => merge(session, change, (occupied, columns), &journaled, ids).await?,
    };
    forget_addresses(session, change.reference, ids).await?;
    journaled.rows.extend(followed);
    Ok(journaled)
}

/// Moves everything of a range to one successor, by two statements with the same test: one journals, the other changes.
/// Only where nobody else can write in between.
async fn move_range(
    session: &Session,
    change: &RowChange<'_>,
    item: &WorkItem,
    successor: &UserId,
) -> Result<Vec<JournalRow>> {
    let reference = change.reference;
    let mut sql = session.sql("");
    let rows = format!("{} AS t WHERE {}", table(&reference.table), item_test(&mut sql, reference, item));
    let keys = keys_aggregate(sql.dialect(), reference, &key_json(sql.dialect(), reference, "t"));
    let journal = journal_range(&mut sql, reference, item, (successor, change.action), (&keys, &rows));
    sql.add(&journal);
    let journaled = run_journaled(session, &change.doing(), sql, &[item]).await?;
    if journaled.ids.is_some() {
        let mut sql = session.sql("");
        let update = update_range(&mut sql, change, item, successor);
        sql.add(&update);
        run_on_all(session, change, &journaled, sql).await?;
    }
    Ok(journaled.rows)
}

/// Journals the selected rows, and locks them in the same statement. Each is tested again under its lock.
async fn lock_and_journal(session: &Session, change: &RowChange<'_>) -> Result<Journaled> {
    let RowChange { reference, items, action, .. } = change;
    let mut sql = session.sql("");
    let selection = selection(&mut sql, reference, items, &change.rows);
    let locked = match sql.capabilities().row_locks {
        true => format!(", locked AS {MATERIALIZED}({})", locked_rows(&mut sql, change)),
        false => String::new(),
    };
    let from = if locked.is_empty() { "x" } else { "locked x" };
    let journal = journal_insert(&mut sql, reference, items, *action, "chosen", true);
    let key = picked_key_json(sql.dialect(), reference, "x");
    sql.add(&format!(
        "WITH {selection}{locked}, chosen AS (SELECT x.item, x.successor, {key} AS key FROM {from}) {journal}"
    ));
    run_journaled(session, &format!("journaling {}", reference.kind), sql, items).await
}

/// Returns the query of the selected rows that locks them; of a merge also the rows of the successors.
fn locked_rows(sql: &mut Sql, change: &RowChange<'_>) -> String {
    let reference = change.reference;
    let host = table(&reference.table);
    let tests = row_tests(sql, reference, "t");
    let (joined, locked) = match &change.effect {
        Effect::Merge { occupied, columns } => {
            let theirs = MergeColumns { reference, occupied, columns }.is_same_record("x.successor");
            (format!(" JOIN {host} o ON {theirs}"), "t, o")
        }
        Effect::Move | Effect::Delete | Effect::Set(_) => (String::new(), "t"),
    };
    format!(
        "SELECT x.* FROM x JOIN {host} t ON {has_key} AND {is_theirs}{tests}{joined}{lock}",
        has_key = has_key(reference, "t", "x"),
        is_theirs = points_at(&reference.user, "t", "x.leaver"),
        lock = sql.dialect().row_lock(RowLock::Wait, Some(locked)),
    )
}

async fn move_journaled(
    session: &Session,
    change: &RowChange<'_>,
    journaled: &Journaled,
    ids: JournalIds,
) -> Result<Vec<JournalRow>> {
    let reference = change.reference;
    let mut sql = session.sql("");
    let rows = journal_rows(&mut sql, reference, ids);
    let to = cast("x.to_user", &reference.user.cast);
    let update = sql.dialect().update_from(&UpdateFrom {
        table: &table(&reference.table),
        alias: "t",
        assignments: &format!("{} = {to}{}", user_column(reference), touch(sql.dialect(), reference, "t")),
        from: &rows,
        condition: &has_key(reference, "t", "x"),
    });
    sql.add(&update);
    run_on_all(session, change, journaled, sql).await?;
    // A snapshot of a moved row shows it as it is now: an undo finds it by that.
    if let Some(retention) = change.kept() {
        let content = row_json(session.dialect(), &reference.columns, "t");
        let taken = take_snapshots(session, change, (retention, ids), (&content, "x.to_user"), "").await?;
        check_snapshots(change, journaled, taken)?;
    }
    Ok(Vec::new())
}

async fn delete(
    session: &Session,
    change: &RowChange<'_>,
    journaled: &Journaled,
    ids: JournalIds,
) -> Result<Vec<JournalRow>> {
    let needs_snapshots = change.kept().is_some() || change.has_followers();
    let columns = match needs_snapshots {
        true => snapshot_columns(session, change, None).await?,
        false => Vec::new(),
    };
    let content = row_json(session.dialect(), &columns, "t");
    let other = other_user(change.reference, "t");
    if change.has_followers() {
        let set = WorkingSet::begin(session, change, (journaled, ids), (&content, &other), "").await?;
        set.complete(session).await?;
        set.delete(session).await?;
        return set.finish(session).await;
    }
    if let Some(retention) = change.kept() {
        let taken = take_snapshots(session, change, (retention, ids), (&content, &other), "").await?;
        check_snapshots(change, journaled, taken)?;
    }
    delete_journaled(session, change, journaled, ids).await?;
    Ok(Vec::new())
}

async fn set(
    session: &Session,
    change: &RowChange<'_>,
    values: &[(Column, SetValue)],
    journaled: &Journaled,
    ids: JournalIds,
) -> Result<Vec<JournalRow>> {
    let (reference, dialect) = (change.reference, session.dialect());
    let old = snapshot_json(dialect, &set_columns(reference, values), "t");
    let content = match (reference.keyless, reference.key.as_slice()) {
        // Until the row is set, the snapshot keeps where it is.
        (true, [address]) => {
            dialect.json_object_of_json(&[("row", column("t", &address.name).as_str()), ("was", old.as_str())])
        }
        _ => old,
    };
    let taken = take_snapshots(session, change, (Retention::Journal, ids), (&content, &as_text("NULL")), "").await?;
    check_snapshots(change, journaled, taken)?;
    let mut sql = session.sql("");
    let rows = journal_rows(&mut sql, reference, ids);
    let assignments = assignments(&mut sql, reference, values);
    let update = sql.dialect().update_from(&UpdateFrom {
        table: &table(&reference.table),
        alias: "t",
        assignments: &assignments,
        from: &rows,
        condition: &has_key(reference, "t", "x"),
    });
    sql.add(&update);
    run_on_all(session, change, journaled, sql).await?;
    if change.fires_triggers() {
        refuse_unset(session, change, values, ids).await?;
    }
    let timed = timed_columns(values);
    if !reference.keyless && !timed.is_empty() {
        note_left(session, change, ids, &timed).await?;
    }
    note_set_images(session, change).await?;
    Ok(Vec::new())
}

/// Replaces the addresses of rows without keys, in snapshots of rows that were set, by what the rows look like now.
async fn note_set_images(session: &Session, change: &RowChange<'_>) -> Result<()> {
    let reference = change.reference;
    let ([address], true) = (reference.key.as_slice(), reference.keyless) else { return Ok(()) };
    let mut sql = session.sql("");
    let kind = sql.bind(reference.kind.as_str());
    let jobs: Vec<String> = change.items.iter().map(|item| sql.bind(item.job)).collect();
    let row = sql.dialect().json_text("content", &["row"]);
    let image = format!(
        "(SELECT {image} FROM {host} t WHERE t.{address} = {row})",
        image = row_json(sql.dialect(), &reference.columns, "t"),
        host = table(&reference.table),
        address = quoted(&address.name),
    );
    sql.add(&format!(
        "UPDATE {ROW_SNAPSHOTS} SET content = {content} \
         WHERE kind = {kind} AND job_id IN ({jobs}) AND {row} IS NOT NULL",
        content = keyless::set_content(sql.dialect(), &image, &sql.dialect().json_member("content", "was")),
        jobs = jobs.join(", "),
    ));
    session.run(&format!("taking snapshots of {}", reference.kind), sql).await?;
    Ok(())
}

/// Takes snapshots of both sides, adds the leaver's columns to the successor's row, and deletes the leaver's.
async fn merge(
    session: &Session,
    change: &RowChange<'_>,
    (occupied, columns): (&Occupied, &[Column]),
    journaled: &Journaled,
    ids: JournalIds,
) -> Result<Vec<JournalRow>> {
    let (reference, dialect) = (change.reference, session.dialect());
    let merge = MergeColumns { reference, occupied, columns };
    let host = table(&reference.table);
    let theirs = merge.is_same_record(&cast("x.to_user", &reference.user.cast));
    let before = snapshot_json(dialect, &columns.iter().collect::<Vec<_>>(), "o");
    let kept = written_columns(session, &reference.table).await?;
    let content = dialect.json_with(&row_json(dialect, &kept, "t"), BEFORE, &before);
    let joined = format!(" JOIN {host} o ON {theirs}");
    let set = WorkingSet::begin(session, change, (journaled, ids), (&content, &as_text("NULL")), &joined).await?;
    set.complete(session).await?;
    let mut sql = session.sql("");
    let rows = journal_rows(&mut sql, reference, ids);
    let pairs = format!(
        "(SELECT x.*, {read} FROM {rows} JOIN {host} t ON {has_key}) pair",
        read = merge.read(),
        has_key = has_key(reference, "t", "x"),
    );
    let update = dialect.update_from(&UpdateFrom {
        table: &host,
        alias: "o",
        assignments: &(merge.sums("pair") + &touch(dialect, reference, "o")),
        from: &pairs,
        condition: &merge.takes("pair", &cast("pair.to_user", &reference.user.cast)),
    });
    sql.add(&update);
    run_on_all(session, change, journaled, sql).await?;
    set.delete(session).await?;
    set.finish(session).await
}

/// Runs a change of the journaled rows, and checks that it has changed all of them. A trigger of the host can keep a row as
/// it was without an error.
async fn run_on_all(session: &Session, change: &RowChange<'_>, journaled: &Journaled, sql: Sql) -> Result<()> {
    let doing = change.doing();
    match session.run(&doing, sql).await? {
        changed if changed == journaled.records() => Ok(()),
        changed => Err(Error::ignored(&doing, changed, journaled.records())),
    }
}

fn check_snapshots(change: &RowChange<'_>, journaled: &Journaled, taken: u64) -> Result<()> {
    match taken == journaled.records() {
        true => Ok(()),
        false => Err(Error::contention(&change.doing(), "rows have changed meanwhile")),
    }
}
