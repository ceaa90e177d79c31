//! The dead queue on RabbitMQ: fetched and not acknowledged, so that the broker itself holds the messages, and gives them back
//! when this process dies.

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

use super::connection::Live;
use super::outbound::Returned;
use super::publisher::Publisher;
use super::topology::Topology;
use super::{BrokerError, Channel, errors, message};
use crate::broker::{DeadLetter, DeadLetterQueue, dead_letter};

/// Messages asked for at a time: their answers come one behind the other, whatever the way there and back takes.
const ASKED_AT_A_TIME: u32 = 64;

/// Messages given back at a time. RabbitMQ keeps their order as long as it has no more than 32 of them under way.
const AT_A_TIME: usize = 16;

/// How long it may take until those are back before the next are given.
const PATIENCE: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct AmqpDeadLetters {
    topology: Arc<Topology>,
    publisher: Publisher,
    channel: lapin::Channel,
    within: Duration,
    /// How many there were in the beginning and have not been fetched: what comes meanwhile is not looked at.
    left: u32,
    /// Those that are here and were not looked at yet.
    here: VecDeque<Delivery>,
    fetched: i64,
    held: BTreeMap<i64, Held>,
}

/// A message that is not settled.
struct Held {
    acker: Acker,
    properties: BasicProperties,
}

impl AmqpDeadLetters {
    pub(super) async fn open(
        live: &Live,
        topology: Arc<Topology>,
        publisher: Publisher,
        within: Duration,
    ) -> Result<AmqpDeadLetters, BrokerError> {
        let channel = live.open_channel().await?;
        let mut dead = AmqpDeadLetters {
            topology,
            publisher,
            channel,
            within,
            left: 0,
            here: VecDeque::new(),
            fetched: 0,
            held: BTreeMap::new(),
        };
        dead.left = dead.ready().await?;
        Ok(dead)
    }

    /// How many messages wait in the queue, held by nobody.
    async fn ready(&self) -> Result<u32, BrokerError> {
        let name = self.topology.queue(Channel::Dead);
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let declared = self.channel.queue_declare(name.into(), options, FieldTable::default());
        let declared = tokio::time::timeout(self.within, declared).await;
        let queue = declared.map_err(|_| BrokerError::TimedOut(self.within))?;
        queue.map(|queue| queue.message_count()).map_err(|error| errors::unreachable(&error))
    }

    /// Fetches the next few, in their order.
    async fn fetch(&mut self) -> Result<(), BrokerError> {
        let asked = self.left.min(ASKED_AT_A_TIME);
        let name = self.topology.queue(Channel::Dead);
        let gets = (0..asked).map(|_| self.channel.basic_get(name.as_str().into(), BasicGetOptions::default()));
        let got = tokio::time::timeout(self.within, join_all(gets)).await;
        for got in got.map_err(|_| BrokerError::TimedOut(self.within))? {
            self.here.extend(got.map_err(|error| errors::unreachable(&error))?.map(|got| got.delivery));
        }
        self.here.make_contiguous().sort_by_key(|delivery| delivery.delivery_tag);
        // Fewer than there were: somebody else takes them too.
        self.left = if self.here.len() < asked as usize { 0 } else { self.left - asked };
        Ok(())
    }

    /// Waits until RabbitMQ has done what was settled: what is given back before that comes back in no order. It answers
    /// a fetch in its turn; the first answer may overtake the news of what was done, the second does not.
    async fn until_settled(&mut self) -> Result<(), BrokerError> {
        if self.held.len() as i64 == self.fetched {
            return Ok(());
        }
        for _ in 0..2 {
            self.left = 1;
            self.fetch().await?;
        }
        // What came meanwhile goes back with the others.
        while let Some(Delivery { acker, properties, .. }) = self.here.pop_front() {
            self.fetched += 1;
            self.held.insert(self.fetched, Held { acker, properties });
        }
        Ok(())
    }

    /// Waits until so many messages are back, or for a while: somebody else may be taking them.
    async fn until_ready(&self, count: u32) -> Result<(), BrokerError> {
        let deadline = Instant::now() + PATIENCE;
        while self.ready().await? < count && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }

    async fn settle(&mut self, number: i64) -> Result<(), BrokerError> {
        let Some(held) = self.held.remove(&number) else { return Ok(()) };
        let acked = tokio::time::timeout(self.within, held.acker.ack(BasicAckOptions::default())).await;
        match acked {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err(BrokerError::Unreachable("the connection was lost; the message is back".into())),
            Ok(Err(error)) => Err(errors::unreachable(&error)),
            Err(_) => Err(BrokerError::TimedOut(self.within)),
        }
    }

    fn back(&self, letter: &DeadLetter, now: OffsetDateTime) -> Result<Returned, BrokerError> {
        let held = self.held.get(&letter.number).ok_or_else(|| dead_letter::nowhere(letter))?;
        let channel = letter.origin(self.topology.prefix()).ok_or_else(|| dead_letter::nowhere(letter))?;
        Ok(Returned {
            queue: self.topology.queue(channel),
            properties: properties_back(held.properties.clone(), letter, now)?,
            body: letter.body.clone(),
        })
    }
}

#[async_trait]
impl DeadLetterQueue for AmqpDeadLetters {
    async fn next(&mut self) -> Result<Option<DeadLetter>, BrokerError> {
        if self.here.is_empty() {
            self.fetch().await?;
        }
        let Some(delivery) = self.here.pop_front() else { return Ok(None) };
        self.fetched += 1;
        let id = delivery.properties.message_id().as_ref().map(ToString::to_string);
        let headers = message::incoming_headers(&delivery);
        let mut letter = DeadLetter::read(self.fetched, id, headers, delivery.data);
        letter.at = letter.at.or_else(|| died_at(&delivery.properties));
        letter.content_type = delivery.properties.content_type().as_ref().map(ToString::to_string);
        self.held.insert(self.fetched, Held { acker: delivery.acker, properties: delivery.properties });
        Ok(Some(letter))
    }

    async fn replay(&mut self, letters: &[DeadLetter], now: OffsetDateTime) -> Vec<Result<(), BrokerError>> {
        let backs: Vec<Result<Returned, BrokerError>> = letters.iter().map(|letter| self.back(letter, now)).collect();
        let sent = self.publisher.send_back(&backs).await;
        let mut results = Vec::with_capacity(letters.len());
        for (letter, sent) in letters.iter().zip(sent) {
            // Killed between the two, it is in both places: the same message again, which changes nothing.
            results.push(match sent {
                Ok(()) => self.settle(letter.number).await,
                Err(error) => Err(error),
            });
        }
        results
    }

    async fn remove(&mut self, letters: &[DeadLetter]) -> Vec<Result<(), BrokerError>> {
        let mut results = Vec::with_capacity(letters.len());
        for letter in letters {
            results.push(self.settle(letter.number).await);
        }
        results
    }

    async fn release(&mut self) -> Result<(), BrokerError> {
        self.until_settled().await?;
        let mut ready = self.ready().await?;
        let held: Vec<Held> = std::mem::take(&mut self.held).into_values().collect();
        for some in held.chunks(AT_A_TIME) {
            for held in some {
                let options = BasicNackOptions { requeue: true, ..BasicNackOptions::default() };
                held.acker.nack(options).await.map_err(|error| errors::unreachable(&error))?;
            }
            ready += some.len() as u32;
            self.until_ready(ready).await?;
        }
        // Its answer comes when everything before it is done.
        self.channel.close(200, "looked through".into()).await.map_err(|error| errors::unreachable(&error))
    }
}

/// The properties that a message goes back with: its own, but for what was written when it was set aside.
fn properties_back(
    properties: BasicProperties,
    letter: &DeadLetter,
    now: OffsetDateTime,
) -> Result<BasicProperties, BrokerError> {
    let mut table = FieldTable::default();
    for (name, value) in properties.headers().iter().flatten() {
        if !dead_letter::is_of_its_death(name.as_str()) {
            table.insert(name.clone(), value.clone());
        }
    }
    for (name, value) in letter.headers_back(now) {
        if name == dead_letter::REPLAYED_AT || name == dead_letter::REPLAYS {
            table.insert(message::short("header's name", &name)?, AMQPValue::LongString(value.as_bytes().into()));
        }
    }
    let mut properties = properties.with_headers(table).with_delivery_mode(message::PERSISTENT);
    // By its id it is told when the broker cannot place it: one that had none keeps that of the dead queue, or gets one.
    if let Some(id) = &letter.message_id {
        properties = properties.with_message_id(message::short("message_id", id)?);
    } else if letter.id.is_none() {
        properties = properties.with_message_id(Uuid::new_v4().to_string().into());
    }
    if let Some(to) = letter.headers.get("x-handover-reply-to") {
        properties = properties.with_reply_to(message::short("reply_to", to)?);
    }
    if let Some(id) = letter.headers.get("x-handover-correlation-id") {
        properties = properties.with_correlation_id(message::short("correlation_id", id)?);
    }
    Ok(properties)
}

/// When RabbitMQ gave a message up.
fn died_at(properties: &BasicProperties) -> Option<OffsetDateTime> {
    let deaths = properties.headers().as_ref()?.inner().get("x-death")?;
    let AMQPValue::FieldArray(deaths) = deaths else { return None };
    let AMQPValue::FieldTable(last) = deaths.as_slice().first()? else { return None };
    match last.inner().get("time")? {
        AMQPValue::Timestamp(seconds) => OffsetDateTime::from_unix_timestamp(i64::try_from(*seconds).ok()?).ok(),
        _ => None,
    }
}
