//! Big moves: a million contacts of one leaver, against the SQL that a DBA would write.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use serde_json::Value;

use super::Scale;
use crate::data::{self, CATALOG, LEAVER, SUCCESSOR};
use crate::measure::Samples;
use crate::report::{Report, Row};
use crate::server::{Database, Server};
use crate::traffic::Application;
use crate::watch::{Held, Watch};
use crate::worker::{Setup, Worker};

/// Runs a dense move, a million contacts of three million, and a sparse one, one in a hundred.
pub async fn dense_and_sparse(server: &Server, scale: &Scale, report: &mut Report) -> Result<()> {
    let contacts = 3_000_000 / scale.divide;
    for (name, share) in [("dense, one in 3", 3), ("sparse, one in 100", 100)] {
        let base = data::host(server, "bench_big").await?;
        data::fill_contacts(&base, contacts, share).await?;
        let records = contacts / share;
        let mut measured = Measured::default();
        for round in 0..scale.rounds {
            measured.round(server, &base, records, share == 3, round).await?;
        }
        server.drop_it(&base.name).await?;
        measured.report(&format!("{records} contacts ({name})"), report);
    }
    Ok(())
}

/// The measurements on one table of contacts, by round.
#[derive(Default)]
struct Measured {
    bare: Samples,
    one: Samples,
    twenty: Samples,
    chunks: Samples,
    ours_held: Held,
    chunks_held: Held,
    memory: Samples,
}

impl Measured {
    /// Runs each contestant once. Dealing and hand-written chunks are measured only on the dense table.
    async fn round(&mut self, server: &Server, base: &Database, records: u64, all: bool, round: usize) -> Result<()> {
        self.bare.push_time(bare_update(server, base).await?);
        let ours = handed_over(server, base, data::big_request(), records, round).await?;
        self.one.push_time(ours.took);
        self.ours_held.add(ours.held);
        self.memory.push(ours.memory);
        if all {
            let ratio = handed_over(server, base, data::ratio_request(), records, round).await?;
            self.twenty.push_time(ratio.took);
            let chunks = chunks_by_hand(server, base, records).await?;
            self.chunks.push_time(chunks.took);
            self.chunks_held.add(chunks.held);
        }
        eprintln!("  round {}: bare {:.1} s, Handover {:.1} s", round + 1, self.bare.0[round], self.one.0[round]);
        Ok(())
    }

    fn report(&self, what: &str, report: &mut Report) {
        let memory = format!("worker's peak {:.0} MB", self.memory.range().1);
        report.add(Row::times(&format!("{what}, one successor"), "s", &self.one, &self.bare, Some(1.5), memory));
        if self.chunks.0.is_empty() {
            return;
        }
        let note = String::new();
        report.add(Row::times(&format!("{what}, ratio over 20"), "s", &self.twenty, &self.bare, Some(1.1), note));
        let note = "baseline: hand-written chunks with a journal, two connections".to_owned();
        report.add(Row::times(&format!("{what}, against chunks"), "s", &self.one, &self.chunks, Some(0.9), note));
        let (ours, chunks) = (&self.ours_held, &self.chunks_held);
        let by_hand = format!("by hand {:.0} ms, {}", chunks.longest(), chunks.worst());
        let note = format!("99th percentile of transactions; {}; {by_hand}", ours.worst());
        let longest = Samples(vec![ours.longest()]);
        report.add(Row::time("time that rows are locked", "ms", &longest, Some(50.0), note));
    }
}

/// The result of one contestant.
pub struct Run {
    pub took: Duration,
    pub held: Held,
    memory: f64,
}

async fn bare_update(server: &Server, base: &Database) -> Result<Duration> {
    let database = server.copy(base, "bench_big_bare").await?;
    let connection = database.connect().await?;
    let began = Instant::now();
    connection
        .execute_unprepared(&format!(
            "UPDATE contacts SET owner_id = {SUCCESSOR}, updated_at = now() WHERE owner_id = {LEAVER}"
        ))
        .await?;
    let took = began.elapsed();
    connection.close().await?;
    server.drop_it(&database.name).await?;
    Ok(took)
}

async fn handed_over(server: &Server, base: &Database, request: Value, records: u64, round: usize) -> Result<Run> {
    let database = server.copy(base, "bench_big_ours").await?;
    handed_over_in(server, &database, request, records, round).await
}

/// Runs the job in a database, then drops it.
pub async fn handed_over_in(
    server: &Server,
    database: &Database,
    request: Value,
    records: u64,
    round: usize,
) -> Result<Run> {
    let prefix = format!("bench-big-{round}-{}", std::process::id());
    let setup = Setup { database: &database.url, broker: &server.amqp, prefix: &prefix, catalog: CATALOG, extra: &[] };
    let worker = Worker::start(&setup)?;
    let mut application = Application::connect(&server.amqp, &prefix).await?;
    let watch = Watch::start(database);
    let took = application.run(&[request]).await?;
    let held = watch.stop().await?;
    let memory = worker.peak_memory()?;
    worker.stop()?;
    application.clean_up().await?;
    require_moved(database, records).await?;
    server.drop_it(&database.name).await?;
    Ok(Run { took, held, memory })
}

/// Moves keyset chunks of 1,000 rows with a journal, as a careful DBA would, on two connections that alternate.
pub async fn chunks_by_hand(server: &Server, base: &Database, records: u64) -> Result<Run> {
    let database = server.copy(base, "bench_big_chunks").await?;
    database
        .run(
            "CREATE TABLE by_hand (n bigint PRIMARY KEY, first bigint, last bigint); \
             CREATE TABLE by_hand_journal (n bigint, from_user bigint, to_user bigint, keys bigint[], at timestamptz)",
        )
        .await?;
    let watch = Watch::start(&database);
    let began = Instant::now();
    database
        .run(&format!(
            "INSERT INTO by_hand SELECT (n - 1) / 1000, min(id), max(id) FROM \
               (SELECT id, row_number() OVER (ORDER BY id) AS n FROM contacts WHERE owner_id = {LEAVER}) s GROUP BY 1"
        ))
        .await?;
    let halves = [0, 1].map(|half| move_chunks(&database, half));
    let [one, other] = halves;
    tokio::try_join!(one, other)?;
    let took = began.elapsed();
    let held = watch.stop().await?;
    require_moved(&database, records).await?;
    server.drop_it(&database.name).await?;
    Ok(Run { took, held, memory: 0.0 })
}

async fn move_chunks(database: &Database, half: i64) -> Result<()> {
    let connection = database.connect().await?;
    let sql = format!(
        "WITH c AS (SELECT n, first, last FROM by_hand WHERE n = $1), \
         moved AS (UPDATE contacts t SET owner_id = {SUCCESSOR}, updated_at = now() FROM c \
           WHERE t.owner_id = {LEAVER} AND t.id BETWEEN c.first AND c.last RETURNING t.id) \
         INSERT INTO by_hand_journal SELECT $1, {LEAVER}, {SUCCESSOR}, array_agg(id), now() FROM moved HAVING count(*) > 0"
    );
    let chunks: i64 = database.text("SELECT CAST(count(*) AS text) AS v FROM by_hand").await?.parse()?;
    for n in (0..chunks).filter(|n| n % 2 == half) {
        let statement = Statement::from_sql_and_values(DbBackend::Postgres, &sql, [n.into()]);
        connection.execute_raw(statement).await?;
    }
    Ok(connection.close().await?)
}

async fn require_moved(database: &Database, records: u64) -> Result<()> {
    let left = format!("SELECT CAST(count(*) AS text) AS v FROM contacts WHERE owner_id = {LEAVER}");
    ensure!(database.text(&left).await? == "0", "{} of {records} records are left", database.text(&left).await?);
    Ok(())
}

/// Measures rows per second and the worker's memory for 100,000, 1,000,000 and 10,000,000 records.
pub async fn growth(server: &Server, scale: &Scale, report: &mut Report) -> Result<()> {
    let mut smallest: Option<f64> = None;
    for (records, rounds) in [(100_000, scale.rounds), (1_000_000, scale.rounds.min(3)), (10_000_000, 1)] {
        let records = records / scale.divide;
        let base = data::host(server, "bench_growth").await?;
        data::fill_contacts(&base, records, 1).await?;
        let (mut rates, mut memory) = (Samples::default(), Samples::default());
        for round in 0..rounds {
            let run = handed_over(server, &base, data::big_request(), records, round).await?;
            rates.push(records as f64 / run.took.as_secs_f64());
            memory.push(run.memory);
        }
        server.drop_it(&base.name).await?;
        let first = *smallest.get_or_insert(rates.median());
        let share = rates.median() / first;
        let note = format!("{share:.2} of the rate of the smallest; worker's peak {:.0} MB", memory.range().1);
        report.add(Row::rates(&format!("growth: {records} records"), "rows/s", &rates, None, None, note));
    }
    Ok(())
}

/// Compares two workers with one.
pub async fn two_workers(server: &Server, scale: &Scale, report: &mut Report) -> Result<()> {
    let records = 1_000_000 / scale.divide;
    let base = data::host(server, "bench_two").await?;
    data::fill_contacts(&base, records * 3, 3).await?;
    let (mut one, mut two) = (Samples::default(), Samples::default());
    for round in 0..scale.rounds {
        one.push_time(handed_over(server, &base, data::big_request(), records, round).await?.took);
        two.push_time(by_two(server, &base, round).await?);
    }
    server.drop_it(&base.name).await?;
    let note = "baseline: one worker".to_owned();
    report.add(Row::times(&format!("two workers, {records} contacts"), "s", &two, &one, None, note));
    Ok(())
}

async fn by_two(server: &Server, base: &Database, round: usize) -> Result<Duration> {
    let database = server.copy(base, "bench_two_ours").await?;
    let prefix = format!("bench-two-{round}-{}", std::process::id());
    let setup = Setup { database: &database.url, broker: &server.amqp, prefix: &prefix, catalog: CATALOG, extra: &[] };
    let workers = [Worker::start(&setup)?, Worker::start(&setup)?];
    let mut application = Application::connect(&server.amqp, &prefix).await?;
    let took = application.run(&[data::big_request()]).await?;
    for worker in workers {
        worker.stop()?;
    }
    application.clean_up().await?;
    server.drop_it(&database.name).await?;
    Ok(took)
}
