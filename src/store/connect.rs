//! How a database is reached, and what every connection is told.

use std::time::Duration;

use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use sea_orm::sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use sea_orm::{ConnectOptions, Database, DatabaseConnection, SqlxError};

use super::error::{Error, Result};
use super::pooler;
use crate::catalog::Engine;

/// How a database is reached, and its time limits. Zero switches a timeout off.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `postgres://…` or `sqlite://…`.
    pub url: String,
    /// Connections of this process at most; SQLite has one for writing beside them.
    pub max_connections: u32,
    /// How long a statement waits for a lock before its transaction is tried again.
    pub lock_timeout: Duration,
    /// How long a statement may take.
    pub statement_timeout: Duration,
    /// How long a transaction may stand idle before the database ends it: the fence against a worker thought dead.
    pub idle_timeout: Duration,
    /// How long to wait for a free connection.
    pub acquire_timeout: Duration,
}

/// The engine, the connections that write, and those that read.
pub(super) async fn connect(settings: &Settings) -> Result<(Engine, DatabaseConnection, DatabaseConnection)> {
    match engine_of(&settings.url)? {
        Engine::Postgres => {
            pooler::check(settings).await?;
            let pool = open(postgres(settings, "")).await?;
            Ok((Engine::Postgres, pool.clone(), pool))
        }
        // One connection writes: SQLite has one writer at a time anyhow, and so none of ours ever waits for another in vain.
        Engine::Sqlite => {
            let write = open(sqlite(settings, 1, WRITER_CACHE)).await?;
            let read = open(sqlite(settings, settings.max_connections, READER_CACHE)).await?;
            Ok((Engine::Sqlite, write, read))
        }
    }
}

async fn open(options: ConnectOptions) -> Result<DatabaseConnection> {
    Database::connect(options).await.map_err(|error| Error::of("connecting to the database", &error))
}

fn engine_of(url: &str) -> Result<Engine> {
    match url.split_once(':') {
        Some(("postgres" | "postgresql", _)) => Ok(Engine::Postgres),
        Some(("sqlite", _)) => Ok(Engine::Sqlite),
        // The URL itself may hold a password: only its scheme is told.
        other => {
            let scheme = other.map_or("nothing", |(scheme, _)| scheme);
            let what = format!("`database.url` begins with `postgres:` or `sqlite:`, not with `{scheme}`");
            Err(Error::unexpected("connecting to the database", what))
        }
    }
}

/// The pool of PostgreSQL; `more` is told to each of its connections, too.
pub(super) fn postgres(settings: &Settings, more: &str) -> ConnectOptions {
    let told = format!("{} {NOT_OUR_OWN_SCHEMA_FIRST} {more}", session_settings(settings));
    let mut options = common(settings, settings.max_connections);
    options.map_sqlx_postgres_opts(as_handover);
    let patience = settings.acquire_timeout;
    // A transaction begins without asking first whether its connection lives, where that was used a moment ago: one that
    // has died since fails its first statement, and is begun again.
    options.test_before_acquire_if_idle_for(TAKEN_ON_TRUST);
    options.map_sqlx_postgres_pool_opts(move |pool| {
        let told = told.clone();
        pool.after_connect(move |connection, _| {
            let told = AssertSqlSafe(told.clone());
            Box::pin(async move { connection.execute(told).await.map(drop) })
        })
        // A connection whose server has fallen silent would never come back, and its place in the pool be lost.
        .after_release(move |connection, _| Box::pin(async move { answers(connection, patience).await.map(|()| true) }))
    });
    options
}

async fn answers(connection: &mut PgConnection, patience: Duration) -> std::result::Result<(), SqlxError> {
    let silent = |_| SqlxError::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, "the database does not answer"));
    tokio::time::timeout(patience, connection.ping()).await.map_err(silent)?
}

/// What a connection says when it begins: nothing that a pool between us and PostgreSQL would have to understand. Most
/// know neither `options` nor how floats are to be written.
pub(super) fn as_handover(options: PgConnectOptions) -> PgConnectOptions {
    options.application_name("handover").statement_cache_capacity(400).extra_float_digits(None)
}

/// What every connection is told before it is used. A connection that refuses any of it is none.
fn session_settings(settings: &Settings) -> String {
    let limits = [
        ("lock_timeout", settings.lock_timeout),
        ("statement_timeout", settings.statement_timeout),
        ("idle_in_transaction_session_timeout", settings.idle_timeout),
    ];
    let limits = limits.map(|(name, timeout)| (name, timeout.as_millis().to_string()));
    let all = limits.iter().map(|(name, timeout)| (*name, timeout.as_str())).chain(ALIKE).chain(BY_INDEX);
    all.map(|(name, value)| format!("SET {name} = '{value}';")).collect()
}

/// Row-level security that would hide rows makes the statement fail, until `host::enter` says otherwise: no count may come
/// out smaller than it is. And values are copied as texts and may be read back months later: whatever a role's settings are
/// by then, they are written and read in one way. Dates the driver sees to.
const ALIKE: [(&str, &str); 4] =
    [("row_security", "off"), ("intervalstyle", "postgres"), ("xmloption", "content"), ("extra_float_digits", "2")];

/// Every statement of ours is about a few rows that an index names, of tables of any size: reading a whole table is right only
/// where no index serves. PostgreSQL, which guesses that ten leavers own a good part of a table, would rather read it; and it
/// would compile a statement whose cost looks high, for longer than the statement runs.
const BY_INDEX: [(&str, &str); 3] = [("random_page_cost", "1.1"), ("enable_seqscan", "off"), ("jit", "off")];

/// How long a connection that stands idle is taken for alive.
const TAKEN_ON_TRUST: Duration = Duration::from_secs(1);

/// SQLite's page cache of the writing connection, which walks the large indexes, and of each reading one: in KiB, which
/// SQLite writes as a negative number. Together they bound the process's memory.
const WRITER_CACHE: &str = "-16000";
const READER_CACHE: &str = "-1000";

/// Pages of the log after which SQLite carries them to the database, 32 MB as pages usually are: its own 1,000 pages are as many as a few chunks
/// change, and the pages that all of them change, those of indexes, would be carried again and again.
const CHECKPOINT: &str = "8000";

/// A role that is called `handover` would look into the ledger's schema first, as PostgreSQL's default search path begins
/// with a schema of the role's own name: the host's tables by the same names would be hidden, and new ones made there.
const NOT_OUR_OWN_SCHEMA_FIRST: &str = r#"
    SELECT set_config('search_path', regexp_replace(current_setting('search_path'), '"\$user"\s*,?\s*', ''), false)
    WHERE current_user = 'handover';
"#;

fn sqlite(settings: &Settings, connections: u32, cache: &'static str) -> ConnectOptions {
    let busy = settings.lock_timeout;
    let mut options = common(settings, connections);
    options.map_sqlx_sqlite_opts(move |options| {
        options
            .journal_mode(SqliteJournalMode::Wal)
            // What was committed survives a power cut: an acknowledged request must not be forgotten.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(busy)
            .foreign_keys(true)
            .pragma("cache_size", cache)
            .pragma("wal_autocheckpoint", CHECKPOINT)
            .statement_cache_capacity(400)
    });
    // A full disk makes SQLite undo a transaction by itself. The driver, whose own attempt then fails, would take the
    // connection to be in the midst of one for ever, and no other could be begun.
    options.map_sqlx_sqlite_pool_opts(|pool| {
        pool.after_release(|connection, _| {
            Box::pin(async move {
                // Whatever is queued, such as undoing a transaction, is done before this.
                connection.ping().await?;
                Ok(!connection.is_in_transaction())
            })
        })
    });
    options
}

fn common(settings: &Settings, connections: u32) -> ConnectOptions {
    let mut options = ConnectOptions::new(settings.url.clone());
    options
        .max_connections(connections.max(1))
        .min_connections(0)
        .acquire_timeout(settings.acquire_timeout)
        .connect_timeout(settings.acquire_timeout)
        .sqlx_logging(false);
    options
}
