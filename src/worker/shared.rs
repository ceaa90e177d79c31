//! State and functions that every loop of a worker uses.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::host_activity::HostActivity;
use super::settings::Settings;
use super::throttle::Throttle;
use super::{dead_letter, step_log};
use crate::broker::{Broker, Consumer, Incoming};
use crate::metrics;
use crate::retry::RetryPolicy;
use crate::stages::{Context, DeadLetterReason, Outcome};
use crate::trace::Span;

/// A worker. Each of its loops owns a clone.
#[derive(Clone)]
pub(super) struct Worker {
    pub(super) context: Context,
    pub(super) broker: Arc<dyn Broker>,
    pub(super) settings: Settings,
    pub(super) throttle: Arc<Throttle>,
    pub(super) host_activity: Arc<HostActivity>,
    pub(super) stop: CancellationToken,
}

impl Worker {
    /// Receives the next message. Returns `None` once the worker is stopped.
    pub(super) async fn receive(&self, consumer: &mut Box<dyn Consumer>) -> Option<Incoming> {
        self.stop.run_until_cancelled(consumer.next()).await.flatten()
    }

    /// Sends a message to the dead-letter queue if its outcome says so. Ends the message's span.
    pub(super) async fn dead_letter_if_refused(&self, incoming: &Incoming, outcome: &Outcome, mut span: Span) {
        if let Outcome::DeadLetter(reason) = outcome {
            let code = reason.fault.code.name();
            step_log::dead_lettered(incoming, code);
            span.set_failed(code);
            self.dead_letter(incoming, reason).await;
            metrics::dead_lettered(code);
        }
    }

    /// Publishes a dead letter, as often as it takes. The original must not be acknowledged before this is confirmed.
    async fn dead_letter(&self, incoming: &Incoming, reason: &DeadLetterReason) {
        let mut retries = RetryPolicy::RECONNECT.start("publishing a dead letter");
        let message = [dead_letter::dead_letter(incoming, reason)];
        while let Some(Err(error)) = self.broker.publish(&message).await.pop() {
            retries.wait_after(&error).await;
        }
    }
}

/// Acknowledges a message whose outcome is committed, or which is in the dead-letter queue.
pub(super) async fn acknowledge(incoming: Incoming) {
    if let Err(error) = incoming.receipt.ack().await {
        tracing::debug!(%error, "acknowledgement failed; the message is redelivered, which changes nothing");
    }
}

/// Counts a received message.
pub(super) fn count_received(incoming: &Incoming) {
    metrics::message_received(incoming.channel.name(), incoming.published);
}
