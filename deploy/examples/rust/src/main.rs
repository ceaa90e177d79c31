//! Publishes a request to Handover, then waits for the reply and for the event with the outcome.
//!
//! ```sh
//! handover-example request.json
//! ```
//!
//! `AMQP_URL` is RabbitMQ's address; `HANDOVER_PREFIX` is `broker.prefix` of Handover's settings. Exit code 0: done, or accepted
//! for later; 1: rejected, set aside, in need of a person, or an error.

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

const REPLY_TIMEOUT: Duration = Duration::from_secs(60);
/// These are done once they are accepted. Every other type has an event at its end.
const DONE_AT_ONCE: [&str; 7] =
    ["pause", "resume", "amend", "invite", "resend_invitation", "accept_invitation", "cancel_invitation"];
const NO_WORKER: &str =
    "no queue takes requests: start a Handover worker first (`handover run`), and check HANDOVER_PREFIX";

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
    let (_, mut events) = listen(&channel, Some(&format!("{prefix}.events"))).await.context(NO_WORKER)?;

    let correlation = uuid::Uuid::new_v4().to_string();
    let properties = BasicProperties::default()
        .with_delivery_mode(2)
        .with_content_type("application/json".into())
        .with_message_id(uuid::Uuid::new_v4().to_string().into())
        .with_reply_to(reply_to.into())
        .with_correlation_id(correlation.as_str().into());
    // A routing key that differs from the body's type is refused.
    let kind =
        request["type"].as_str().context("the request has no type: add \"type\": \"deactivate\", or another type")?;
    let key = format!("request.{kind}");
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let body = request.to_string();
    let sent = channel.basic_publish(prefix.as_str().into(), key.into(), options, body.as_bytes(), properties).await?;
    if sent.await?.take_message().is_some() {
        bail!(NO_WORKER);
    }

    let no_reply = "no reply arrived: is a worker running (`handover run`)? The request waits on its queue";
    let reply = loop {
        let delivery = tokio::time::timeout(REPLY_TIMEOUT, next(&mut replies)).await.context(no_reply)??;
        if delivery.properties.correlation_id().as_ref().map(|id| id.as_str()) == Some(correlation.as_str()) {
            break serde_json::from_slice::<Value>(&delivery.data)?;
        }
    };
    println!("{reply}");
    match reply["outcome"].as_str() {
        Some("accepted") if DONE_AT_ONCE.contains(&kind) => return Ok(ExitCode::SUCCESS),
        Some("accepted") => {}
        // The events were published before: look up the job with `handover job`.
        Some("duplicate") if reply["first_outcome"] == "accepted" => return Ok(ExitCode::SUCCESS),
        _ => return Ok(ExitCode::FAILURE),
    }
    // A large job may run for hours between two events.
    loop {
        let event: Value = serde_json::from_slice(&next(&mut events).await?.data)?;
        if let Some(code) = code_of(&event, &reply["job_id"]) {
            println!("{event}");
            return Ok(code);
        }
    }
}

/// Returns the exit code if an event ends the wait for a job.
fn code_of(event: &Value, job: &Value) -> Option<ExitCode> {
    let data = &event["data"];
    let change = event["type"].as_str()?.rsplit('.').next()?;
    // The end of an undo is an event of the job that it undid.
    if data["undone_by"] == *job && ["reverted", "cancelled"].contains(&change) {
        return Some(ExitCode::SUCCESS);
    }
    match change {
        _ if data["job_id"] != *job => None,
        "completed" | "reactivated" => Some(ExitCode::SUCCESS),
        "rejected" | "needs_attention" | "cancelled" => Some(ExitCode::FAILURE),
        // A job that waits for another one starts by itself; a job for later ends the wait.
        "scheduled" if data["effective_at"].is_string() && data["wait_for"].is_null() => Some(ExitCode::SUCCESS),
        _ => None,
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
    Ok(consumer.next().await.context("the consumer ended")??)
}
