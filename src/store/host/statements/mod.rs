//! Descriptions of the changes that a disposition makes in the host's tables, independent of the database.
//!
//! A [`RowChange`] says which rows change, how, and what the ledger keeps of them. A strategy makes the statements.

mod change;
mod merge;
mod remove;
mod set;
mod transfer;

pub use change::{Effect, RowChange};
pub use merge::MergeColumns;
pub use remove::other_user;
pub use set::{assignments, new_value, set_columns, timed_columns};
pub use transfer::needs_pairs;

use super::item::WorkItem;
use crate::catalog::{Catalog, Disposition, Reference};
use crate::store::{Result, Session};

/// Returns the changes that a reference's disposition makes to the items' rows, in order.
pub async fn changes<'a>(
    session: &Session,
    catalog: &Catalog,
    reference: &'a Reference,
    items: &'a [&'a WorkItem],
) -> Result<Vec<RowChange<'a>>> {
    match &reference.disposition {
        Disposition::Transfer { .. } | Disposition::Block { .. } => {
            transfer::changes(session, catalog, reference, items).await
        }
        Disposition::Detach { .. } | Disposition::Purge { .. } => Ok(remove::changes(reference, items)),
        Disposition::Set { values, .. } => Ok(set::changes(reference, items, values)),
        Disposition::Keep => Ok(Vec::new()),
    }
}
