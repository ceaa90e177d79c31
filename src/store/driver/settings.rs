//! The settings of a database connection.

use std::time::Duration;

use sea_orm::{ConnectOptions, Database, DatabaseConnection};
use serde::Deserialize;

use crate::store::error::{Error, Result};

/// The address of a database, and its time limits. Zero switches a limit off.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// `postgres://…` or `sqlite://…`.
    pub url: String,
    /// The most connections of this process. SQLite has one more, which writes.
    pub max_connections: u32,
    /// The longest wait of a statement for a lock; after that its transaction is retried.
    #[serde(with = "humantime_serde")]
    pub lock_timeout: Duration,
    /// The longest time of a statement.
    #[serde(with = "humantime_serde")]
    pub statement_timeout: Duration,
    /// The longest idle time of a transaction before the database ends it: the fence against a worker thought dead.
    #[serde(with = "humantime_serde")]
    pub idle_in_transaction_timeout: Duration,
    /// The longest wait for a free connection.
    #[serde(with = "humantime_serde")]
    pub acquire_timeout: Duration,
    /// The time zone of sessions; empty for the database's own. SQLite has none.
    pub time_zone: String,
}

/// The effect of connecting on the database's file. Only SQLite has one; a server's database is never changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// Leaves the file as it is: other applications may read it or copy it. A missing file is an error.
    AsIs,
    /// Lets readers and a writer work at the same time from here on. A missing file is an error.
    ForWork,
    /// As for work, and creates a missing file, unless the URL forbids it.
    Create,
}

/// Returns the options that every engine shares.
pub(super) fn common(settings: &Settings, connections: u32) -> ConnectOptions {
    let mut options = ConnectOptions::new(settings.url.clone());
    options
        .max_connections(connections.max(1))
        .min_connections(0)
        .acquire_timeout(settings.acquire_timeout)
        .connect_timeout(settings.acquire_timeout)
        .sqlx_logging(false);
    options
}

/// Opens a pool.
pub(super) async fn open(options: ConnectOptions) -> Result<DatabaseConnection> {
    Database::connect(options).await.map_err(|error| Error::of("connecting to the database", &error))
}
