//! The journal rows of a change: which records, from whom, to whom.

use uuid::Uuid;

use super::item::WorkItem;
use super::predicates::keys_aggregate;
use crate::catalog::{JournalAction, Reference};
use crate::contract::UserId;
use crate::store::dialect::sql::{Sql, TEXT};
use crate::store::dialect::{JOURNAL, Type};
use crate::store::ledger::journal::Action;
use crate::store::{Result, Session};

const COLUMNS: &str = "(job_id, chunk, kind, action, from_user, to_user, records, keys, at)";

/// The columns that [`run_journaled`] reads of each journal row.
pub const RETURNED: &str = "id, job_id, kind, action, to_user, records";

/// Returns the INSERT of the journal rows of a table `from` with item, successor and key: one row for each item and successor.
///
/// If `keeps_address` is true, the journal also keeps the addresses of rows without keys. These are valid for one transaction.
pub fn journal_insert(
    sql: &mut Sql,
    reference: &Reference,
    items: &[&WorkItem],
    action: JournalAction,
    from: &str,
    keeps_address: bool,
) -> String {
    let kind = sql.bind(reference.kind.as_str());
    let at = sql.bind(items.first().map(|item| item.at));
    let keys = match reference.keyless && !keeps_address {
        true => sql.dialect().cast("NULL", &Type::Json),
        false => keys_aggregate(sql.dialect(), reference, "m.key"),
    };
    format!(
        "INSERT INTO {JOURNAL} {COLUMNS} \
         SELECT i.job, i.chunk, {kind}, '{action}', CAST(i.leaver AS {TEXT}), CAST(m.successor AS {TEXT}), count(*), {keys}, {at} \
         FROM {from} m JOIN item i ON i.item = m.item \
         GROUP BY i.item, i.job, i.chunk, i.leaver, m.successor{returning}",
        returning = sql.dialect().returning(RETURNED),
    )
}

/// Returns the INSERT of the journal row of rows that one successor receives. `keys` is their aggregate over `from`.
pub fn journal_range(
    sql: &mut Sql,
    reference: &Reference,
    item: &WorkItem,
    (successor, action): (&UserId, JournalAction),
    (keys, from): (&str, &str),
) -> String {
    let (job, chunk) = (sql.bind(item.job), sql.bind(item.chunk));
    let kind = sql.bind(reference.kind.as_str());
    let (leaver, to_user) = (sql.bind(item.leaver.as_str()), sql.bind(successor.as_str()));
    let at = sql.bind(item.at);
    format!(
        "INSERT INTO {JOURNAL} {COLUMNS} \
         SELECT {job}, {chunk}, {kind}, '{action}', {leaver}, {to_user}, count(*), {keys}, {at} FROM {from} \
         HAVING count(*) > 0{returning}",
        returning = sql.dialect().returning(RETURNED),
    )
}

/// A journal row: how many rows of an item, and who received them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalRow {
    /// The item's position.
    pub item: usize,
    /// The kind.
    pub kind: String,
    /// The action.
    pub action: Action,
    /// The successor, if there is one.
    pub to_user: Option<String>,
    /// The number of records.
    pub records: u64,
}

/// The journal rows that a statement has written.
#[derive(Debug, Default)]
pub struct Journaled {
    /// The rows.
    pub rows: Vec<JournalRow>,
    /// The first and the last id, if there are any.
    pub ids: Option<(i64, i64)>,
}

impl Journaled {
    /// Returns how many records the journal rows count.
    pub fn records(&self) -> u64 {
        self.rows.iter().map(|row| row.records).sum()
    }
}

/// Runs a statement that ends in [`journal_insert`] or [`journal_range`].
pub async fn run_journaled(session: &Session, doing: &str, sql: Sql, items: &[&WorkItem]) -> Result<Journaled> {
    let mut journaled = Journaled::default();
    for row in session.all(doing, sql).await? {
        let (id, job): (i64, Uuid) = (row.get("id")?, row.get("job_id")?);
        // A group has each job once, and a chunk is alone: the job identifies the item.
        if let Some(item) = items.iter().position(|item| item.job == job) {
            let records = row.count("records")?;
            let (kind, action, to_user) = (row.get("kind")?, row.get("action")?, row.get("to_user")?);
            journaled.rows.push(JournalRow { item, kind, action, to_user, records });
        }
        journaled.ids = Some(journaled.ids.map_or((id, id), |(first, last): (i64, i64)| (first.min(id), last.max(id))));
    }
    Ok(journaled)
}
