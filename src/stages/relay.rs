//! The relay: carries the outbox to the broker. What a commit of this process left is handed to it; what others left, and
//! what has become due, it claims by a short lease. It publishes with confirms, and deletes what was confirmed; no transaction
//! is open while it waits for the broker. Run twice, or killed between, a message is published twice under the same id, which
//! changes nothing.

use std::time::Duration;

use crate::broker::{Broker, BrokerError, Channel, Outgoing};
use crate::metrics;
use crate::stages::{Context, now};
use crate::store::Result;
use crate::store::ledger::outbox::{self, OutboxMessage};

/// The transaction that claims.
pub const CLAIM: &str = "relay_claim";
/// The transaction that deletes what was delivered.
pub const DELIVERED: &str = "relay_delivered";

/// How long a claim holds: longer than a publish may take.
const LEASE: Duration = Duration::from_secs(60);

/// How long a message rests that the broker did not take.
const REST: Duration = Duration::from_secs(1);

/// What became of a batch.
#[derive(Debug, Default)]
pub struct Carried {
    /// How many messages it found.
    pub found: usize,
    /// Why the broker took none of them, where that was for nothing that they are: it has to come back first.
    pub away: Option<BrokerError>,
}

/// Claims one batch and carries it.
pub async fn carry(context: &Context, broker: &dyn Broker, batch: u64) -> Result<Carried> {
    let claimed_at = now();
    let session = context.store.begin(CLAIM).await?;
    let channels = Channel::ALL.map(Channel::name);
    let letters = outbox::claim(&session, &channels, claimed_at, claimed_at + LEASE, batch).await?;
    session.commit().await?;
    deliver(context, broker, &letters).await
}

/// Carries messages that are this process's by a lease.
pub async fn deliver(context: &Context, broker: &dyn Broker, letters: &[OutboxMessage]) -> Result<Carried> {
    if letters.is_empty() {
        return Ok(Carried::default());
    }
    let mut messages = Vec::with_capacity(letters.len());
    for letter in letters {
        messages.push(
            Outgoing::from_outbox_message(letter)
                .map_err(|error| crate::store::Error::unexpected("carrying the outbox", error.to_string()))?,
        );
    }
    let results = broker.publish(&messages).await;
    let (mut delivered, mut refused, mut away) = (Vec::new(), Vec::new(), None);
    for (letter, result) in letters.iter().zip(results) {
        match result {
            Ok(()) => {
                metrics::published(&letter.channel);
                delivered.push(letter.id);
            }
            Err(error) => {
                refused.push(letter.id);
                match error {
                    BrokerError::Refused(why) => {
                        let job = letter.job_id.map(tracing::field::display);
                        tracing::warn!(message_id = %letter.message_id, job, key = letter.routing_key, why, "a message stays in the outbox");
                    }
                    // The same of each of them: it is told once, by whoever tries again.
                    error => away = Some(error),
                }
            }
        }
    }
    let away = away.filter(|_| delivered.is_empty());
    let session = context.store.begin(DELIVERED).await?;
    if !delivered.is_empty() {
        outbox::delete(&session, &delivered).await?;
    }
    if !refused.is_empty() {
        outbox::release(&session, &refused, now() + REST).await?;
    }
    session.commit().await?;
    Ok(Carried { found: letters.len(), away })
}
