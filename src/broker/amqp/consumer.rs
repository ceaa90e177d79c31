//! Receives messages. Each consumer has a task that fetches messages from the current connection. The consumer never sees a
//! lost connection, only that some messages arrive twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::StreamExt;
use lapin::Acker;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions};
use lapin::types::FieldTable;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::dial::Connection;
use super::health::Health;
use super::managed_connection::ManagedConnection;
use super::senders::Senders;
use super::settings::AmqpSettings;
use super::topology::Topology;
use super::{errors, properties};
use crate::broker::api::Consumer;
use crate::broker::dead_letter::ROUTING_KEY;
use crate::broker::error::BrokerError;
use crate::broker::message::{Channel, Incoming, Receipt, shorten};
use crate::retry::RetryPolicy;

/// A consumer that receives nothing for this long, and holds nothing, is restarted. If a queue is deleted and declared again at
/// once, RabbitMQ (3.10 at least) may neither cancel the consumers of the old queue nor serve them.
const RENEW_AFTER: Duration = Duration::from_secs(20);

/// A consumer of one queue. RabbitMQ limits its unacknowledged messages to `prefetch`.
pub(super) struct AmqpConsumer {
    channel: Channel,
    fetched: mpsc::Receiver<Fetched>,
    senders: Arc<Senders>,
    stop: CancellationToken,
    ack_timeout: Duration,
}

/// The parts of a broker that a consumer uses.
pub(super) struct Parts {
    pub(super) connection: ManagedConnection,
    pub(super) topology: Arc<Topology>,
    pub(super) health: Arc<Health>,
    pub(super) settings: Arc<AmqpSettings>,
    pub(super) senders: Arc<Senders>,
    /// Ends the fetching task.
    pub(super) stop: CancellationToken,
}

impl AmqpConsumer {
    /// Starts the fetching task, which ends with the token.
    pub(super) fn start(channel: Channel, prefetch: u16, parts: Parts) -> AmqpConsumer {
        let Parts { connection, topology, health, settings, senders, stop } = parts;
        let prefetch = prefetch.max(1);
        let (forward, fetched) = mpsc::channel(usize::from(prefetch));
        let fetcher = Fetcher {
            queue: topology.queue(channel),
            prefetch,
            connection,
            topology,
            health,
            settings: settings.clone(),
            forward,
            stop: stop.clone(),
        };
        tokio::spawn(fetcher.run());
        AmqpConsumer { channel, fetched, senders, stop, ack_timeout: settings.publish_timeout }
    }

    fn incoming(&self, fetched: Fetched) -> Incoming {
        let headers = properties::incoming_headers(&fetched.delivery);
        let Fetched { delivery, body_bytes, channel } = fetched;
        Incoming {
            id: delivery.properties.message_id().as_ref().map(ToString::to_string),
            source: delivery.exchange.to_string(),
            routing_key: original_key(&delivery, &headers),
            channel: self.channel,
            sender: self.senders.sender(&delivery.properties, &headers),
            headers,
            content_type: delivery.properties.content_type().as_ref().map(ToString::to_string),
            reply_to: delivery.properties.reply_to().as_ref().map(ToString::to_string),
            correlation_id: delivery.properties.correlation_id().as_ref().map(ToString::to_string),
            published: properties::published(&delivery),
            body: delivery.data,
            body_bytes,
            receipt: Box::new(AmqpReceipt { acker: Some(delivery.acker), channel, timeout: self.ack_timeout }),
        }
    }
}

/// Returns the routing key with which the sender published. A replayed message comes straight to its queue, with that key in a
/// header.
fn original_key(delivery: &Delivery, headers: &BTreeMap<String, String>) -> String {
    let replayed = headers.get(ROUTING_KEY).filter(|_| delivery.exchange.as_str().is_empty());
    replayed.cloned().unwrap_or_else(|| delivery.routing_key.to_string())
}

#[async_trait]
impl Consumer for AmqpConsumer {
    async fn next(&mut self) -> Option<Incoming> {
        loop {
            let fetched = self.fetched.recv().await?;
            if fetched.is_current() {
                return Some(self.incoming(fetched));
            }
        }
    }

    fn try_next(&mut self) -> Option<Incoming> {
        loop {
            let fetched = self.fetched.try_recv().ok()?;
            if fetched.is_current() {
                return Some(self.incoming(fetched));
            }
        }
    }

    async fn stop(&mut self) {
        self.stop.cancel();
        while let Some(fetched) = self.fetched.recv().await {
            fetched.requeue().await;
        }
    }
}

impl Drop for AmqpConsumer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A message that arrived and was not returned yet. It keeps its channel open, so that it can be acknowledged.
struct Fetched {
    /// Its body is shortened, so that a full prefetch of long messages needs little memory.
    delivery: Delivery,
    body_bytes: usize,
    channel: Arc<lapin::Channel>,
}

impl Fetched {
    /// Returns true if the message can still be acknowledged. If its channel is gone, RabbitMQ redelivers it.
    fn is_current(&self) -> bool {
        self.delivery.acker.usable()
    }

    async fn requeue(self) {
        // If this fails the channel is gone, and the message is back already.
        let _ = self.delivery.acker.nack(requeue_options()).await;
    }
}

fn requeue_options() -> BasicNackOptions {
    BasicNackOptions { requeue: true, ..Default::default() }
}

/// The fetching task of a consumer.
struct Fetcher {
    queue: String,
    prefetch: u16,
    connection: ManagedConnection,
    topology: Arc<Topology>,
    health: Arc<Health>,
    settings: Arc<AmqpSettings>,
    forward: mpsc::Sender<Fetched>,
    stop: CancellationToken,
}

/// The reason why a working consumer ended.
enum Ended {
    /// It was stopped or dropped.
    Stopped,
    /// No message arrived.
    Idle,
}

impl Fetcher {
    async fn run(self) {
        let mut retries = RetryPolicy::RECONNECT.start("taking messages from RabbitMQ");
        while let Some(Some(connection)) = self.stop.run_until_cancelled(self.connection.connected()).await {
            let started = Instant::now();
            let error = match self.fetch(&connection).await {
                Ok(Ended::Stopped) => break,
                Ok(Ended::Idle) => continue,
                Err(error) => error,
            };
            if !connection.is_open() {
                continue;
            }
            retries.reset_if_lasted(started.elapsed());
            if self.stop.run_until_cancelled(retries.wait_after(&error)).await.is_none() {
                break;
            }
        }
        self.health.set_consumer_unhealthy(&self.queue, None);
    }

    /// Fetches messages until the consumer is stopped or idle, or until the channel, the consumer or the connection ends.
    async fn fetch(&self, connection: &Connection) -> Result<Ended, BrokerError> {
        let Some(started) = self.stop.run_until_cancelled(self.start(connection)).await else {
            return Ok(Ended::Stopped);
        };
        // A wrong topology and a lost connection are reported elsewhere.
        match &started {
            Ok(_) => self.health.set_consumer_unhealthy(&self.queue, None),
            Err(error @ (BrokerError::Unreachable(_) | BrokerError::TimedOut(_))) if connection.is_open() => {
                self.health.set_consumer_unhealthy(&self.queue, Some(errors::reason(error)));
            }
            Err(
                BrokerError::Unreachable(_)
                | BrokerError::TimedOut(_)
                | BrokerError::Refused(_)
                | BrokerError::Configuration(_)
                | BrokerError::Topology(_)
                | BrokerError::Outbox(_),
            ) => {}
        }
        let (channel, mut deliveries) = started?;
        let mut ended = Ended::Stopped;
        loop {
            let delivery = tokio::select! {
                () = self.stop.cancelled() => break,
                () = self.forward.closed() => break,
                delivery = deliveries.next() => delivery,
                () = tokio::time::sleep(RENEW_AFTER) => {
                    // Each unacknowledged message holds the channel too.
                    if Arc::strong_count(&channel) > 1 {
                        continue;
                    }
                    ended = Ended::Idle;
                    break;
                }
            };
            let fetched = match delivery {
                Some(Ok(mut delivery)) => {
                    let body_bytes = shorten(&mut delivery.data);
                    Fetched { delivery, body_bytes, channel: channel.clone() }
                }
                Some(Err(error)) => return Err(self.interrupted(connection, errors::message(&error))),
                None => return Err(self.interrupted(connection, "RabbitMQ cancelled it: its queue was deleted".into())),
            };
            // There is room for the prefetch, unless messages of an earlier connection are still unread.
            tokio::select! {
                () = self.stop.cancelled() => { fetched.requeue().await; break }
                room = self.forward.reserve() => match room {
                    Ok(room) => room.send(fetched),
                    Err(_) => { fetched.requeue().await; break }
                }
            }
        }
        self.cancel(&channel, deliveries).await;
        Ok(ended)
    }

    /// Logs an interruption of this consumer alone. The supervisor logs the end of a connection.
    fn interrupted(&self, connection: &Connection, reason: String) -> BrokerError {
        if connection.is_open() {
            tracing::warn!(queue = self.queue, reason, "consumer interrupted; restarting");
        }
        BrokerError::Unreachable(reason)
    }

    async fn start(&self, connection: &Connection) -> Result<(Arc<lapin::Channel>, lapin::Consumer), BrokerError> {
        self.topology.declare(connection, self.settings.connect_timeout).await?;
        let started = tokio::time::timeout(self.settings.connect_timeout, async {
            let channel = connection.open_channel().await?;
            let qos = channel.basic_qos(self.prefetch, BasicQosOptions::default());
            qos.await.map_err(|error| errors::unreachable(&error))?;
            let queue = self.queue.as_str().into();
            let consume =
                channel.basic_consume(queue, "".into(), BasicConsumeOptions::default(), FieldTable::default());
            let deliveries = consume.await.map_err(|error| errors::unreachable(&error))?;
            Ok((Arc::new(channel), deliveries))
        })
        .await
        .map_err(|_| {
            BrokerError::Unreachable(format!(
                "starting the consumer timed out after {:?}",
                self.settings.connect_timeout
            ))
        })?;
        if started.is_ok() {
            tracing::debug!(queue = self.queue, prefetch = self.prefetch, broker = connection.address(), "consuming");
        }
        started
    }

    /// Cancels the consumer. After the reply nothing more arrives; messages that arrived before it are requeued.
    async fn cancel(&self, channel: &lapin::Channel, mut deliveries: lapin::Consumer) {
        let cancel = async {
            channel.basic_cancel(deliveries.tag(), BasicCancelOptions::default()).await?;
            while let Some(Ok(delivery)) = deliveries.next().await {
                delivery.acker.nack(requeue_options()).await?;
            }
            Ok::<_, lapin::Error>(())
        };
        if let Ok(Err(error)) = tokio::time::timeout(self.settings.connect_timeout, cancel).await {
            tracing::debug!(queue = self.queue, %error, "consumer ended before it was cancelled");
        }
    }
}

/// Acknowledges on the channel that delivered the message, never on another. If it is dropped unused, it requeues the message,
/// so that a failed task does not hold its place in the prefetch forever.
struct AmqpReceipt {
    acker: Option<Acker>,
    /// Kept open: RabbitMQ requeues messages when their channel closes.
    channel: Arc<lapin::Channel>,
    timeout: Duration,
}

#[async_trait]
impl Receipt for AmqpReceipt {
    async fn ack(mut self: Box<Self>) -> Result<(), BrokerError> {
        match self.acker.take() {
            Some(acker) => sent(self.timeout, acker.ack(BasicAckOptions::default())).await,
            None => Ok(()),
        }
    }

    async fn requeue(mut self: Box<Self>) -> Result<(), BrokerError> {
        match self.acker.take() {
            Some(acker) => sent(self.timeout, acker.nack(requeue_options())).await,
            None => Ok(()),
        }
    }
}

impl Drop for AmqpReceipt {
    fn drop(&mut self) {
        let Some(acker) = self.acker.take().filter(Acker::usable) else {
            return;
        };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            tracing::debug!("requeueing a message that was dropped without acknowledgement");
            let channel = self.channel.clone();
            runtime.spawn(async move {
                let _ = acker.nack(requeue_options()).await;
                drop(channel);
            });
        }
    }
}

/// Waits until the acknowledgement is sent. lapin returns `false`, not an error, if the channel ended before that.
async fn sent(timeout: Duration, settling: impl Future<Output = lapin::Result<bool>>) -> Result<(), BrokerError> {
    match tokio::time::timeout(timeout, settling).await {
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false)) => {
            Err(BrokerError::Unreachable("the channel of the message is gone; RabbitMQ redelivers it".into()))
        }
        Ok(Err(error)) => Err(errors::unreachable(&error)),
        Err(_) => Err(BrokerError::TimedOut(timeout)),
    }
}
