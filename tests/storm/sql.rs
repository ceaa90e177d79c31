//! The storm's own access to the databases: plain connections and statements, without Handover's code.

use std::time::Duration;

use sea_orm::sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sea_orm::sqlx::{AssertSqlSafe, Error, Executor, PgPool, Postgres, Row, raw_sql};

/// Opens connections as the host application does.
pub fn pool(url: &str) -> PgPool {
    let options: PgConnectOptions = url.parse().expect("a URL");
    // The role and the ledger's schema share a name, so that schema would come first on the search path.
    let options = options.application_name("host").options([("search_path", "public"), ("lock_timeout", "3s")]);
    PgPoolOptions::new().max_connections(10).acquire_timeout(Duration::from_secs(5)).connect_lazy_with(options)
}

/// Runs statements in one transaction.
pub async fn run<'c>(database: impl Executor<'c, Database = Postgres>, statements: &str) -> Result<u64, Error> {
    Ok(raw_sql(AssertSqlSafe(statements.to_owned())).execute(database).await?.rows_affected())
}

/// Returns the texts of a query with one column.
pub async fn texts<'c>(database: impl Executor<'c, Database = Postgres>, query: &str) -> Result<Vec<String>, Error> {
    let rows = raw_sql(AssertSqlSafe(query.to_owned())).fetch_all(database).await?;
    rows.iter().map(|row| row.try_get(0)).collect()
}

/// Returns the number of a query that casts it to text.
pub async fn number<'c>(database: impl Executor<'c, Database = Postgres>, query: &str) -> Result<i64, Error> {
    let found = texts(database, query).await?;
    Ok(found.first().and_then(|text| text.parse().ok()).unwrap_or(0))
}
