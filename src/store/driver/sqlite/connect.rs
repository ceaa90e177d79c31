//! Connections to SQLite.

use sea_orm::ConnectOptions;
use sea_orm::sqlx::Connection;
use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};

use crate::store::driver::settings::{Settings, common};

/// The page caches of the writing connection, which walks the large indexes, and of each reading one. A negative number
/// means KiB. Together they bound the process's memory.
pub const WRITER_CACHE: &str = "-16000";
pub const READER_CACHE: &str = "-1000";

/// The pages of the log after which SQLite writes them to the database, usually 32 MB. SQLite's own 1,000 pages are as many
/// as a few chunks change. The pages that all of them change, those of indexes, would be written again and again.
const CHECKPOINT: &str = "8000";

/// Returns the options of a pool.
pub fn options(settings: &Settings, connections: u32, cache: &'static str) -> ConnectOptions {
    let busy = settings.lock_timeout;
    let mut options = common(settings, connections);
    options.map_sqlx_sqlite_opts(move |options| {
        options
            .journal_mode(SqliteJournalMode::Wal)
            // A commit survives a power cut: an acknowledged request must not be forgotten.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(busy)
            .foreign_keys(true)
            .pragma("cache_size", cache)
            .pragma("wal_autocheckpoint", CHECKPOINT)
            .statement_cache_capacity(400)
    });
    // On a full disk SQLite rolls a transaction back by itself. The client library, whose own rollback then fails, would
    // take the connection to be inside a transaction for ever, and could begin no other.
    options.map_sqlx_sqlite_pool_opts(|pool| {
        pool.after_release(|connection, _| {
            Box::pin(async move {
                // A queued rollback runs before this.
                connection.ping().await?;
                Ok(!connection.is_in_transaction())
            })
        })
    });
    options
}
