//! The only SQL: the ledger's tables and the host's, on PostgreSQL and SQLite.
//!
//! [`ledger`] is Handover's own bookkeeping, [`host`] the tables of the application. Both are worked on through a
//! [`Session`], which is one transaction, or the reading pool. Every transaction is begun by [`Store::begin`] and named
//! after the step that it is the transaction of.

mod age;
pub mod clock;
mod connect;
mod pooler;
pub mod error;
pub mod fault;
pub mod grants;
pub mod host;
pub mod ledger;
mod limit;
pub mod post;
mod session;
pub mod sql;
pub mod strain;

use std::sync::Arc;

use handover_migrations::{Ledger, MigratorTrait, ReferenceCrm};
use sea_orm::{
    AccessMode, ConnectionTrait, Database, DatabaseConnection, IsolationLevel, SqliteTransactionMode,
    TransactionOptions, TransactionTrait,
};
use tokio::sync::mpsc;

pub use self::connect::Settings;
pub use self::error::{Cause, Error, Result};
use self::fault::Probe;
use self::ledger::outbox::Letter;
use self::limit::Limit;
use self::post::Post;
pub use self::session::{Locking, Session};
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
    pub post: Post,
    probe: Option<Arc<dyn Probe>>,
}

impl Store {
    /// Connects. Nothing is created, but for SQLite's file where the URL allows it.
    pub async fn open(settings: &Settings) -> Result<Store> {
        let (engine, write, read) = connect::connect(settings).await?;
        Ok(Store { engine, settings: settings.clone(), write, read, post: Post::default(), probe: None })
    }

    /// The same store, with a probe at the points of every step.
    pub fn with_probe(mut self, probe: Arc<dyn Probe>) -> Store {
        self.probe = Some(probe);
        self
    }

    /// The same store for a process whose relay is to receive what commits leave.
    pub fn with_courier(&self) -> (Store, mpsc::Receiver<Letter>) {
        let (post, received) = self.post.with_courier();
        (Store { post, ..self.clone() }, received)
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
        let limit = self.limit();
        let transaction = limit.on(self.write.begin_with_options(options)).await;
        let transaction = transaction.map_err(|error| Error::of(&format!("beginning {step}"), &error))?;
        Ok(Session::transaction(self.engine, limit, transaction, step, self.probe.clone(), &self.post))
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
        let limit = self.limit();
        let transaction = limit.on(self.read.begin_with_options(options)).await;
        let transaction = transaction.map_err(|error| Error::of("beginning a snapshot", &error))?;
        Ok(Session::transaction(self.engine, limit, transaction, "snapshot", None, &self.post))
    }

    /// The reading pool: each statement sees what is committed when it runs.
    pub fn reader(&self) -> Session {
        Session::pool(self.engine, self.limit(), self.read.clone())
    }

    fn limit(&self) -> Limit {
        Limit::new(self.engine, &self.settings)
    }

    /// Brings the ledger up to date.
    pub async fn migrate(&self) -> Result<()> {
        let doing = "migrating the ledger";
        if let Ok(applied) = age::applied(&self.reader()).await
            && let Some(what) = age::newer(&applied, &Ledger::versions())
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
        match age::applied(&self.reader()).await {
            Ok(applied) => Ok(age::compare(&applied, &Ledger::versions())),
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
