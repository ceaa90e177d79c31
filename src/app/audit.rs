//! Reads the audit trail.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::dead_letters;
use super::error::Result;
use crate::contract::RequestType;
use crate::job::State;
use crate::stages::forget::FORGOTTEN;
use crate::store::ledger::audit::{
    ACCESS_ENDED, AuditFilter, AuditRecord, CATALOG_CHANGED, CATALOG_PUBLISHED, CHUNK_FAILED,
};
use crate::store::{Session, Store};

/// Entries per page.
const PAGE: u64 = 500;

/// Returns every action that the trail can have.
pub fn actions() -> Vec<String> {
    let of_jobs =
        RequestType::ALL.iter().flat_map(|kind| State::ALL.iter().map(move |state| format!("{kind}.{state}")));
    let of_messages = dead_letters::Action::ALL.map(|action| action.audited().to_owned());
    of_jobs
        .chain(of_messages)
        .chain([ACCESS_ENDED, CATALOG_CHANGED, CATALOG_PUBLISHED, CHUNK_FAILED, FORGOTTEN].map(str::to_owned))
        .collect()
}

/// An entry of the audit trail.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AuditEntry {
    /// The time.
    #[serde(with = "time::serde::rfc3339")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: OffsetDateTime,
    /// The organization; empty if the host has none.
    pub org_id: String,
    /// The user or the part of Handover that acted.
    pub actor: String,
    /// The action.
    pub action: String,
    /// The user concerned.
    pub user_id: String,
    /// The job.
    pub job_id: Option<Uuid>,
    /// The idempotency key of the request.
    pub request_id: String,
    /// The reason that the request gives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The job that a command is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about_job: Option<Uuid>,
    /// The reasons of a rejection or of a job that needs attention.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<Value>,
}

/// The entries that pass a filter, read page by page, newest last.
pub struct AuditPages {
    session: Session,
    filter: AuditFilter,
    from: i64,
    /// The number of entries still to read.
    rest: u64,
    /// The number of all entries that pass.
    pub total: u64,
}

impl AuditPages {
    /// Opens the trail: the last `limit` entries before the newest `skip` ones.
    pub async fn open(store: &Store, filter: AuditFilter, limit: u64, skip: u64) -> Result<AuditPages> {
        let session = store.reader();
        let total = filter.count(&session).await?;
        let rest = limit.min(total.saturating_sub(skip));
        let from = filter.first_of_last(&session, rest.saturating_add(skip)).await?.unwrap_or(i64::MIN);
        Ok(AuditPages { session, filter, from, rest, total })
    }

    /// Reads the next page; an empty one is the end.
    pub async fn next(&mut self) -> Result<Vec<AuditEntry>> {
        if self.rest == 0 {
            return Ok(Vec::new());
        }
        let page = self.filter.from(&self.session, self.from, PAGE.min(self.rest)).await?;
        self.rest = self.rest.saturating_sub(page.len() as u64);
        if let Some(last) = page.last() {
            self.from = last.entry.id + 1;
        }
        Ok(page.into_iter().map(AuditEntry::of).collect())
    }
}

/// Returns a page of the entries that pass a filter, oldest first, from a number on; and the number after the last one if more follow.
pub async fn page(
    store: &Store,
    filter: &AuditFilter,
    from: i64,
    limit: u64,
) -> Result<(Vec<AuditEntry>, Option<i64>)> {
    let mut records = filter.from(&store.reader(), from, limit.saturating_add(1)).await?;
    let follows = records.len() as u64 > limit;
    records.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let next = records.last().filter(|_| follows).map(|last| last.entry.id + 1);
    Ok((records.into_iter().map(AuditEntry::of).collect(), next))
}

impl AuditEntry {
    fn of(record: AuditRecord) -> AuditEntry {
        let AuditRecord { entry, reason, target } = record;
        AuditEntry {
            at: entry.at,
            org_id: entry.org,
            actor: entry.actor,
            action: entry.action,
            user_id: entry.user_id,
            job_id: entry.job_id,
            request_id: entry.request_id,
            reason,
            about_job: target,
            detail: entry.detail,
        }
    }
}
