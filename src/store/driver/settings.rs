//! The settings of a database connection.

use std::time::Duration;

use sea_orm::{ConnectOptions, Database, DatabaseConnection};
use serde::Deserialize;

use crate::store::error::{Error, Result};

/// How a database is reached, and its time limits. Zero switches a limit off.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// `postgres://…` or `sqlite://…`.
    pub url: String,
    /// The most connections of this process. SQLite has one more, which writes.
    pub max_connections: u32,
    /// How long a statement waits for a lock before its transaction is retried.
    #[serde(with = "humantime_serde")]
    pub lock_timeout: Duration,
    /// How long a statement may take.
    #[serde(with = "humantime_serde")]
    pub statement_timeout: Duration,
    /// How long a transaction may be idle before the database ends it: the fence against a worker thought dead.
    #[serde(with = "humantime_serde")]
    pub idle_in_transaction_timeout: Duration,
    /// How long to wait for a free connection.
    #[serde(with = "humantime_serde")]
    pub acquire_timeout: Duration,
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
