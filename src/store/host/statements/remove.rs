//! Removing rows, with a snapshot of each.

use super::change::{Effect, RowChange};
use crate::catalog::{Child, Reference};
use crate::store::dialect::sql::{Sql, as_text, column, table};
use crate::store::host::item::WorkItem;
use crate::store::host::selection::{Selected, item_test};

/// Describes the removal of the items' rows.
pub fn changes<'a>(reference: &'a Reference, items: &'a [&'a WorkItem]) -> Vec<RowChange<'a>> {
    let Some(action) = reference.disposition.journals_as() else { return Vec::new() };
    let effect = Effect::Delete(reference.disposition.children());
    let retention = reference.retention();
    vec![RowChange { reference, items, rows: Selected::All, effect, action, retention }]
}

/// Returns the other user of a row between two users, as text.
pub fn other_user(reference: &Reference, alias: &str) -> String {
    let other = reference.other_user.as_ref().map(|other| as_text(&column(alias, &other.name)));
    other.unwrap_or_else(|| as_text("NULL"))
}

/// Tests that a row `c` of a child table points at a row of the item, directly or through its parents.
///
/// ```sql
/// (c."note_id") IN (SELECT c."id" FROM "notes" c
///   WHERE (c."contact_id") IN (SELECT t."id" FROM "contacts" t WHERE t."owner_id" = $1))
/// ```
///
/// The names in an inner query hide those outside, so that each level is called `c`.
pub fn child_test(sql: &mut Sql, reference: &Reference, item: &WorkItem, children: &[Child], child: usize) -> String {
    // The levels, from the child to the one that points at the reference's own table.
    let levels: Vec<&Child> =
        std::iter::successors(children.get(child), |level| level.parent.and_then(|parent| children.get(parent)))
            .collect();
    let mut inner = item_test(sql, reference, item);
    let (mut alias, mut host) = ("t", table(&reference.table));
    for level in levels.into_iter().rev() {
        let points = listed("c", &level.points);
        inner = format!("({points}) IN (SELECT {} FROM {host} {alias} WHERE {inner})", listed(alias, &level.at));
        (alias, host) = ("c", table(&level.table));
    }
    inner
}

fn listed(alias: &str, names: &[String]) -> String {
    names.iter().map(|name| column(alias, name)).collect::<Vec<_>>().join(", ")
}
