//! Connections and transactions: one place for their settings, and for how the ledger's tables are called.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, ExecResult, QueryResult, Statement,
};

use super::dialect::sql::Sql;
use super::dialect::{Capabilities, Postgres, SharedDialect, Sqlite};
use super::error::{Error, Result};
use super::failpoint::{Failpoints, Point};
use super::outbox_handoff::{OutboxHandoff, PendingMessages};
use super::row::Row;
use super::timeout::CallTimeout;
use crate::catalog::Engine;
use crate::metrics::{self, Observation};

/// Something statements run on: a transaction, or a connection of the reading pool.
///
/// The ledger's tables are written `handover.jobs` in every statement, ours and sea-orm's. SQLite has no schemas: there
/// the table is `handover_jobs`, and this type puts the one name for the other.
pub struct Session {
    engine: Engine,
    timeout: CallTimeout,
    inner: Inner,
    /// The step that this is the transaction of, for the log and for what tests make fail.
    step: &'static str,
    failpoints: Option<Arc<dyn Failpoints>>,
    pending: PendingMessages,
    began: Instant,
    observed: Mutex<Vec<Observation>>,
}

/// Whether rows that are read are locked until the transaction ends.
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
        engine: Engine,
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
            ..Session::of(engine, timeout, Inner::Transaction(inner))
        }
    }

    pub(super) fn pool(engine: Engine, timeout: CallTimeout, inner: DatabaseConnection) -> Session {
        Session::of(engine, timeout, Inner::Pool(inner))
    }

    fn of(engine: Engine, timeout: CallTimeout, inner: Inner) -> Session {
        let (pending, observed) = (PendingMessages::default(), Mutex::default());
        Session { engine, timeout, inner, step: "read", failpoints: None, pending, began: Instant::now(), observed }
    }

    /// The engine behind it.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// Returns the database's dialect.
    pub fn dialect(&self) -> SharedDialect {
        match self.engine {
            Engine::Postgres => &Postgres,
            Engine::Sqlite => &Sqlite,
        }
    }

    /// Returns what the database can do.
    pub fn capabilities(&self) -> &'static Capabilities {
        self.dialect().capabilities()
    }

    /// Begins a statement.
    pub fn sql(&self, text: &str) -> Sql {
        Sql::new(self.dialect(), text)
    }

    /// Returns every row of a statement.
    pub async fn all(&self, doing: &str, sql: Sql) -> Result<Vec<Row>> {
        self.all_of(doing, sql.statement()).await
    }

    pub(super) async fn all_of(&self, doing: &str, statement: Statement) -> Result<Vec<Row>> {
        let rows = self.query_all_raw(statement).await.map_err(|error| Error::of(doing, &error))?;
        Ok(Row::all(doing, rows))
    }

    /// Returns the first row of a statement.
    pub async fn one(&self, doing: &str, sql: Sql) -> Result<Option<Row>> {
        let row = self.query_one_raw(sql.statement()).await.map_err(|error| Error::of(doing, &error))?;
        Ok(Row::all(doing, row.into_iter().collect()).pop())
    }

    /// Runs a statement and returns how many rows it touched.
    pub async fn run(&self, doing: &str, sql: Sql) -> Result<u64> {
        self.run_statement(doing, sql.statement()).await
    }

    pub(super) async fn run_statement(&self, doing: &str, statement: Statement) -> Result<u64> {
        let result = self.execute_raw(statement).await.map_err(|error| Error::of(doing, &error))?;
        Ok(result.rows_affected())
    }

    /// What this transaction leaves in the outbox.
    pub(super) fn pending_messages(&self) -> &PendingMessages {
        &self.pending
    }

    /// Notes what this transaction does, to be counted once it has committed.
    pub fn observe(&self, observation: Observation) {
        self.observed.lock().unwrap_or_else(PoisonError::into_inner).push(observation);
    }

    /// Commits, where this is a transaction, and tells the relay of what it leaves in the outbox. An error leaves the
    /// outcome unknown: what was done must be found by looking.
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

    /// Marks where [`Session::back_to_savepoint`] goes back to. One at a time.
    pub async fn savepoint(&self) -> Result<()> {
        self.unprepared("marking a savepoint", "SAVEPOINT handover").await
    }

    /// Undoes everything since the savepoint, an error too.
    pub async fn back_to_savepoint(&self) -> Result<()> {
        self.unprepared("going back to a savepoint", "ROLLBACK TO SAVEPOINT handover").await?;
        self.forget_savepoint().await
    }

    /// Keeps everything since the savepoint.
    pub async fn forget_savepoint(&self) -> Result<()> {
        self.unprepared("pending a savepoint", "RELEASE SAVEPOINT handover").await
    }

    /// PostgreSQL: has deferred constraints checked by each statement from here on, and not only by the commit.
    pub async fn check_constraints_at_once(&self) -> Result<()> {
        match self.engine {
            Engine::Postgres => self.unprepared("checking constraints at once", "SET CONSTRAINTS ALL IMMEDIATE").await,
            Engine::Sqlite => Ok(()),
        }
    }

    /// PostgreSQL: has these constraints wait for the commit, or for [`Session::check_constraints_at_once`].
    pub async fn let_constraints_wait(&self, names: &[String]) -> Result<()> {
        match (self.engine, names.is_empty()) {
            (Engine::Postgres, false) => {
                let text = format!("SET CONSTRAINTS {} DEFERRED", names.join(", "));
                self.unprepared("letting constraints wait", &text).await
            }
            _ => Ok(()),
        }
    }

    async fn unprepared(&self, doing: &str, sql: &str) -> Result<()> {
        self.execute_unprepared(sql).await.map_err(|error| Error::of(doing, &error))?;
        Ok(())
    }

    fn check(&self, point: Point) -> Result<()> {
        self.failpoints.as_ref().map_or(Ok(()), |failpoints| failpoints.at(self.step, point))
    }

    fn renamed(&self, mut statement: Statement) -> Statement {
        if self.engine == Engine::Sqlite {
            statement.sql = sqlite_names(&statement.sql);
        }
        statement
    }
}

/// Puts SQLite's names of the ledger's tables into a statement: sea-orm's `"handover"."jobs"` becomes
/// `"handover_jobs" AS "jobs"`, which its column names go by; our own `handover.jobs` becomes `handover_jobs`.
fn sqlite_names(sql: &str) -> String {
    const QUOTED: &str = "\"handover\".\"";
    let mut out = String::with_capacity(sql.len() + 32);
    let mut rest = sql;
    while let Some(start) = rest.find(QUOTED) {
        let (before, after) = rest.split_at(start);
        let (name, behind) = after[QUOTED.len()..].split_once('"').unwrap_or((&after[QUOTED.len()..], ""));
        out.push_str(before);
        out.push_str(&format!("\"handover_{name}\" AS \"{name}\""));
        rest = behind;
    }
    out.push_str(rest);
    out.replace(" handover.", " handover_")
}

#[async_trait]
impl ConnectionTrait for Session {
    fn get_database_backend(&self) -> DbBackend {
        match self.engine {
            Engine::Postgres => DbBackend::Postgres,
            Engine::Sqlite => DbBackend::Sqlite,
        }
    }

    async fn execute_raw(&self, statement: Statement) -> std::result::Result<ExecResult, DbErr> {
        match &self.inner {
            Inner::Transaction(inner) => self.timeout.on(inner.execute_raw(self.renamed(statement))).await,
            Inner::Pool(inner) => self.timeout.on(inner.execute_raw(self.renamed(statement))).await,
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
            Inner::Transaction(inner) => self.timeout.on(inner.query_one_raw(self.renamed(statement))).await,
            Inner::Pool(inner) => self.timeout.on(inner.query_one_raw(self.renamed(statement))).await,
        }
    }

    async fn query_all_raw(&self, statement: Statement) -> std::result::Result<Vec<QueryResult>, DbErr> {
        match &self.inner {
            Inner::Transaction(inner) => self.timeout.on(inner.query_all_raw(self.renamed(statement))).await,
            Inner::Pool(inner) => self.timeout.on(inner.query_all_raw(self.renamed(statement))).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::sqlite_names;

    #[test]
    fn the_ledgers_tables_have_a_prefix_in_sqlite() {
        let ours = "UPDATE handover.jobs SET state = $1 WHERE id IN (SELECT job_id FROM handover.chunks)";
        let renamed = "UPDATE handover_jobs SET state = $1 WHERE id IN (SELECT job_id FROM handover_chunks)";
        assert_eq!(sqlite_names(ours), renamed);
        let orms = r#"SELECT "jobs"."id" FROM "handover"."jobs" WHERE "jobs"."state" = ?"#;
        let renamed = r#"SELECT "jobs"."id" FROM "handover_jobs" AS "jobs" WHERE "jobs"."state" = ?"#;
        assert_eq!(sqlite_names(orms), renamed);
    }
}
