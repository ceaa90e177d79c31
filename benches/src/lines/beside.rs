//! How long small jobs wait beside a giant.

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

/// Records of a small job: as many as are still moved at once.
const RECORDS: u64 = 1_000;

/// How often a small job comes.
const EVERY: Duration = Duration::from_millis(250);

/// Small jobs at a steady rate, each from when it was due to its completed event: while a million records of another move, and
/// as many without.
pub async fn a_giant(server: &Server, scale: &Scale, report: &mut Report) -> Result<()> {
    let (giant, leavers) = (1_000_000 / scale.divide, (400 / scale.divide).max(40));
    let base = data::host(server, "bench_beside").await?;
    data::fill_contacts(&base, giant, 1).await?;
    data::fill_owners(&base, leavers, RECORDS).await?;
    let requests: Vec<Value> = (FIRST_LEAVER..FIRST_LEAVER + leavers).map(data::owner_request).collect();
    let mut quantiles = [0.5, 0.99].map(|share| (share, Samples::default(), Samples::default()));
    for round in 0..scale.rounds {
        let with = waits(server, &base, &requests, true, round).await?;
        ensure!(with.0.len() >= 20, "the giant was done after {} small jobs: make it larger", with.0.len());
        let without = waits(server, &base, &requests[..with.0.len()], false, round).await?;
        for (share, beside, alone) in &mut quantiles {
            beside.push(with.quantile(*share));
            alone.push(without.quantile(*share));
        }
        eprintln!("  round {}: {} small jobs beside a giant, as many without", round + 1, with.0.len());
    }
    server.drop_it(&base.name).await?;
    for (share, beside, alone) in quantiles {
        let what = format!("a job of {RECORDS} records beside one of {giant}, {}th percentile", share * 100.0);
        report.add(Row::times(&what, "ms", &beside, &alone, None, "beside: without the giant".into()));
    }
    Ok(())
}

/// What each small job took, in milliseconds.
async fn waits(
    server: &Server,
    base: &Database,
    requests: &[Value],
    beside_a_giant: bool,
    round: usize,
) -> Result<Samples> {
    let database = server.copy(base, "bench_beside_ours").await?;
    let prefix = format!("bench-beside-{beside_a_giant}-{round}-{}", std::process::id());
    let setup = Setup { database: &database.url, broker: &server.amqp, prefix: &prefix, catalog: CATALOG, extra: &[] };
    let worker = Worker::start(&setup)?;
    let mut application = Application::connect(&server.amqp, &prefix).await?;
    let giant = data::big_request();
    if beside_a_giant {
        application.publish(std::slice::from_ref(&giant)).await?;
        until_under_way(&database).await?;
    }
    let waits = application.run_steadily(requests, EVERY, beside_a_giant.then_some(&giant)).await?;
    worker.stop()?;
    application.clean_up().await?;
    server.drop_it(&database.name).await?;
    Ok(Samples(waits.iter().map(|wait| wait.as_secs_f64() * 1e3).collect()))
}

async fn until_under_way(database: &Database) -> Result<()> {
    let closed = "SELECT CAST(count(*) AS text) AS v FROM handover.chunks WHERE state = 'closed'";
    while database.text(closed).await? == "0" {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
