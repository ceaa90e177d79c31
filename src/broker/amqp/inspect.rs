//! A look at the broker that leaves it as it is: for `handover doctor`.

use lapin::ExchangeKind;
use lapin::options::{ExchangeDeclareOptions, QueueDeclareOptions};
use lapin::types::FieldTable;

use super::connection::{self, Live};
use super::errors;
use super::health::Role;
use super::topology::Topology;
use super::{AmqpSettings, BrokerError, Channel};

/// AMQP's answer to who asks for what there is not.
const NOT_FOUND: u16 = 404;

/// What was found of an exchange or a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// `exchange` or `queue`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// How it stands.
    pub standing: Standing,
}

/// How an exchange or a queue stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// As Handover declares it; a queue with so many messages that wait, and so many consumers.
    Right {
        /// Messages that wait.
        messages: u32,
        /// Consumers.
        consumers: u32,
    },
    /// Not there yet.
    Missing,
    /// Not as it should be: what is wrong, and what to do.
    Wrong(String),
}

/// Where the broker is, without credentials, and what stands there of ours. Nothing is made.
pub async fn inspect(settings: &AmqpSettings) -> Result<(String, Vec<Found>), BrokerError> {
    let live = connection::dial(settings, Role::Looking).await?;
    let limit = settings.connect_timeout;
    let looked = tokio::time::timeout(limit, look(&live, settings)).await;
    let found = looked.unwrap_or(Err(BrokerError::TimedOut(limit)));
    let place = live.place().to_owned();
    live.close().await;
    Ok((place, found?))
}

async fn look(live: &Live, settings: &AmqpSettings) -> Result<Vec<Found>, BrokerError> {
    let topology = Topology::new(&settings.prefix, Default::default());
    let mut found = Vec::new();
    for name in topology.exchanges() {
        let standing = exchange(live, &topology, name).await?;
        found.push(Found { kind: "exchange", name: name.to_owned(), standing });
    }
    for channel in [Channel::Requests, Channel::Steps, Channel::Dead] {
        let standing = queue(live, &topology, channel).await?;
        found.push(Found { kind: "queue", name: topology.queue(channel), standing });
    }
    Ok(found)
}

async fn exchange(live: &Live, topology: &Topology, name: &str) -> Result<Standing, BrokerError> {
    let options = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
    let channel = live.open_channel().await?;
    let asked = channel.exchange_declare(name.into(), ExchangeKind::Topic, options, FieldTable::default()).await;
    if let Err(error) = asked {
        return standing(topology.refused("exchange", name, live, &error), &error);
    }
    // What is there is declared again as it should be, which changes nothing, and tells whether it is so.
    match topology.declare_exchange(&channel, name).await {
        Ok(()) => Ok(Standing::Right { messages: 0, consumers: 0 }),
        Err(error) => standing(topology.refused("exchange", name, live, &error), &error),
    }
}

async fn queue(live: &Live, topology: &Topology, which: Channel) -> Result<Standing, BrokerError> {
    let name = topology.queue(which);
    let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let channel = live.open_channel().await?;
    if let Err(error) = channel.queue_declare(name.as_str().into(), options, FieldTable::default()).await {
        return standing(topology.refused("queue", &name, live, &error), &error);
    }
    match topology.declare_queue(&channel, which).await {
        Ok(queue) => Ok(Standing::Right { messages: queue.message_count(), consumers: queue.consumer_count() }),
        Err(error) => standing(topology.refused("queue", &name, live, &error), &error),
    }
}

fn standing(refused: BrokerError, error: &lapin::Error) -> Result<Standing, BrokerError> {
    match refused {
        BrokerError::Topology(what) => Ok(Standing::Wrong(what)),
        _ if errors::said_by_broker(error).is_some_and(|(code, _)| code == NOT_FOUND) => Ok(Standing::Missing),
        other => Err(other),
    }
}
