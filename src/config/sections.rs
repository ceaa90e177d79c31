//! The sections of the configuration that no other module owns.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;

/// The `[http]` section, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Http {
    /// The address that metrics and health are served on, if any.
    pub listen: Option<SocketAddr>,
}

/// The `[log]` section.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// Which messages are logged; by default the command decides.
    pub filter: Option<String>,
    /// The format of log lines.
    pub format: LogFormat,
}

/// The `[telemetry]` section.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Telemetry {
    /// The export by OTLP.
    #[serde(default)]
    pub otlp: Otlp,
}

/// The `[telemetry.otlp]` section.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Otlp {
    /// The collector's address without a path, such as `http://127.0.0.1:4318`.
    pub endpoint: Option<String>,
}

/// A format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// Text.
    Text,
    /// JSON.
    Json,
}

/// The `[database]` section, unchecked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DatabaseSection {
    pub url: String,
    pub max_connections: u32,
    #[serde(with = "humantime_serde")]
    pub lock_timeout: Duration,
    #[serde(with = "humantime_serde")]
    pub statement_timeout: Duration,
    #[serde(with = "humantime_serde")]
    pub idle_in_transaction_timeout: Duration,
    #[serde(with = "humantime_serde")]
    pub acquire_timeout: Duration,
}

/// The `[http]` section, unchecked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HttpSection {
    pub listen: String,
}
