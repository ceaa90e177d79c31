//! A read-only check of the broker, for `handover doctor`.

use lapin::ExchangeKind;
use lapin::options::{ExchangeDeclareOptions, QueueDeclareOptions};
use lapin::types::FieldTable;

use super::dial::{Connection, dial};
use super::errors::{self, code};
use super::health::Purpose;
use super::settings::AmqpSettings;
use super::topology::Topology;
use crate::broker::diagnosis::Finding;
use crate::broker::error::BrokerError;
use crate::broker::message::Channel;

const HINT: &str = "check `broker.url`, and that RabbitMQ runs and is reachable from this machine";

/// The state of an exchange or a queue.
enum State {
    /// As Handover declares it.
    Correct {
        messages: u32,
        consumers: u32,
    },
    Missing,
    /// The text says what differs and how to fix it.
    Wrong(String),
}

/// Checks that RabbitMQ answers, and that exchanges and queues are as Handover declares them. Creates nothing.
pub async fn diagnose(settings: &AmqpSettings) -> Vec<Finding> {
    match inspect(settings).await {
        Ok((address, mut findings)) => {
            findings.insert(0, Finding::good("broker", format!("RabbitMQ answers at {address}")));
            findings.push(Finding::not_checked(
                "policies",
                "AMQP does not show them: run `rabbitmqctl list_policies` to see what limits these queues",
            ));
            findings
        }
        Err(error) => {
            let broker = Finding::fault("broker", error.to_string(), HINT);
            vec![broker, Finding::not_checked("queues", "the broker is unreachable")]
        }
    }
}

async fn inspect(settings: &AmqpSettings) -> Result<(String, Vec<Finding>), BrokerError> {
    let connection = dial(settings, Purpose::Inspecting).await?;
    let limit = settings.connect_timeout;
    let findings = tokio::time::timeout(limit, inspect_topology(&connection, settings)).await;
    let findings = findings.unwrap_or(Err(BrokerError::TimedOut(limit)));
    let address = connection.address().to_owned();
    connection.close().await;
    Ok((address, findings?))
}

async fn inspect_topology(connection: &Connection, settings: &AmqpSettings) -> Result<Vec<Finding>, BrokerError> {
    let topology = Topology::new(&settings.prefix, Default::default());
    let mut findings = Vec::new();
    for name in topology.exchanges() {
        findings.push(finding("exchange", name, exchange(connection, &topology, name).await?));
    }
    for channel in Channel::QUEUES {
        findings.push(finding("queue", &topology.queue(channel), queue(connection, &topology, channel).await?));
    }
    Ok(findings)
}

async fn exchange(connection: &Connection, topology: &Topology, name: &str) -> Result<State, BrokerError> {
    let options = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
    let channel = connection.open_channel().await?;
    let queried = channel.exchange_declare(name.into(), ExchangeKind::Topic, options, FieldTable::default()).await;
    if let Err(error) = queried {
        return state(topology.declare_error("exchange", name, connection, &error), &error);
    }
    // Declaring an existing exchange changes nothing, and fails if it differs.
    match topology.declare_exchange(&channel, name).await {
        Ok(()) => Ok(State::Correct { messages: 0, consumers: 0 }),
        Err(error) => state(topology.declare_error("exchange", name, connection, &error), &error),
    }
}

async fn queue(connection: &Connection, topology: &Topology, queue: Channel) -> Result<State, BrokerError> {
    let name = topology.queue(queue);
    let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let channel = connection.open_channel().await?;
    if let Err(error) = channel.queue_declare(name.as_str().into(), options, FieldTable::default()).await {
        return state(topology.declare_error("queue", &name, connection, &error), &error);
    }
    match topology.declare_queue(&channel, queue).await {
        Ok(queue) => Ok(State::Correct { messages: queue.message_count(), consumers: queue.consumer_count() }),
        Err(error) => state(topology.declare_error("queue", &name, connection, &error), &error),
    }
}

fn state(declared: BrokerError, error: &lapin::Error) -> Result<State, BrokerError> {
    match (declared, errors::reply(error)) {
        (BrokerError::Topology(fault), _) => Ok(State::Wrong(fault)),
        (_, Some((code::NOT_FOUND, _))) => Ok(State::Missing),
        (declared, _) => Err(declared),
    }
}

fn finding(kind: &str, name: &str, state: State) -> Finding {
    let check = if kind == "queue" { "queues" } else { "exchanges" };
    match state {
        State::Correct { messages, consumers } if kind == "queue" => Finding::good(
            check,
            format!("`{name}` is as it should be: {messages} messages wait, {consumers} consumers"),
        ),
        State::Correct { .. } => Finding::good(check, format!("`{name}` is as it should be")),
        State::Missing => Finding::warning(
            check,
            format!("there is no {kind} `{name}` yet"),
            "start a worker, which declares it: `handover run`",
        ),
        State::Wrong(fault) => {
            let (found, hint) = fault.rsplit_once("): ").unwrap_or((&fault, "see RabbitMQ's log"));
            Finding::fault(check, format!("{found})"), hint)
        }
    }
}
