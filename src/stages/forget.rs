//! Forgetting a person: erases what the ledger holds of them. The counts stay.
//!
//! Snapshots and the journal are erased first, a bounded number of rows a transaction; then the jobs, the requests and the audit
//! trail, all in one. After a crash, run it again: it finds the rest. A forgotten person's jobs cannot be undone.

use crate::stages::changes::LedgerChanges;
use crate::stages::context::now;
use crate::store::ledger::audit;
use crate::store::ledger::forget::{Person, PersonalData};
use crate::store::ledger::jobs::Job;
use crate::store::{Result, Session, Store, host};

/// The action in the audit trail.
pub const FORGOTTEN: &str = "forgotten";

/// The transaction that erases some of the rows.
const FORGET: &str = "forget";

/// Erases a person, and returns what was erased. Erases nothing if a job still needs to know the person, and returns that job.
pub async fn forget(store: &Store, person: &Person, by: &str) -> Result<std::result::Result<PersonalData, Job>> {
    let mut held = None;
    loop {
        let session = begin(store, person).await?;
        if let Some(job) = person.needed_by(&session).await? {
            return Ok(Err(job));
        }
        let found = match held {
            Some(found) => found,
            None => *held.insert(person.personal_data(&session).await?),
        };
        let is_more = person.erase_some(&session).await?;
        if !is_more {
            person.erase_rest(&session).await?;
            let mut changes = LedgerChanges::default();
            changes.audit(entry(person, by));
            changes.write(&session).await?;
        }
        session.commit().await?;
        if !is_more {
            return Ok(Ok(found));
        }
    }
}

/// Returns what would be erased, or the job that still needs to know the person.
pub async fn preview(store: &Store, person: &Person) -> Result<std::result::Result<PersonalData, Job>> {
    let session = store.snapshot().await?;
    match person.needed_by(&session).await? {
        Some(job) => Ok(Err(job)),
        None => person.personal_data(&session).await.map(Ok),
    }
}

/// Begins a transaction in which no request about the person begins or gives them anything.
async fn begin(store: &Store, person: &Person) -> Result<Session> {
    let session = store.begin(FORGET).await?;
    host::lock_users(&session, &[(&person.org, &person.user)], &[]).await?;
    Ok(session)
}

/// Returns the audit entry, which says that somebody was forgotten, and not who.
fn entry(person: &Person, by: &str) -> audit::Entry {
    audit::Entry {
        id: 0,
        at: now(),
        org: person.org.clone(),
        actor: by.to_owned(),
        action: FORGOTTEN.into(),
        user_id: person.pseudonym.to_string(),
        job_id: None,
        request_id: String::new(),
        detail: None,
    }
}
