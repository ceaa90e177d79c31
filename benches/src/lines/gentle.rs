//! A foreground load while a million records move: the effect on the host's own users.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};

use super::Scale;
use crate::data::{self, CATALOG};
use crate::measure::Samples;
use crate::report::{Report, Row};
use crate::server::{Database, Server};
use crate::traffic::Application;
use crate::worker::{Setup, Worker};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/host.sql");

/// Foreground transactions per second, well below the capacity of the machine: an active host that is not at its limit.
const RATE: u64 = 200;

/// A foreground that is slower than this without a move, in milliseconds, is overloaded, and the comparison is meaningless.
const OVERLOADED: f64 = 250.0;

/// The duration of one pgbench run, in seconds.
const RUN: u64 = 10;

/// Compares the foreground's 95th percentile during a move, for each pace, with that just before the move.
pub async fn foreground(server: &Server, scale: &Scale, report: &mut Report) -> Result<()> {
    let contacts = 3_000_000 / scale.divide;
    let base = data::host(server, "bench_gentle").await?;
    data::fill_contacts(&base, contacts, 3).await?;
    for (pace, most) in [("gentle", 1.5), ("default", 3.0)] {
        let (mut ratios, mut without, mut with) = (Samples::default(), Samples::default(), Samples::default());
        let mut took = Samples::default();
        for round in 0..scale.rounds {
            let database = server.copy(&base, "bench_gentle_ours").await?;
            let alone = run_once(&database, contacts).await?.quantile(0.95);
            ensure!(alone < OVERLOADED, "{RATE} transactions per second overload this machine: {alone:.0} ms");
            let (during, time) = during_a_move(server, &database, contacts, pace, round).await?;
            let during = during.quantile(0.95);
            eprintln!(
                "  round {}, {pace}: {alone:.1} ms without, {during:.1} ms during a move of {time:.1?}",
                round + 1
            );
            without.push(alone);
            with.push(during);
            ratios.push(during / alone);
            took.push_time(time);
            server.drop_it(&database.name).await?;
        }
        let note = format!(
            "{:.1} ms without, {:.1} ms with; the move of {} records took {:.1} s",
            without.median(),
            with.median(),
            contacts / 3,
            took.median()
        );
        report.add(Row::time(&format!("foreground's 95th percentile, pace {pace}"), "×", &ratios, Some(most), note));
    }
    server.drop_it(&base.name).await
}

/// Moves the leaver's contacts under the foreground load. Returns the latencies during the move, in milliseconds, and the
/// duration of the move.
async fn during_a_move(
    server: &Server,
    database: &Database,
    contacts: u64,
    pace: &str,
    round: usize,
) -> Result<(Samples, Duration)> {
    let prefix = format!("bench-gentle-{pace}-{round}-{}", std::process::id());
    let extra = [("HANDOVER_WORKER__PACE", pace.to_owned())];
    let setup =
        Setup { database: &database.url, broker: &server.amqp, prefix: &prefix, catalog: CATALOG, extra: &extra };
    let worker = Worker::start(&setup)?;
    let mut application = Application::connect(&server.amqp, &prefix).await?;
    let is_over = Arc::new(AtomicBool::new(false));
    let load = load(database, contacts, is_over.clone());
    let moving = async {
        let began = now();
        let took = application.run(&[data::big_request()]).await;
        is_over.store(true, Ordering::Relaxed);
        Ok((began, took?))
    };
    let (transactions, (began, took)) = tokio::try_join!(load, moving)?;
    worker.stop()?;
    application.clean_up().await?;
    let ended = began + took.as_secs_f64();
    let during = transactions.into_iter().filter(|(at, _)| (began..=ended).contains(at));
    let latencies: Vec<f64> = during.map(|(_, latency)| latency).collect();
    ensure!(!latencies.is_empty(), "the move ended before the foreground started: make it larger");
    Ok((Samples(latencies), took))
}

/// Repeats pgbench runs until the move is over.
async fn load(database: &Database, contacts: u64, is_over: Arc<AtomicBool>) -> Result<Vec<(f64, f64)>> {
    let mut transactions = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        transactions.extend(pgbench(database, contacts).await?);
    }
    Ok(transactions)
}

async fn run_once(database: &Database, contacts: u64) -> Result<Samples> {
    Ok(Samples(pgbench(database, contacts).await?.into_iter().map(|(_, latency)| latency).collect()))
}

/// Runs the foreground load once. Returns for each transaction its end, in seconds since 1970, and its latency from its due time,
/// in milliseconds.
async fn pgbench(database: &Database, contacts: u64) -> Result<Vec<(f64, f64)>> {
    let folder = std::env::temp_dir().join(format!("handover-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let arguments = [
        "--no-vacuum".to_owned(),
        "--protocol=prepared".to_owned(),
        format!("--file={SCRIPT}"),
        format!("--define=contacts={contacts}"),
        "--client=4".to_owned(),
        format!("--rate={RATE}"),
        format!("--time={RUN}"),
        "--log".to_owned(),
        format!("--log-prefix={}", folder.join("foreground").display()),
    ];
    database.program("pgbench", &arguments).await?;
    let transactions = read_logs(&folder);
    std::fs::remove_dir_all(&folder)?;
    transactions
}

/// Reads the logs. A line has: client, number, latency, script, seconds and microseconds of the end, and delay of the start.
fn read_logs(folder: &Path) -> Result<Vec<(f64, f64)>> {
    let mut transactions = Vec::new();
    for file in std::fs::read_dir(folder)? {
        for line in std::fs::read_to_string(file?.path())?.lines() {
            let fields: Vec<f64> = line.split(' ').map_while(|field| field.parse().ok()).collect();
            let [_, _, latency, _, seconds, microseconds, ..] = fields[..] else { continue };
            transactions.push((seconds + microseconds / 1e6, latency / 1e3));
        }
    }
    ensure!(!transactions.is_empty(), "pgbench logged nothing");
    Ok(transactions)
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
