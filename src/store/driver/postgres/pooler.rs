//! Checks that each connection has a PostgreSQL session of its own.
//!
//! A pooler in between may lend one session to several connections, one transaction each. Time limits that one connection sets
//! would then hold for the next one, and not for itself.

use std::str::FromStr;

use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::sqlx::{Connection, Executor, PgConnection, Row};
use sea_orm::{DbErr, RuntimeErr, SqlxError};

use super::connect;
use crate::store::driver::settings::Settings;
use crate::store::error::{Error, Result};

const DOING: &str = "connecting to the database";

const WHAT_TO_SET: &str =
    "point `database.url` at PostgreSQL itself, or at a pool in session mode (PgBouncer: `pool_mode = session`)";

/// Rejects a pooler that does not give us sessions of our own, before anything is written.
pub async fn check(settings: &Settings) -> Result<()> {
    let looked = tokio::time::timeout(settings.acquire_timeout, shares_sessions(settings)).await;
    match looked.unwrap_or(Err(SqlxError::PoolTimedOut)) {
        Ok(false) => Ok(()),
        Ok(true) => {
            let what = "there is a pool between Handover and PostgreSQL that lends a session for a transaction only";
            Err(Error::unexpected(DOING, format!("{what}, and so loses time limits: {WHAT_TO_SET}")))
        }
        Err(SqlxError::Database(error)) if error.message().contains("unsupported startup parameter") => {
            let what = format!("a pool between Handover and PostgreSQL refuses the connection ({})", error.message());
            Err(Error::unexpected(DOING, format!("{what}: {WHAT_TO_SET}, and take `options` out of the URL")))
        }
        Err(error) => Err(Error::of(DOING, &DbErr::Conn(RuntimeErr::SqlxError(error.into())))),
    }
}

/// True if one connection meets several sessions, or two connections meet one.
async fn shares_sessions(settings: &Settings) -> std::result::Result<bool, SqlxError> {
    let options = connect::as_handover(PgConnectOptions::from_str(&settings.url)?);
    let mut one = PgConnection::connect_with(&options).await?;
    let mut other = PgConnection::connect_with(&options).await?;
    let ours = session_of(&mut one).await?;
    // A pooler that rotates its sessions lends another one now. One that lends the latest gives ours to the other connection.
    let mut shared = session_of(&mut one).await? != ours;
    if !shared {
        other.execute("BEGIN").await?;
        // The other's session is taken meanwhile. If it is ours, there may be no second one: then we do not ask for it.
        shared = session_of(&mut other).await? == ours || session_of(&mut one).await? != ours;
        other.execute("ROLLBACK").await?;
    }
    one.close().await?;
    other.close().await?;
    Ok(shared)
}

/// Returns the server process that serves a connection now. The statement is not prepared.
async fn session_of(connection: &mut PgConnection) -> std::result::Result<i32, SqlxError> {
    connection.fetch_one("SELECT pg_backend_pid()").await?.try_get(0)
}
