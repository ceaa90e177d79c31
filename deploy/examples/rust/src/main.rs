//! Publishes a request to Handover, then waits for the reply and for the event with the outcome.
//!
//! ```sh
//! handover-example request.json
//! ```
//!
//! `AMQP_URL` is RabbitMQ's address; `HANDOVER_PREFIX` is `broker.prefix` of Handover's settings. Exit code 0: completed.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{
    BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer};
use serde_json::Value;

const TIMEOUT: Duration = Duration::from_secs(60);
const ENDS: [&str; 4] = ["completed", "rejected", "needs_attention", "cancelled"];

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let file = std::env::args().nth(1).context("usage: handover-example request.json")?;
    let request: Value = serde_json::from_str(&std::fs::read_to_string(file)?)?;
    let prefix = std::env::var("HANDOVER_PREFIX").unwrap_or_else(|_| "handover".into());
    let url = std::env::var("AMQP_URL").context("set AMQP_URL to RabbitMQ's address")?;
    let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;

    // Subscribe first: messages sent before the subscription would be missed.
    let (reply_to, mut replies) = listen(&channel, None).await?;
    let (_, mut events) = listen(&channel, Some(&format!("{prefix}.events"))).await?;

    let correlation = uuid::Uuid::new_v4().to_string();
    let properties = BasicProperties::default()
        .with_delivery_mode(2)
        .with_content_type("application/json".into())
        .with_message_id(uuid::Uuid::new_v4().to_string().into())
        .with_reply_to(reply_to.into())
        .with_correlation_id(correlation.as_str().into());
    // A routing key that differs from the body's type is refused.
    let key = format!("request.{}", request["type"].as_str().context("the request has no type")?);
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let body = request.to_string();
    let sent = channel.basic_publish(prefix.as_str().into(), key.into(), options, body.as_bytes(), properties).await?;
    if sent.await?.take_message().is_some() {
        bail!("no queue takes requests: start a Handover worker first");
    }

    let reply = loop {
        let delivery = next(&mut replies).await?;
        if delivery.properties.correlation_id().as_ref().map(|id| id.as_str()) == Some(correlation.as_str()) {
            break serde_json::from_slice::<Value>(&delivery.data)?;
        }
    };
    println!("{reply}");
    match reply["outcome"].as_str() {
        Some("accepted") => {}
        // The events were published before: look up the job with `handover job`.
        Some("duplicate") => return Ok(ExitCode::SUCCESS),
        _ => return Ok(ExitCode::FAILURE),
    }
    loop {
        let event: Value = serde_json::from_slice(&next(&mut events).await?.data)?;
        let end = event["type"].as_str().and_then(|kind| kind.rsplit('.').next()).unwrap_or_default();
        if event["data"]["job_id"] == reply["job_id"] && ENDS.contains(&end) {
            println!("{event}");
            return Ok(if end == "completed" { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
    }
}

/// Consumes a new exclusive queue. Binds it to the exchange if one is given.
async fn listen(channel: &Channel, exchange: Option<&str>) -> Result<(String, Consumer)> {
    let options = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
    let queue = channel.queue_declare("".into(), options, FieldTable::default()).await?.name().clone();
    if let Some(exchange) = exchange {
        let bind = QueueBindOptions::default();
        channel.queue_bind(queue.clone(), exchange.into(), "handover.#".into(), bind, FieldTable::default()).await?;
    }
    let consume = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    let consumer = channel.basic_consume(queue.clone(), "".into(), consume, FieldTable::default()).await?;
    Ok((queue.to_string(), consumer))
}

async fn next(consumer: &mut Consumer) -> Result<Delivery> {
    let next = tokio::time::timeout(TIMEOUT, consumer.next()).await.context("no message arrived in time")?;
    Ok(next.context("the consumer ended")??)
}
