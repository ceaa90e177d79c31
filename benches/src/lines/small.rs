//! Small jobs: many at once, and one alone.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::Scale;
use crate::data::{self, CATALOG, FIRST_LEAVER};
use crate::measure::Samples;
use crate::report::{Report, Row};
use crate::server::{Database, Server};
use crate::traffic::Application;
use crate::worker::{Setup, Worker};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/small.sql");

/// The numbers of clients to try with pgbench.
const CLIENTS: [u64; 4] = [4, 8, 16, 32];

/// Runs 5,000 leavers from requests over RabbitMQ to completed events, against one transaction per leaver in pgbench.
pub async fn many(server: &Server, scale: &Scale, report: &mut Report) -> Result<()> {
    let leavers = (5_000 / scale.divide / 32).max(1) * 32;
    let base = data::host(server, "bench_small").await?;
    data::fill_leavers(&base, leavers).await?;
    let clients = best_clients(server, &base, leavers).await?;
    let (mut by_hand, mut ours, mut memory) = (Samples::default(), Samples::default(), Samples::default());
    for round in 0..scale.rounds {
        by_hand.push(pgbench(server, &base, leavers, clients).await?);
        let (rate, peak) = handed_over(server, &base, leavers, round).await?;
        ours.push(rate);
        memory.push(peak);
        eprintln!("  round {}: pgbench {:.0}/s, Handover {:.0}/s", round + 1, by_hand.0[round], ours.0[round]);
    }
    server.drop_it(&base.name).await?;
    let note = format!("pgbench with {clients} clients; worker's peak {:.0} MB", memory.range().1);
    report.add(Row::rates("small jobs per second", "leavers/s", &ours, Some(&by_hand), Some(1.5), note));
    Ok(())
}

async fn best_clients(server: &Server, base: &Database, leavers: u64) -> Result<u64> {
    let mut best = (CLIENTS[0], 0.0);
    for clients in CLIENTS {
        let rate = pgbench(server, base, leavers, clients).await?;
        eprintln!("  pgbench with {clients} clients: {rate:.0}/s");
        if rate > best.1 {
            best = (clients, rate);
        }
    }
    Ok(best.0)
}

/// Returns the leavers per second of pgbench.
async fn pgbench(server: &Server, base: &Database, leavers: u64, clients: u64) -> Result<f64> {
    let database = server.copy(base, "bench_small_by_hand").await?;
    let variables = [("first", FIRST_LEAVER), ("clients", clients), ("done", 0)];
    let mut arguments = vec!["--no-vacuum".to_owned(), "--protocol=prepared".to_owned(), format!("--file={SCRIPT}")];
    arguments.extend(variables.map(|(name, value)| format!("--define={name}={value}")));
    arguments.extend([
        format!("--client={clients}"),
        "--jobs=2".to_owned(),
        format!("--transactions={}", leavers / clients),
    ]);
    let output = database.program("pgbench", &arguments).await?;
    let rate = output.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
    let left =
        database.text("SELECT CAST(count(*) AS text) AS v FROM users WHERE id >= 1000 AND status = 'active'").await?;
    anyhow::ensure!(left == "0", "pgbench has left {left} users active");
    server.drop_it(&database.name).await?;
    rate.context(output)
}

/// Returns the leavers per second of a worker, and its peak memory.
async fn handed_over(server: &Server, base: &Database, leavers: u64, round: usize) -> Result<(f64, f64)> {
    let database = server.copy(base, "bench_small_ours").await?;
    let prefix = format!("bench-small-{round}-{}", std::process::id());
    let setup = Setup { database: &database.url, broker: &server.amqp, prefix: &prefix, catalog: CATALOG, extra: &[] };
    let worker = Worker::start(&setup)?;
    let mut application = Application::connect(&server.amqp, &prefix).await?;
    let requests: Vec<_> = (FIRST_LEAVER..FIRST_LEAVER + leavers).map(data::small_request).collect();
    let took = application.run(&requests).await?;
    let peak = worker.peak_memory()?;
    worker.stop()?;
    application.clean_up().await?;
    server.drop_it(&database.name).await?;
    Ok((leavers as f64 / took.as_secs_f64(), peak))
}

/// Runs one small job at a time, from publishing its request to its completed event.
pub async fn idle(server: &Server, scale: &Scale, report: &mut Report) -> Result<()> {
    let jobs = (500 / scale.divide).max(50);
    let warm_up = 20;
    let base = data::host(server, "bench_idle").await?;
    data::fill_leavers(&base, jobs + warm_up).await?;
    let prefix = format!("bench-idle-{}", std::process::id());
    let setup = Setup { database: &base.url, broker: &server.amqp, prefix: &prefix, catalog: CATALOG, extra: &[] };
    let worker = Worker::start(&setup)?;
    let mut application = Application::connect(&server.amqp, &prefix).await?;
    let mut times = Samples::default();
    for leaver in 0..jobs + warm_up {
        let began = Instant::now();
        application.run(&[data::small_request(FIRST_LEAVER + leaver)]).await?;
        if leaver >= warm_up {
            times.push(began.elapsed().as_secs_f64() * 1000.0);
        }
        // Let the relay publish the messages of the last job, so that the system is idle.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    worker.stop()?;
    application.clean_up().await?;
    server.drop_it(&base.name).await?;
    let note = format!("99th percentile {:.1} ms of {jobs} jobs", times.quantile(0.99));
    report.add(Row::time("one small job, idle: request to event", "ms", &times, Some(4.0), note));
    Ok(())
}
