//! How busy a database is.

use std::time::Duration;

/// What a look at the database shows. Activity that the role cannot see counts as none.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct HostLoad {
    /// Sessions of others that wait for a lock of ours.
    pub waiting: u64,
    /// How far the slowest standby is behind.
    pub replay_lag: Option<Duration>,
    /// How long the database took to answer a trivial statement.
    pub answer: Option<Duration>,
}

/// How many standbys are connected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standbys {
    /// All of them.
    pub connected: i64,
    /// Those whose lag this role cannot see.
    pub hidden: i64,
}
