//! The relay's loop: publishes the messages that the worker's commits hand over, those of other commits of this process, and those of
//! other processes.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::settings::Role;
use super::shared::Worker;
use crate::metrics;
use crate::retry::RetryPolicy;
use crate::stages::relay::Carried;
use crate::stages::{now, relay};
use crate::store::Result;
use crate::store::ledger::outbox::OutboxMessage;

impl Worker {
    /// Publishes messages as commits hand them over, and looks for the others when a commit notifies it and at each poll, until the
    /// worker stops.
    pub(super) async fn run_relay(self, mut handed_over: mpsc::Receiver<OutboxMessage>) {
        let mut poll = tokio::time::interval(self.settings.poll.max(Duration::from_millis(1)));
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut retries = RetryPolicy::RECONNECT.start("carrying the outbox");
        let mut messages = Vec::new();
        let batch = self.settings.relay_batch as usize;
        let notified = self.context.store.handoff.notified();
        tokio::pin!(notified);
        loop {
            let carried = tokio::select! {
                () = self.stop.cancelled() => break,
                _ = handed_over.recv_many(&mut messages, batch) => self.deliver(&mut messages).await,
                () = &mut notified => {
                    // Subscribe before looking, so that a message written in between is noticed as well.
                    notified.set(self.context.store.handoff.notified());
                    self.carry_all().await
                }
                _ = poll.tick() => self.carry_all().await,
            };
            match carried {
                Ok(Carried { away: Some(error), .. }) => {
                    let _ = self.stop.run_until_cancelled(retries.wait_after(&error)).await;
                }
                Ok(Carried { away: None, .. }) => retries.reset(),
                Err(error) => {
                    let _ = self.stop.run_until_cancelled(retries.wait_after(&error)).await;
                }
            }
        }
        self.deliver_rest(handed_over).await;
    }

    /// Publishes the messages that were handed over, except those whose lease has expired: another relay may have them.
    async fn deliver(&self, messages: &mut Vec<OutboxMessage>) -> Result<Carried> {
        let _busy = metrics::busy(Role::Relay.label());
        let now = now();
        messages.retain(|message| message.leased_until.is_some_and(|until| until > now));
        let delivered = relay::deliver(&self.context, self.broker.as_ref(), messages).await;
        messages.clear();
        delivered
    }

    /// Claims and publishes until nothing is due, or the broker is unavailable.
    async fn carry_all(&self) -> Result<Carried> {
        let _busy = metrics::busy(Role::Relay.label());
        loop {
            let carried = relay::carry(&self.context, self.broker.as_ref(), self.settings.relay_batch).await?;
            if carried.found == 0 || carried.away.is_some() || self.stop.is_cancelled() {
                return Ok(carried);
            }
        }
    }

    /// Publishes the messages of work that finishes while the worker drains.
    async fn deliver_rest(&self, mut handed_over: mpsc::Receiver<OutboxMessage>) {
        let mut messages = Vec::new();
        while handed_over.recv_many(&mut messages, self.settings.relay_batch as usize).await > 0 {
            if !matches!(self.deliver(&mut messages).await, Ok(Carried { away: None, .. })) {
                tracing::debug!("the outbox keeps its messages for the next worker");
                return;
            }
        }
    }
}
