//! The relay, run: carries what this process's commits hand over, and what others left.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::{RELAY, Worker};
use crate::metrics;
use crate::retry::RetryPolicy;
use crate::stages::relay::Carried;
use crate::stages::{now, relay};
use crate::store::Error;
use crate::store::ledger::outbox::OutboxMessage;

impl Worker {
    /// Carries what this process's commits hand over as it comes, and looks for the rest now and then.
    pub(super) async fn relay(self, mut fresh: mpsc::Receiver<OutboxMessage>) {
        let mut look = tokio::time::interval(self.settings.poll.max(Duration::from_millis(1)));
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut retries = RetryPolicy::RECONNECT.start("carrying the outbox");
        let mut letters = Vec::new();
        loop {
            let carried = tokio::select! {
                () = self.stop.cancelled() => break,
                _ = fresh.recv_many(&mut letters, self.settings.relay_batch as usize) => self.deliver(&mut letters).await,
                _ = look.tick() => self.carry_all().await,
            };
            match carried {
                Ok(Carried { away: Some(error), .. }) => {
                    let _ = self.stop.run_until_cancelled(retries.wait_after(&error)).await;
                }
                Ok(_) => retries.reset(),
                Err(error) => {
                    let _ = self.stop.run_until_cancelled(retries.wait_after(&error)).await;
                }
            }
        }
        self.carry_the_last(fresh).await;
    }

    /// Delivers what was handed over, but for what has waited for so long that others may carry it.
    async fn deliver(&self, letters: &mut Vec<OutboxMessage>) -> Result<Carried, Error> {
        let _busy = metrics::busy(RELAY);
        let now = now();
        letters.retain(|letter| letter.leased_until.is_some_and(|until| until > now));
        let delivered = relay::deliver(&self.context, self.broker.as_ref(), letters).await;
        letters.clear();
        delivered
    }

    /// Claims and carries until nothing is left that is due, or the broker is away.
    async fn carry_all(&self) -> Result<Carried, Error> {
        let _busy = metrics::busy(RELAY);
        loop {
            let carried = relay::carry(&self.context, self.broker.as_ref(), self.settings.relay_batch).await?;
            if carried.found == 0 || carried.away.is_some() || self.stop.is_cancelled() {
                return Ok(carried);
            }
        }
    }

    /// The last messages of what was finished while draining.
    async fn carry_the_last(&self, mut fresh: mpsc::Receiver<OutboxMessage>) {
        let mut letters = Vec::new();
        while fresh.recv_many(&mut letters, self.settings.relay_batch as usize).await > 0 {
            if !matches!(self.deliver(&mut letters).await, Ok(Carried { away: None, .. })) {
                tracing::debug!("the outbox keeps its messages for the next worker");
                return;
            }
        }
    }
}
