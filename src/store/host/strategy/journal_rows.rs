//! The rows that the journal names. The statements after the journal work on exactly these.

use crate::catalog::{Column, Reference, Retention};
use crate::store::dialect::sql::{Sql, UpdateFrom, cast, column, table};
use crate::store::dialect::{JOURNAL, ROW_SNAPSHOTS};
use crate::store::host::journal_write::Journaled;
use crate::store::host::predicates::{has_key, key_columns, picked_keys};
use crate::store::host::row_codec::{LEFT, snapshot_json, snapshot_value};
use crate::store::host::row_snapshots::{SnapshotSource, snapshot_insert};
use crate::store::host::statements::RowChange;
use crate::store::{Error, Result, Session};

/// The first and the last id of the journal rows that a change has written.
pub type JournalIds = (i64, i64);

/// Returns the rows that the journal names as a table `x`: their keys as `k0`, `k1` and so on, and the columns of the journal.
pub fn journal_rows(sql: &mut Sql, reference: &Reference, (first, last): JournalIds) -> String {
    let (first, last) = (sql.bind(first), sql.bind(last));
    let dialect = sql.dialect();
    let value = |index: usize| match reference.key.len() {
        1 => dialect.json_element_text("e"),
        _ => dialect.json_item_text("e.value", index),
    };
    let keys: Vec<String> = (reference.key.iter().enumerate())
        .map(|(index, key)| format!("{} AS k{index}", cast(&value(index), &key.cast)))
        .collect();
    format!(
        "(SELECT j.job_id, j.chunk, j.from_user, j.to_user, j.at, {keys} FROM {JOURNAL} j, {elements} \
         WHERE j.id BETWEEN {first} AND {last}) x",
        keys = keys.join(", "),
        elements = dialect.json_elements("j.keys", "e"),
    )
}

/// Takes a snapshot of each row `t` that the journal names. `joined` is an additional join.
pub async fn take_snapshots(
    session: &Session,
    change: &RowChange<'_>,
    (retention, ids): (Retention, JournalIds),
    (content, other_user): (&str, &str),
    joined: &str,
) -> Result<u64> {
    let RowChange { reference, items, .. } = change;
    let mut sql = session.sql("");
    let rows = journal_rows(&mut sql, reference, ids);
    let select = format!("SELECT x.job_id, x.chunk, x.from_user, {content}, {other_user}");
    let from = format!(
        "FROM {rows} JOIN {host} t ON {has_key}{joined}",
        host = table(&reference.table),
        has_key = has_key(reference, "t", "x"),
    );
    let source = SnapshotSource::of(reference, &select, &from);
    let insert = snapshot_insert(&mut sql, items, retention, &source);
    sql.add(&insert);
    session.run(&format!("taking snapshots of {}", reference.kind), sql).await
}

/// Deletes the rows that the journal names, and checks that none is left.
pub async fn delete_journaled(
    session: &Session,
    change: &RowChange<'_>,
    journaled: &Journaled,
    ids: JournalIds,
) -> Result<()> {
    let (reference, doing) = (change.reference, change.doing());
    let of_journaled = |verb: &str| {
        let mut sql = session.sql(verb);
        let rows = journal_rows(&mut sql, reference, ids);
        sql.add(&format!(
            " FROM {host} AS t WHERE ({keys}) IN (SELECT {chosen} FROM {rows})",
            host = table(&reference.table),
            keys = key_columns(reference, "t"),
            chosen = picked_keys(reference, "x"),
        ));
        sql
    };
    let deleted = session.run(&doing, of_journaled("DELETE")).await?;
    if deleted == journaled.records() && !change.fires_triggers() {
        return Ok(());
    }
    // Rows that go with others are not counted, and a trigger may have put rows back.
    match session.one(&doing, of_journaled("SELECT 1 AS n")).await? {
        None => Ok(()),
        Some(_) => Err(Error::ignored(&doing, deleted, journaled.records())),
    }
}

/// Adds to the snapshots of journaled rows what these columns of the rows hold now.
pub async fn note_left(session: &Session, change: &RowChange<'_>, ids: JournalIds, columns: &[&Column]) -> Result<()> {
    let reference = change.reference;
    let mut sql = session.sql("");
    let rows = journal_rows(&mut sql, reference, ids);
    let kind = sql.bind(reference.kind.as_str());
    let dialect = sql.dialect();
    let left = snapshot_json(dialect, columns, "t");
    let same_key: Vec<String> = (reference.key.iter())
        .map(|key| format!("{} = {}", column("t", &key.name), snapshot_value(dialect, "s.content", key)))
        .collect();
    let update = dialect.update_from(&UpdateFrom {
        table: &ROW_SNAPSHOTS.to_string(),
        alias: "s",
        assignments: &format!("content = {}", dialect.json_with("s.content", LEFT, &left)),
        from: &format!("{rows} JOIN {} t ON {}", table(&reference.table), has_key(reference, "t", "x")),
        condition: &format!(
            "s.job_id = x.job_id AND COALESCE(s.chunk, -1) = COALESCE(x.chunk, -1) AND s.kind = {kind} AND {}",
            same_key.join(" AND ")
        ),
    });
    sql.add(&update);
    session.run(&format!("taking snapshots of {}", reference.kind), sql).await?;
    Ok(())
}

/// Removes the addresses of rows without keys from the journal, which needed them while the rows were changed.
pub async fn forget_addresses(session: &Session, reference: &Reference, (first, last): JournalIds) -> Result<()> {
    if !reference.keyless {
        return Ok(());
    }
    let mut sql = session.sql("");
    let (first, last) = (sql.bind(first), sql.bind(last));
    sql.add(&format!("UPDATE {JOURNAL} SET keys = NULL WHERE id BETWEEN {first} AND {last}"));
    session.run(&format!("journaling {}", reference.kind), sql).await?;
    Ok(())
}
