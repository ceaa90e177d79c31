//! A client's connection to the broker: publishes, consumes, and changes queues like an operator.

use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
    ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions, QueuePurgeOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer, ExchangeKind, Result};

/// The maximum number of unacknowledged messages of each consumer.
const PREFETCH: u16 = 500;

/// The application id that distinguishes our copies from Handover's messages.
const OURS: &str = "storm";

/// A connection and the names of the site's queues on the broker.
pub struct Client {
    connection: Connection,
    channel: Channel,
    events: Consumer,
    copies: Consumer,
    prefix: String,
}

impl Client {
    /// Connects and declares two queues: a durable one of events, and one with copies of the steps.
    pub async fn open(url: &str, prefix: &str) -> Result<Client> {
        let connection = Connection::connect(url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
        let events = listen(&channel, prefix, "events", &format!("{prefix}.events"), "#").await?;
        let copies = listen(&channel, prefix, "copies", prefix, "step.#").await?;
        Ok(Client { connection, channel, events, copies, prefix: prefix.to_owned() })
    }

    /// Publishes to the site's exchange. Returns true if a queue has confirmed it.
    pub async fn publish(&self, routing_key: &str, body: &[u8]) -> Result<bool> {
        let properties = BasicProperties::default().with_delivery_mode(2).with_app_id(OURS.into());
        let options = BasicPublishOptions { mandatory: true, immediate: false };
        let (exchange, key) = (self.prefix.as_str().into(), routing_key.into());
        let confirm = self.channel.basic_publish(exchange, key, options, body, properties).await?.await?;
        Ok(matches!(confirm, Confirmation::Ack(None)))
    }

    /// Returns the events received since the last call.
    pub async fn events(&mut self) -> Result<Vec<Delivery>> {
        here(&mut self.events).await
    }

    /// Acknowledges events up to this one.
    pub async fn keep(&self, tag: u64) -> Result<()> {
        self.channel.basic_ack(tag, BasicAckOptions { multiple: true }).await
    }

    /// Returns copies of the steps that Handover has published since the last call, with their routing keys.
    pub async fn copies(&mut self) -> Result<Vec<(String, Vec<u8>)>> {
        let copies = here(&mut self.copies).await?;
        if let Some(last) = copies.last() {
            self.keep(last.delivery_tag).await?;
        }
        let is_ours = |copy: &Delivery| copy.properties.app_id().as_ref().is_some_and(|app| app.as_str() == OURS);
        let theirs = copies.into_iter().filter(|copy| !is_ours(copy));
        Ok(theirs.map(|copy| (copy.routing_key.to_string(), copy.data)).collect())
    }

    pub async fn purge(&self, queue: &str) -> Result<()> {
        let name = format!("{}.{queue}", self.prefix);
        self.channel.queue_purge(name.into(), QueuePurgeOptions::default()).await.map(drop)
    }

    pub async fn delete(&self, queue: &str) -> Result<()> {
        let name = format!("{}.{queue}", self.prefix);
        self.channel.queue_delete(name.into(), QueueDeleteOptions::default()).await.map(drop)
    }

    /// Counts the messages on one of Handover's queues.
    pub async fn waiting(&self, queue: &str) -> Result<u32> {
        let name = format!("{}.{queue}", self.prefix);
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let found = self.channel.queue_declare(name.into(), options, FieldTable::default()).await?;
        Ok(found.message_count())
    }

    /// Closes the connection if the broker still answers.
    pub async fn close(self) {
        let _ = tokio::time::timeout(Duration::from_secs(5), self.connection.close(200, "done".into())).await;
    }
}

/// Declares a queue of ours that receives messages of an exchange, and consumes it.
async fn listen(channel: &Channel, prefix: &str, what: &str, exchange: &str, pattern: &str) -> Result<Consumer> {
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    let none = FieldTable::default();
    channel.exchange_declare(exchange.into(), ExchangeKind::Topic, durable, none.clone()).await?;
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    let queue = format!("{OURS}.{prefix}.{what}");
    channel.queue_declare(queue.as_str().into(), QueueDeclareOptions::durable(), arguments).await?;
    let bind = QueueBindOptions::default();
    channel.queue_bind(queue.as_str().into(), exchange.into(), pattern.into(), bind, none.clone()).await?;
    channel.basic_consume(queue.into(), what.into(), BasicConsumeOptions::default(), none).await
}

/// Returns the deliveries that have arrived, without waiting for more.
async fn here(consumer: &mut Consumer) -> Result<Vec<Delivery>> {
    let mut deliveries = Vec::new();
    while let Some(next) = consumer.next().now_or_never().flatten() {
        deliveries.push(next?);
    }
    Ok(deliveries)
}
