//! Connections to PostgreSQL, and the settings of each.

use std::time::Duration;

use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use sea_orm::{ConnectOptions, SqlxError};

use crate::store::driver::settings::{Settings, common};

/// Returns the options of a pool. Each connection runs `more` too before it is used.
pub fn options(settings: &Settings, more: &str) -> ConnectOptions {
    let first = format!("{} {NOT_OUR_OWN_SCHEMA_FIRST} {more}", session_settings(settings));
    let mut options = common(settings, settings.max_connections);
    options.map_sqlx_postgres_opts(as_handover);
    let limit = settings.acquire_timeout;
    // A connection that was used a moment ago is not tested before a transaction begins: if it has died since, the first
    // statement fails and the transaction is retried.
    options.test_before_acquire_if_idle_for(TRUSTED_FOR);
    options.map_sqlx_postgres_pool_opts(move |pool| {
        let first = first.clone();
        pool.after_connect(move |connection, _| {
            let first = AssertSqlSafe(first.clone());
            Box::pin(async move { connection.execute(first).await.map(drop) })
        })
        // A connection whose server has fallen silent would never come back and would keep its place in the pool.
        .after_release(move |connection, _| Box::pin(async move { answers(connection, limit).await.map(|()| true) }))
    });
    options
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

/// Returns the settings of every connection. A connection that refuses any of them is not used.
fn session_settings(settings: &Settings) -> String {
    let limits = [
        ("lock_timeout", settings.lock_timeout),
        ("statement_timeout", settings.statement_timeout),
        ("idle_in_transaction_session_timeout", settings.idle_in_transaction_timeout),
    ];
    let limits = limits.map(|(name, timeout)| (name, timeout.as_millis().to_string()));
    let all = limits.iter().map(|(name, timeout)| (*name, timeout.as_str())).chain(FIXED).chain(BY_INDEX);
    all.map(|(name, value)| format!("SET {name} = '{value}';")).collect()
}

/// With `row_security = off`, a policy that would hide rows makes the statement fail, until `host::enter` allows it: no count
/// may be too small. The other settings fix how values are written as text: a snapshot may be read back months later, under
/// other settings of the role. The client library fixes how dates are written.
const FIXED: [(&str, &str); 4] =
    [("row_security", "off"), ("intervalstyle", "postgres"), ("xmloption", "content"), ("extra_float_digits", "2")];

/// Every statement of ours reads a few rows by an index, in tables of any size: a sequential scan is right only if no index
/// serves. PostgreSQL guesses that ten leavers own a good part of a table, and would scan it. It would also compile a
/// statement whose cost looks high, which takes longer than running it.
const BY_INDEX: [(&str, &str); 3] = [("random_page_cost", "1.1"), ("enable_seqscan", "off"), ("jit", "off")];

/// The time for which an idle connection is trusted to be alive.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// PostgreSQL's default search path begins with a schema of the role's own name. A role called `handover` would look into the
/// ledger's schema first, which would hide host tables of the same names.
const NOT_OUR_OWN_SCHEMA_FIRST: &str = r#"
    SELECT set_config('search_path', regexp_replace(current_setting('search_path'), '"\$user"\s*,?\s*', ''), false)
    WHERE current_user = 'handover';
"#;

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
