//! What a transaction that takes requests adds to the ledger: the requests, their jobs, what these do and for whom, the
//! audit trail and the outbox.
//!
//! PostgreSQL adds it all by one statement. Locks: none but the new rows' own; who accepts a request that somebody else is
//! accepting waits for them, and then adds nothing.

use std::collections::HashMap;

use sea_orm::DbErr;
use uuid::Uuid;

use super::audit::{self, Entry};
use super::bulk_insert::insertion;
use super::entity::requests::{ActiveModel, Model};
use super::jobs::{self, Job, Successor};
use super::outbox::{self, OutboxMessage};
use super::references::{self, ReferenceProgress};
use super::{failed, requests};
use crate::catalog::Engine;
use crate::store::{Result, Row, Session};

const DOING: &str = "writing down what became of requests";

/// See the module.
#[derive(Default)]
pub struct LedgerBatch {
    /// Requests, each for the first time.
    pub requests: Vec<Model>,
    /// Jobs.
    pub jobs: Vec<Job>,
    /// What they do with each reference.
    pub progress: Vec<ReferenceProgress>,
    /// Who receives something from those that go on.
    pub successors: Vec<Successor>,
    /// What the audit trail says of them.
    pub audit: Vec<Entry>,
    /// What goes out.
    pub messages: Vec<OutboxMessage>,
}

impl LedgerBatch {
    /// Adds everything.
    pub async fn write(self, session: &Session) -> Result<()> {
        match session.engine() {
            Engine::Postgres => self.write_at_once(session).await,
            Engine::Sqlite => self.write_in_steps(session).await,
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
        let mut with: Vec<String> = Vec::new();
        let count = self.requests.len() as u64;
        let (letters, leaving) = outbox::outgoing(session, self.messages);
        let (mut accepted, mut numbered) = ("0::bigint", "(SELECT NULL::bigint AS id, NULL::uuid AS message_id)");
        if !self.requests.is_empty() {
            let rows: Vec<ActiveModel> = self.requests.into_iter().map(ActiveModel::from).collect();
            let once = format!("{} RETURNING 1", requests::ONCE);
            with.push(format!("requests AS ({})", insertion(&mut sql, DOING, rows, &once)?));
            accepted = "(SELECT count(*) FROM requests)";
        }
        if !self.jobs.is_empty() {
            let rows = jobs::rows(session, self.jobs);
            with.push(format!("jobs AS ({})", insertion(&mut sql, DOING, rows, "")?));
        }
        if !self.progress.is_empty() {
            let rows = references::rows(self.progress);
            with.push(format!("courses AS ({})", insertion(&mut sql, DOING, rows, "")?));
        }
        if !self.successors.is_empty() {
            let rows = jobs::successor_rows(self.successors);
            with.push(format!("successors AS ({})", insertion(&mut sql, DOING, rows, jobs::NOTED)?));
        }
        if !self.audit.is_empty() {
            let rows = audit::rows(self.audit);
            with.push(format!("audit AS ({})", insertion(&mut sql, DOING, rows, "")?));
        }
        let any_letters = !letters.is_empty();
        if any_letters {
            with.push(format!("outbox AS ({})", insertion(&mut sql, DOING, letters, outbox::NUMBERED)?));
            numbered = "outbox";
        }
        if with.is_empty() {
            return Ok(());
        }
        let with = with.join(", ");
        sql.add(&format!("WITH {with} SELECT {accepted} AS accepted, o.id, o.message_id FROM {numbered} o"));
        let rows = session.all(DOING, sql).await?;
        let (accepted, numbers) = read(&rows).map_err(failed(DOING))?;
        requests::all_accepted(count, accepted)?;
        if any_letters {
            outbox::leave(session, leaving, &numbers);
        }
        Ok(())
    }
}

/// How many requests were accepted, and the messages' numbers.
fn read(rows: &[Row]) -> std::result::Result<(u64, HashMap<Uuid, i64>), DbErr> {
    let (mut accepted, mut numbers) = (0, HashMap::new());
    for row in rows {
        accepted = row.try_get::<i64>("", "accepted")? as u64;
        if let Some(id) = row.try_get::<Option<i64>>("", "id")? {
            numbers.insert(row.try_get("", "message_id")?, id);
        }
    }
    Ok((accepted, numbers))
}
