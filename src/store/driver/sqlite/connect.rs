//! Connections to SQLite.

use std::path::{Path, PathBuf};

use sea_orm::ConnectOptions;
use sea_orm::sqlx::Connection;
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};

use crate::store::driver::settings::{Opening, Settings, common};

/// The page caches of the writing connection, which walks the large indexes, and of each reading one. A negative number
/// means KiB. Together they bound the process's memory.
const WRITER_CACHE: &str = "-16000";
const READER_CACHE: &str = "-1000";

/// The pages of the log after which SQLite writes them to the database, usually 32 MB. SQLite's own 1,000 pages are as many
/// as a few chunks change. The pages that all of them change, those of indexes, would be written again and again.
const CHECKPOINT: &str = "8000";

/// Returns the absolute path of a URL's file; none if the database is in memory or the URL is invalid.
pub fn file(url: &str) -> Option<PathBuf> {
    if url.contains(":memory:") || mode(url).as_deref() == Some("memory") {
        return None;
    }
    let options = url.parse::<SqliteConnectOptions>().ok()?;
    std::path::absolute(options.get_filename()).ok()
}

/// Returns the mode that a URL demands: `ro`, `rw`, `rwc` or `memory`.
fn mode(url: &str) -> Option<String> {
    let (_, parameters) = url.split_once('?')?;
    let mut parameters = url::form_urlencoded::parse(parameters.as_bytes());
    parameters.find(|(name, _)| name == "mode").map(|(_, value)| value.into_owned())
}

/// Returns the options of the connection that writes. If the file is to stay as it is, the first write opens the connection: it
/// would write a log that another process has left to the file.
pub fn writer(settings: &Settings, opening: Opening) -> ConnectOptions {
    let is_forbidden = matches!(mode(&settings.url).as_deref(), Some("ro" | "rw"));
    let creates = opening == Opening::Create && !is_forbidden;
    let is_prepared = opening != Opening::AsIs;
    let mut options = options(settings, 1, WRITER_CACHE, move |options| {
        let options = options.create_if_missing(creates);
        // Setting the mode changes the file, for every application.
        if is_prepared { options.journal_mode(SqliteJournalMode::Wal) } else { options }
    });
    options.connect_lazy(!is_prepared);
    options
}

/// Returns the options of the connections that read.
pub fn readers(settings: &Settings, opening: Opening) -> ConnectOptions {
    let leaves_log = opening == Opening::AsIs && file(&settings.url).is_some_and(|file| has_log(&file));
    options(settings, settings.max_connections, READER_CACHE, move |options| {
        let options = options.create_if_missing(false);
        if leaves_log { options.read_only(true) } else { options }
    })
}

/// True if another process has a log beside the file, or has left it. The last writable connection that closes would write the
/// log to the file and delete it.
fn has_log(file: &Path) -> bool {
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    std::fs::metadata(log).is_ok_and(|log| log.len() > 0)
}

fn options(
    settings: &Settings,
    connections: u32,
    cache: &'static str,
    more: impl Fn(SqliteConnectOptions) -> SqliteConnectOptions + Send + Sync + 'static,
) -> ConnectOptions {
    let busy = settings.lock_timeout;
    let mut options = common(settings, connections);
    options.map_sqlx_sqlite_opts(move |options| {
        more(options)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_is_absolute_and_decoded() {
        let here = std::env::current_dir().expect("a folder");
        for (url, path) in [
            ("sqlite://handover.db?mode=rwc", here.join("handover.db")),
            ("sqlite:handover.db", here.join("handover.db")),
            ("sqlite:///var/lib/app/a%20b.db", PathBuf::from("/var/lib/app/a b.db")),
        ] {
            assert_eq!(file(url), Some(path), "{url}");
        }
        assert!(
            ["sqlite::memory:", "sqlite://x?mode=memory", "sqlite://x?mode=no"].iter().all(|url| file(url).is_none())
        );
    }
}
