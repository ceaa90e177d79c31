//! Rows of the journal, as an undo reads them.

use crate::catalog::{Catalog, JournalAction, OnConflict, Reference};
use crate::contract::UserId;
use crate::stages::undo::snapshots::snapshot_kinds;
use crate::store::host::{Key, MergedRows};
use crate::store::ledger::journal::{Action, Entry};
use crate::store::ledger::row_snapshots::{self, PendingSnapshot};
use crate::store::{Error, Result, Session, host};

/// Returns the action of a row of the journal of a job that hands over.
pub fn action_of(entry: &Entry) -> Result<JournalAction> {
    match entry.action {
        Action::Handover(action) => Ok(action),
        Action::Restored | Action::Skipped(_) => {
            let fault = format!("the row {} is `{}`, of an undo, and cannot be undone", entry.id, entry.action);
            Err(Error::unexpected("reading a row of the journal", fault))
        }
    }
}

/// Returns the snapshots that were made with a row of the journal, those of rows that followed included.
pub async fn of_entry(session: &Session, reference: &Reference, entry: &Entry) -> Result<Vec<PendingSnapshot>> {
    row_snapshots::of_chunk(session, entry.job_id, entry.chunk, &snapshot_kinds(reference)).await
}

/// True if a row of the journal counts rows that followed others: they come back with those.
pub fn is_of_followers(entry: &Entry) -> bool {
    entry.kind.contains('/')
}

/// Returns the snapshots of a reference's own rows that were made with a row of the journal.
async fn of_own_rows(session: &Session, entry: &Entry) -> Result<Vec<PendingSnapshot>> {
    row_snapshots::of_chunk(session, entry.job_id, entry.chunk, std::slice::from_ref(&entry.kind)).await
}

/// Returns the successor whose rows a row of the journal was added to, and the snapshots of what was added. If a chunk was dealt
/// to several successors, each row of the journal names the records of one.
pub async fn read_merged(
    session: &Session,
    reference: &Reference,
    entry: &Entry,
) -> Result<Option<(UserId, Vec<PendingSnapshot>)>> {
    let Some(holder) = entry.to_user.clone().and_then(|user| UserId::try_from(user).ok()) else { return Ok(None) };
    let keys = read_keys(entry)?;
    let pending = of_own_rows(session, entry).await?;
    let ids: Vec<i64> = pending.iter().map(|snapshot| snapshot.id).collect();
    let copied = host::snapshot_keys(session, reference, &ids).await?;
    let theirs =
        pending.into_iter().zip(&copied).filter(|(_, key)| keys.contains(key)).map(|(snapshot, _)| snapshot).collect();
    Ok(Some((holder, theirs)))
}

/// Returns the snapshots of rows without a key that a row of the journal has moved to its successor.
pub async fn copies_of_moved(session: &Session, entry: &Entry) -> Result<Vec<PendingSnapshot>> {
    let mut moved = of_own_rows(session, entry).await?;
    moved.retain(|snapshot| snapshot.other_user == entry.to_user);
    Ok(moved)
}

/// Returns how a reference adds rows up with those of a successor, if it does.
pub fn merged_by<'a>(reference: &'a Reference, holder: &'a UserId) -> Option<MergedRows<'a>> {
    let OnConflict::Add { occupied, columns } = reference.disposition.on_conflict()? else { return None };
    Some(MergedRows { reference, holder, occupied, columns })
}

/// Returns a key in the form of the journal: a text, or an array of texts if it has several columns.
pub fn key_value(mut key: Key) -> serde_json::Value {
    match key.len() {
        1 => key.pop().unwrap_or_default().into(),
        _ => key.into(),
    }
}

/// Reads the keys in a row of the journal.
pub fn read_keys(entry: &Entry) -> Result<Vec<Key>> {
    let doing = "reading the keys of a row of the journal";
    let faulty = || Error::unexpected(doing, format!("the row {} has no keys", entry.id));
    let keys = entry.keys.as_ref().and_then(serde_json::Value::as_array).ok_or_else(faulty)?;
    let read = |key: &serde_json::Value| match key {
        serde_json::Value::String(text) => Some(vec![text.clone()]),
        serde_json::Value::Array(texts) => texts.iter().map(|text| text.as_str().map(str::to_owned)).collect(),
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::Object(_) => None,
    };
    keys.iter().map(|key| read(key).ok_or_else(faulty)).collect()
}

/// Returns true if a row of the journal names the keys of its records, so that its chunk can be cut.
pub fn is_by_keys(catalog: &Catalog, entry: &Entry) -> bool {
    entry.action == Action::Handover(JournalAction::Moved)
        && catalog.reference(&entry.kind).is_some_and(|reference| !reference.keyless)
}
