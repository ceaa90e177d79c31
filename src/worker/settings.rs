//! The roles of a worker, and its settings.

use std::time::Duration;

use serde::Deserialize;

use super::throttle::Pace;

/// A part that a worker can run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Role {
    /// Takes requests.
    Planner,
    /// Takes steps: cuts, moves and finalizes. All steps share one queue, so a mover finalizes too.
    Mover,
    /// Takes steps, like the mover.
    Finalizer,
    /// Publishes the outbox to the broker.
    Relay,
    /// Finds work that has stalled, is due, or has expired.
    Sweeper,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 5] = [Role::Planner, Role::Mover, Role::Finalizer, Role::Relay, Role::Sweeper];

    /// Returns the role's name, as `--stage` takes it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Role::Planner => "planner",
            Role::Mover => "mover",
            Role::Finalizer => "finalizer",
            Role::Relay => "relay",
            Role::Sweeper => "sweeper",
        }
    }

    /// Returns the role's label in metrics. Mover and finalizer share one, since they run the same loop.
    pub(super) fn label(self) -> &'static str {
        match self {
            Role::Planner => "planner",
            Role::Mover | Role::Finalizer => "mover",
            Role::Relay => "relay",
            Role::Sweeper => "sweeper",
        }
    }
}

/// The connections that a worker uses besides those of its planners and movers: one of the relay, one of the sweeper, and one for looks
/// at the host, metrics and health.
const OTHER_CONNECTIONS: u32 = 3;

/// The sizes and intervals of a worker; `config/default.toml` documents each one.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Groups of requests planned at the same time.
    pub planners: usize,
    /// Steps worked on at the same time.
    pub movers: usize,
    /// The share of the time that movers work.
    pub pace: Pace,
    /// Messages that the relay publishes at a time.
    pub relay_batch: u64,
    /// The interval at which the relay looks for messages of other processes.
    #[serde(with = "humantime_serde")]
    pub poll: Duration,
    /// The interval at which the sweeper looks.
    #[serde(with = "humantime_serde")]
    pub sweep_every: Duration,
    /// The time that a stopped worker may take to finish its current work.
    #[serde(with = "humantime_serde")]
    pub grace: Duration,
}

impl Settings {
    /// Returns the connections to the database that a worker uses at the same time.
    pub fn connections(&self) -> u32 {
        let of_stages = u32::try_from(self.planners.max(1) + self.movers.max(1)).unwrap_or(u32::MAX);
        of_stages.saturating_add(OTHER_CONNECTIONS)
    }
}
