//! Measures how long rows are locked, by polling the writing transactions of a database every few milliseconds.
//!
//! No row is locked for longer than the transaction that moves it. Updating random rows of the leaver would rarely hit one of the
//! thousand locked rows of a million, and its 99th percentile would be meaningless.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;
use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Statement};

use crate::measure::Samples;
use crate::server::{Database, connect};

const POLL: Duration = Duration::from_millis(3);

/// The name of the polling session. Without it a worker would mistake the session for the host, and yield to it.
const NOT_THE_HOST: &str = "application_name=handover";

const WRITING: &str = "SELECT CAST(pid AS bigint) AS pid, CAST(extract(epoch FROM xact_start) * 1e6 AS bigint) AS began, \
     CAST(extract(epoch FROM clock_timestamp() - xact_start) * 1000 AS float8) AS age, \
     coalesce(wait_event_type || ' ' || wait_event, 'running') || ' in ' || left(query, 60) AS at \
     FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_xid IS NOT NULL \
     AND backend_type = 'client backend'";

/// Polls until it is stopped.
pub struct Watch {
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<Result<Held>>,
}

impl Watch {
    pub fn start(database: &Database) -> Watch {
        let stop = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn(watch(format!("{}?{NOT_THE_HOST}", database.url), stop.clone()));
        Watch { stop, task }
    }

    pub async fn stop(self) -> Result<Held> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await?
    }
}

async fn watch(url: String, stop: Arc<AtomicBool>) -> Result<Held> {
    let connection = connect(&url).await?;
    let mut seen: HashMap<(i64, i64), Transaction> = HashMap::new();
    while !stop.load(Ordering::Relaxed) {
        for row in connection.query_all_raw(Statement::from_string(DbBackend::Postgres, WRITING)).await? {
            seen.entry((row.try_get("", "pid")?, row.try_get("", "began")?)).or_default().note(&row)?;
        }
        tokio::time::sleep(POLL).await;
    }
    connection.close().await?;
    Ok(Held(seen.into_values().collect()))
}

/// A transaction: its last known age in milliseconds, and its activity by number of polls.
#[derive(Debug, Default)]
struct Transaction {
    age: f64,
    polls: BTreeMap<String, usize>,
}

impl Transaction {
    fn note(&mut self, row: &QueryResult) -> Result<()> {
        self.age = row.try_get("", "age")?;
        *self.polls.entry(row.try_get("", "at")?).or_default() += 1;
        Ok(())
    }

    /// Returns its most frequent activity.
    fn cause(&self) -> String {
        let polls: usize = self.polls.values().sum();
        let most = self.polls.iter().max_by_key(|(_, polls)| **polls);
        most.map(|(at, most)| format!("{most} of {polls} polls: {at}")).unwrap_or_default()
    }
}

/// All transactions seen.
#[derive(Debug, Default)]
pub struct Held(Vec<Transaction>);

impl Held {
    pub fn add(&mut self, more: Held) {
        self.0.extend(more.0);
    }

    /// Returns the 99th percentile of the ages, in milliseconds.
    pub fn longest(&self) -> f64 {
        Samples(self.0.iter().map(|transaction| transaction.age).collect()).quantile(0.99)
    }

    /// Describes the longest transaction.
    pub fn worst(&self) -> String {
        let worst = self.0.iter().max_by(|one, other| one.age.total_cmp(&other.age));
        worst.map(|worst| format!("worst {:.0} ms ({})", worst.age, worst.cause())).unwrap_or_default()
    }
}
