//! Moving records to successors.
//!
//! A record moves only while the leaver still owns it and it passes the reference's tests.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::change::{Effect, RowChange};
use crate::catalog::{Catalog, Disposition, JournalAction, OnConflict, Reference, Retention};
use crate::contract::UserId;
use crate::store::dialect::sql::{as_texts, table};
use crate::store::host::item::{Assignment, Key, WorkItem};
use crate::store::host::keys::read_key;
use crate::store::host::predicates::{key_columns, sole_test};
use crate::store::host::selection::{Selected, item_test};
use crate::store::{Error, Result, Session};

/// Describes the move of the items' records.
pub async fn changes<'a>(
    session: &Session,
    catalog: &Catalog,
    reference: &'a Reference,
    items: &'a [&'a WorkItem],
) -> Result<Vec<RowChange<'a>>> {
    let [item] = items else { return Ok(vec![moved(reference, items, Selected::Dealt)]) };
    match &item.assignment {
        Assignment::None => Ok(Vec::new()),
        Assignment::Named(named) => {
            let pairs = named.iter().map(|(key, user)| (vec![key.clone()], user.clone())).collect();
            Ok(pair_changes(reference, items, pairs))
        }
        Assignment::Sole(_) | Assignment::Dealt { .. } if needs_pairs(reference) => {
            let pairs = deal_rows(session, catalog, reference, item).await?;
            Ok(pair_changes(reference, items, pairs))
        }
        Assignment::Sole(_) | Assignment::Dealt { .. } => Ok(vec![moved(reference, items, Selected::Dealt)]),
    }
}

fn moved<'a>(reference: &'a Reference, items: &'a [&'a WorkItem], rows: Selected) -> RowChange<'a> {
    // Rows without a key are found again by what they looked like.
    let retention = reference.keyless.then_some(Retention::Journal);
    RowChange { reference, items, rows, effect: Effect::Move, action: JournalAction::Moved, retention }
}

/// True if the successor of each row must be known before the statement: where rows may be dropped, and where the test of a
/// row looks at its neighbors, which the statement itself changes.
pub fn needs_pairs(reference: &Reference) -> bool {
    let looks_at_neighbors = matches!(reference.disposition, Disposition::Block { .. }) && !reference.keyless;
    let may_drop = reference.disposition.on_conflict().is_some_and(|on_conflict| *on_conflict != OnConflict::Fail);
    may_drop || looks_at_neighbors
}

/// Describes the move of rows named one by one. If a successor already has a record and the catalog says so, the leaver's
/// row is removed first, or added to theirs.
fn pair_changes<'a>(
    reference: &'a Reference,
    items: &'a [&'a WorkItem],
    pairs: BTreeMap<Key, UserId>,
) -> Vec<RowChange<'a>> {
    if pairs.is_empty() {
        return Vec::new();
    }
    let pairs = Arc::new(pairs);
    let occupied = |effect, action| {
        let (rows, retention) = (Selected::OccupiedPairs(pairs.clone()), Some(Retention::Journal));
        RowChange { reference, items, rows, effect, action, retention }
    };
    let mut changes = match reference.disposition.on_conflict() {
        None | Some(OnConflict::Fail) => Vec::new(),
        Some(OnConflict::Drop) => vec![occupied(Effect::Delete, JournalAction::Dropped)],
        Some(OnConflict::Add { occupied: list, columns }) => {
            vec![occupied(Effect::Merge { occupied: list, columns }, JournalAction::Merged)]
        }
    };
    changes.push(moved(reference, items, Selected::Pairs(pairs)));
    changes
}

/// Deals an item's rows as they are now, and returns the successor of each key.
async fn deal_rows(
    session: &Session,
    catalog: &Catalog,
    reference: &Reference,
    item: &WorkItem,
) -> Result<BTreeMap<Key, UserId>> {
    let doing = format!("reading {}", reference.kind);
    let mut sql = session.sql("");
    let is_theirs = item_test(&mut sql, reference, item);
    let is_sole = sole_test(&mut sql, catalog, reference, "t", &[item.leaver.to_string()]);
    sql.add(&format!(
        "SELECT {texts} FROM {host} t WHERE {is_theirs}{is_sole} ORDER BY {order}",
        texts = as_texts(&reference.key, "t"),
        host = table(&reference.table),
        order = key_columns(reference, "t"),
    ));
    let mut pairs = BTreeMap::new();
    let mut position = 0;
    for row in session.all(&doing, sql).await? {
        let key = read_key(reference, &row)?;
        let successor = match &item.assignment {
            Assignment::Sole(successor) => Some(successor.clone()),
            Assignment::Dealt { except, .. } if key.first().is_some_and(|key| except.contains(key)) => continue,
            Assignment::Dealt { successors, .. } => successors.get(position).cloned().flatten(),
            Assignment::None | Assignment::Named(_) => {
                return Err(Error::unexpected(doing, "these rows are dealt to nobody"));
            }
        };
        position += 1;
        if let Some(successor) = successor {
            pairs.insert(key, successor);
        }
    }
    Ok(pairs)
}
