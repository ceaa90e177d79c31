//! The only SQL: the ledger's tables and the host's.
//!
//! [`ledger`] is Handover's own bookkeeping, [`host`] the tables of the application. Both run on a [`Session`], which is one
//! transaction or the reading pool. [`Store::begin`] begins every transaction and names it after its step.
//!
//! [`dialect`] and [`driver`] are the only modules that know the engines.

pub mod clock;
pub mod dialect;
pub mod driver;
pub mod error;
pub mod failpoint;
pub mod grants;
pub mod host;
pub mod ledger;
mod ledger_format;
pub mod outbox_handoff;
mod reference_crm;
pub mod row;
mod schema_watch;
mod session;
mod timeout;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sea_orm::{DatabaseConnection, DatabaseTransaction, DbErr, RuntimeErr, TransactionOptions, TransactionTrait};
use tokio::sync::mpsc;

use self::dialect::{Capabilities, SharedDialect};
use self::driver::{Driver, Opening, Pools};
pub use self::driver::{HostLoad, SessionDefault, Settings, Standbys};
pub use self::error::{Cause, Error, FailureClass, Result};
use self::failpoint::Failpoints;
use self::ledger::outbox::OutboxMessage;
use self::outbox_handoff::OutboxHandoff;
pub use self::reference_crm::Seeding;
pub use self::row::Row;
pub use self::schema_watch::SchemaWatch;
pub use self::session::{Locking, Session};
use self::timeout::CallTimeout;
use crate::catalog::Rights;

/// A database with the ledger and the host's tables.
#[derive(Clone)]
pub struct Store {
    driver: &'static dyn Driver,
    dialect: SharedDialect,
    settings: Settings,
    pools: Pools,
    /// The hand-over of messages that commits leave in the outbox.
    pub handoff: OutboxHandoff,
    failpoints: Option<Arc<dyn Failpoints>>,
    watch: Arc<SchemaWatch>,
}

impl Store {
    /// Connects to an existing database. A file of SQLite stays as it is until something is written.
    pub async fn open(settings: &Settings) -> Result<Store> {
        Store::connect(settings, Opening::AsIs).await
    }

    /// Connects to an existing database for a worker. A file of SQLite gets a log, so that readers and the writer do not wait
    /// for each other.
    pub async fn open_for_work(settings: &Settings) -> Result<Store> {
        Store::connect(settings, Opening::ForWork).await
    }

    /// Connects to a database. Creates a file of SQLite that does not exist, unless the URL forbids it.
    pub async fn create(settings: &Settings) -> Result<Store> {
        Store::connect(settings, Opening::Create).await
    }

    /// Returns the database's file if the settings name one that does not exist.
    pub fn missing_file(settings: &Settings) -> Option<PathBuf> {
        driver::of_url(&settings.url).ok()?.missing_file(settings)
    }

    async fn connect(settings: &Settings, opening: Opening) -> Result<Store> {
        let driver =
            driver::of_url(&settings.url).map_err(|what| Error::unexpected("connecting to the database", what))?;
        let watch = Arc::new(SchemaWatch::default());
        let pools = driver.connect(settings, opening, watch.clone()).await?;
        Ok(Store {
            driver,
            dialect: driver.dialect(),
            settings: settings.clone(),
            pools,
            handoff: OutboxHandoff::default(),
            failpoints: None,
            watch,
        })
    }

    /// Returns the same store with another dialect of its engine, such as one without some capabilities.
    pub fn with_dialect(mut self, dialect: SharedDialect) -> Store {
        self.dialect = dialect;
        self
    }

    /// Returns the same store, with failpoints around every step's commit.
    pub fn with_failpoints(mut self, failpoints: Arc<dyn Failpoints>) -> Store {
        self.failpoints = Some(failpoints);
        self
    }

    /// Returns the same store for a process whose relay receives the messages that commits leave.
    pub fn with_local_relay(&self) -> (Store, mpsc::Receiver<OutboxMessage>) {
        let (handoff, received) = self.handoff.with_local_relay();
        (Store { handoff, ..self.clone() }, received)
    }

    /// Returns the engine and which database this is, without any password: `PostgreSQL crm on db:5432 as app`.
    pub fn label(&self) -> String {
        format!("{} {}", self.driver.name(), self.place())
    }

    /// Returns which database this is, without any password: `crm on db:5432 as app`.
    pub fn place(&self) -> String {
        self.driver.place(&self.settings)
    }

    /// Describes the ledger: its format, or that there is none.
    pub async fn ledger_label(&self) -> Result<String> {
        ledger_format::label(&self.reader()).await
    }

    /// Returns the database's dialect.
    pub fn dialect(&self) -> SharedDialect {
        self.dialect
    }

    /// Returns what the database can do.
    pub fn capabilities(&self) -> &'static Capabilities {
        self.dialect().capabilities()
    }

    /// Begins the transaction of a step. It is rolled back if it is dropped without a commit.
    pub async fn begin(&self, step: &'static str) -> Result<Session> {
        let timeout = self.timeout();
        let transaction = begun(&self.pools.write, self.driver.write_options(), timeout).await;
        let transaction = transaction.map_err(|error| Error::of(&format!("beginning {step}"), &error))?;
        let failpoints = self.failpoints.clone();
        let session = Session::transaction(self.dialect(), timeout, transaction, step, failpoints, &self.handoff);
        Ok(session.watched(&self.watch))
    }

    /// Begins the transaction of a step whose statements may take no longer than a limit, where the database can end them.
    pub async fn begin_within(&self, step: &'static str, limit: Duration) -> Result<Session> {
        let session = self.begin(step).await?;
        let configured = self.settings.statement_timeout;
        if configured.is_zero() || limit < configured {
            session.limit_statements(limit).await?;
        }
        Ok(session)
    }

    /// Begins a snapshot that is only read: all its statements see the same moment.
    pub async fn snapshot(&self) -> Result<Session> {
        let timeout = self.timeout();
        let transaction = begun(&self.pools.read, self.driver.snapshot_options(), timeout).await;
        let transaction = transaction.map_err(|error| Error::of("beginning a snapshot", &error))?;
        let session = Session::transaction(self.dialect(), timeout, transaction, "snapshot", None, &self.handoff);
        Ok(session.watched(&self.watch))
    }

    /// Begins a snapshot whose statements may take no longer than a limit, where the database can end them.
    pub async fn snapshot_within(&self, limit: Duration) -> Result<Session> {
        let session = self.snapshot().await?;
        let configured = self.settings.statement_timeout;
        if configured.is_zero() || limit < configured {
            session.limit_statements(limit).await?;
        }
        Ok(session)
    }

    /// Returns the reading pool: each statement sees what is committed when it runs.
    pub fn reader(&self) -> Session {
        Session::pool(self.dialect(), self.timeout(), self.pools.read.clone()).watched(&self.watch)
    }

    fn writer(&self) -> &DatabaseConnection {
        &self.pools.write
    }

    fn timeout(&self) -> CallTimeout {
        CallTimeout::new(self.capabilities(), &self.settings)
    }

    /// Brings the ledger up to date. Fails if it has an older format or is newer than this binary.
    pub async fn migrate(&self) -> Result<()> {
        if let Ok(Some(why)) = ledger_format::cannot_migrate(&self.reader()).await {
            return Err(Error::unexpected("migrating the ledger", why));
        }
        self.driver.migrate(&self.settings, &self.pools.write).await
    }

    /// Runs a script of several statements, each ended by a semicolon at a line's end, in one transaction.
    pub async fn run_script(&self, doing: &'static str, script: &str) -> Result<()> {
        let session = self.begin(doing).await?;
        session.run_script(doing, script).await?;
        session.commit().await
    }

    /// Checks that the ledger exists and has the format of this binary. The inner error says what to do.
    pub async fn check_ledger(&self) -> Result<std::result::Result<(), String>> {
        ledger_format::check(&self.reader()).await
    }

    /// Returns the role of this store's connections, and each right that it lacks.
    pub async fn missing_rights(&self, rights: &Rights) -> Result<(String, Vec<String>)> {
        grants::missing(&self.reader(), rights).await
    }

    /// Returns the names of transactions of others that are active now. No two ever have the same name.
    pub async fn active_transactions(&self) -> Result<BTreeSet<String>> {
        self.driver.active_transactions(&self.reader()).await
    }

    /// Returns the defaults of sessions that ours replace.
    pub async fn differing_defaults(&self) -> Result<Vec<SessionDefault>> {
        self.driver.differing_defaults(&self.reader()).await
    }

    /// Returns the standbys that are connected, and how many hide their lag from this role.
    pub async fn standbys(&self) -> Result<Standbys> {
        self.driver.standbys(&self.reader()).await
    }

    /// Measures how busy the database is; nothing if it shows no activity.
    pub async fn host_load(&self) -> Result<HostLoad> {
        if !self.capabilities().sees_activity {
            return Ok(HostLoad::default());
        }
        // In a transaction: waiting for a connection of our own says nothing about the host.
        self.driver.host_load(&self.begin("look").await?).await
    }

    /// Closes every connection.
    pub async fn close(self) {
        for pool in [self.pools.write, self.pools.read] {
            // Closing twice or late does no harm.
            let _ = pool.close().await;
        }
    }
}

/// Begins a transaction in a task of its own, which goes on if the caller goes away, as the client of a server may.
///
/// sqlx notes a transaction when the database has answered `BEGIN`. A call that is dropped before that returns its connection inside a
/// transaction, and the next call works in it.
async fn begun(
    pool: &DatabaseConnection,
    options: TransactionOptions,
    timeout: CallTimeout,
) -> std::result::Result<DatabaseTransaction, DbErr> {
    let pool = pool.clone();
    let task = tokio::spawn(async move { timeout.on(pool.begin_with_options(options)).await });
    task.await.unwrap_or_else(|error| Err(DbErr::Conn(RuntimeErr::Internal(error.to_string()))))
}
