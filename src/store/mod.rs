//! The only SQL: the ledger's tables and the host's, on PostgreSQL and SQLite.
//!
//! [`ledger`] is Handover's own bookkeeping, [`host`] the tables of the application. Both are worked on through a
//! [`Session`], which is one transaction, or the reading pool. Every transaction is begun by [`Store::begin`] and named
//! after the step that it is the transaction of.

mod schema_version;
pub mod clock;
mod connect;
mod pooler;
pub mod error;
pub mod failpoint;
pub mod grants;
pub mod host;
pub mod ledger;
mod timeout;
pub mod outbox_handoff;
pub mod row;
mod session;
pub mod dialect;
pub mod load;

use std::sync::Arc;

use handover_migrations::{Ledger, MigratorTrait, ReferenceCrm};
use sea_orm::{
    AccessMode, ConnectionTrait, Database, DatabaseConnection, IsolationLevel, SqliteTransactionMode,
    TransactionOptions, TransactionTrait,
};
use tokio::sync::mpsc;

pub use self::connect::Settings;
pub use self::error::{Cause, Error, Result};
use self::failpoint::Failpoints;
use self::ledger::outbox::OutboxMessage;
use self::outbox_handoff::OutboxHandoff;
pub use self::row::Row;
pub use self::session::{Locking, Session};
use self::timeout::CallTimeout;
use crate::catalog::Engine;

const MAY_NOT_READ: &str =
    "this role may not read the ledger: run, as the owner of the tables, what `handover catalog grants` prints";

/// A database with the ledger and the host's tables.
#[derive(Clone)]
pub struct Store {
    engine: Engine,
    settings: Settings,
    write: DatabaseConnection,
    read: DatabaseConnection,
    /// Where commits put messages that leave.
    pub handoff: OutboxHandoff,
    failpoints: Option<Arc<dyn Failpoints>>,
}

impl Store {
    /// Connects. Nothing is created, but for SQLite's file where the URL allows it.
    pub async fn open(settings: &Settings) -> Result<Store> {
        let (engine, write, read) = connect::connect(settings).await?;
        Ok(Store {
            engine,
            settings: settings.clone(),
            write,
            read,
            handoff: OutboxHandoff::default(),
            failpoints: None,
        })
    }

    /// The same store, with a failpoints at the points of every step.
    pub fn with_failpoints(mut self, failpoints: Arc<dyn Failpoints>) -> Store {
        self.failpoints = Some(failpoints);
        self
    }

    /// The same store for a process whose relay is to receive what commits leave.
    pub fn with_local_relay(&self) -> (Store, mpsc::Receiver<OutboxMessage>) {
        let (handoff, received) = self.handoff.with_local_relay();
        (Store { handoff, ..self.clone() }, received)
    }

    /// The engine behind it.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// Begins the transaction of a step. Dropped without a commit, it is rolled back.
    pub async fn begin(&self, step: &'static str) -> Result<Session> {
        let options = TransactionOptions {
            // SQLite: taking the write lock at once, instead of failing later when a reader would have to become a writer.
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        let timeout = self.timeout();
        let transaction = timeout.on(self.write.begin_with_options(options)).await;
        let transaction = transaction.map_err(|error| Error::of(&format!("beginning {step}"), &error))?;
        Ok(Session::transaction(self.engine, timeout, transaction, step, self.failpoints.clone(), &self.handoff))
    }

    /// Begins a snapshot that is only read: what it sees is of one moment.
    pub async fn snapshot(&self) -> Result<Session> {
        let options = match self.engine {
            Engine::Postgres => TransactionOptions {
                isolation_level: Some(IsolationLevel::RepeatableRead),
                access_mode: Some(AccessMode::ReadOnly),
                ..TransactionOptions::default()
            },
            // A reading transaction of SQLite in WAL mode is a snapshot by itself.
            Engine::Sqlite => TransactionOptions::default(),
        };
        let timeout = self.timeout();
        let transaction = timeout.on(self.read.begin_with_options(options)).await;
        let transaction = transaction.map_err(|error| Error::of("beginning a snapshot", &error))?;
        Ok(Session::transaction(self.engine, timeout, transaction, "snapshot", None, &self.handoff))
    }

    /// The reading pool: each statement sees what is committed when it runs.
    pub fn reader(&self) -> Session {
        Session::pool(self.engine, self.timeout(), self.read.clone())
    }

    fn timeout(&self) -> CallTimeout {
        CallTimeout::new(self.engine, &self.settings)
    }

    /// Brings the ledger up to date.
    pub async fn migrate(&self) -> Result<()> {
        let doing = "migrating the ledger";
        if let Ok(applied) = schema_version::applied(&self.reader()).await
            && let Some(what) = schema_version::newer(&applied, &Ledger::versions())
        {
            return Err(Error::unexpected(doing, what));
        }
        let failed = |error| Error::of(doing, &error);
        if self.engine == Engine::Postgres {
            // The migrations' own table belongs into the ledger's schema as well: only this pool looks there first. No
            // other may: a trigger of the host would find our tables under its own tables' names.
            self.write.execute_unprepared("CREATE SCHEMA IF NOT EXISTS handover").await.map_err(failed)?;
            let mut options = connect::postgres(&self.settings, "SET search_path = handover;");
            options.max_connections(1);
            let pool = Database::connect(options).await.map_err(failed)?;
            let done = Ledger::up(&pool, None).await.map_err(failed);
            let closed = pool.close().await.map_err(failed);
            return done.and(closed);
        }
        Ledger::up(&self.write, None).await.map_err(failed)
    }

    /// Creates the reference CRM beside the ledger, or brings it up to date.
    pub async fn migrate_reference_crm(&self) -> Result<()> {
        let migrated = ReferenceCrm::up(&self.write, None).await;
        migrated.map_err(|error| Error::of("migrating the reference CRM", &error))
    }

    /// Runs a script of several statements, each ended by a semicolon at a line's end, in one transaction.
    pub async fn run_script(&self, doing: &'static str, script: &str) -> Result<()> {
        let session = self.begin(doing).await?;
        for statement in script.split(";\n").map(str::trim).filter(|statement| !statement.is_empty()) {
            session.execute_unprepared(statement).await.map_err(|error| Error::of(doing, &error))?;
        }
        session.commit().await
    }

    /// Whether the ledger is there and of this binary's age; what to do where it is not.
    pub async fn check_ledger(&self) -> Result<std::result::Result<(), String>> {
        match schema_version::applied(&self.reader()).await {
            Ok(applied) => Ok(schema_version::compare(&applied, &Ledger::versions())),
            Err(error) if error.is_transient() => Err(error),
            Err(error) if error.is_forbidden() => Ok(Err(MAY_NOT_READ.to_owned())),
            Err(_) => Ok(Err("the database has no ledger yet: run `handover migrate`".to_owned())),
        }
    }

    /// Closes every connection.
    pub async fn close(self) {
        for pool in [self.write, self.read] {
            // Closing twice or late does no harm, and there is nobody to tell.
            let _ = pool.close().await;
        }
    }
}
