//! The relay: publishes the outbox to the broker.
//!
//! It is handed the messages that this process commits, and claims all others that are due by a short lease. It publishes with
//! confirms and deletes what was confirmed; no transaction is open while it waits for the broker. If it is run twice or
//! crashes in between, a message is published twice under the same id, which changes nothing.

use std::time::Duration;

use crate::broker::{Broker, BrokerError, Channel, Outgoing};
use crate::metrics;
use crate::stages::context::{Context, now};
use crate::store::Result;
use crate::store::ledger::outbox::{self, OutboxMessage};

/// The transaction that claims.
pub const CLAIM: &str = "relay_claim";
/// The transaction that deletes delivered messages.
pub const DELIVERED: &str = "relay_delivered";

/// The time for which a claim holds. A publish takes less.
const LEASE: Duration = Duration::from_secs(60);

/// The pause of a message that the broker refused.
const REST: Duration = Duration::from_secs(1);

/// The result of a batch.
#[derive(Debug, Default)]
pub struct Carried {
    /// The number of messages found.
    pub found: usize,
    /// The error if the broker took no message because it is unavailable.
    pub away: Option<BrokerError>,
}

/// Claims one batch and publishes it.
pub async fn carry(context: &Context, broker: &dyn Broker, batch: u64) -> Result<Carried> {
    let claimed_at = now();
    let session = context.store.begin(CLAIM).await?;
    let rows = outbox::claim(&session, &Channel::ALL, claimed_at, claimed_at + LEASE, batch).await?;
    session.commit().await?;
    deliver(context, broker, &rows).await
}

/// Publishes messages that this process holds by a lease.
pub async fn deliver(context: &Context, broker: &dyn Broker, rows: &[OutboxMessage]) -> Result<Carried> {
    if rows.is_empty() {
        return Ok(Carried::default());
    }
    let mut messages = Vec::with_capacity(rows.len());
    for row in rows {
        messages.push(
            Outgoing::from_outbox_message(row)
                .map_err(|error| crate::store::Error::unexpected("publishing the outbox", error.to_string()))?,
        );
    }
    let results = broker.publish(&messages).await;
    let (mut delivered, mut refused, mut away) = (Vec::new(), Vec::new(), None);
    for (row, result) in rows.iter().zip(results) {
        match result {
            Ok(()) => {
                metrics::published(row.channel.name());
                delivered.push(row.id);
            }
            Err(error) => {
                refused.push(row.id);
                if let BrokerError::Refused(why) = error {
                    let job = row.job_id.map(tracing::field::display);
                    tracing::warn!(message_id = %row.message_id, job, key = row.routing_key, why, "message refused; it stays in the outbox");
                } else {
                    // Each message has the same error. The caller logs it once.
                    away = Some(error);
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
    Ok(Carried { found: rows.len(), away })
}
