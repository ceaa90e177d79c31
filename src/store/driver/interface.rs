//! The interface of a driver.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use sea_orm::{DatabaseConnection, TransactionOptions};

use super::activity::{HostLoad, Standbys};
use super::settings::{Opening, Settings};
use crate::catalog::{Relation, Rights, Table, TableName};
use crate::store::dialect::SharedDialect;
use crate::store::error::Result;
use crate::store::schema_watch::SchemaWatch;
use crate::store::session::Session;

/// The connections of a database.
#[derive(Clone)]
pub struct Pools {
    /// Connections for transactions that write.
    pub write: DatabaseConnection,
    /// Connections for statements and snapshots that only read.
    pub read: DatabaseConnection,
}

/// A column of a table as it is now.
pub struct CurrentColumn {
    /// Its name.
    pub name: String,
    /// The type that a text is cast to for it; empty: no cast.
    pub cast: String,
    /// True if the database computes its values.
    pub is_generated: bool,
}

/// A default of the server, the database or the role that our sessions do not keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionDefault {
    /// The setting.
    pub name: String,
    /// The value of other sessions.
    pub default: String,
    /// The value of ours.
    pub ours: String,
}

/// Everything about an engine except its syntax.
#[async_trait]
pub trait Driver: Send + Sync {
    /// Returns the engine's syntax and capabilities.
    fn dialect(&self) -> SharedDialect;

    /// Returns what to check if the database cannot be opened.
    fn hint(&self) -> &'static str;

    /// Returns the engine's name for people.
    fn name(&self) -> &'static str;

    /// Returns which database the settings name, without any password: `crm on db.example.com:5432 as app`.
    fn place(&self, settings: &Settings) -> String;

    /// Returns the database's file if the settings name one that does not exist.
    fn missing_file(&self, settings: &Settings) -> Option<PathBuf>;

    /// Connects. A connection that the watch finds outdated is not used again.
    async fn connect(&self, settings: &Settings, opening: Opening, watch: Arc<SchemaWatch>) -> Result<Pools>;

    /// Returns the options of a transaction that writes.
    fn write_options(&self) -> TransactionOptions;

    /// Returns the options of a snapshot that is only read.
    fn snapshot_options(&self) -> TransactionOptions;

    /// Brings the ledger up to date.
    async fn migrate(&self, settings: &Settings, write: &DatabaseConnection) -> Result<()>;

    /// Returns the database's own name and version, such as `PostgreSQL 15.14`.
    async fn version(&self, session: &Session) -> Result<String>;

    /// Returns by how many seconds the database's clock is ahead of ours; nothing if it uses ours.
    async fn clock_offset(&self, session: &Session) -> Result<Option<f64>>;

    /// Returns the defaults of sessions that ours replace.
    async fn differing_defaults(&self, session: &Session) -> Result<Vec<SessionDefault>>;

    /// Reads the tables, except the ledger's.
    async fn read_tables(&self, session: &Session) -> Result<Vec<Table>>;

    /// Returns a fingerprint of each of these tables. It changes with what the table has: columns, constraints, indexes, triggers,
    /// rules and policies.
    async fn fingerprints(&self, session: &Session, tables: &[TableName]) -> Result<BTreeMap<TableName, String>>;

    /// Reads the relations that no catalog can name: views, partitions and the like.
    async fn read_relations(&self, session: &Session) -> Result<Vec<Relation>>;

    /// Reads the columns of a table as they are now; none if the table is gone.
    async fn current_columns(&self, session: &Session, table: &TableName) -> Result<Vec<CurrentColumn>>;

    /// Reads the same, and keeps the table from being changed until the transaction ends. The table must exist.
    async fn locked_columns(&self, session: &Session, table: &TableName) -> Result<Vec<CurrentColumn>>;

    /// Returns the names of transactions of others that are active now. No two ever have the same name.
    async fn active_transactions(&self, session: &Session) -> Result<BTreeSet<String>>;

    /// Returns the standbys that are connected, and how many hide their lag from this role.
    async fn standbys(&self, session: &Session) -> Result<Standbys>;

    /// Measures how busy the database is. The session is a transaction.
    async fn host_load(&self, session: &Session) -> Result<HostLoad>;

    /// Writes the statements that grant a role these rights and revoke any others in these schemas.
    async fn grants(&self, session: &Session, rights: &Rights, role: &str) -> Result<String>;

    /// Returns the role, and each right that it lacks, such as `SELECT on users (email)`.
    async fn missing_rights(&self, session: &Session, rights: &Rights) -> Result<(String, Vec<String>)>;
}
