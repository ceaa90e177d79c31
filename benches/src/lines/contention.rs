//! The time that small jobs wait while a giant runs.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;

use super::Scale;
use crate::data::{self, CATALOG, FIRST_LEAVER};
use crate::measure::Samples;
use crate::report::{Report, Row};
use crate::server::{Database, Server};
use crate::traffic::Application;
use crate::worker::{Setup, Worker};

/// The records of a small job: the most that are still moved at once.
const RECORDS: u64 = 1_000;

/// The interval of small jobs.
const INTERVAL: Duration = Duration::from_millis(250);

/// Runs small jobs at a steady rate while a million records of another leaver move, and as many without. Measures each from its
/// due time to its completed event.
pub async fn small_jobs(server: &Server, scale: &Scale, report: &mut Report) -> Result<()> {
    let (giant, leavers) = (1_000_000 / scale.divide, (400 / scale.divide).max(40));
    let base = data::host(server, "bench_contention").await?;
    data::fill_contacts(&base, giant, 1).await?;
    data::fill_owners(&base, leavers, RECORDS).await?;
    let requests: Vec<Value> = (FIRST_LEAVER..FIRST_LEAVER + leavers).map(data::owner_request).collect();
    let mut quantiles = [0.5, 0.99].map(|share| (share, Samples::default(), Samples::default()));
    for round in 0..scale.rounds {
        let with = waits(server, &base, &requests, true, round).await?;
        ensure!(with.0.len() >= 20, "the giant was done after {} small jobs: make it larger", with.0.len());
        let without = waits(server, &base, &requests[..with.0.len()], false, round).await?;
        for (share, during, alone) in &mut quantiles {
            during.push(with.quantile(*share));
            alone.push(without.quantile(*share));
        }
        eprintln!("  round {}: {} small jobs while a giant runs, as many without", round + 1, with.0.len());
    }
    server.drop_it(&base.name).await?;
    for (share, during, alone) in quantiles {
        let what = format!("a job of {RECORDS} records during one of {giant}, {}th percentile", share * 100.0);
        report.add(Row::times(&what, "ms", &during, &alone, None, "baseline: without the giant".into()));
    }
    Ok(())
}

/// Returns the time of each small job, in milliseconds.
async fn waits(
    server: &Server,
    base: &Database,
    requests: &[Value],
    with_giant: bool,
    round: usize,
) -> Result<Samples> {
    let database = server.copy(base, "bench_contention_ours").await?;
    let prefix = format!("bench-contention-{with_giant}-{round}-{}", std::process::id());
    let setup = Setup { database: &database.url, broker: &server.amqp, prefix: &prefix, catalog: CATALOG, extra: &[] };
    let worker = Worker::start(&setup)?;
    let mut application = Application::connect(&server.amqp, &prefix).await?;
    let giant = data::big_request();
    if with_giant {
        application.publish(std::slice::from_ref(&giant)).await?;
        until_chunks_closed(&database).await?;
    }
    let waits = application.run_steadily(requests, INTERVAL, with_giant.then_some(&giant)).await?;
    worker.stop()?;
    application.clean_up().await?;
    server.drop_it(&database.name).await?;
    Ok(Samples(waits.iter().map(|wait| wait.as_secs_f64() * 1e3).collect()))
}

/// Waits until the first chunk of a job is moved.
pub async fn until_chunks_closed(database: &Database) -> Result<()> {
    let closed = "SELECT CAST(count(*) AS text) AS v FROM handover.chunks WHERE state = 'closed'";
    while database.text(closed).await? == "0" {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
