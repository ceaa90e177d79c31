//! The database's own version and clock, for `handover doctor`.

use super::driver;
use super::error::Result;
use super::session::Session;

/// Returns the database's own name and version, such as `PostgreSQL 15.14`.
pub async fn version(session: &Session) -> Result<String> {
    driver::of(session).version(session).await
}

/// Returns by how many seconds the database's clock is ahead of ours, negative if it is behind; nothing if the database
/// uses our clock.
pub async fn offset(session: &Session) -> Result<Option<f64>> {
    driver::of(session).clock_offset(session).await
}
