//! A client's own connection to the broker: publishing, fetching, and what an operator does to queues.

use std::time::Duration;

use lapin::options::{
    BasicAckOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions,
    QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions, QueuePurgeOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, ExchangeKind, Result};

/// How our own copies are told from what Handover publishes.
const OURS: &str = "storm";

/// A connection, as long as it lasts, and the site's names on the broker.
pub struct Line {
    connection: Connection,
    channel: Channel,
    prefix: String,
}

impl Line {
    /// Connects, and sets up what listens: a queue of events that loses nothing, and one of copies of the steps.
    pub async fn open(url: &str, prefix: &str) -> Result<Line> {
        let connection = Connection::connect(url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let line = Line { connection, channel, prefix: prefix.to_owned() };
        for (queue, exchange, pattern) in
            [("events", format!("{prefix}.events"), "#"), ("copies", prefix.to_owned(), "step.#")]
        {
            let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
            let none = FieldTable::default();
            line.channel.exchange_declare(exchange.as_str().into(), ExchangeKind::Topic, durable, none.clone()).await?;
            let mut arguments = FieldTable::default();
            arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
            let queue = line.own(queue);
            line.channel.queue_declare(queue.as_str().into(), QueueDeclareOptions::durable(), arguments).await?;
            let bind = QueueBindOptions::default();
            line.channel.queue_bind(queue.into(), exchange.into(), pattern.into(), bind, none).await?;
        }
        Ok(line)
    }

    fn own(&self, queue: &str) -> String {
        format!("{OURS}.{}.{queue}", self.prefix)
    }

    /// Publishes to the site's exchange. Whether a queue has it for certain.
    pub async fn publish(&self, routing_key: &str, body: &[u8]) -> Result<bool> {
        let properties = BasicProperties::default().with_delivery_mode(2).with_app_id(OURS.into());
        let options = BasicPublishOptions { mandatory: true, immediate: false };
        let (exchange, key) = (self.prefix.as_str().into(), routing_key.into());
        let confirm = self.channel.basic_publish(exchange, key, options, body, properties).await?.await?;
        Ok(matches!(confirm, Confirmation::Ack(None)))
    }

    /// Takes the next events, up to so many. They are acknowledged by [`Line::keep`].
    pub async fn events(&self, most: usize) -> Result<Vec<(u64, Vec<u8>)>> {
        let mut events = Vec::new();
        while events.len() < most
            && let Some(message) = self.channel.basic_get(self.own("events").into(), BasicGetOptions::default()).await?
        {
            events.push((message.delivery.delivery_tag, message.delivery.data));
        }
        Ok(events)
    }

    /// Events up to this one are read.
    pub async fn keep(&self, tag: u64) -> Result<()> {
        self.channel.basic_ack(tag, BasicAckOptions { multiple: true }).await
    }

    /// Copies of the steps that Handover has published since, up to so many, with their keys.
    pub async fn copies(&self, most: usize) -> Result<Vec<(String, Vec<u8>)>> {
        let mut copies = Vec::new();
        for _ in 0..most {
            let options = BasicGetOptions { no_ack: true };
            let Some(message) = self.channel.basic_get(self.own("copies").into(), options).await? else { break };
            let is_ours = message.delivery.properties.app_id().as_ref().is_some_and(|app| app.as_str() == OURS);
            if !is_ours {
                copies.push((message.delivery.routing_key.to_string(), message.delivery.data));
            }
        }
        Ok(copies)
    }

    pub async fn purge(&self, queue: &str) -> Result<()> {
        let name = format!("{}.{queue}", self.prefix);
        self.channel.queue_purge(name.into(), QueuePurgeOptions::default()).await.map(drop)
    }

    pub async fn delete(&self, queue: &str) -> Result<()> {
        let name = format!("{}.{queue}", self.prefix);
        self.channel.queue_delete(name.into(), QueueDeleteOptions::default()).await.map(drop)
    }

    /// How many messages wait on one of Handover's queues.
    pub async fn waiting(&self, queue: &str) -> Result<u32> {
        let name = format!("{}.{queue}", self.prefix);
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let found = self.channel.queue_declare(name.into(), options, FieldTable::default()).await?;
        Ok(found.message_count())
    }

    /// Says goodbye, where anybody listens.
    pub async fn close(self) {
        let _ = tokio::time::timeout(Duration::from_secs(5), self.connection.close(200, "done".into())).await;
    }
}
