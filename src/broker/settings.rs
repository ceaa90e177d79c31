//! The `[broker]` settings: checking them, and opening the broker that they describe.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::amqp::{self, AmqpBroker, AmqpSettings, TlsFiles};
use super::api::Broker;
use super::diagnosis::Finding;
use super::error::BrokerError;
use super::local::LocalBroker;
use super::sender::PrincipalEntry;
use crate::store::Store;

/// The hint for a broker that does not answer.
pub const CONNECT_HINT: &str = "check `broker.url`, and that the broker runs and is reachable from this machine";

/// The prefix of the default settings.
const DEFAULT_PREFIX: &str = "handover";

/// The longest name prefix, in characters.
const LONGEST_PREFIX: usize = 100;

/// A longer time limit is a mistake, and a heartbeat must fit 16 bits of seconds.
const LONGEST_TIME: Duration = Duration::from_secs(18 * 3600);

/// The `[broker]` section as written.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Section {
    url: String,
    ca_file: Option<PathBuf>,
    cert_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
    prefix: String,
    #[serde(with = "humantime_serde")]
    publish_timeout: Duration,
    #[serde(with = "humantime_serde")]
    connect_timeout: Duration,
    #[serde(with = "humantime_serde")]
    heartbeat: Duration,
    #[serde(default)]
    principals: BTreeMap<String, PrincipalEntry>,
}

/// The configured broker.
#[derive(Debug, Clone)]
pub enum Settings {
    /// No broker: the ledger's outbox is the queue.
    Embedded,
    /// RabbitMQ.
    Amqp(AmqpSettings),
}

/// Opens the configured broker. Connects once; retrying is up to the caller.
pub async fn open(settings: &Settings, store: &Store) -> Result<Arc<dyn Broker>, BrokerError> {
    Ok(match settings {
        Settings::Embedded => Arc::new(LocalBroker::new(store.clone())),
        Settings::Amqp(amqp) => Arc::new(AmqpBroker::connect(amqp.clone()).await?),
    })
}

impl Settings {
    /// Checks the section. Returns every fault at once.
    pub fn check(section: Section) -> Result<Settings, Vec<String>> {
        let mut faults = Vec::new();
        let tls = check_tls(&section, &mut faults);
        if section.url == "local" && !section.principals.is_empty() {
            faults.push("`broker.principals` requires RabbitMQ: without a broker, no account sends a message".into());
        }
        let is_amqp = section.url.starts_with("amqp://") || section.url.starts_with("amqps://");
        let settings = match section.url.as_str() {
            "local" => Some(Settings::Embedded),
            _ if is_amqp => Some(check_amqp(section, tls, &mut faults)),
            _ => {
                faults.push("`broker.url` must be `local`, or start with `amqp://` or `amqps://`".into());
                None
            }
        };
        settings.filter(|_| faults.is_empty()).ok_or(faults)
    }

    /// Returns true if messages leave the database.
    pub fn is_external(&self) -> bool {
        match self {
            Settings::Embedded => false,
            Settings::Amqp(_) => true,
        }
    }

    /// Returns which broker this is, without any password.
    pub fn label(&self) -> String {
        match self {
            Settings::Embedded => "local".into(),
            Settings::Amqp(amqp) => amqp::label(amqp),
        }
    }

    /// Returns the prefix of the names of queues and exchanges.
    pub fn prefix(&self) -> &str {
        match self {
            Settings::Embedded => DEFAULT_PREFIX,
            Settings::Amqp(amqp) => &amqp.prefix,
        }
    }

    /// Checks that the broker answers and that its queues are as Handover declares them. Changes nothing.
    pub async fn diagnose(&self) -> Vec<Finding> {
        match self {
            Settings::Embedded => vec![Finding::good("broker", "none: the ledger's outbox is the queue")],
            Settings::Amqp(amqp) => amqp::diagnose(amqp).await,
        }
    }
}

fn check_amqp(section: Section, tls: TlsFiles, faults: &mut Vec<String>) -> Settings {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let prefix = &section.prefix;
    if prefix.is_empty() || prefix.len() > LONGEST_PREFIX || !prefix.chars().all(allowed) {
        faults.push(format!(
            "`broker.prefix` must have 1 to {LONGEST_PREFIX} letters, digits, points, dashes or underscores"
        ));
    }
    for (name, time) in [
        ("publish_timeout", section.publish_timeout),
        ("connect_timeout", section.connect_timeout),
        ("heartbeat", section.heartbeat),
    ] {
        if time > LONGEST_TIME {
            let longest = humantime::format_duration(LONGEST_TIME);
            faults.push(format!("`broker.{name}` must be at most {longest}"));
        }
    }
    let principals = section.principals.into_iter();
    let settings = AmqpSettings {
        url: section.url,
        tls,
        prefix: section.prefix,
        publish_timeout: section.publish_timeout,
        connect_timeout: section.connect_timeout,
        heartbeat: section.heartbeat,
        // The form of the section is checked before.
        principals: principals.filter_map(|(account, entry)| Some((account, entry.principal()?))).collect(),
    };
    faults.extend(amqp::principals_fault(&settings));
    Settings::Amqp(settings)
}

/// Checks the TLS files. A file that would not be used is a fault: its author relies on it.
fn check_tls(section: &Section, faults: &mut Vec<String>) -> TlsFiles {
    let Section { url, ca_file, cert_file, key_file, .. } = section;
    let is_named = ca_file.is_some() || cert_file.is_some() || key_file.is_some();
    if is_named && !url.starts_with("amqps://") {
        faults.push(
            "`broker.ca_file`, `cert_file` and `key_file` require a `broker.url` that starts with `amqps:`".into(),
        );
    }
    if cert_file.is_some() != key_file.is_some() {
        faults.push("`broker.cert_file` and `broker.key_file` require each other".into());
    }
    TlsFiles { authority: ca_file.clone(), identity: cert_file.clone().zip(key_file.clone()) }
}
