//! The load of PostgreSQL, by its own views.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::store::driver::activity::{HostLoad, Standbys};
use crate::store::error::Result;
use crate::store::session::Session;

/// Every role sees locks that are not granted, and which sessions block them. Of waits in `pg_stat_activity` it sees only its
/// own.
const WAITING: &str = "SELECT count(DISTINCT w.pid) AS n FROM pg_locks w WHERE NOT w.granted \
     AND NOT EXISTS (SELECT 1 FROM pg_stat_activity o WHERE o.pid = w.pid AND o.application_name = 'handover') \
     AND EXISTS (SELECT 1 FROM unnest(pg_blocking_pids(w.pid)) AS b(pid) JOIN pg_stat_activity o ON o.pid = b.pid \
       WHERE o.application_name = 'handover' AND o.datname = current_database())";

/// NULL for a role that cannot read statistics.
const LAG: &str = "SELECT CAST(extract(epoch FROM max(replay_lag)) * 1000000 AS bigint) AS n FROM pg_stat_replication";

/// Every role sees that a standby is connected. Its lag is visible only to a role that can read statistics.
const STANDBYS: &str =
    "SELECT count(*) AS standbys, count(*) FILTER (WHERE state IS NULL) AS hidden FROM pg_stat_replication";

/// Every role sees which sessions have a transaction, and its number, though not its age. Senders of the log to a standby or a
/// subscriber have transactions too, which are not the host's.
const ACTIVE: &str = "SELECT l.virtualtransaction AS id FROM pg_locks l JOIN pg_stat_activity o ON o.pid = l.pid \
     WHERE l.locktype = 'virtualxid' AND l.mode = 'ExclusiveLock' \
     AND o.datname = current_database() AND o.usesysid IS NOT NULL AND o.application_name <> 'handover' \
     AND NOT EXISTS (SELECT 1 FROM pg_stat_replication s WHERE s.pid = o.pid)";

/// Returns the names of transactions of others that are active now. No two ever have the same name.
pub async fn active_transactions(session: &Session) -> Result<BTreeSet<String>> {
    let rows = session.all("looking for transactions of the host", session.sql(ACTIVE)).await?;
    rows.iter().map(|row| row.get("id")).collect()
}

/// Returns the standbys that are connected, and how many hide their lag from this role.
pub async fn standbys(session: &Session) -> Result<Standbys> {
    let row = session.one("looking for standbys", session.sql(STANDBYS)).await?;
    let read = row.map(|row| Ok(Standbys { connected: row.get("standbys")?, hidden: row.get("hidden")? }));
    read.transpose().map(Option::unwrap_or_default)
}

/// Measures how busy the database is, in a transaction: waiting for a connection of our own says nothing about the host.
pub async fn host_load(session: &Session) -> Result<HostLoad> {
    let asked = Instant::now();
    session.one("measuring the answer time", session.sql("SELECT 1 AS n")).await?;
    let answer = Some(asked.elapsed());
    let waiting = number(session, WAITING).await.unwrap_or(0).max(0) as u64;
    let lag = number(session, LAG).await.and_then(|micros| u64::try_from(micros).ok());
    Ok(HostLoad { waiting, replay_lag: lag.map(Duration::from_micros), answer })
}

/// Returns a number that may be missing, also because the role cannot read the view. That ends the transaction, so the more
/// important number is read first.
async fn number(session: &Session, query: &str) -> Option<i64> {
    let row = session.one("measuring the host's load", session.sql(query)).await.ok()??;
    row.get::<Option<i64>>("n").ok().flatten()
}
