//! Connections and transactions.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, ExecResult, QueryResult, Statement,
};

use super::dialect::sql::Sql;
use super::dialect::{Capabilities, SharedDialect};
use super::error::{Cause, Error, OURS, Result};
use super::failpoint::{Failpoints, Point};
use super::outbox_handoff::{OutboxHandoff, PendingMessages};
use super::row::Row;
use super::schema_watch::SchemaWatch;
use super::timeout::CallTimeout;
use crate::metrics::{self, Observation};

/// Something that runs statements: a transaction, or a connection of the reading pool.
pub struct Session {
    dialect: SharedDialect,
    timeout: CallTimeout,
    inner: Inner,
    /// The step whose transaction this is, for the log and for failpoints.
    step: &'static str,
    failpoints: Option<Arc<dyn Failpoints>>,
    watch: Arc<SchemaWatch>,
    pending: PendingMessages,
    began: Instant,
    observed: Mutex<Vec<Observation>>,
}

/// The choice between locking the rows that are read until the transaction ends, and not locking them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locking {
    /// Locks them, to change them or what depends on them.
    Locked,
    /// Only reads them.
    Unlocked,
}

impl Locking {
    /// True if a statement must lock rows one by one.
    pub fn applies(self, capabilities: &Capabilities) -> bool {
        self == Locking::Locked && capabilities.row_locks
    }
}

enum Inner {
    Transaction(DatabaseTransaction),
    Pool(DatabaseConnection),
}

impl Session {
    pub(super) fn transaction(
        dialect: SharedDialect,
        timeout: CallTimeout,
        inner: DatabaseTransaction,
        step: &'static str,
        failpoints: Option<Arc<dyn Failpoints>>,
        handoff: &OutboxHandoff,
    ) -> Session {
        Session {
            step,
            failpoints,
            pending: PendingMessages::new(handoff),
            ..Session::of(dialect, timeout, Inner::Transaction(inner))
        }
    }

    pub(super) fn pool(dialect: SharedDialect, timeout: CallTimeout, inner: DatabaseConnection) -> Session {
        Session::of(dialect, timeout, Inner::Pool(inner))
    }

    fn of(dialect: SharedDialect, timeout: CallTimeout, inner: Inner) -> Session {
        let (pending, observed) = (PendingMessages::default(), Mutex::default());
        let (failpoints, watch, began) = (None, Arc::default(), Instant::now());
        Session { dialect, timeout, inner, step: "read", failpoints, watch, pending, began, observed }
    }

    /// Lets errors that a changed schema explains be noted.
    pub(super) fn watched(mut self, watch: &Arc<SchemaWatch>) -> Session {
        self.watch = watch.clone();
        self
    }

    /// Returns the watch over the host's schema.
    pub fn schema_watch(&self) -> &SchemaWatch {
        &self.watch
    }

    /// Returns the error of a table whose schema is not the one that the catalog was checked against.
    pub(super) fn outdated_schema(&self, table: &str) -> Error {
        let message = format!("the schema of {table} has changed since the catalog was checked: check it again");
        let cause = Cause::Refused { code: OURS.into(), message };
        self.retried_if_changed(Error { doing: "comparing the schema".into(), cause })
    }

    fn failed(&self, doing: &str, error: &DbErr) -> Error {
        let error = Error::of(doing, error);
        let is_in_transaction = matches!(self.inner, Inner::Transaction(_));
        if is_in_transaction && error.is_about_schema() { self.retried_if_changed(error) } else { error }
    }

    /// Lets the transaction be retried, if the error may be due to a change of the schema that nobody has seen yet.
    fn retried_if_changed(&self, error: Error) -> Error {
        if self.watch.suspect(self.began) { error.retried() } else { error }
    }

    /// Returns the database's dialect.
    pub fn dialect(&self) -> SharedDialect {
        self.dialect
    }

    /// Returns what the database can do.
    pub fn capabilities(&self) -> &'static Capabilities {
        self.dialect.capabilities()
    }

    /// Begins a statement.
    pub fn sql(&self, text: &str) -> Sql {
        Sql::new(self.dialect, text)
    }

    /// Returns every row of a statement.
    pub async fn all(&self, doing: &str, sql: Sql) -> Result<Vec<Row>> {
        self.all_of(doing, sql.statement()).await
    }

    pub(super) async fn all_of(&self, doing: &str, statement: Statement) -> Result<Vec<Row>> {
        let rows = self.query_all_raw(statement).await.map_err(|error| self.failed(doing, &error))?;
        Ok(Row::all(doing, rows))
    }

    /// Returns the first row of a statement.
    pub async fn one(&self, doing: &str, sql: Sql) -> Result<Option<Row>> {
        let row = self.query_one_raw(sql.statement()).await.map_err(|error| self.failed(doing, &error))?;
        Ok(Row::all(doing, row.into_iter().collect()).pop())
    }

    /// Runs a statement and returns how many rows it touched.
    pub async fn run(&self, doing: &str, sql: Sql) -> Result<u64> {
        self.run_statement(doing, sql.statement()).await
    }

    pub(super) async fn run_statement(&self, doing: &str, statement: Statement) -> Result<u64> {
        let result = self.execute_raw(statement).await.map_err(|error| self.failed(doing, &error))?;
        Ok(result.rows_affected())
    }

    /// Runs the statements of a script, each ended by a semicolon at a line's end.
    pub(super) async fn run_script(&self, doing: &str, script: &str) -> Result<()> {
        for statement in script.split(";\n").map(str::trim).filter(|statement| !statement.is_empty()) {
            self.unprepared(doing, statement).await?;
        }
        Ok(())
    }

    /// Returns the messages that this transaction leaves in the outbox.
    pub(super) fn pending_messages(&self) -> &PendingMessages {
        &self.pending
    }

    /// Notes an observation of this transaction. It is counted once the transaction has committed.
    pub fn observe(&self, observation: Observation) {
        self.observed.lock().unwrap_or_else(PoisonError::into_inner).push(observation);
    }

    /// Commits a transaction, and hands the messages that it leaves in the outbox to the relay. An error leaves the outcome
    /// unknown: the caller must look at what the database holds.
    pub async fn commit(self) -> Result<()> {
        let doing = format!("committing {}", self.step);
        self.check(Point::BeforeCommit)?;
        let (step, failpoints, pending) = (self.step, self.failpoints, self.pending);
        if let Inner::Transaction(transaction) = self.inner {
            self.timeout.on(transaction.commit()).await.map_err(|error| Error::of(&doing, &error))?;
            metrics::transaction_committed(step, self.began.elapsed());
            let observed = self.observed.into_inner().unwrap_or_else(PoisonError::into_inner);
            observed.into_iter().for_each(metrics::count);
        }
        if let Some(failpoints) = failpoints {
            failpoints.at(step, Point::AfterCommit)?;
        }
        pending.hand_over();
        Ok(())
    }

    /// Sets the savepoint to which [`Session::back_to_savepoint`] goes back. There is one at a time.
    pub async fn savepoint(&self) -> Result<()> {
        self.unprepared("marking a savepoint", "SAVEPOINT handover").await
    }

    /// Undoes everything since the savepoint, including an error.
    pub async fn back_to_savepoint(&self) -> Result<()> {
        self.unprepared("going back to a savepoint", "ROLLBACK TO SAVEPOINT handover").await?;
        self.forget_savepoint().await
    }

    /// Keeps everything since the savepoint.
    pub async fn forget_savepoint(&self) -> Result<()> {
        self.unprepared("pending a savepoint", "RELEASE SAVEPOINT handover").await
    }

    /// Has each statement check deferrable constraints from here on, and not only the commit. Does nothing where the
    /// database has none.
    pub async fn check_constraints_at_once(&self) -> Result<()> {
        match self.capabilities().deferrable_constraints {
            true => self.unprepared("checking constraints at once", "SET CONSTRAINTS ALL IMMEDIATE").await,
            false => Ok(()),
        }
    }

    /// Defers these constraints until the commit, or until [`Session::check_constraints_at_once`].
    pub async fn defer_constraints(&self, names: &[String]) -> Result<()> {
        if names.is_empty() || !self.capabilities().deferrable_constraints {
            return Ok(());
        }
        self.unprepared("deferring constraints", &format!("SET CONSTRAINTS {} DEFERRED", names.join(", "))).await
    }

    /// Ends each statement of this transaction that takes longer than a limit. Does nothing where the database cannot.
    pub(super) async fn limit_statements(&self, limit: Duration) -> Result<()> {
        match self.dialect.limit_statements(limit) {
            Some(statement) => self.unprepared("limiting statements", &statement).await,
            None => Ok(()),
        }
    }

    async fn unprepared(&self, doing: &str, sql: &str) -> Result<()> {
        self.execute_unprepared(sql).await.map_err(|error| Error::of(doing, &error))?;
        Ok(())
    }

    fn check(&self, point: Point) -> Result<()> {
        self.failpoints.as_ref().map_or(Ok(()), |failpoints| failpoints.at(self.step, point))
    }

    fn seen(&self, statement: Statement) -> Statement {
        if let Some(failpoints) = &self.failpoints {
            failpoints.statement(self.step, &statement.sql);
        }
        statement
    }
}

#[async_trait]
impl ConnectionTrait for Session {
    fn get_database_backend(&self) -> DbBackend {
        self.dialect.backend()
    }

    async fn execute_raw(&self, statement: Statement) -> std::result::Result<ExecResult, DbErr> {
        match &self.inner {
            Inner::Transaction(inner) => self.timeout.on(inner.execute_raw(self.seen(statement))).await,
            Inner::Pool(inner) => self.timeout.on(inner.execute_raw(self.seen(statement))).await,
        }
    }

    async fn execute_unprepared(&self, sql: &str) -> std::result::Result<ExecResult, DbErr> {
        match &self.inner {
            Inner::Transaction(inner) => self.timeout.on(inner.execute_unprepared(sql)).await,
            Inner::Pool(inner) => self.timeout.on(inner.execute_unprepared(sql)).await,
        }
    }

    async fn query_one_raw(&self, statement: Statement) -> std::result::Result<Option<QueryResult>, DbErr> {
        match &self.inner {
            Inner::Transaction(inner) => self.timeout.on(inner.query_one_raw(self.seen(statement))).await,
            Inner::Pool(inner) => self.timeout.on(inner.query_one_raw(self.seen(statement))).await,
        }
    }

    async fn query_all_raw(&self, statement: Statement) -> std::result::Result<Vec<QueryResult>, DbErr> {
        match &self.inner {
            Inner::Transaction(inner) => self.timeout.on(inner.query_all_raw(self.seen(statement))).await,
            Inner::Pool(inner) => self.timeout.on(inner.query_all_raw(self.seen(statement))).await,
        }
    }
}
