//! Forgetting a person: what the ledger holds of them is erased, and the counts stay.
//!
//! Copies and the journal first, a bounded number of rows a transaction; the jobs, the requests and the audit trail last,
//! all in one. Killed in between, it is run again and finds the rest. What was forgotten cannot be undone any more.

use crate::stages::now;
use crate::store::ledger::audit;
use crate::store::ledger::forget::{Person, PersonalData};
use crate::store::ledger::jobs::Job;
use crate::store::{Result, Session, Store, host};

/// The transaction of some of the erasing.
const FORGET: &str = "forget";

/// What was erased; or the job that still needs to know the person, and nothing was.
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
            audit::append(&session, vec![entry(person, by)]).await?;
        }
        session.commit().await?;
        if !is_more {
            return Ok(Ok(found));
        }
    }
}

/// What would be erased; or the job that still needs to know the person.
pub async fn foresee(store: &Store, person: &Person) -> Result<std::result::Result<PersonalData, Job>> {
    let session = store.snapshot().await?;
    match person.needed_by(&session).await? {
        Some(job) => Ok(Err(job)),
        None => person.personal_data(&session).await.map(Ok),
    }
}

/// No request about the person begins or receives anything meanwhile.
async fn begin(store: &Store, person: &Person) -> Result<Session> {
    let session = store.begin(FORGET).await?;
    host::lock_users(&session, &[(&person.org, &person.user)], &[]).await?;
    Ok(session)
}

/// That somebody was forgotten, and not who.
fn entry(person: &Person, by: &str) -> audit::Entry {
    audit::Entry {
        id: 0,
        at: now(),
        org: person.org.clone(),
        actor: by.to_owned(),
        action: "forgotten".into(),
        user_id: person.pseudonym.to_string(),
        job_id: None,
        request_id: String::new(),
        detail: None,
    }
}
