//! A read-only check of the broker, for `handover doctor`.

use lapin::ExchangeKind;
use lapin::options::{ExchangeDeclareOptions, QueueDeclareOptions};
use lapin::types::FieldTable;

use super::dial::{Connection, dial};
use super::errors::{self, code};
use super::health::Purpose;
use super::settings::AmqpSettings;
use super::topology::Topology;
use crate::broker::diagnosis::{Finding, NO_WORKER_HINT};
use crate::broker::error::BrokerError;
use crate::broker::message::Channel;
use crate::contract::counted;

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
    let mut inspected = Vec::new();
    for name in topology.exchanges() {
        inspected.push((Part::Exchange, name.to_owned(), exchange(connection, &topology, name).await?));
    }
    for channel in Channel::QUEUES {
        let state = queue(connection, &topology, channel).await?;
        inspected.push((Part::Queue(channel), topology.queue(channel), state));
    }
    Ok(findings(inspected))
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

/// A part of the topology.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Exchange,
    Queue(Channel),
}

impl Part {
    fn check(self) -> &'static str {
        match self {
            Part::Exchange => "exchanges",
            Part::Queue(_) => "queues",
        }
    }

    /// True if a worker consumes it.
    fn is_consumed(self) -> bool {
        matches!(self, Part::Queue(Channel::Requests | Channel::Steps))
    }
}

/// Reports what was inspected. Everything that is missing is one finding: the first worker declares it.
fn findings(inspected: Vec<(Part, String, State)>) -> Vec<Finding> {
    let mut missing: Vec<(Part, String)> = Vec::new();
    let mut findings = Vec::new();
    for (part, name, state) in inspected {
        match state {
            State::Missing => missing.push((part, name)),
            State::Correct { messages, consumers: 0 } if messages > 0 && part.is_consumed() => {
                let messages = counted(messages, "message");
                let found = format!("`{name}`: {messages} waiting, and no worker takes from it");
                findings.push(Finding::warning(part.check(), found, NO_WORKER_HINT));
            }
            State::Correct { messages, consumers } => {
                let counts = match part {
                    Part::Exchange => String::new(),
                    Part::Queue(_) => {
                        format!(": {} waiting, {}", counted(messages, "message"), counted(consumers, "consumer"))
                    }
                };
                findings.push(Finding::good(part.check(), format!("`{name}` is as it should be{counts}")));
            }
            State::Wrong(fault) => {
                let (found, hint) = fault.rsplit_once("): ").unwrap_or((&fault, "see RabbitMQ's log"));
                findings.push(Finding::fault(part.check(), format!("{found})"), hint));
            }
        }
    }
    findings.extend(missing.last().map(|(last, _)| {
        let named = ["exchanges", "queues"].map(|check| {
            let names = missing.iter().filter(|(part, _)| part.check() == check).map(|(_, name)| format!("`{name}`"));
            (check, names.collect::<Vec<_>>())
        });
        let named = named.into_iter().filter(|(_, names)| !names.is_empty());
        let named = named.map(|(check, names)| format!("the {check} {}", names.join(", ")));
        let found = format!("not there yet: {}", named.collect::<Vec<_>>().join("; "));
        Finding::warning(last.check(), found, "start a worker, which declares them: `handover run`")
    }));
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::diagnosis::Status;

    #[test]
    fn missing_parts_are_one_finding_and_idle_queues_a_warning() {
        let correct = |messages, consumers| State::Correct { messages, consumers };
        let found = findings(vec![
            (Part::Exchange, "h".into(), State::Missing),
            (Part::Exchange, "h.events".into(), correct(0, 0)),
            (Part::Queue(Channel::Requests), "h.requests".into(), State::Missing),
            (Part::Queue(Channel::Steps), "h.steps".into(), correct(2, 0)),
            (Part::Queue(Channel::Dead), "h.dead".into(), correct(2, 0)),
        ]);
        let found: Vec<_> = found.iter().map(|found| (found.check, found.status, found.found.as_str())).collect();
        assert_eq!(
            found,
            [
                ("exchanges", Status::Good, "`h.events` is as it should be"),
                ("queues", Status::Warning, "`h.steps`: 2 messages waiting, and no worker takes from it"),
                ("queues", Status::Good, "`h.dead` is as it should be: 2 messages waiting, 0 consumers"),
                ("queues", Status::Warning, "not there yet: the exchanges `h`; the queues `h.requests`"),
            ]
        );
        let served = findings(vec![(Part::Queue(Channel::Steps), "h.steps".into(), correct(2, 1))]);
        assert_eq!(served[0].status, Status::Good);
    }
}
