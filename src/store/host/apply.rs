//! The entry to everything that changes the host's rows for a leaver: moving, removing and setting.
//!
//! The planner applies a group of leavers at once, each with all rows of a reference. The mover applies one chunk.

use super::item::{Applied, Assignment, RowRange, WorkItem};
use super::journal_write::JournalRow;
use super::schema_version::check_schema;
use super::statements;
use super::strategy::Strategy;
use super::visibility::check_parents;
use crate::catalog::{Catalog, Reference};
use crate::metrics::Observation;
use crate::store::ledger::journal::Tally;
use crate::store::{Result, Session};

/// Does the work of a reference for every item, and returns what was done for each, in their order.
///
/// Journal rows and snapshots belong to the caller's transaction, as do the changes.
pub async fn apply(
    session: &Session,
    catalog: &Catalog,
    reference: &Reference,
    items: &[WorkItem],
) -> Result<Vec<Applied>> {
    apply_with(Strategy::of(session), session, catalog, reference, items).await
}

/// Does the same as [`apply`], by a strategy of the caller's choice. The conformance suite runs each database with every
/// strategy that it can run.
pub async fn apply_with(
    strategy: Strategy,
    session: &Session,
    catalog: &Catalog,
    reference: &Reference,
    items: &[WorkItem],
) -> Result<Vec<Applied>> {
    check_parents(session, catalog, reference, items).await?;
    let mut applied = vec![Applied::default(); items.len()];
    for batch in batches(reference, items) {
        let batch_items: Vec<&WorkItem> = batch.iter().map(|index| &items[*index]).collect();
        let changes = statements::changes(session, catalog, reference, &batch_items).await?;
        for JournalRow { item, kind, action, to_user, records } in strategy.run(session, &changes).await? {
            let applied = &mut applied[batch[item]];
            // Rows that follow others are not the leaver's.
            applied.rows += if kind == reference.kind { records } else { 0 };
            applied.tallies.push(Tally { kind, action, to_user, records });
        }
    }
    let records = applied.iter().map(|applied| applied.rows).sum();
    if records > 0 {
        check_schema(session, catalog, reference).await?;
    }
    let (kind, disposition) = (reference.kind.clone(), reference.disposition.name());
    session.observe(Observation::Records { kind, disposition, records });
    Ok(applied)
}

/// Groups items that one statement can serve: those with all rows. Each other item is a group of its own.
fn batches(reference: &Reference, items: &[WorkItem]) -> Vec<Vec<usize>> {
    let (shared, single): (Vec<usize>, Vec<usize>) =
        (0..items.len()).partition(|index| shares_statement(reference, &items[*index]));
    let shared = (!shared.is_empty()).then_some(shared);
    shared.into_iter().chain(single.into_iter().map(|index| vec![index])).collect()
}

fn shares_statement(reference: &Reference, item: &WorkItem) -> bool {
    let is_named = matches!(item.assignment, Assignment::Named(_));
    item.range == RowRange::Whole
        && !is_named
        && item.assignment.except().is_empty()
        && !statements::needs_pairs(reference)
}
