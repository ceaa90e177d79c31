//! One leaver with 500,000 contacts, 50,000 leads and 25,000 pending tasks.

use std::time::{Duration, Instant};

use anyhow::Result;
use sea_orm::{ConnectionTrait, DbBackend, Statement};

use super::{Contestant, best_processes, rates, require_done, run_all};
use crate::crm::{self, Successors, TABLES};
use crate::data::{LEAVER, SUCCESSOR};
use crate::lines::Scale;
use crate::measure::Samples;
use crate::peer::Peer;
use crate::report::{Report, Row};
use crate::server::{Database, Server};

/// The numbers of Celery's processes to try.
const PROCESSES: [u64; 3] = [2, 4, 8];

/// Moves all records of the leaver, dealt to twenty successors and to one.
pub async fn run(server: &Server, scale: &Scale, report: &mut Report) -> Result<()> {
    let contacts = 500_000 / scale.divide;
    let base = crm::host(server, "bench_crm_big").await?;
    crm::fill_big(&base, contacts).await?;
    let peer = Peer::install()?;
    let processes = match &peer {
        Some(peer) => {
            let requests = [crm::request(LEAVER, Successors::Twenty)];
            best_processes(peer, server, &base, &requests, (LEAVER, LEAVER), &PROCESSES).await?
        }
        None => 0,
    };
    let mut bare = Samples::default();
    let mut sides = [Successors::Twenty, Successors::One].map(Side::new);
    for round in 0..scale.rounds {
        bare.push_time(bare_update(server, &base).await?);
        for side in &mut sides {
            side.round(server, &base, peer.as_ref().map(|peer| Contestant::Peer { peer, processes })).await?;
        }
        eprintln!("  round {}: {}", round + 1, sides.each_ref().map(Side::last).join("; "));
    }
    server.drop_it(&base.name).await?;
    for side in &sides {
        side.report(contacts, &bare, processes, report);
    }
    Ok(())
}

/// The times of one allotment, by round.
struct Side {
    to: Successors,
    by_hand: Samples,
    peer: Samples,
    ours: Samples,
}

impl Side {
    fn new(to: Successors) -> Side {
        Side { to, by_hand: Samples::default(), peer: Samples::default(), ours: Samples::default() }
    }

    async fn round(&mut self, server: &Server, base: &Database, peer: Option<Contestant<'_>>) -> Result<()> {
        let (requests, leavers) = ([crm::request(LEAVER, self.to)], (LEAVER, LEAVER));
        self.by_hand.push_time(chunks_by_hand(server, base, self.to).await?);
        if let Some(peer) = peer {
            self.peer.push_time(run_all(peer, server, base, &requests, leavers, false).await?.took);
        }
        let ours = run_all(Contestant::Handover, server, base, &requests, leavers, false).await?;
        self.ours.push_time(ours.took);
        Ok(())
    }

    fn last(&self) -> String {
        let last = |samples: &Samples| samples.0.last().map_or("-".to_owned(), |seconds| format!("{seconds:.1} s"));
        let (by_hand, peer, ours) = (last(&self.by_hand), last(&self.peer), last(&self.ours));
        format!("{}: by hand {by_hand}, Celery {peer}, Handover {ours}", self.to.title())
    }

    fn report(&self, contacts: u64, bare: &Samples, processes: u64, report: &mut Report) {
        let records = contacts + contacts / 10 + contacts / 20;
        let what = |against: &str| format!("{records} records {}, against {against}", self.to.title());
        let (ours, by_hand) = (rates(records, &self.ours), rates(records, &self.by_hand));
        let note = "baseline: one statement, the contacts alone; no journal, no events".to_owned();
        report.add(Row::rates(&what("a bare UPDATE"), "rows/s", &ours, Some(&rates(contacts, bare)), None, note));
        let goal = match self.to {
            Successors::One => 1.0,
            Successors::Twenty => 0.97,
        };
        let note =
            "baseline: two connections, a journal, dealt by id; no guards, no license, no certificate, no events"
                .to_owned();
        report.add(Row::rates(&what("chunks by hand"), "rows/s", &ours, Some(&by_hand), Some(goal), note));
        if !self.peer.0.is_empty() {
            let note = format!("baseline: {processes} processes");
            let peer = rates(records, &self.peer);
            report.add(Row::rates(&what("Celery"), "rows/s", &ours, Some(&peer), Some(1.0), note));
        }
    }
}

async fn bare_update(server: &Server, base: &Database) -> Result<Duration> {
    let database = server.copy(base, "bench_crm_copy").await?;
    let connection = database.connect().await?;
    let update = format!("UPDATE contacts SET owner_id = {SUCCESSOR}, updated_at = now() WHERE owner_id = {LEAVER}");
    let began = Instant::now();
    connection.execute_unprepared(&update).await?;
    let took = began.elapsed();
    connection.close().await?;
    server.drop_it(&database.name).await?;
    Ok(took)
}

/// Moves keyset chunks of 1,000 rows with a journal, on two connections that alternate.
async fn chunks_by_hand(server: &Server, base: &Database, to: Successors) -> Result<Duration> {
    let database = server.copy(base, "bench_crm_copy").await?;
    database
        .run(
            "CREATE TABLE by_hand (kind text, n bigint, first bigint, last bigint, PRIMARY KEY (kind, n)); \
             CREATE TABLE by_hand_journal (kind text, n bigint, from_user bigint, to_user bigint, keys bigint[], at timestamptz)",
        )
        .await?;
    let began = Instant::now();
    database.run(&TABLES.map(|(kind, table, condition)| cut(kind, table, condition)).concat()).await?;
    tokio::try_join!(move_chunks(&database, to, 0), move_chunks(&database, to, 1))?;
    database.run(&format!("UPDATE users SET status = 'inactive' WHERE id = {LEAVER}")).await?;
    let took = began.elapsed();
    require_done(&database, (LEAVER, LEAVER)).await?;
    server.drop_it(&database.name).await?;
    Ok(took)
}

fn cut(kind: &str, table: &str, condition: &str) -> String {
    format!(
        "INSERT INTO by_hand SELECT '{kind}', (rank - 1) / 1000, min(id), max(id) FROM \
           (SELECT id, row_number() OVER (ORDER BY id) AS rank FROM {table} WHERE owner_id = {LEAVER} AND {condition}) s \
         GROUP BY 2;"
    )
}

async fn move_chunks(database: &Database, to: Successors, half: i64) -> Result<()> {
    let connection = database.connect().await?;
    for (kind, table, condition) in TABLES {
        let (first, count) = (to.first(), to.count());
        let sql = format!(
            "WITH c AS (SELECT first, last FROM by_hand WHERE kind = '{kind}' AND n = $1), \
             moved AS (UPDATE {table} t SET owner_id = {first} + t.id % {count}, updated_at = now() FROM c \
               WHERE t.owner_id = {LEAVER} AND {condition} AND t.id BETWEEN c.first AND c.last RETURNING t.id, t.owner_id) \
             INSERT INTO by_hand_journal SELECT '{kind}', $1, {LEAVER}, owner_id, array_agg(id), now() FROM moved GROUP BY owner_id"
        );
        let counted = format!("SELECT CAST(count(*) AS text) AS v FROM by_hand WHERE kind = '{kind}'");
        let chunks: i64 = database.text(&counted).await?.parse()?;
        for n in (0..chunks).filter(|n| n % 2 == half) {
            let statement = Statement::from_sql_and_values(DbBackend::Postgres, &sql, [n.into()]);
            connection.execute_raw(statement).await?;
        }
    }
    Ok(connection.close().await?)
}
