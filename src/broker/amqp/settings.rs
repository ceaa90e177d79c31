//! The settings of a RabbitMQ broker.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::tls::TlsFiles;
use crate::contract::Principal;

/// The address of the broker, and the time limits.
#[derive(Clone)]
pub struct AmqpSettings {
    /// `amqp://user:password@host:port/virtual-host`, or `amqps://`; for a cluster several, separated by commas.
    /// A missing or empty virtual host means `/`.
    pub url: String,
    /// The files for `amqps`.
    pub tls: TlsFiles,
    /// The prefix of all exchange and queue names, so that several installations can share a virtual host.
    pub prefix: String,
    /// The time limit for publishing a batch with its confirms; also for sending one acknowledgement.
    pub publish_timeout: Duration,
    /// The time limit for opening a connection, and for declaring the topology.
    pub connect_timeout: Duration,
    /// The interval of heartbeats, in whole seconds. A server that is silent for twice as long counts as lost.
    pub heartbeat: Duration,
    /// The principals, by the account that publishes for each. If there are any, no other account may send requests.
    pub principals: BTreeMap<String, Principal>,
}

impl AmqpSettings {
    /// Creates settings with the default time limits.
    pub fn new(url: impl Into<String>, prefix: impl Into<String>) -> AmqpSettings {
        AmqpSettings {
            url: url.into(),
            tls: TlsFiles::default(),
            prefix: prefix.into(),
            publish_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            heartbeat: Duration::from_secs(10),
            principals: BTreeMap::new(),
        }
    }
}

impl fmt::Debug for AmqpSettings {
    /// Leaves out the URL, which holds a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AmqpSettings").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}
