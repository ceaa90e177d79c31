//! The `[log]` and `[telemetry]` settings.

use serde::Deserialize;

/// The filter and the format of the log.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// The filter of log events. Default: depends on the command.
    pub filter: Option<String>,
    /// The format.
    pub format: LogFormat,
}

/// The format of log lines.
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

/// The export of traces.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Telemetry {
    /// The export by OTLP.
    #[serde(default)]
    pub otlp: Otlp,
}

/// The export of traces by OTLP.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Otlp {
    /// The collector's address, without a path: `http://127.0.0.1:4318`.
    pub endpoint: Option<String>,
}
