//! SQLite without a server, and the start-up time of a worker.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use sea_orm::{ConnectionTrait, DbBackend, Statement};

use super::Scale;
use crate::data::{self, CATALOG, LEAVER, SUCCESSOR};
use crate::measure::Samples;
use crate::report::{Report, Row};
use crate::server::{Server, connect};
use crate::worker::{Setup, Worker};

/// Moves 100,000 contacts in SQLite, against a plain UPDATE.
pub async fn sqlite(scale: &Scale, report: &mut Report) -> Result<()> {
    let records = 100_000 / scale.divide;
    let folder = std::env::temp_dir().join(format!("handover-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let base = folder.join("base.db");
    fill(&base, records).await?;
    let (mut bare, mut ours) = (Samples::default(), Samples::default());
    for _ in 0..scale.rounds {
        let file = folder.join("bare.db");
        std::fs::copy(&base, &file)?;
        bare.push_time(bare_update(&url(&file)).await?);
        let file = folder.join("ours.db");
        std::fs::copy(&base, &file)?;
        ours.push_time(handed_over(&url(&file)).await?);
    }
    std::fs::remove_dir_all(&folder)?;
    let note = "baseline: a plain UPDATE in SQLite".to_owned();
    report.add(Row::times(&format!("embedded: {records} contacts"), "s", &ours, &bare, Some(0.5), note));
    Ok(())
}

fn url(file: &std::path::Path) -> String {
    format!("sqlite://{}?mode=rwc", file.display())
}

async fn fill(file: &std::path::Path, records: u64) -> Result<()> {
    let url = url(file);
    let setup = Setup { database: &url, broker: "local", prefix: "bench", catalog: CATALOG, extra: &[] };
    setup.run(&["migrate", "--reference-crm"])?;
    let connection = connect(&url).await?;
    let numbers = |to: u64| format!("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {to})");
    for statement in [
        "INSERT INTO organizations (id, name) VALUES (1, 'Bench')".to_owned(),
        format!(
            "{} INSERT INTO users (id, org_id, name, username, email, status, role) SELECT i, 1, 'User', 'u' || i, \
             'u' || i || '@example.com', 'active', CASE i WHEN 1 THEN 'admin' ELSE 'member' END FROM n",
            numbers(60)
        ),
        format!(
            "{} INSERT INTO contacts (org_id, owner_id, created_by, name, email) \
             SELECT 1, {LEAVER}, 1, 'Contact', 'c' || i || '@example.net' FROM n",
            numbers(records)
        ),
        "PRAGMA wal_checkpoint(TRUNCATE)".to_owned(),
    ] {
        connection.execute_unprepared(&statement).await?;
    }
    Ok(connection.close().await?)
}

async fn bare_update(url: &str) -> Result<Duration> {
    let connection = connect(url).await?;
    connection.execute_unprepared("PRAGMA synchronous = FULL").await?;
    let began = Instant::now();
    connection
        .execute_unprepared(&format!(
            "UPDATE contacts SET owner_id = {SUCCESSOR}, updated_at = CURRENT_TIMESTAMP WHERE owner_id = {LEAVER}"
        ))
        .await?;
    let took = began.elapsed();
    connection.close().await?;
    Ok(took)
}

/// Returns the time from the request to its completion, from the ledger.
async fn handed_over(url: &str) -> Result<Duration> {
    let setup = Setup { database: url, broker: "local", prefix: "bench", catalog: CATALOG, extra: &[] };
    let file = std::env::temp_dir().join(format!("handover-bench-{}.json", std::process::id()));
    std::fs::write(&file, data::big_request().to_string())?;
    let path = file.to_str().context("a path")?.to_owned();
    let worker = Worker::start(&setup)?;
    setup.run(&["submit", &path, "--wait"])?;
    worker.stop()?;
    std::fs::remove_file(&file)?;
    let connection = connect(url).await?;
    let query = "SELECT (julianday(completed_at) - julianday(requested_at)) * 86400.0 AS v FROM handover_jobs";
    let row = connection.query_one_raw(Statement::from_string(DbBackend::Sqlite, query)).await?;
    let seconds: f64 = row.context("a job")?.try_get("", "v")?;
    connection.close().await?;
    Ok(Duration::from_secs_f64(seconds))
}

/// Measures the time from the command to a worker that receives messages.
pub async fn start_up(server: &Server, scale: &Scale, report: &mut Report) -> Result<()> {
    let base = data::host(server, "bench_start").await?;
    let prefix = format!("bench-start-{}", std::process::id());
    let setup = Setup { database: &base.url, broker: &server.amqp, prefix: &prefix, catalog: CATALOG, extra: &[] };
    let mut times = Samples::default();
    for _ in 0..scale.rounds.max(5) + 1 {
        let worker = Worker::start(&setup)?;
        times.push(worker.start_up.as_secs_f64() * 1000.0);
        worker.stop()?;
    }
    // The first one declares the queues.
    times.0.remove(0);
    crate::traffic::Application::connect(&server.amqp, &prefix).await?.clean_up().await?;
    server.drop_it(&base.name).await?;
    report.add(Row::time("start-up: handover run to ready", "ms", &times, Some(150.0), String::new()));
    Ok(())
}
