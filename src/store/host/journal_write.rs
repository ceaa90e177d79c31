//! The journal of a statement that changes the host: who, what, which records.
//!
//! PostgreSQL writes it in the very statement that changes the rows, from what that returns. SQLite has no statements
//! within statements, and one writer at a time: there the journal is written first, and the change is made to the rows
//! that it names, or that pass the same test.

use uuid::Uuid;

use super::apply::WorkItem;
use super::predicates::{keys_aggregate, picked_key_json};
use crate::catalog::{Engine, Reference};
use crate::store::dialect::sql::{Sql, cast};
use crate::store::{Error, Result, Row, Session};

/// What a statement that journals returns of each row of the journal, for [`run_journaled`].
pub const RETURNED: &str = "id, job_id, action, to_user, records";

/// `INSERT INTO handover.journal …` from a table `from` with part, successor and key.
pub fn journal_insert(
    sql: &mut Sql,
    engine: Engine,
    reference: &Reference,
    parts: &[&WorkItem],
    action: &str,
    from: &str,
) -> String {
    let kind = sql.bind(reference.kind.as_str());
    let at = sql.bind(parts.first().map(|part| part.at));
    let keys = match (engine, reference.keyless) {
        // Where the row is kept now says nothing tomorrow.
        (Engine::Postgres, true) => "CAST(NULL AS jsonb)".to_owned(),
        _ => keys_aggregate(engine, reference, "m.key"),
    };
    format!(
        "INSERT INTO handover.journal (job_id, chunk, kind, action, from_user, to_user, records, keys, at) \
         SELECT p.job, p.chunk, {kind}, '{action}', CAST(p.leaver AS text), CAST(m.successor AS text), count(*), {keys}, {at} \
         FROM {from} m JOIN part p ON p.part = m.part \
         GROUP BY p.part, p.job, p.chunk, p.leaver, m.successor RETURNING {RETURNED}"
    )
}

/// A row of the journal that was written: how many rows of a part, and who received them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalRow {
    /// The part's place.
    pub place: usize,
    /// What was done to them.
    pub action: String,
    /// Who received them, where somebody did.
    pub to_user: Option<String>,
    /// How many.
    pub records: u64,
}

/// What was journaled.
#[derive(Debug, Default)]
pub struct Journaled {
    /// The journal's rows.
    pub lines: Vec<JournalRow>,
    /// The first and the last id of the journal's rows, where there are any.
    pub ids: Option<(i64, i64)>,
}

impl Journaled {
    /// SQLite: that as many rows were changed as the journal says. A trigger of the host can keep one as it was, without an
    /// error, and then nothing of this may stand.
    pub fn all_changed(&self, doing: &str, changed: u64) -> Result<()> {
        let told: u64 = self.lines.iter().map(|line| line.records).sum();
        match changed == told {
            true => Ok(()),
            false => Err(Error::ignored(doing, changed, told)),
        }
    }
}

/// Runs a statement that ends in [`journal_insert`].
pub async fn run_journaled(session: &Session, doing: &str, sql: Sql, parts: &[&WorkItem]) -> Result<Journaled> {
    let mut journaled = Journaled::default();
    for row in session.all(doing, sql).await? {
        let (id, job, line) = read_row(&row).map_err(|error| Error::unexpected(doing, error.to_string()))?;
        // A group has each job once, and a chunk stands alone: the job tells the part.
        if let Some(place) = parts.iter().position(|part| part.job == job) {
            journaled.lines.push(JournalRow { place, ..line });
        }
        journaled.ids = Some(journaled.ids.map_or((id, id), |(first, last): (i64, i64)| (first.min(id), last.max(id))));
    }
    Ok(journaled)
}

fn read_row(row: &Row) -> std::result::Result<(i64, Uuid, JournalRow), sea_orm::DbErr> {
    let records = row.try_get::<i64>("", "records")? as u64;
    let line =
        JournalRow { place: 0, action: row.try_get("", "action")?, to_user: row.try_get("", "to_user")?, records };
    Ok((row.try_get("", "id")?, row.try_get("", "job_id")?, line))
}

/// SQLite: writes the journal of the selected rows, before anything is done to them.
pub async fn journal_selected(
    session: &Session,
    reference: &Reference,
    parts: &[&WorkItem],
    mut sql: Sql,
    selection: &str,
    action: &str,
) -> Result<Journaled> {
    let journal = journal_insert(&mut sql, Engine::Sqlite, reference, parts, action, "chosen");
    let key = picked_key_json(Engine::Sqlite, reference, "x");
    sql.add(&format!("WITH {selection}, chosen AS (SELECT x.part, x.successor, {key} AS key FROM x) {journal}"));
    run_journaled(session, &format!("journaling {}", reference.kind), sql, parts).await
}

/// SQLite: the rows that the journal names, with their keys as `k0`, `k1` … of `x`. They were chosen in this very
/// transaction, the only one that writes: nobody can have changed them since.
pub fn journal_rows(sql: &mut Sql, reference: &Reference, (first, last): (i64, i64)) -> String {
    let (first, last) = (sql.bind(first), sql.bind(last));
    let value = |index: usize| match reference.key.len() {
        1 => "e.value".to_owned(),
        _ => format!("e.value ->> {index}"),
    };
    let keys: Vec<String> = (reference.key.iter().enumerate())
        .map(|(index, key)| format!("{} AS k{index}", cast(&value(index), &key.cast)))
        .collect();
    format!(
        "(SELECT j.job_id, j.chunk, j.from_user, j.to_user, j.at, {} FROM handover.journal j, json_each(j.keys) e \
         WHERE j.id BETWEEN {first} AND {last}) x",
        keys.join(", ")
    )
}

/// SQLite: forgets where rows without a key were kept, which the journal had to know while they were changed. Of others,
/// nothing.
pub async fn forget_keys(session: &Session, reference: &Reference, (first, last): (i64, i64)) -> Result<()> {
    if !reference.keyless {
        return Ok(());
    }
    let mut sql = session.sql("");
    let (first, last) = (sql.bind(first), sql.bind(last));
    sql.add(&format!("UPDATE handover.journal SET keys = NULL WHERE id BETWEEN {first} AND {last}"));
    session.run(&format!("journaling {}", reference.kind), sql).await?;
    Ok(())
}
