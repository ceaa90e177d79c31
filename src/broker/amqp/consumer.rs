//! Messages in. A task for each consumer takes them from whichever connection there is and hands them on; the consumer
//! itself never notices that a connection was lost, only that some messages come twice.

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

use super::connection::{Link, Live};
use super::health::Health;
use super::topology::Topology;
use super::{AmqpSettings, BrokerError, Channel, Consumer, errors, message};
use crate::broker::{Incoming, Receipt};
use crate::retry::RetryPolicy;

/// A consumer that was given nothing for so long, and holds nothing, is started afresh. Where a queue is deleted and
/// declared again at once, RabbitMQ (3.10 at least) may neither cancel the consumers of the old one nor serve them.
const RENEW_AFTER: Duration = Duration::from_secs(20);

/// See the module. At most `prefetch` messages are on their way or unsettled: RabbitMQ counts them.
pub(super) struct AmqpConsumer {
    channel: Channel,
    fetched: mpsc::Receiver<Fetched>,
    stop: CancellationToken,
    settle_within: Duration,
}

impl AmqpConsumer {
    /// Starts the task. It ends with the token.
    pub(super) fn start(
        channel: Channel,
        prefetch: u16,
        link: Link,
        topology: Arc<Topology>,
        health: Arc<Health>,
        settings: Arc<AmqpSettings>,
        stop: CancellationToken,
    ) -> AmqpConsumer {
        let prefetch = prefetch.max(1);
        let (hand_on, fetched) = mpsc::channel(usize::from(prefetch));
        let fetcher = Fetcher {
            queue: topology.queue(channel),
            prefetch,
            link,
            topology,
            health,
            settings: settings.clone(),
            hand_on,
            stop: stop.clone(),
        };
        tokio::spawn(fetcher.run());
        AmqpConsumer { channel, fetched, stop, settle_within: settings.publish_timeout }
    }

    fn incoming(&self, fetched: Fetched) -> Incoming {
        let headers = message::incoming_headers(&fetched.delivery);
        let Fetched { delivery, channel } = fetched;
        Incoming {
            id: delivery.properties.message_id().as_ref().map(ToString::to_string),
            source: delivery.exchange.to_string(),
            routing_key: delivery.routing_key.to_string(),
            channel: self.channel,
            headers,
            content_type: delivery.properties.content_type().as_ref().map(ToString::to_string),
            reply_to: delivery.properties.reply_to().as_ref().map(ToString::to_string),
            correlation_id: delivery.properties.correlation_id().as_ref().map(ToString::to_string),
            published: message::published(&delivery),
            body: delivery.data,
            receipt: Box::new(AmqpReceipt { acker: Some(delivery.acker), channel, within: self.settle_within }),
        }
    }
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

/// A message that has arrived and has not been handed out. The channel stays open as long as somebody may settle.
struct Fetched {
    delivery: Delivery,
    channel: Arc<lapin::Channel>,
}

impl Fetched {
    /// Whether it can still be acknowledged. If its channel has gone, RabbitMQ delivers it again.
    fn is_current(&self) -> bool {
        self.delivery.acker.usable()
    }

    async fn requeue(self) {
        // If this fails the channel has gone, and the message is back already.
        let _ = self.delivery.acker.nack(requeue_options()).await;
    }
}

fn requeue_options() -> BasicNackOptions {
    BasicNackOptions { requeue: true, ..Default::default() }
}

/// The task's side of a consumer.
struct Fetcher {
    queue: String,
    prefetch: u16,
    link: Link,
    topology: Arc<Topology>,
    health: Arc<Health>,
    settings: Arc<AmqpSettings>,
    hand_on: mpsc::Sender<Fetched>,
    stop: CancellationToken,
}

/// Why a consumer ended that could have gone on.
enum Ended {
    /// It was told to, or nobody listens any more.
    Told,
    /// Nothing came.
    Idle,
}

impl Fetcher {
    async fn run(self) {
        let mut retries = RetryPolicy::RECONNECT.start("taking messages from RabbitMQ");
        while let Some(Some(live)) = self.stop.run_until_cancelled(self.link.connected()).await {
            let begun = Instant::now();
            let error = match self.fetch(&live).await {
                Ok(Ended::Told) => break,
                Ok(Ended::Idle) => continue,
                Err(error) => error,
            };
            if !live.is_open() {
                continue;
            }
            retries.reset_if_lasted(begun.elapsed());
            if self.stop.run_until_cancelled(retries.wait_after(&error)).await.is_none() {
                break;
            }
        }
        self.health.consumer_unhealthy(&self.queue, None);
    }

    /// Takes messages until told to stop, or until none come, or until the channel, the consumer or the connection ends.
    async fn fetch(&self, live: &Live) -> Result<Ended, BrokerError> {
        let Some(started) = self.stop.run_until_cancelled(self.start(live)).await else {
            return Ok(Ended::Told);
        };
        // A topology that is wrong is told by itself, a connection that has gone too.
        match &started {
            Ok(_) => self.health.consumer_unhealthy(&self.queue, None),
            Err(error @ (BrokerError::Unreachable(_) | BrokerError::TimedOut(_))) if live.is_open() => {
                self.health.consumer_unhealthy(&self.queue, Some(errors::reason(error)));
            }
            Err(_) => {}
        }
        let (channel, mut deliveries) = started?;
        let mut ended = Ended::Told;
        loop {
            let delivery = tokio::select! {
                () = self.stop.cancelled() => break,
                () = self.hand_on.closed() => break,
                delivery = deliveries.next() => delivery,
                () = tokio::time::sleep(RENEW_AFTER) => {
                    // Each message that is not settled yet holds the channel too.
                    if Arc::strong_count(&channel) > 1 {
                        continue;
                    }
                    ended = Ended::Idle;
                    break;
                }
            };
            let fetched = match delivery {
                Some(Ok(delivery)) => Fetched { delivery, channel: channel.clone() },
                Some(Err(error)) => return Err(self.interrupted(live, errors::words(&error))),
                None => return Err(self.interrupted(live, "RabbitMQ cancelled it: its queue was deleted".into())),
            };
            // There is room for the prefetch, unless messages of an earlier connection still lie there.
            tokio::select! {
                () = self.stop.cancelled() => { fetched.requeue().await; break }
                room = self.hand_on.reserve() => match room {
                    Ok(room) => room.send(fetched),
                    Err(_) => { fetched.requeue().await; break }
                }
            }
        }
        self.cancel(&channel, deliveries).await;
        Ok(ended)
    }

    /// The end of a connection is logged by its supervisor; only what happened to this consumer alone is news.
    fn interrupted(&self, live: &Live, reason: String) -> BrokerError {
        if live.is_open() {
            tracing::warn!(queue = self.queue, reason, "consumer interrupted, starting it again");
        }
        BrokerError::Unreachable(reason)
    }

    async fn start(&self, live: &Live) -> Result<(Arc<lapin::Channel>, lapin::Consumer), BrokerError> {
        self.topology.declare(live, self.settings.connect_timeout).await?;
        let started = tokio::time::timeout(self.settings.connect_timeout, async {
            let channel = live.open_channel().await?;
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
            BrokerError::Unreachable(format!("consuming was not answered within {:?}", self.settings.connect_timeout))
        })?;
        if started.is_ok() {
            tracing::debug!(queue = self.queue, prefetch = self.prefetch, broker = live.place(), "consuming");
        }
        started
    }

    /// After the reply to the cancel nothing more comes; what came before it goes back.
    async fn cancel(&self, channel: &lapin::Channel, mut deliveries: lapin::Consumer) {
        let cancel = async {
            channel.basic_cancel(deliveries.tag(), BasicCancelOptions::default()).await?;
            while let Some(Ok(delivery)) = deliveries.next().await {
                delivery.acker.nack(requeue_options()).await?;
            }
            Ok::<_, lapin::Error>(())
        };
        if let Ok(Err(error)) = tokio::time::timeout(self.settings.connect_timeout, cancel).await {
            tracing::debug!(queue = self.queue, %error, "the consumer ended before it was cancelled");
        }
    }
}

/// Settles by the channel that the message came by, never by another. Dropped unsettled it gives the message back, so
/// that a task that died does not hold its place in the prefetch for ever.
struct AmqpReceipt {
    acker: Option<Acker>,
    /// Held open: RabbitMQ takes messages back when their channel closes.
    channel: Arc<lapin::Channel>,
    within: Duration,
}

#[async_trait]
impl Receipt for AmqpReceipt {
    async fn ack(mut self: Box<Self>) -> Result<(), BrokerError> {
        match self.acker.take() {
            Some(acker) => settled(self.within, acker.ack(BasicAckOptions::default())).await,
            None => Ok(()),
        }
    }

    async fn requeue(mut self: Box<Self>) -> Result<(), BrokerError> {
        match self.acker.take() {
            Some(acker) => settled(self.within, acker.nack(requeue_options())).await,
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
            tracing::debug!("a message was dropped unsettled: giving it back");
            let channel = self.channel.clone();
            runtime.spawn(async move {
                let _ = acker.nack(requeue_options()).await;
                drop(channel);
            });
        }
    }
}

/// lapin answers `false`, not an error, if the channel ended before: the message was *not* settled.
async fn settled(within: Duration, sent: impl Future<Output = lapin::Result<bool>>) -> Result<(), BrokerError> {
    match tokio::time::timeout(within, sent).await {
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false)) => Err(BrokerError::Unreachable("the message's channel has gone; it will come again".into())),
        Ok(Err(error)) => Err(errors::unreachable(&error)),
        Err(_) => Err(BrokerError::TimedOut(within)),
    }
}
