//! The dead-letter queue on RabbitMQ. Messages are fetched and not acknowledged, so that the broker holds them, and requeues
//! them if this process dies.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::future::join_all;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicGetOptions, BasicNackOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Acker, BasicProperties};
use time::OffsetDateTime;
use uuid::Uuid;

use super::dial::Connection;
use super::outbound::Requeued;
use super::publisher::Publisher;
use super::senders::Senders;
use super::topology::Topology;
use super::{errors, properties};
use crate::broker::dead_letter::{
    DeadLetter, DeadLetterQueue, REPLAYED_AT, REPLAYS, ROUTING_KEY, is_death_header, no_origin,
};
use crate::broker::error::BrokerError;
use crate::broker::message::Channel;
use crate::broker::sender::PRINCIPAL;

/// Messages to request at a time. Pipelining hides the round-trip time.
const FETCH_BATCH: u32 = 64;

/// Messages to requeue at a time. RabbitMQ keeps their order while at most 32 are in flight.
const REQUEUE_BATCH: usize = 16;

/// The time to wait for a requeued batch before requeueing the next.
const REQUEUE_TIMEOUT: Duration = Duration::from_secs(1);

/// The open dead-letter queue.
pub(super) struct AmqpDeadLetters {
    topology: Arc<Topology>,
    publisher: Publisher,
    senders: Arc<Senders>,
    channel: lapin::Channel,
    timeout: Duration,
    /// Messages that were in the queue when it was opened and are not fetched yet. Later ones are not read.
    left: u32,
    /// Fetched messages that were not returned yet.
    unread: VecDeque<Delivery>,
    /// The number of the last message returned.
    last_number: i64,
    held: BTreeMap<i64, Held>,
}

/// A message that is not acknowledged.
struct Held {
    acker: Acker,
    properties: BasicProperties,
}

impl AmqpDeadLetters {
    pub(super) async fn open(
        connection: &Connection,
        topology: Arc<Topology>,
        publisher: Publisher,
        senders: Arc<Senders>,
        timeout: Duration,
    ) -> Result<AmqpDeadLetters, BrokerError> {
        let channel = connection.open_channel().await?;
        let mut queue = AmqpDeadLetters {
            topology,
            publisher,
            senders,
            channel,
            timeout,
            left: 0,
            unread: VecDeque::new(),
            last_number: 0,
            held: BTreeMap::new(),
        };
        queue.left = queue.ready().await?;
        Ok(queue)
    }

    /// Returns the number of messages that are ready for delivery.
    async fn ready(&self) -> Result<u32, BrokerError> {
        let name = self.topology.queue(Channel::Dead);
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let declared = self.channel.queue_declare(name.into(), options, FieldTable::default());
        let declared = tokio::time::timeout(self.timeout, declared).await;
        let queue = declared.map_err(|_| BrokerError::TimedOut(self.timeout))?;
        queue.map(|queue| queue.message_count()).map_err(|error| errors::unreachable(&error))
    }

    /// Fetches the next batch, in order.
    async fn fetch(&mut self) -> Result<(), BrokerError> {
        let requested = self.left.min(FETCH_BATCH);
        let name = self.topology.queue(Channel::Dead);
        let gets = (0..requested).map(|_| self.channel.basic_get(name.as_str().into(), BasicGetOptions::default()));
        let got = tokio::time::timeout(self.timeout, join_all(gets)).await;
        for got in got.map_err(|_| BrokerError::TimedOut(self.timeout))? {
            self.unread.extend(got.map_err(|error| errors::unreachable(&error))?.map(|got| got.delivery));
        }
        self.unread.make_contiguous().sort_by_key(|delivery| delivery.delivery_tag);
        // Fewer messages than expected: another reader takes them too.
        self.left = if self.unread.len() < requested as usize { 0 } else { self.left - requested };
        Ok(())
    }

    /// Waits until RabbitMQ has processed every acknowledgement. Messages requeued before that return in no order. RabbitMQ
    /// answers a fetch in turn; the first answer may overtake the acknowledgements, the second does not.
    async fn until_processed(&mut self) -> Result<(), BrokerError> {
        if self.held.len() as i64 == self.last_number {
            return Ok(());
        }
        for _ in 0..2 {
            self.left = 1;
            self.fetch().await?;
        }
        // Messages fetched by these queries are requeued with the others.
        while let Some(Delivery { acker, properties, .. }) = self.unread.pop_front() {
            self.last_number += 1;
            self.held.insert(self.last_number, Held { acker, properties });
        }
        Ok(())
    }

    /// Waits until this many messages are ready, within a time limit: another reader may take them.
    async fn until_ready(&self, count: u32) -> Result<(), BrokerError> {
        let deadline = Instant::now() + REQUEUE_TIMEOUT;
        while self.ready().await? < count && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }

    async fn acknowledge(&mut self, number: i64) -> Result<(), BrokerError> {
        let Some(held) = self.held.remove(&number) else { return Ok(()) };
        let acked = tokio::time::timeout(self.timeout, held.acker.ack(BasicAckOptions::default())).await;
        match acked {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => {
                Err(BrokerError::Unreachable("the connection was lost; the message is back in the queue".into()))
            }
            Ok(Err(error)) => Err(errors::unreachable(&error)),
            Err(_) => Err(BrokerError::TimedOut(self.timeout)),
        }
    }

    fn requeued(&self, dead_letter: &DeadLetter, now: OffsetDateTime) -> Result<Requeued, BrokerError> {
        let held = self.held.get(&dead_letter.number).ok_or_else(|| no_origin(dead_letter))?;
        let channel = dead_letter.origin.ok_or_else(|| no_origin(dead_letter))?;
        Ok(Requeued {
            queue: self.topology.queue(channel),
            properties: requeued_properties(&self.senders, held.properties.clone(), dead_letter, now)?,
            body: dead_letter.body.clone(),
        })
    }
}

#[async_trait]
impl DeadLetterQueue for AmqpDeadLetters {
    async fn next(&mut self) -> Result<Option<DeadLetter>, BrokerError> {
        if self.unread.is_empty() {
            self.fetch().await?;
        }
        let Some(delivery) = self.unread.pop_front() else { return Ok(None) };
        self.last_number += 1;
        let id = delivery.properties.message_id().as_ref().map(ToString::to_string);
        let headers = properties::incoming_headers(&delivery);
        let mut dead_letter = DeadLetter::read(self.last_number, id, headers, delivery.data, self.topology.prefix());
        let death = last_death(&delivery.properties);
        dead_letter.at = dead_letter.at.or_else(|| died_at(death?));
        dead_letter.routing_key = dead_letter.routing_key.or_else(|| died_with_key(death?));
        dead_letter.content_type = delivery.properties.content_type().as_ref().map(ToString::to_string);
        self.held.insert(self.last_number, Held { acker: delivery.acker, properties: delivery.properties });
        Ok(Some(dead_letter))
    }

    async fn replay(&mut self, dead_letters: &[DeadLetter], now: OffsetDateTime) -> Vec<Result<(), BrokerError>> {
        let requeued: Vec<_> = dead_letters.iter().map(|dead_letter| self.requeued(dead_letter, now)).collect();
        let published = self.publisher.requeue(&requeued).await;
        let mut results = Vec::with_capacity(dead_letters.len());
        for (dead_letter, published) in dead_letters.iter().zip(published) {
            // After a crash between the two the message is in both queues: a duplicate, which changes nothing.
            results.push(match published {
                Ok(()) => self.acknowledge(dead_letter.number).await,
                Err(error) => Err(error),
            });
        }
        results
    }

    async fn remove(&mut self, dead_letters: &[DeadLetter]) -> Vec<Result<(), BrokerError>> {
        let mut results = Vec::with_capacity(dead_letters.len());
        for dead_letter in dead_letters {
            results.push(self.acknowledge(dead_letter.number).await);
        }
        results
    }

    async fn release(&mut self) -> Result<(), BrokerError> {
        self.until_processed().await?;
        let mut ready = self.ready().await?;
        let held: Vec<Held> = std::mem::take(&mut self.held).into_values().collect();
        for batch in held.chunks(REQUEUE_BATCH) {
            for held in batch {
                let options = BasicNackOptions { requeue: true, ..BasicNackOptions::default() };
                held.acker.nack(options).await.map_err(|error| errors::unreachable(&error))?;
            }
            ready += batch.len() as u32;
            self.until_ready(ready).await?;
        }
        // RabbitMQ answers after it has processed everything before.
        self.channel.close(200, "released".into()).await.map_err(|error| errors::unreachable(&error))
    }
}

/// Returns the properties for a replay: the original ones, without those written when the message was set aside. The message states our
/// account, and in a header the sender whom the dead letter shows.
fn requeued_properties(
    senders: &Senders,
    properties: BasicProperties,
    dead_letter: &DeadLetter,
    now: OffsetDateTime,
) -> Result<BasicProperties, BrokerError> {
    let mut table = FieldTable::default();
    for (name, value) in properties.headers().iter().flatten() {
        if !is_death_header(name.as_str()) {
            table.insert(name.clone(), value.clone());
        }
    }
    for (name, value) in dead_letter.replay_headers(now) {
        if [REPLAYED_AT, REPLAYS, ROUTING_KEY].contains(&name.as_str()) {
            table.insert(properties::short("header name", &name)?, AMQPValue::LongString(value.as_bytes().into()));
        }
    }
    let account = senders.stated().or(properties.user_id().as_ref().map(|_| senders.own()));
    if let Some(sender) = senders.sender(&properties, &dead_letter.headers).header() {
        table.insert(properties::short("header name", PRINCIPAL)?, AMQPValue::LongString(sender.as_bytes().into()));
    }
    let properties = match account {
        // RabbitMQ refuses the account of another.
        Some(account) => properties.with_user_id(properties::short("user_id", account)?),
        None => properties,
    };
    let mut properties = properties.with_headers(table).with_delivery_mode(properties::PERSISTENT);
    // The broker reports an unroutable message by its id. A message without one keeps the id of the dead-letter queue, or gets
    // a new one.
    if let Some(id) = &dead_letter.message_id {
        properties = properties.with_message_id(properties::short("message_id", id)?);
    } else if dead_letter.id.is_none() {
        properties = properties.with_message_id(Uuid::new_v4().to_string().into());
    }
    if let Some(to) = dead_letter.headers.get("x-handover-reply-to") {
        properties = properties.with_reply_to(properties::short("reply_to", to)?);
    }
    if let Some(id) = dead_letter.headers.get("x-handover-correlation-id") {
        properties = properties.with_correlation_id(properties::short("correlation_id", id)?);
    }
    Ok(properties)
}

/// Returns RabbitMQ's report of how it gave a message up.
fn last_death(properties: &BasicProperties) -> Option<&FieldTable> {
    let deaths = properties.headers().as_ref()?.inner().get("x-death")?;
    let AMQPValue::FieldArray(deaths) = deaths else { return None };
    let AMQPValue::FieldTable(last) = deaths.as_slice().first()? else { return None };
    Some(last)
}

/// Returns the time when RabbitMQ gave a message up.
fn died_at(death: &FieldTable) -> Option<OffsetDateTime> {
    let AMQPValue::Timestamp(seconds) = death.inner().get("time")? else { return None };
    OffsetDateTime::from_unix_timestamp(i64::try_from(*seconds).ok()?).ok()
}

/// Returns the routing key of a message that RabbitMQ gave up.
fn died_with_key(death: &FieldTable) -> Option<String> {
    let AMQPValue::FieldArray(keys) = death.inner().get("routing-keys")? else { return None };
    let AMQPValue::LongString(key) = keys.as_slice().first()? else { return None };
    std::str::from_utf8(key.as_bytes()).ok().map(str::to_owned)
}
