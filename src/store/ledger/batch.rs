//! Everything that a transaction which takes requests adds to the ledger: the requests, their jobs, what these do and for
//! whom, the audit trail and the outbox.
//!
//! A database with writable CTEs adds it all by one statement.
//!
//! Locks: only the new rows' own. A transaction that accepts a request which another is accepting waits for it, and then
//! adds nothing.

use std::collections::HashMap;

use uuid::Uuid;

use super::audit::{self, Entry};
use super::bulk_insert::insertion;
use super::entity::requests::{ActiveModel, Model};
use super::jobs::{self, Job, Successor};
use super::outbox::{self, OutboxMessage};
use super::references::{self, ReferenceProgress};
use super::requests;
use crate::store::dialect::Type;
use crate::store::{Result, Row, Session};

const DOING: &str = "writing requests and their jobs";

/// New rows of several tables of the ledger.
#[derive(Default)]
pub struct LedgerBatch {
    /// Requests, each for the first time.
    pub requests: Vec<Model>,
    /// Their jobs.
    pub jobs: Vec<Job>,
    /// The jobs' plans for each reference.
    pub progress: Vec<ReferenceProgress>,
    /// The successors of jobs that have more to do.
    pub successors: Vec<Successor>,
    /// Entries of the audit trail.
    pub audit: Vec<Entry>,
    /// Messages and events.
    pub messages: Vec<OutboxMessage>,
}

impl LedgerBatch {
    /// Adds everything.
    pub async fn write(self, session: &Session) -> Result<()> {
        match session.capabilities().writable_ctes {
            true => self.write_at_once(session).await,
            false => self.write_in_steps(session).await,
        }
    }

    async fn write_in_steps(self, session: &Session) -> Result<()> {
        requests::insert(session, self.requests).await?;
        jobs::insert(session, self.jobs).await?;
        references::insert(session, self.progress).await?;
        jobs::insert_successors(session, self.successors).await?;
        audit::append(session, self.audit).await?;
        outbox::insert(session, self.messages).await
    }

    async fn write_at_once(self, session: &Session) -> Result<()> {
        let mut sql = session.sql("");
        let null = |of: Type| session.dialect().cast("NULL", &of);
        let mut with: Vec<String> = Vec::new();
        let count = self.requests.len() as u64;
        let (messages, handed_over) = outbox::outgoing(session, self.messages);
        let mut accepted = session.dialect().cast("0", &Type::Int64);
        let mut numbered = format!("(SELECT {} AS id, {} AS message_id)", null(Type::Int64), null(Type::Uuid));
        if !self.requests.is_empty() {
            let rows: Vec<ActiveModel> = self.requests.into_iter().map(ActiveModel::from).collect();
            let once = requests::once(session) + &session.dialect().returning("1");
            with.push(format!("requests AS ({})", insertion(&mut sql, DOING, rows, &once)?));
            "(SELECT count(*) FROM requests)".clone_into(&mut accepted);
        }
        if !self.jobs.is_empty() {
            let rows = jobs::rows(session, self.jobs);
            with.push(format!("jobs AS ({})", insertion(&mut sql, DOING, rows, "")?));
        }
        if !self.progress.is_empty() {
            let rows = references::rows(self.progress)?;
            with.push(format!("progress AS ({})", insertion(&mut sql, DOING, rows, "")?));
        }
        if !self.successors.is_empty() {
            let rows = jobs::successor_rows(self.successors);
            with.push(format!("successors AS ({})", insertion(&mut sql, DOING, rows, &jobs::unless_noted(session))?));
        }
        if !self.audit.is_empty() {
            let rows = audit::rows(self.audit);
            with.push(format!("audit AS ({})", insertion(&mut sql, DOING, rows, "")?));
        }
        let any_messages = !messages.is_empty();
        if any_messages {
            with.push(format!(
                "outbox AS ({})",
                insertion(&mut sql, DOING, messages, &outbox::returning_numbers(session))?
            ));
            "outbox".clone_into(&mut numbered);
        }
        if with.is_empty() {
            return Ok(());
        }
        let with = with.join(", ");
        sql.add(&format!("WITH {with} SELECT {accepted} AS accepted, o.id, o.message_id FROM {numbered} o"));
        let (accepted, numbers) = read(&session.all(DOING, sql).await?)?;
        requests::all_accepted(count, accepted)?;
        if any_messages {
            outbox::hand_over(session, handed_over, &numbers);
        }
        Ok(())
    }
}

/// Returns how many requests were accepted, and the messages' numbers.
fn read(rows: &[Row]) -> Result<(u64, HashMap<Uuid, i64>)> {
    let (mut accepted, mut numbers) = (0, HashMap::new());
    for row in rows {
        accepted = row.count("accepted")?;
        if let Some(id) = row.get::<Option<i64>>("id")? {
            numbers.insert(row.get("message_id")?, id);
        }
    }
    Ok((accepted, numbers))
}
