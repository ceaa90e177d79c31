//! The outside's view of the broker: sends messages, receives events, reads the dead queue.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use handover::broker::amqp::{AmqpBroker, AmqpSettings};
use handover::broker::local::LocalBroker;
use handover::broker::{Broker, Channel, Outgoing};
use handover::contract::RequestType;
use handover::store::Store;
use handover::store::ledger::outbox;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions,
    ExchangeDeleteOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions, QueuePurgeOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Connection, ConnectionProperties};
use serde_json::Value;

/// What the outside holds of the broker.
pub enum Outside {
    /// The outbox table.
    Local { store: Store, seen: i64 },
    /// A connection of a client's own to RabbitMQ, with a queue of events.
    Amqp { connection: Box<Connection>, channel: lapin::Channel, events: lapin::Consumer, prefix: String },
}

/// A message that was parked.
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

/// The key that a sender publishes a request with; of what is none, that of the default.
fn routing_key(body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let kind = body["type"].as_str().and_then(|kind| kind.parse::<RequestType>().ok()).unwrap_or_default();
    format!("request.{}", kind.name())
}

impl Outside {
    pub async fn local(store: &Store) -> Outside {
        Outside::Local { store: store.clone(), seen: 0 }
    }

    /// Connects as any client would. The topology must stand already.
    pub async fn amqp(url: &str, prefix: &str) -> Outside {
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
        Outside::Amqp { connection: Box::new(connection), channel, events, prefix: prefix.to_owned() }
    }

    /// Sends a body as a request, whatever it is.
    pub async fn send(&self, body: Vec<u8>) {
        match self {
            Outside::Local { store, .. } => {
                let message = Outgoing {
                    id: uuid::Uuid::new_v4(),
                    channel: Channel::Requests,
                    routing_key: routing_key(&body),
                    content_type: "application/json".into(),
                    headers: BTreeMap::new(),
                    body,
                };
                let sent = LocalBroker::new(store.clone()).publish(&[message]).await;
                assert!(sent.iter().all(Result::is_ok), "{sent:?}");
            }
            Outside::Amqp { channel, prefix, .. } => {
                let properties =
                    BasicProperties::default().with_delivery_mode(2).with_content_type("application/json".into());
                publish(channel, prefix, &body, properties).await;
            }
        }
    }

    /// Sends many bodies as requests to RabbitMQ at once, and then waits for every confirm.
    pub async fn send_all(&self, bodies: &[Vec<u8>]) {
        let Outside::Amqp { channel, prefix, .. } = self else { panic!("there is no broker") };
        channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms");
        let mut confirms = Vec::with_capacity(bodies.len());
        for body in bodies {
            let properties = BasicProperties::default().with_delivery_mode(2);
            let (exchange, key) = (prefix.as_str().into(), routing_key(body).into());
            let sent = channel.basic_publish(exchange, key, BasicPublishOptions::default(), body, properties).await;
            confirms.push(sent.expect("sent"));
        }
        for confirm in confirms {
            assert!(confirm.await.expect("an answer").is_ack(), "the broker refused a request");
        }
    }

    /// Sends a body with properties of its own to RabbitMQ.
    pub async fn send_with(&self, body: Vec<u8>, properties: BasicProperties) {
        let Outside::Amqp { channel, prefix, .. } = self else { panic!("there is no broker") };
        publish(channel, prefix, &body, properties).await;
    }

    /// The next event, within a time limit.
    pub async fn next_event(&mut self, limit: Duration) -> Option<Value> {
        match self {
            Outside::Local { store, seen } => {
                let deadline = tokio::time::Instant::now() + limit;
                loop {
                    let letters = outbox::list(&store.reader(), "events", *seen, 1).await.expect("the outbox");
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
            Outside::Amqp { events, .. } => {
                let delivery = tokio::time::timeout(limit, events.next()).await.ok()??.expect("a delivery");
                Some(serde_json::from_slice(&delivery.data).expect("an event is JSON"))
            }
        }
    }

    /// The next parked message, within a time limit; it is taken out of the dead queue.
    pub async fn next_dead_letter(&self, limit: Duration) -> Option<DeadMessage> {
        let deadline = tokio::time::Instant::now() + limit;
        loop {
            let parked = match self {
                Outside::Local { store, .. } => {
                    let letters = outbox::list(&store.reader(), "dead", 0, 1).await.expect("the outbox");
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
                Outside::Amqp { channel, prefix, .. } => {
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
            if parked.is_some() || tokio::time::Instant::now() > deadline {
                return parked;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// How many messages of a queue wait: those that were handed out are not counted.
    pub async fn waiting(&self, queue: &str) -> usize {
        match self {
            Outside::Local { store, .. } => outbox::list(&store.reader(), queue, 0, 1000).await.expect("it").len(),
            Outside::Amqp { channel, prefix, .. } => {
                let name = format!("{prefix}.{queue}");
                let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
                let found = channel.queue_declare(name.into(), options, FieldTable::default()).await;
                found.expect("the queue").message_count() as usize
            }
        }
    }

    /// Deletes a queue of the broker; how many messages waited there.
    pub async fn delete_queue(&self, queue: &str) -> u32 {
        let Outside::Amqp { channel, prefix, .. } = self else { panic!("there is no broker") };
        let name = format!("{prefix}.{queue}");
        channel.queue_delete(name.into(), QueueDeleteOptions::default()).await.expect("deleted")
    }

    /// Puts a classic queue where one of ours stands. No worker may be connected: it would declare its own again.
    pub async fn make_queue_of_another_kind(&self, queue: &str) {
        self.delete_queue(queue).await;
        let Outside::Amqp { channel, prefix, .. } = self else { panic!("there is no broker") };
        let name = format!("{prefix}.{queue}");
        let declared = channel.queue_declare(name.into(), QueueDeclareOptions::durable(), FieldTable::default()).await;
        declared.expect("declared");
    }

    /// Loses every step that waits on the queue.
    pub async fn lose_steps(&self) {
        match self {
            Outside::Local { store, .. } => {
                let session = store.begin("test").await.expect("a transaction");
                let steps = session.sql("DELETE FROM handover.outbox WHERE channel = 'steps'");
                session.run("losing the steps", steps).await.expect("deleted");
                session.commit().await.expect("committed");
            }
            Outside::Amqp { channel, prefix, .. } => {
                let queue = format!("{prefix}.steps");
                channel.queue_purge(queue.into(), QueuePurgeOptions::default()).await.expect("purged");
            }
        }
    }

    /// Removes what a test left on the broker.
    pub async fn clean_up(&self) {
        if let Outside::Amqp { connection, channel, prefix, .. } = self {
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

async fn publish(channel: &lapin::Channel, prefix: &str, body: &[u8], properties: BasicProperties) {
    let key = routing_key(body);
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
