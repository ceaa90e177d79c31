//! PostgreSQL.

mod activity;
mod connect;
pub mod errors;
mod fingerprint;
mod grants;
mod introspect;
mod policies;
mod pooler;
mod relations;
mod sessions;
mod system_catalogs;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use handover_migrations::{Ledger, MigratorTrait};
use sea_orm::{AccessMode, ConnectionTrait, Database, DatabaseConnection, IsolationLevel, TransactionOptions};
use time::OffsetDateTime;

use super::activity::{HostLoad, Standbys};
use super::interface::{CurrentColumn, Driver, Pools, SessionDefault};
use super::settings::{self, Opening, Settings};
use crate::catalog::{Relation, Rights, Table, TableName};
use crate::store::dialect::{POSTGRES, SharedDialect, text};
use crate::store::error::{Error, Result};
use crate::store::schema_watch::SchemaWatch;
use crate::store::session::Session;

/// The driver of PostgreSQL.
pub struct PostgresDriver;

#[async_trait]
impl Driver for PostgresDriver {
    fn dialect(&self) -> SharedDialect {
        &POSTGRES
    }

    fn hint(&self) -> &'static str {
        "check `database.url`: that the server runs and is reachable, the name of the database, the role and its password"
    }

    fn name(&self) -> &'static str {
        "PostgreSQL"
    }

    fn place(&self, settings: &Settings) -> String {
        connect::place(&settings.url)
    }

    fn missing_file(&self, _: &Settings) -> Option<PathBuf> {
        None
    }

    async fn connect(&self, settings: &Settings, _: Opening, watch: Arc<SchemaWatch>) -> Result<Pools> {
        pooler::check(settings).await?;
        connect::try_session(settings).await?;
        let pool = settings::open(connect::options(settings, "", watch)).await?;
        Ok(Pools { write: pool.clone(), read: pool })
    }

    fn write_options(&self) -> TransactionOptions {
        TransactionOptions::default()
    }

    fn snapshot_options(&self) -> TransactionOptions {
        TransactionOptions {
            isolation_level: Some(IsolationLevel::RepeatableRead),
            access_mode: Some(AccessMode::ReadOnly),
            ..TransactionOptions::default()
        }
    }

    /// The migrations' own table belongs to the ledger's schema too, so this pool alone looks there first. No other may: a
    /// trigger of the host would find our tables under its own tables' names.
    async fn migrate(&self, settings: &Settings, write: &DatabaseConnection) -> Result<()> {
        let failed = |error| Error::of("migrating the ledger", &error);
        write.execute_unprepared("CREATE SCHEMA IF NOT EXISTS handover").await.map_err(failed)?;
        let mut options = connect::options(settings, "SET search_path = handover;", Arc::default());
        options.max_connections(1);
        let pool = Database::connect(options).await.map_err(failed)?;
        let done = Ledger::up(&pool, None).await.map_err(failed);
        let closed = pool.close().await.map_err(failed);
        done.and(closed)
    }

    async fn version(&self, session: &Session) -> Result<String> {
        let doing = "reading the database's version";
        let query = "SELECT 'PostgreSQL ' || current_setting('server_version') AS version";
        let row = session.one(doing, session.sql(query)).await?;
        row.ok_or_else(|| Error::unexpected(doing, "the database returned no row"))?.get("version")
    }

    async fn clock_offset(&self, session: &Session) -> Result<Option<f64>> {
        let doing = "reading the database's clock";
        let before = OffsetDateTime::now_utc();
        let query = "SELECT CAST(extract(epoch FROM clock_timestamp()) AS double precision) AS seconds";
        let row = session.one(doing, session.sql(query)).await?;
        let after = OffsetDateTime::now_utc();
        let theirs: f64 =
            row.ok_or_else(|| Error::unexpected(doing, "the database returned no row"))?.get("seconds")?;
        // The clock was read somewhere between the two.
        let ours = before.unix_timestamp_nanos() as f64 / 1e9 + (after - before).as_seconds_f64() / 2.0;
        Ok(Some(theirs - ours))
    }

    async fn differing_defaults(&self, session: &Session) -> Result<Vec<SessionDefault>> {
        sessions::differing_defaults(session).await
    }

    async fn read_tables(&self, session: &Session) -> Result<Vec<Table>> {
        introspect::read_tables(session).await
    }

    async fn fingerprints(&self, session: &Session, tables: &[TableName]) -> Result<BTreeMap<TableName, String>> {
        fingerprint::read(session, tables).await
    }

    async fn read_relations(&self, session: &Session) -> Result<Vec<Relation>> {
        relations::read_relations(session).await
    }

    async fn current_columns(&self, session: &Session, table: &TableName) -> Result<Vec<CurrentColumn>> {
        introspect::current_columns(session, table, "").await
    }

    /// A query that names the table locks it before it looks at the catalog, even if it reads none of its rows.
    async fn locked_columns(&self, session: &Session, table: &TableName) -> Result<Vec<CurrentColumn>> {
        let locking = format!(" AND NOT EXISTS (SELECT 1 FROM {} WHERE FALSE)", text::table(table));
        introspect::current_columns(session, table, &locking).await
    }

    async fn active_transactions(&self, session: &Session) -> Result<BTreeSet<String>> {
        activity::active_transactions(session).await
    }

    async fn standbys(&self, session: &Session) -> Result<Standbys> {
        activity::standbys(session).await
    }

    async fn host_load(&self, session: &Session) -> Result<HostLoad> {
        activity::host_load(session).await
    }

    async fn grants(&self, session: &Session, rights: &Rights, role: &str) -> Result<String> {
        grants::script(session, rights, role).await
    }

    async fn missing_rights(&self, session: &Session, rights: &Rights) -> Result<(String, Vec<String>)> {
        grants::missing(session, rights).await
    }
}
