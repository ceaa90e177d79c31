//! The storm's own way to the databases: plain connections, plain statements, nothing of Handover's.

use std::time::Duration;

use sea_orm::sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sea_orm::sqlx::{AssertSqlSafe, Error, Executor, PgPool, Postgres, Row, raw_sql};

/// Connections as the host application has them.
pub fn pool(url: &str) -> PgPool {
    let options: PgConnectOptions = url.parse().expect("a URL");
    // The role is called like the ledger's schema, which would come first on its search path.
    let options = options.application_name("host").options([("search_path", "public"), ("lock_timeout", "3s")]);
    PgPoolOptions::new().max_connections(10).acquire_timeout(Duration::from_secs(5)).connect_lazy_with(options)
}

/// Runs statements, all in one transaction.
pub async fn run<'c>(database: impl Executor<'c, Database = Postgres>, statements: &str) -> Result<u64, Error> {
    Ok(raw_sql(AssertSqlSafe(statements.to_owned())).execute(database).await?.rows_affected())
}

/// The texts of a query of one column.
pub async fn texts<'c>(database: impl Executor<'c, Database = Postgres>, query: &str) -> Result<Vec<String>, Error> {
    let rows = raw_sql(AssertSqlSafe(query.to_owned())).fetch_all(database).await?;
    rows.iter().map(|row| row.try_get(0)).collect()
}

/// The number that a query gives, cast to text by itself.
pub async fn number<'c>(database: impl Executor<'c, Database = Postgres>, query: &str) -> Result<i64, Error> {
    let found = texts(database, query).await?;
    Ok(found.first().and_then(|text| text.parse().ok()).unwrap_or(0))
}
