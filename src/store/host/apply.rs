//! One entry to everything that changes the host's rows: moving, removing and setting, written once for many leavers.
//!
//! The planner's fast path comes with a group of leavers whose rows of a reference are all taken at once; the mover
//! comes with one chunk. Both get one statement for each reference (a few in SQLite, which has no statements within
//! statements), whose effect, journal rows and copies belong to the caller's transaction.

use std::collections::BTreeMap;

use time::OffsetDateTime;
use uuid::Uuid;

use super::journal_write::JournalRow;
pub use super::predicates::Key;
use super::{remove, set, transfer};
use crate::catalog::{Catalog, Disposition, Reference};
use crate::contract::UserId;
use crate::metrics::Observation;
use crate::store::ledger::journal::Tally;
use crate::store::{Result, Session};

/// A part of the work: rows of one leaver, for one job.
#[derive(Debug, Clone)]
pub struct WorkItem {
    /// The job, for the journal.
    pub job: Uuid,
    /// The chunk, for the journal; none for work that was not cut.
    pub chunk: Option<i32>,
    /// Whose rows.
    pub leaver: UserId,
    /// Which of them.
    pub range: RowRange,
    /// Who receives them; nobody where the disposition moves nothing.
    pub assignment: Assignment,
    /// When the work is done, for the journal.
    pub at: OffsetDateTime,
}

/// Which of a leaver's rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowRange {
    /// All of them.
    Whole,
    /// Those between two keys, both included, but for some that go another way.
    Keys {
        /// The first key.
        first: Key,
        /// The last key.
        last: Key,
    },
    /// Without keys: so many of them, whichever come first, but for those that look like one that is set aside.
    Next {
        /// How many.
        rows: u64,
        /// What rows that are set aside look like.
        but: Vec<String>,
    },
    /// Without keys: one of those that look so.
    Like(String),
}

/// Who receives rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Assignment {
    /// Nobody: the rows are not moved but removed or set.
    None,
    /// Everything to one successor.
    Sole(UserId),
    /// In key order: the n-th row to the n-th, or to nobody; rows behind the list stay. Rows of `except` take no place.
    Dealt {
        /// Who receives the n-th row.
        successors: Vec<Option<UserId>>,
        /// Keys of rows that go another way.
        except: Vec<String>,
    },
    /// Rows named one by one; the range does not matter.
    Named(BTreeMap<String, UserId>),
}

/// What was done of a part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// Rows moved, removed or set.
    pub rows: u64,
    /// The same, as the journal has it.
    pub tallies: Vec<Tally>,
}

/// Does the work of a reference for every part; what was done of each, in their order. A reference whose rows stay is
/// not to be asked for.
pub async fn apply(
    session: &Session,
    catalog: &Catalog,
    reference: &Reference,
    parts: &[WorkItem],
) -> Result<Vec<Applied>> {
    let mut done = vec![Applied::default(); parts.len()];
    let (whole, ranges): (Vec<usize>, Vec<usize>) = (0..parts.len())
        .partition(|index| parts[*index].range == RowRange::Whole && !needs_own_statement(reference, &parts[*index]));
    let together = (!whole.is_empty()).then_some(whole);
    let batches = together.into_iter().chain(ranges.into_iter().map(|index| vec![index]));
    for batch in batches {
        let batch_parts: Vec<&WorkItem> = batch.iter().map(|index| &parts[*index]).collect();
        let lines = match &reference.disposition {
            Disposition::Transfer { .. } | Disposition::Block { .. } => {
                transfer::transfer(session, catalog, reference, &batch_parts).await?
            }
            Disposition::Detach { .. } | Disposition::Purge { .. } => {
                remove::remove(session, reference, &batch_parts).await?
            }
            Disposition::Set { values, .. } => set::set(session, reference, values, &batch_parts).await?,
            Disposition::Keep => Vec::new(),
        };
        for JournalRow { place, action, to_user, records } in lines {
            let done = &mut done[batch[place]];
            done.rows += records;
            done.tallies.push(Tally { kind: reference.kind.clone(), action, to_user, records });
        }
    }
    let records = done.iter().map(|done| done.rows).sum();
    let (kind, disposition) = (reference.kind.clone(), reference.disposition.name());
    session.observe(Observation::Records { kind, disposition, records });
    Ok(done)
}

/// Whether a part needs statements of its own.
fn needs_own_statement(reference: &Reference, part: &WorkItem) -> bool {
    let excepts = matches!(&part.assignment, Assignment::Dealt { except, .. } if !except.is_empty());
    excepts || matches!(part.assignment, Assignment::Named(_)) || transfer::needs_pairs(reference)
}
