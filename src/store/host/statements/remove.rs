//! Removing rows, with a snapshot of each.

use super::change::{Effect, RowChange};
use crate::catalog::Reference;
use crate::store::dialect::sql::{as_text, column};
use crate::store::host::item::WorkItem;
use crate::store::host::selection::Selected;

/// Describes the removal of the items' rows.
pub fn changes<'a>(reference: &'a Reference, items: &'a [&'a WorkItem]) -> Vec<RowChange<'a>> {
    let Some(action) = reference.disposition.journals_as() else { return Vec::new() };
    let retention = reference.retention();
    vec![RowChange { reference, items, rows: Selected::All, effect: Effect::Delete, action, retention }]
}

/// Returns the other user of a row between two users, as text.
pub fn other_user(reference: &Reference, alias: &str) -> String {
    let other = reference.other_user.as_ref().map(|other| as_text(&column(alias, &other.name)));
    other.unwrap_or_else(|| as_text("NULL"))
}
