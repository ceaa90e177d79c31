//! Sizes and times of the stages.

use std::time::Duration;

/// Sizes and times of the stages. `config/default.toml` documents each setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// The most requests that share a transaction.
    pub group: usize,
    /// The most records of a chunk. A job with no more records in all is done at once.
    pub chunk_rows: u64,
    /// The target time of a chunk. Chunks that take longer are cut smaller.
    #[serde(with = "humantime_serde")]
    pub chunk_time: Duration,
    /// The number of chunks that one step cuts.
    pub chunks_per_cut: u64,
    /// The most tickets of a job on the queue.
    pub window: u64,
    /// The number of attempts at a chunk before it is given up.
    pub chunk_attempts: i32,
    /// The number of times that a blocked step or request is tried again later.
    pub deferrals: u32,
    /// The most passes over late records before a person has to look.
    pub late_passes: i32,
    /// The time without progress after which a job is dispatched again.
    #[serde(with = "humantime_serde")]
    pub stalled_after: Duration,
    /// The time after its end during which a job is counted again.
    #[serde(with = "humantime_serde")]
    pub recount_for: Duration,
    /// The interval of these counts.
    #[serde(with = "humantime_serde")]
    pub recount_every: Duration,
    /// The time for which the embedded broker keeps its events.
    #[serde(with = "humantime_serde")]
    pub keep_events: Duration,
    /// Deprovisioning by identity providers. It has a section of its own.
    #[serde(skip)]
    pub scim: ScimLimits,
}

/// The pace of deprovisioning by identity providers. `config/default.toml` documents each setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScimLimits {
    /// The time from the end of access to the move of the records.
    #[serde(with = "humantime_serde")]
    pub settle: Duration,
    /// The number of deprovisionings of a connection within an hour that never trips its breaker.
    pub breaker_least: u64,
    /// The percentage of the active users above which the breaker trips, if it is more.
    pub breaker_percent: u64,
}

impl Default for ScimLimits {
    fn default() -> ScimLimits {
        ScimLimits { settle: Duration::from_secs(15 * 60), breaker_least: 20, breaker_percent: 2 }
    }
}
