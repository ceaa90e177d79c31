//! Erases what the ledger holds of a person.

use super::error::Result;
use crate::broker::Channel;
use crate::stages::forget;
use crate::store::Store;
use crate::store::ledger::forget::{Person, PersonalData};
use crate::store::ledger::jobs::Job;
use crate::store::ledger::outbox;

/// The reason why a person cannot be forgotten now. Nothing was erased.
#[derive(Debug)]
pub enum Refusal {
    /// The person asks for themselves, and would enter the audit trail again.
    IsRequester,
    /// Events that name the person wait for the relay.
    UnpublishedEvents,
    /// A job still needs the person's data.
    NeededBy(Box<Job>),
}

/// The records of a person in the ledger, now or once, or the reason why the person cannot be forgotten now.
pub type Outcome = std::result::Result<PersonalData, Refusal>;

/// Returns what would be erased.
pub async fn preview(store: &Store, person: &Person, by: &str, has_broker: bool) -> Result<Outcome> {
    match refusal(store, person, by, has_broker).await? {
        Some(refusal) => Ok(Err(refusal)),
        None => Ok(forget::preview(store, person).await?.map_err(needed_by)),
    }
}

/// Erases what the ledger holds of a person. Returns what it held.
pub async fn forget(store: &Store, person: &Person, by: &str, has_broker: bool) -> Result<Outcome> {
    match refusal(store, person, by, has_broker).await? {
        Some(refusal) => Ok(Err(refusal)),
        None => Ok(forget::forget(store, person, by).await?.map_err(needed_by)),
    }
}

async fn refusal(store: &Store, person: &Person, by: &str, has_broker: bool) -> Result<Option<Refusal>> {
    if by == person.user.as_str() {
        return Ok(Some(Refusal::IsRequester));
    }
    // With a broker, the relay publishes events later: they must leave before the person is erased from them.
    let is_pending = has_broker && !outbox::list(&store.reader(), Channel::Events, 0, 1).await?.is_empty();
    Ok(is_pending.then_some(Refusal::UnpublishedEvents))
}

fn needed_by(job: Job) -> Refusal {
    Refusal::NeededBy(Box::new(job))
}
