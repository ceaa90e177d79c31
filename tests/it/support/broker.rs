//! A client's view of the broker: sends messages, receives events, and reads dead letters.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use handover::broker::amqp::{AmqpBroker, AmqpSettings};
use handover::broker::local::LocalBroker;
use handover::broker::{Broker, Channel, Outgoing};
use handover::contract::{RequestType, routing_key};
use handover::store::Store;
use handover::store::ledger::outbox;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions,
    ExchangeDeleteOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions, QueuePurgeOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Connection, ConnectionProperties};
use serde_json::Value;

/// A client's connection to the broker.
pub enum BrokerClient {
    /// SQLite: the outbox table.
    Local { store: Store, seen: i64 },
    /// RabbitMQ: a client's connection with a queue of events.
    Amqp { connection: Box<Connection>, channel: lapin::Channel, events: lapin::Consumer, prefix: String },
}

/// A dead letter.
#[derive(Debug, Clone)]
pub struct DeadMessage {
    pub body: Vec<u8>,
    pub headers: BTreeMap<String, String>,
}

impl DeadMessage {
    pub fn reason(&self) -> &str {
        self.headers.get("x-handover-reason").map_or("", String::as_str)
    }

    pub fn path(&self) -> &str {
        self.headers.get("x-handover-path").map_or("", String::as_str)
    }
}

pub fn amqp_url() -> String {
    let url = std::env::var("HANDOVER_TEST_AMQP_URL");
    url.expect("HANDOVER_TEST_AMQP_URL is not set: run `make test`, or eval \"$(deploy/services env)\"")
}

/// A worker's broker.
pub async fn local(store: &Store) -> Arc<dyn Broker> {
    Arc::new(LocalBroker::new(store.clone()))
}

/// A worker's broker.
pub async fn amqp(url: &str, prefix: &str) -> Arc<dyn Broker> {
    Arc::new(AmqpBroker::connect(AmqpSettings::new(url, prefix)).await.expect("RabbitMQ"))
}

/// Returns the routing key for a body: that of its type, or of a deactivation if it has none.
pub fn key_of(body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let kind = body["type"].as_str().and_then(|kind| kind.parse().ok());
    routing_key(kind.unwrap_or(RequestType::Deactivate))
}

impl BrokerClient {
    pub async fn local(store: &Store) -> BrokerClient {
        BrokerClient::Local { store: store.clone(), seen: 0 }
    }

    /// Connects like any client. The topology must exist.
    pub async fn amqp(url: &str, prefix: &str) -> BrokerClient {
        let connection = Connection::connect(url, ConnectionProperties::default()).await.expect("RabbitMQ");
        let channel = connection.create_channel().await.expect("a channel");
        let options = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
        let queue = channel.queue_declare("".into(), options, FieldTable::default()).await.expect("a queue");
        let exchange = format!("{prefix}.events");
        let bind = QueueBindOptions::default();
        channel
            .queue_bind(queue.name().clone(), exchange.into(), "#".into(), bind, FieldTable::default())
            .await
            .expect("bound");
        let consume = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let events = channel
            .basic_consume(queue.name().clone(), "".into(), consume, FieldTable::default())
            .await
            .expect("consuming");
        BrokerClient::Amqp { connection: Box::new(connection), channel, events, prefix: prefix.to_owned() }
    }

    /// Sends any body as a request, with the routing key of its type.
    pub async fn send(&self, body: Vec<u8>) {
        self.send_as(&key_of(&body), body).await;
    }

    /// Sends any body with any routing key that the queue of requests takes.
    pub async fn send_as(&self, routing_key: &str, body: Vec<u8>) {
        match self {
            BrokerClient::Local { store, .. } => {
                let message = Outgoing {
                    id: uuid::Uuid::new_v4(),
                    channel: Channel::Requests,
                    routing_key: routing_key.to_owned(),
                    content_type: "application/json".into(),
                    headers: BTreeMap::new(),
                    body,
                };
                let sent = LocalBroker::new(store.clone()).publish(&[message]).await;
                assert!(sent.iter().all(Result::is_ok), "{sent:?}");
            }
            BrokerClient::Amqp { channel, prefix, .. } => {
                let properties =
                    BasicProperties::default().with_delivery_mode(2).with_content_type("application/json".into());
                publish(channel, prefix, routing_key, &body, properties).await;
            }
        }
    }

    /// Sends many bodies as requests to RabbitMQ at once, then waits for every confirm.
    pub async fn send_all(&self, bodies: &[Vec<u8>]) {
        let BrokerClient::Amqp { channel, prefix, .. } = self else { panic!("there is no broker") };
        channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms");
        let mut confirms = Vec::with_capacity(bodies.len());
        for body in bodies {
            let properties = BasicProperties::default().with_delivery_mode(2);
            let (exchange, key) = (prefix.as_str().into(), key_of(body).into());
            let sent = channel.basic_publish(exchange, key, BasicPublishOptions::default(), body, properties).await;
            confirms.push(sent.expect("sent"));
        }
        for confirm in confirms {
            assert!(confirm.await.expect("an answer").is_ack(), "the broker refused a request");
        }
    }

    /// Sends a body with custom properties to RabbitMQ.
    pub async fn send_with(&self, body: Vec<u8>, properties: BasicProperties) {
        let BrokerClient::Amqp { channel, prefix, .. } = self else { panic!("there is no broker") };
        publish(channel, prefix, &key_of(&body), &body, properties).await;
    }

    /// Returns the next event, within a time limit.
    pub async fn next_event(&mut self, limit: Duration) -> Option<Value> {
        match self {
            BrokerClient::Local { store, seen } => {
                let deadline = tokio::time::Instant::now() + limit;
                loop {
                    let letters = outbox::list(&store.reader(), Channel::Events, *seen, 1).await.expect("the outbox");
                    if let Some(letter) = letters.first() {
                        *seen = letter.id;
                        return Some(serde_json::from_slice(&letter.body).expect("an event is JSON"));
                    }
                    if tokio::time::Instant::now() > deadline {
                        return None;
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
            BrokerClient::Amqp { events, .. } => {
                let delivery = tokio::time::timeout(limit, events.next()).await.ok()??.expect("a delivery");
                Some(serde_json::from_slice(&delivery.data).expect("an event is JSON"))
            }
        }
    }

    /// Takes the next dead letter from its queue, within a time limit.
    pub async fn next_dead_letter(&self, limit: Duration) -> Option<DeadMessage> {
        let deadline = tokio::time::Instant::now() + limit;
        loop {
            let dead_letter = match self {
                BrokerClient::Local { store, .. } => {
                    let letters = outbox::list(&store.reader(), Channel::Dead, 0, 1).await.expect("the outbox");
                    let letter = letters.into_iter().next();
                    if let Some(letter) = &letter {
                        let session = store.begin("test").await.expect("a transaction");
                        outbox::delete(&session, &[letter.id]).await.expect("deleted");
                        session.commit().await.expect("committed");
                    }
                    letter.map(|letter| DeadMessage {
                        body: letter.body,
                        headers: serde_json::from_value(letter.headers).expect("headers are text"),
                    })
                }
                BrokerClient::Amqp { channel, prefix, .. } => {
                    let queue = format!("{prefix}.dead");
                    let got =
                        channel.basic_get(queue.into(), BasicGetOptions::default()).await.expect("the dead queue");
                    match got {
                        None => None,
                        Some(message) => {
                            message.delivery.acker.ack(BasicAckOptions::default()).await.expect("acknowledged");
                            Some(DeadMessage {
                                body: message.delivery.data.clone(),
                                headers: headers(&message.delivery.properties),
                            })
                        }
                    }
                }
            };
            if dead_letter.is_some() || tokio::time::Instant::now() > deadline {
                return dead_letter;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Counts the waiting messages of a queue, without delivered ones.
    pub async fn waiting(&self, queue: &str) -> usize {
        match self {
            BrokerClient::Local { store, .. } => {
                let channel = queue.parse().expect("a channel");
                outbox::list(&store.reader(), channel, 0, 1000).await.expect("it").len()
            }
            BrokerClient::Amqp { channel, prefix, .. } => {
                let name = format!("{prefix}.{queue}");
                let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
                let found = channel.queue_declare(name.into(), options, FieldTable::default()).await;
                found.expect("the queue").message_count() as usize
            }
        }
    }

    /// Deletes a queue of the broker and returns how many messages waited there.
    pub async fn delete_queue(&self, queue: &str) -> u32 {
        let BrokerClient::Amqp { channel, prefix, .. } = self else { panic!("there is no broker") };
        let name = format!("{prefix}.{queue}");
        channel.queue_delete(name.into(), QueueDeleteOptions::default()).await.expect("deleted")
    }

    /// Replaces one of our queues with a classic queue. A connected worker would declare its own again.
    pub async fn make_queue_of_another_kind(&self, queue: &str) {
        self.delete_queue(queue).await;
        let BrokerClient::Amqp { channel, prefix, .. } = self else { panic!("there is no broker") };
        let name = format!("{prefix}.{queue}");
        let declared = channel.queue_declare(name.into(), QueueDeclareOptions::durable(), FieldTable::default()).await;
        declared.expect("declared");
    }

    /// Purges the queue of steps.
    pub async fn lose_steps(&self) {
        match self {
            BrokerClient::Local { store, .. } => {
                let session = store.begin("test").await.expect("a transaction");
                let steps = session.sql("DELETE FROM handover_outbox WHERE channel = 'steps'");
                session.run("losing the steps", steps).await.expect("deleted");
                session.commit().await.expect("committed");
            }
            BrokerClient::Amqp { channel, prefix, .. } => {
                let queue = format!("{prefix}.steps");
                channel.queue_purge(queue.into(), QueuePurgeOptions::default()).await.expect("purged");
            }
        }
    }

    /// Removes everything that a test left on the broker.
    pub async fn clean_up(&self) {
        if let BrokerClient::Amqp { connection, channel, prefix, .. } = self {
            for queue in ["requests", "steps", "dead"] {
                let name = format!("{prefix}.{queue}");
                channel.queue_delete(name.into(), QueueDeleteOptions::default()).await.expect("deleted");
            }
            for exchange in [prefix.clone(), format!("{prefix}.events")] {
                channel.exchange_delete(exchange.into(), ExchangeDeleteOptions::default()).await.expect("deleted");
            }
            connection.close(200, "done".into()).await.expect("closed");
        }
    }
}

async fn publish(channel: &lapin::Channel, prefix: &str, key: &str, body: &[u8], properties: BasicProperties) {
    let sent = channel.basic_publish(prefix.into(), key.into(), BasicPublishOptions::default(), body, properties).await;
    sent.expect("sent").await.expect("confirmed");
}

fn headers(properties: &BasicProperties) -> BTreeMap<String, String> {
    let table = properties.headers().clone().unwrap_or_default();
    let text = |value: &lapin::types::AMQPValue| match value {
        lapin::types::AMQPValue::LongString(text) => Some(String::from_utf8_lossy(text.as_bytes()).into_owned()),
        _ => None,
    };
    table.inner().iter().filter_map(|(name, value)| Some((name.to_string(), text(value)?))).collect()
}
