//! How the host fares beside us, by PostgreSQL's own views.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use sea_orm::DbErr;

use super::{Error, Result, Session, Store};
use crate::catalog::Engine;

/// What a look at the database has shown. What the role may not see is as if it were not there.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct HostLoad {
    /// Sessions of others that wait for a lock of ours.
    pub waiting: u64,
    /// How far the slowest standby is behind.
    pub replay_lag: Option<Duration>,
    /// How long the database took to answer next to nothing.
    pub answer: Option<Duration>,
}

/// How many standbys are connected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standbys {
    /// All of them.
    pub connected: i64,
    /// Those of which this role may not see how far they are behind.
    pub hidden: i64,
}

/// The transaction of a look.
const LOOK: &str = "look";

/// Every role sees locks that are not granted, and who stands in the way; waits in `pg_stat_activity` it sees of its own.
const WAITING: &str = "SELECT count(DISTINCT w.pid) AS n FROM pg_locks w WHERE NOT w.granted \
     AND NOT EXISTS (SELECT 1 FROM pg_stat_activity o WHERE o.pid = w.pid AND o.application_name = 'handover') \
     AND EXISTS (SELECT 1 FROM unnest(pg_blocking_pids(w.pid)) AS b(pid) JOIN pg_stat_activity o ON o.pid = b.pid \
       WHERE o.application_name = 'handover' AND o.datname = current_database())";

/// Nothing for a role that may not read statistics.
const LAG: &str = "SELECT CAST(extract(epoch FROM max(replay_lag)) * 1000000 AS bigint) AS n FROM pg_stat_replication";

/// Every role sees that a standby is connected; how it fares, only one that may read statistics.
const STANDBYS: &str =
    "SELECT count(*) AS standbys, count(*) FILTER (WHERE state IS NULL) AS hidden FROM pg_stat_replication";

/// Every role sees which sessions have a transaction, and its number, though not since when. What sends the log to a standby or
/// a subscriber has some, too, which are none of the host's.
const UNDER_WAY: &str = "SELECT l.virtualtransaction AS id FROM pg_locks l JOIN pg_stat_activity o ON o.pid = l.pid \
     WHERE l.locktype = 'virtualxid' AND l.mode = 'ExclusiveLock' \
     AND o.datname = current_database() AND o.usesysid IS NOT NULL AND o.application_name <> 'handover' \
     AND NOT EXISTS (SELECT 1 FROM pg_stat_replication s WHERE s.pid = o.pid)";

impl Store {
    /// The transactions of others that are under way in the database at this moment. No two ever have one name.
    pub async fn active_transactions(&self) -> Result<BTreeSet<String>> {
        if self.engine() == Engine::Sqlite {
            return Ok(BTreeSet::new());
        }
        let doing = "looking whether the host is at work";
        let session = self.reader();
        let rows = session.all(doing, session.sql(UNDER_WAY)).await?;
        let ids = rows.iter().map(|row| row.try_get("", "id"));
        ids.collect::<std::result::Result<_, _>>().map_err(|error| Error::of(doing, &error))
    }

    /// The standbys that are connected, and whether this role may see how they fare.
    pub async fn standbys(&self) -> Result<Standbys> {
        if self.engine() == Engine::Sqlite {
            return Ok(Standbys::default());
        }
        let doing = "looking for standbys";
        let session = self.reader();
        let Some(row) = session.one(doing, session.sql(STANDBYS)).await? else { return Ok(Standbys::default()) };
        let read = || Ok(Standbys { connected: row.try_get("", "standbys")?, hidden: row.try_get("", "hidden")? });
        read().map_err(|error: DbErr| Error::of(doing, &error))
    }

    /// Looks how the host fares. SQLite has nothing to look at: its one writer is given up between transactions.
    pub async fn host_load(&self) -> Result<HostLoad> {
        if self.engine() == Engine::Sqlite {
            return Ok(HostLoad::default());
        }
        // In a transaction: to wait for a connection of our own says nothing about the host.
        let session = self.begin(LOOK).await?;
        let asked = Instant::now();
        session.one("asking for an answer", session.sql("SELECT 1 AS n")).await?;
        let answer = Some(asked.elapsed());
        let waiting = number(&session, WAITING).await.unwrap_or(0).max(0) as u64;
        let lag = number(&session, LAG).await.and_then(|micros| u64::try_from(micros).ok());
        Ok(HostLoad { waiting, replay_lag: lag.map(Duration::from_micros), answer })
    }
}

/// A number that may be missing, also because the view cannot be read. That ends the transaction: what matters more is
/// asked first.
async fn number(session: &Session, query: &str) -> Option<i64> {
    let row = session.one("looking how the host fares", session.sql(query)).await.ok()??;
    row.try_get::<Option<i64>>("", "n").ok().flatten()
}
