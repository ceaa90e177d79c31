//! Moves that need no deal: every row of an item goes to one successor.

use crate::contract::UserId;
use crate::store::dialect::sql::{Sql, table};
use crate::store::host::item::{RowRange, WorkItem};
use crate::store::host::predicates::{key_has_user, touch, user_column};
use crate::store::host::selection::{Selected, item_test};
use crate::store::host::statements::{Effect, RowChange};

/// Returns the single item and its successor, if the rows are identified by the item's test alone, and still have their keys
/// afterwards. Such a move needs no join, and is as fast as a bare UPDATE.
pub fn sole_range<'c>(change: &RowChange<'c>) -> Option<(&'c WorkItem, &'c UserId)> {
    match (change.items, may_skip_deal(change)) {
        ([item], true) => item.assignment.sole().map(|successor| (*item, successor)),
        _ => None,
    }
}

/// True if every item gives all its rows to one successor: then the users alone identify the rows.
pub fn are_sole_wholes(change: &RowChange<'_>) -> bool {
    let is_sole = |item: &&WorkItem| item.assignment.sole().is_some() && item.range == RowRange::Whole;
    may_skip_deal(change) && change.items.iter().all(is_sole)
}

fn may_skip_deal(change: &RowChange<'_>) -> bool {
    let deals = matches!((&change.effect, &change.rows), (Effect::Move, Selected::Dealt));
    deals && !key_has_user(change.reference) && !change.reference.keyless
}

/// Returns the UPDATE that gives an item's rows to its successor.
pub fn update_range(sql: &mut Sql, change: &RowChange<'_>, item: &WorkItem, successor: &UserId) -> String {
    let reference = change.reference;
    let to = sql.host(&reference.user, successor.as_str());
    format!(
        "UPDATE {host} AS t SET {user} = {to}{touch} WHERE {is_theirs}",
        host = table(&reference.table),
        user = user_column(reference),
        touch = touch(sql.dialect(), reference, "t"),
        is_theirs = item_test(sql, reference, item),
    )
}
