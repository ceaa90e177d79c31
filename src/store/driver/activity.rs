//! The load of a database.

use std::time::Duration;

/// The load of a database. Activity that the role cannot see counts as none.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct HostLoad {
    /// Sessions of others that wait for a lock of ours.
    pub waiting: u64,
    /// The lag of the slowest standby.
    pub replay_lag: Option<Duration>,
    /// The time that the database took to answer a trivial statement.
    pub answer: Option<Duration>,
}

/// The number of connected standbys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standbys {
    /// All of them.
    pub connected: i64,
    /// Those whose lag this role cannot see.
    pub hidden: i64,
}
