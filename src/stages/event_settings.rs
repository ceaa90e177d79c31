//! The events that are published.

/// The events that are published. `config/default.toml` documents each setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventSettings {
    /// True if each successor of a job gets a digest, `handover.records.assigned`.
    pub assigned: bool,
}
