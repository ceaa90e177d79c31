//! The database's own version and clock: for `handover doctor`.

use time::OffsetDateTime;

use super::{Error, Result, Session};
use crate::catalog::Engine;

/// What the database calls itself, such as `PostgreSQL 15.14`.
pub async fn version(session: &Session) -> Result<String> {
    let doing = "asking for the database's version";
    let query = match session.engine() {
        Engine::Postgres => "SELECT 'PostgreSQL ' || current_setting('server_version') AS version",
        Engine::Sqlite => "SELECT 'SQLite ' || sqlite_version() AS version",
    };
    let row = session.one(doing, session.sql(query)).await?;
    let row = row.ok_or_else(|| Error::unexpected(doing, "no answer"))?;
    row.try_get("", "version").map_err(|error| Error::unexpected(doing, error.to_string()))
}

/// How far the database's clock is ahead of ours, in seconds; behind it where negative. Nothing for SQLite, which goes by
/// our own.
pub async fn offset(session: &Session) -> Result<Option<f64>> {
    let doing = "asking for the database's time";
    if session.engine() == Engine::Sqlite {
        return Ok(None);
    }
    let before = OffsetDateTime::now_utc();
    let query = "SELECT CAST(extract(epoch FROM clock_timestamp()) AS double precision) AS seconds";
    let row = session.one(doing, session.sql(query)).await?;
    let after = OffsetDateTime::now_utc();
    let row = row.ok_or_else(|| Error::unexpected(doing, "no answer"))?;
    let theirs: f64 = row.try_get("", "seconds").map_err(|error| Error::unexpected(doing, error.to_string()))?;
    // It was asked somewhere between.
    let ours = before.unix_timestamp_nanos() as f64 / 1e9 + (after - before).as_seconds_f64() / 2.0;
    Ok(Some(theirs - ours))
}
