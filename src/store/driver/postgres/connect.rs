//! Connections to PostgreSQL, and the settings of each.

use std::sync::Arc;
use std::time::Duration;

use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use sea_orm::{ConnectOptions, DbErr, RuntimeErr, SqlxError};

use super::sessions;
use crate::store::driver::settings::{Settings, common};
use crate::store::error::{Error, Result};
use crate::store::schema_watch::SchemaWatch;

/// Returns the options of a pool. Each connection runs `more` too before it is used.
pub fn options(settings: &Settings, more: &str, watch: Arc<SchemaWatch>) -> ConnectOptions {
    let first = format!("{} {more}", sessions::settings_of(settings));
    let mut options = common(settings, settings.max_connections);
    options.map_sqlx_postgres_opts(as_handover);
    let limit = settings.acquire_timeout;
    options.map_sqlx_postgres_pool_opts(move |pool| {
        let (first, watch) = (first.clone(), watch.clone());
        pool.test_before_acquire(false)
            // A connection that was used a moment ago is not tested before a transaction begins: if it has died since, the first
            // statement fails and the transaction is retried. One that is older than the schema is closed: it may hold
            // statements whose results have other types by now.
            .before_acquire(move |connection, meta| {
                let (is_outdated, is_trusted) = (watch.outdates(meta.age), meta.idle_for < TRUSTED_FOR);
                Box::pin(async move {
                    if !is_outdated && !is_trusted {
                        connection.ping().await?;
                    }
                    Ok(!is_outdated)
                })
            })
            .after_connect(move |connection, _| {
                let first = AssertSqlSafe(first.clone());
                Box::pin(async move { connection.execute(first).await.map(drop) })
            })
            // A connection whose server has fallen silent would never come back and would keep its place in the pool.
            .after_release(move |connection, _| {
                Box::pin(async move { answers(connection, limit).await.map(|()| true) })
            })
    });
    options
}

/// Sets up one session outside the pool. The pool would repeat a refused set-up until its time is over, and hide the reason.
pub async fn try_session(settings: &Settings) -> Result<()> {
    let doing = "setting up a session";
    let options: PgConnectOptions =
        settings.url.parse().map_err(|error| Error::of(doing, &DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error)))))?;
    let tried = async {
        let mut connection = PgConnection::connect_with(&as_handover(options)).await?;
        connection.execute(AssertSqlSafe(sessions::settings_of(settings))).await?;
        connection.close().await
    };
    let tried = tokio::time::timeout(settings.acquire_timeout, tried).await;
    tried.unwrap_or(Err(SqlxError::PoolTimedOut)).map_err(|error| {
        let is_refused = matches!(error, SqlxError::Database(_));
        let error = RuntimeErr::SqlxError(Arc::new(error));
        Error::of(doing, &if is_refused { DbErr::Exec(error) } else { DbErr::Conn(error) })
    })
}

/// Returns which database a URL names, with what the client library takes from `PGHOST`, `PGDATABASE` and their kin.
pub fn place(url: &str) -> String {
    let Ok(options) = url.parse::<PgConnectOptions>() else { return "unknown".into() };
    let (user, port) = (options.get_username(), options.get_port());
    let host = match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => format!("{}:{port}", options.get_host()),
    };
    format!("{} on {host} as {user}", options.get_database().unwrap_or(user))
}

async fn answers(connection: &mut PgConnection, limit: Duration) -> std::result::Result<(), SqlxError> {
    let silent = |_| SqlxError::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, "the database does not answer"));
    tokio::time::timeout(limit, connection.ping()).await.map_err(silent)?
}

/// Sets the parameters of a connection's start. A pooler between us and PostgreSQL must understand them: most know neither
/// `options` nor `extra_float_digits`.
pub fn as_handover(options: PgConnectOptions) -> PgConnectOptions {
    options.application_name("handover").statement_cache_capacity(400).extra_float_digits(None)
}

/// The time for which an idle connection is trusted to be alive.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn place_names_the_database_without_its_password() {
        for (url, named) in [
            ("postgres://me:s3cret@db.example.com:5432/crm", "crm on db.example.com:5432 as me"),
            ("postgresql://me:s3cret@db:6432/crm?sslmode=prefer", "crm on db:6432 as me"),
            ("postgres://db:5432/crm?user=me&password=s3cret", "crm on db:5432 as me"),
            ("postgres://me@%2Frun%2Fpostgresql/crm", "crm on /run/postgresql as me"),
            ("postgres://me:s3 cret@[db/crm", "unknown"),
        ] {
            assert_eq!(place(url), named, "{url}");
        }
    }
}
