//! An application that publishes requests and consumes the events of their outcomes, on its own connection.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures_util::StreamExt;
use lapin::options::{
    BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions,
    QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer, ExchangeKind};
use serde_json::{Value, json};

/// The time limit for an event.
const LIMIT: Duration = Duration::from_secs(1800);

/// The reader of the requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// Handover, through its exchange.
    Handover,
    /// A consumer of the queue of requests.
    Queue,
    /// Celery, whose messages call a task.
    Celery,
}

pub struct Application {
    connection: Connection,
    channel: Channel,
    events: Consumer,
    prefix: String,
    reader: Reader,
}

impl Application {
    /// Connects. A worker must have declared the exchanges.
    pub async fn connect(amqp: &str, prefix: &str) -> Result<Application> {
        let (connection, channel) = open(amqp).await?;
        let exclusive = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
        let queue = channel.queue_declare("".into(), exclusive, FieldTable::default()).await?;
        Application::subscribe(connection, channel, queue.name().as_str(), prefix, Reader::Handover).await
    }

    /// Connects with a quorum queue for the events. Declares the queue of requests unless Handover declares it.
    pub async fn connect_durably(amqp: &str, prefix: &str, reader: Reader) -> Result<Application> {
        let (connection, channel) = open(amqp).await?;
        let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        let exchange = format!("{prefix}.events");
        channel.exchange_declare(exchange.into(), ExchangeKind::Topic, durable, FieldTable::default()).await?;
        if reader != Reader::Handover {
            declare_quorum(&channel, &format!("{prefix}.requests")).await?;
        }
        let queue = format!("{prefix}.application");
        declare_quorum(&channel, &queue).await?;
        Application::subscribe(connection, channel, &queue, prefix, reader).await
    }

    async fn subscribe(
        connection: Connection,
        channel: Channel,
        queue: &str,
        prefix: &str,
        reader: Reader,
    ) -> Result<Application> {
        for key in ["handover.deactivation.completed", "handover.deactivation.rejected"] {
            let options = QueueBindOptions::default();
            let exchange = format!("{prefix}.events");
            channel.queue_bind(queue.into(), exchange.into(), key.into(), options, FieldTable::default()).await?;
        }
        let consume = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let events = channel.basic_consume(queue.into(), "".into(), consume, FieldTable::default()).await?;
        Ok(Application { connection, channel, events, prefix: prefix.to_owned(), reader })
    }

    /// Publishes persistent requests, and waits until the broker has confirmed them all.
    pub async fn publish(&self, requests: &[Value]) -> Result<()> {
        let mut confirms = Vec::with_capacity(requests.len());
        for request in requests {
            let properties =
                BasicProperties::default().with_delivery_mode(2).with_content_type("application/json".into());
            let queue = format!("{}.requests", self.prefix);
            let (exchange, key, body, properties) = match self.reader {
                Reader::Handover => (self.prefix.clone(), "request.deactivate".to_owned(), request.clone(), properties),
                Reader::Queue => (String::new(), queue, request.clone(), properties),
                Reader::Celery => (String::new(), queue, json!([[request], {}, {}]), called(properties, request)),
            };
            let (body, options) = (serde_json::to_vec(&body)?, BasicPublishOptions::default());
            confirms.push(self.channel.basic_publish(exchange.into(), key.into(), options, &body, properties).await?);
        }
        for confirm in confirms {
            confirm.await?;
        }
        Ok(())
    }

    /// Waits for this many completed jobs.
    pub async fn await_completed(&mut self, jobs: usize) -> Result<()> {
        for _ in 0..jobs {
            completed(&mut self.events).await?;
        }
        Ok(())
    }

    /// Returns the time from publishing the first request to the last completed event.
    pub async fn run(&mut self, requests: &[Value]) -> Result<Duration> {
        let began = Instant::now();
        self.publish(requests).await?;
        self.await_completed(requests.len()).await?;
        Ok(began.elapsed())
    }

    /// Publishes requests one by one at a steady rate, and stops when the job of `until` is completed. Returns the time of each
    /// from its due time to its completed event.
    pub async fn run_steadily(
        &mut self,
        requests: &[Value],
        every: Duration,
        until: Option<&Value>,
    ) -> Result<Vec<Duration>> {
        let mut due = tokio::time::interval(every);
        let mut left = requests.iter();
        let mut in_progress = HashMap::new();
        let mut took = Vec::with_capacity(requests.len());
        while left.len() > 0 || !in_progress.is_empty() {
            tokio::select! {
                due = due.tick(), if left.len() > 0 => {
                    if let Some(request) = left.next() {
                        in_progress.insert(id_of(request), due);
                        self.publish(std::slice::from_ref(request)).await?;
                    }
                }
                completed = completed(&mut self.events) => {
                    let completed = completed?;
                    if let Some(due) = in_progress.remove(&completed) {
                        took.push(due.elapsed());
                    } else if until.map(id_of) == Some(completed) {
                        left = [].iter();
                    }
                }
            }
        }
        Ok(took)
    }

    /// Deletes the queues and exchanges of this prefix.
    pub async fn clean_up(self) -> Result<()> {
        for queue in ["requests", "steps", "dead", "application"] {
            self.channel.queue_delete(format!("{}.{queue}", self.prefix).into(), Default::default()).await?;
        }
        for exchange in [self.prefix.clone(), format!("{}.events", self.prefix)] {
            self.channel.exchange_delete(exchange.into(), Default::default()).await?;
        }
        Ok(self.connection.close(200, "done".into()).await?)
    }
}

async fn open(amqp: &str) -> Result<(Connection, Channel)> {
    let connection = Connection::connect(amqp, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    Ok((connection, channel))
}

async fn declare_quorum(channel: &Channel, name: &str) -> Result<()> {
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    channel.queue_declare(name.into(), durable, arguments).await?;
    Ok(())
}

/// Adds the headers of version 2 of Celery's message protocol: the task to call, and an id.
fn called(properties: BasicProperties, request: &Value) -> BasicProperties {
    let mut headers = FieldTable::default();
    let id = id_of(request);
    for (name, value) in [("lang", "py"), ("task", "deactivate"), ("id", &id), ("root_id", &id)] {
        headers.insert(name.into(), AMQPValue::LongString(value.into()));
    }
    properties.with_headers(headers).with_content_encoding("utf-8".into()).with_correlation_id(id.into())
}

/// Waits for the next completed job, and returns the id of its request.
async fn completed(events: &mut Consumer) -> Result<String> {
    let delivery = tokio::time::timeout(LIMIT, events.next()).await.context("no event arrived in time")?;
    let delivery = delivery.context("the broker went away")??;
    if delivery.routing_key.as_str() != "handover.deactivation.completed" {
        bail!("a job was rejected: {}", String::from_utf8_lossy(&delivery.data));
    }
    let event: Value = serde_json::from_slice(&delivery.data)?;
    Ok(id_of(&event["data"]))
}

fn id_of(request: &Value) -> String {
    request["request_id"].as_str().unwrap_or_default().to_owned()
}
