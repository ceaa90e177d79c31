//! Publishes batches. Each batch has its own channel, so that returned messages cannot be confused with another batch's. Idle
//! channels are reused, failed ones are not.
//!
//! Each batch is sent by its own task, which outlives the caller. A channel with open confirms must not be closed: lapin would
//! send the close before its remaining messages, and RabbitMQ would end the connection over that.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use lapin::options::ConfirmSelectOptions;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::batch_results::{BatchResults, SendResult};
use super::dial::Connection;
use super::errors;
use super::health::Health;
use super::managed_connection::ManagedConnection;
use super::outbound::{Outbound, Requeued};
use super::senders::Senders;
use super::settings::AmqpSettings;
use super::spans;
use super::topology::Topology;
use crate::broker::error::BrokerError;
use crate::broker::message::{Outgoing, ReplyMessage};
use crate::trace::{self, Span};

/// Batches in flight at a time; a further one waits within its time limit.
const MAX_BATCHES: usize = 8;

/// Unconfirmed messages of one batch. With [`MAX_BATCHES`] it bounds the memory that lapin uses.
const WINDOW: usize = 256;

/// Extra time at the time limit, to read confirms that have already arrived.
const GRACE: Duration = Duration::from_millis(50);

/// Publishes batches on one connection.
#[derive(Clone)]
pub(super) struct Publisher(Arc<Shared>);

impl Publisher {
    pub(super) fn new(
        settings: &AmqpSettings,
        connection: ManagedConnection,
        topology: Arc<Topology>,
        senders: Arc<Senders>,
        health: Arc<Health>,
    ) -> Publisher {
        Publisher(Arc::new(Shared {
            limit: settings.publish_timeout,
            connection,
            topology,
            senders,
            health,
            permits: Arc::new(Semaphore::new(MAX_BATCHES)),
            ready: Mutex::new(None),
        }))
    }

    /// Publishes messages. Returns one result for each, in order, within the time limit.
    pub(super) async fn publish(&self, messages: &[Outgoing]) -> Vec<Result<(), BrokerError>> {
        if !trace::is_enabled() {
            return self.send_all(messages, Outbound::new).await;
        }
        let traced = messages.iter().map(|message| spans::publishing(&self.0.topology, message));
        let (spans, messages): (Vec<Span>, Vec<Outgoing>) = traced.unzip();
        let results = self.send_all(&messages, Outbound::new).await;
        spans.into_iter().zip(&results).for_each(|(span, result)| spans::end(span, result));
        results
    }

    /// Like [`Publisher::publish`], for replies.
    pub(super) async fn reply(&self, replies: &[ReplyMessage]) -> Vec<Result<(), BrokerError>> {
        self.send_all(replies, Outbound::for_reply).await
    }

    /// Like [`Publisher::publish`], for messages to return to a queue. An input error is returned as that message's result.
    pub(super) async fn requeue(&self, messages: &[Result<Requeued, BrokerError>]) -> Vec<Result<(), BrokerError>> {
        self.send_all(messages, Outbound::for_requeue).await
    }

    async fn send_all<T: Sync>(&self, messages: &[T], prepare: Prepare<T>) -> Vec<Result<(), BrokerError>> {
        let deadline = Instant::now() + self.0.limit;
        let mut results = self.0.clone().send(messages, prepare, deadline).await;
        // RabbitMQ closes the channel over a message that it rejects, and does not say which. Send each one alone to find it.
        if messages.len() > 1 && results.iter().any(|result| matches!(result, SendResult::Suspect(_))) {
            for (result, message) in results.iter_mut().zip(messages) {
                if matches!(result, SendResult::Suspect(_) | SendResult::Failed(_)) {
                    let mut alone = self.0.clone().send(std::slice::from_ref(message), prepare, deadline).await;
                    if let Some(alone) = alone.pop() {
                        *result = alone;
                    }
                }
            }
        }
        results.into_iter().map(SendResult::into_result).collect()
    }
}

/// Prepares a message for sending.
type Prepare<T> = fn(&Topology, &Senders, &T) -> Result<Outbound, BrokerError>;

struct Shared {
    limit: Duration,
    connection: ManagedConnection,
    topology: Arc<Topology>,
    senders: Arc<Senders>,
    health: Arc<Health>,
    permits: Arc<Semaphore>,
    ready: Mutex<Option<Ready>>,
}

/// The connection and the channels that are ready for use.
struct Ready {
    connection: Connection,
    /// True if the topology was declared on this connection and no message has failed since.
    declared: bool,
    channels: Vec<lapin::Channel>,
}

/// A channel for one batch, with the permit to send one.
struct BatchChannel {
    connection: Connection,
    channel: lapin::Channel,
    _permit: OwnedSemaphorePermit,
}

impl Shared {
    async fn send<T: Sync>(
        self: Arc<Shared>,
        messages: &[T],
        prepare: Prepare<T>,
        deadline: Instant,
    ) -> Vec<SendResult> {
        let mut results = vec![SendResult::Confirmed; messages.len()];
        let mut outbound = Vec::with_capacity(messages.len());
        // The positions of the prepared messages in `messages`.
        let mut indexes = Vec::with_capacity(messages.len());
        for (index, message) in messages.iter().enumerate() {
            match prepare(&self.topology, &self.senders, message) {
                Ok(prepared) => {
                    outbound.push(prepared);
                    indexes.push(index);
                }
                Err(error) => results[index] = SendResult::Failed(error),
            }
        }
        if outbound.is_empty() {
            return results;
        }
        let channel = timeout_at(deadline, self.batch_channel()).await;
        let sent = match channel.unwrap_or(Err(BrokerError::TimedOut(self.limit))) {
            Ok(channel) => {
                let (reply, sent) = oneshot::channel();
                tokio::spawn(self.send_batch(channel, outbound, deadline, reply));
                sent.await.map_err(|_| BrokerError::Unreachable("the runtime is shutting down".into()))
            }
            Err(error) => Err(error),
        };
        let sent = sent.unwrap_or_else(|error| vec![SendResult::Failed(error); indexes.len()]);
        for (index, result) in indexes.into_iter().zip(sent) {
            results[index] = result;
        }
        results
    }

    async fn batch_channel(&self) -> Result<BatchChannel, BrokerError> {
        // Check before waiting for a permit too: while the broker blocks, batches in flight may keep theirs for long.
        self.usable()?;
        let permit = self.permits.clone().acquire_owned().await;
        let permit = permit.map_err(|_| BrokerError::Unreachable("it was closed".into()))?;
        let connection = self.usable()?;
        let (declared, idle) = self.take_idle(&connection);
        if !declared {
            self.topology.declare(&connection, self.limit).await?;
            self.set_declared(&connection, true);
        }
        let channel = match idle {
            Some(channel) => channel,
            None => {
                let channel = connection.open_channel().await?;
                let confirms = channel.confirm_select(ConfirmSelectOptions::default()).await;
                confirms.map_err(|error| errors::unreachable(&error))?;
                channel
            }
        };
        Ok(BatchChannel { connection, channel, _permit: permit })
    }

    fn usable(&self) -> Result<Connection, BrokerError> {
        let connection = self.connection.current()?;
        if connection.is_blocked() {
            let reason = self.health.blocked_reason();
            return Err(BrokerError::Unreachable(format!("RabbitMQ blocks publishers: {reason}")));
        }
        Ok(connection)
    }

    /// Sends a batch and reports the results by the deadline. Then waits until the channel can be released.
    async fn send_batch(
        self: Arc<Shared>,
        batch: BatchChannel,
        outbound: Vec<Outbound>,
        deadline: Instant,
        reply: oneshot::Sender<Vec<SendResult>>,
    ) {
        let mut results = BatchResults::new(&outbound, self.limit);
        let mut outbound = outbound.into_iter().enumerate();
        let mut in_flight = FuturesUnordered::new();
        let in_time = loop {
            while in_flight.len() < WINDOW
                && let Some((index, message)) = outbound.next()
            {
                in_flight.push(message.send(index, batch.channel.clone()));
            }
            tokio::select! {
                done = in_flight.next() => match done {
                    Some((index, outcome)) => results.record(index, outcome),
                    None => break true,
                },
                () = sleep_until(deadline) => break false,
            }
        };
        if !in_time {
            let arrived = async {
                while let Some((index, outcome)) = in_flight.next().await {
                    results.record(index, outcome);
                }
            };
            let _ = timeout(GRACE, arrived).await;
        }
        let results = results.finish();
        if results.iter().all(|result| matches!(result, SendResult::Confirmed)) {
            self.put_back(batch);
            // If the caller is gone, nobody needs the results.
            let _ = reply.send(results);
            return;
        }
        // A missing queue or binding may be the cause: declare the topology again before the next batch.
        self.set_declared(&batch.connection, false);
        let _ = reply.send(results);
        while timeout(self.limit, async { while in_flight.next().await.is_some() {} }).await.is_err() {
            // A blocked connection is worth waiting for: lapin holds its messages back until the broker accepts them again.
            if !batch.connection.is_blocked() {
                tracing::warn!(broker = batch.connection.address(), "RabbitMQ does not confirm; reconnecting");
                batch.connection.cut();
            }
        }
    }

    fn take_idle(&self, connection: &Connection) -> (bool, Option<lapin::Channel>) {
        let mut ready = self.lock();
        match ready.as_mut().filter(|ready| ready.connection.is_same(connection)) {
            Some(ready) => (ready.declared, ready.channels.pop().filter(|channel| channel.status().connected())),
            None => {
                *ready = Some(Ready { connection: connection.clone(), declared: false, channels: Vec::new() });
                (false, None)
            }
        }
    }

    fn put_back(&self, batch: BatchChannel) {
        if let Some(ready) = self.lock().as_mut().filter(|ready| ready.connection.is_same(&batch.connection)) {
            ready.channels.push(batch.channel);
        }
    }

    fn set_declared(&self, connection: &Connection, declared: bool) {
        if let Some(ready) = self.lock().as_mut().filter(|ready| ready.connection.is_same(connection)) {
            ready.declared = declared;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Ready>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
