//! A preview's estimate against the actual time of the job.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::Scale;
use crate::data::{self, CATALOG, COLLEAGUES, LEAVER};
use crate::measure::Samples;
use crate::report::{Report, Row};
use crate::server::Server;
use crate::traffic::Application;
use crate::worker::{Setup, Worker};

/// The factor by which an estimate may be off, either way.
const FACTOR: f64 = 3.0;

/// Runs ten jobs on one database: a large one first, before anything was measured, then colleagues' jobs to one successor or to
/// twenty.
pub async fn of_ten_jobs(server: &Server, scale: &Scale, report: &mut Report) -> Result<()> {
    let contacts = 3_000_000 / scale.divide;
    let base = data::host(server, "bench_estimate").await?;
    data::fill_contacts(&base, contacts, 3).await?;
    let prefix = format!("bench-estimate-{}", std::process::id());
    let setup = Setup { database: &base.url, broker: &server.amqp, prefix: &prefix, catalog: CATALOG, extra: &[] };
    let worker = Worker::start(&setup)?;
    let mut application = Application::connect(&server.amqp, &prefix).await?;
    let mut ratios = Samples::default();
    for leaver in std::iter::once(LEAVER).chain(COLLEAGUES) {
        let request = match leaver {
            LEAVER => data::big_request(),
            colleague => data::colleagues_request(colleague, colleague % 2 == 0),
        };
        let estimate = estimate(&setup, &request)?;
        let took = application.run(&[request]).await?.as_secs_f64();
        eprintln!("  user {leaver}: {estimate:.2} s estimated, took {took:.2} s");
        ratios.push(took / estimate);
    }
    worker.stop()?;
    application.clean_up().await?;
    server.drop_it(&base.name).await?;
    let close = ratios.0.iter().filter(|ratio| (1.0 / FACTOR..=FACTOR).contains(*ratio)).count();
    let (least, most) = ratios.range();
    let note = format!(
        "took {least:.2} to {most:.2} times as long; the first, of {} records, {:.2}",
        contacts / 3,
        ratios.0[0]
    );
    report.add(Row::count("estimates within a factor of three", close, ratios.0.len(), 8, note));
    Ok(())
}

/// Returns the seconds that a preview estimates.
fn estimate(setup: &Setup<'_>, request: &Value) -> Result<f64> {
    let file = std::env::temp_dir().join(format!("handover-bench-{}.json", std::process::id()));
    std::fs::write(&file, request.to_string())?;
    let output = setup.command(&["preview", "--json", &file.display().to_string()]).output()?;
    std::fs::remove_file(&file)?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let preview: Value = serde_json::from_slice(&output.stdout)?;
    let milliseconds = preview["estimate_ms"].as_f64().context("an estimate")?;
    Ok(milliseconds / 1000.0)
}
