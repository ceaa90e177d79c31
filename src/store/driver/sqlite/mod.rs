//! SQLite.

mod connect;
mod create_table;
pub mod errors;
mod introspect;
mod pragmas;
mod relations;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use handover_migrations::{Ledger, MigratorTrait};
use sea_orm::{DatabaseConnection, SqliteTransactionMode, TransactionOptions};

use super::activity::{HostLoad, Standbys};
use super::interface::{CurrentColumn, Driver, Pools, SessionDefault};
use super::settings::{self, Opening, Settings};
use crate::catalog::{Relation, Rights, Table, TableName};
use crate::store::dialect::{SharedDialect, Sqlite};
use crate::store::error::{Error, Result};
use crate::store::schema_watch::SchemaWatch;
use crate::store::session::Session;

/// The driver of SQLite, which runs in our own process.
pub struct SqliteDriver;

#[async_trait]
impl Driver for SqliteDriver {
    fn dialect(&self) -> SharedDialect {
        &Sqlite
    }

    fn hint(&self) -> &'static str {
        "check `database.url`: the file, its folder, and their permissions"
    }

    fn name(&self) -> &'static str {
        "SQLite"
    }

    fn place(&self, settings: &Settings) -> String {
        connect::file(&settings.url).map_or("in memory".into(), |file| file.display().to_string())
    }

    fn missing_file(&self, settings: &Settings) -> Option<PathBuf> {
        connect::file(&settings.url).filter(|file| !file.exists())
    }

    /// One connection writes: SQLite has one writer at a time, so none of ours ever waits for another in vain.
    /// SQLite prepares its statements again by itself when the schema changes.
    async fn connect(&self, settings: &Settings, opening: Opening, _: Arc<SchemaWatch>) -> Result<Pools> {
        let write = settings::open(connect::writer(settings, opening)).await?;
        let read = settings::open(connect::readers(settings, opening)).await?;
        Ok(Pools { write, read })
    }

    /// Takes the write lock at once, instead of failing later when a reader would have to become a writer.
    fn write_options(&self) -> TransactionOptions {
        TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        }
    }

    /// A reading transaction in WAL mode is a snapshot by itself.
    fn snapshot_options(&self) -> TransactionOptions {
        TransactionOptions::default()
    }

    async fn migrate(&self, _: &Settings, write: &DatabaseConnection) -> Result<()> {
        Ledger::up(write, None).await.map_err(|error| Error::of("migrating the ledger", &error))
    }

    async fn version(&self, session: &Session) -> Result<String> {
        let doing = "reading the database's version";
        let row = session.one(doing, session.sql("SELECT 'SQLite ' || sqlite_version() AS version")).await?;
        row.ok_or_else(|| Error::unexpected(doing, "the database returned no row"))?.get("version")
    }

    async fn clock_offset(&self, _: &Session) -> Result<Option<f64>> {
        Ok(None)
    }

    async fn differing_defaults(&self, _: &Session) -> Result<Vec<SessionDefault>> {
        Ok(Vec::new())
    }

    async fn read_tables(&self, session: &Session) -> Result<Vec<Table>> {
        introspect::read_tables(session).await
    }

    /// SQLite counts the changes of its schema.
    async fn fingerprints(&self, session: &Session, tables: &[TableName]) -> Result<BTreeMap<TableName, String>> {
        let doing = "reading the schema's version";
        let row = session.one(doing, session.sql("SELECT schema_version AS n FROM pragma_schema_version")).await?;
        let version: i64 = row.ok_or_else(|| Error::unexpected(doing, "the database returned no row"))?.get("n")?;
        Ok(tables.iter().map(|table| (table.clone(), version.to_string())).collect())
    }

    async fn read_relations(&self, session: &Session) -> Result<Vec<Relation>> {
        relations::read_relations(session).await
    }

    async fn current_columns(&self, session: &Session, table: &TableName) -> Result<Vec<CurrentColumn>> {
        introspect::current_columns(session, table).await
    }

    /// A transaction that writes has the whole database.
    async fn locked_columns(&self, session: &Session, table: &TableName) -> Result<Vec<CurrentColumn>> {
        introspect::current_columns(session, table).await
    }

    async fn active_transactions(&self, _: &Session) -> Result<BTreeSet<String>> {
        Ok(BTreeSet::new())
    }

    async fn standbys(&self, _: &Session) -> Result<Standbys> {
        Ok(Standbys::default())
    }

    /// SQLite shows nothing of others: its one writer is free between transactions.
    async fn host_load(&self, _: &Session) -> Result<HostLoad> {
        Ok(HostLoad::default())
    }

    async fn grants(&self, _: &Session, _: &Rights, _: &str) -> Result<String> {
        let what = "SQLite has no roles: a process that can write the file can do everything";
        Err(Error::unexpected("writing grants", what))
    }

    async fn missing_rights(&self, _: &Session, _: &Rights) -> Result<(String, Vec<String>)> {
        Ok((String::new(), Vec::new()))
    }
}
