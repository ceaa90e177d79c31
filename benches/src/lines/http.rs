//! The HTTP API: requests a second beside AMQP, the time of a preview and of a lock-out, and memory.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::Scale;
use super::contention::until_chunks_closed;
use crate::api::Api;
use crate::data::{self, CATALOG, FIRST_LEAVER};
use crate::measure::Samples;
use crate::report::{Report, Row};
use crate::server::{Database, Server};
use crate::traffic::Application;
use crate::worker::{self, Setup, Worker};

/// Clients that send requests at the same time.
const CLIENTS: usize = 16;

/// The interval of single calls.
const INTERVAL: Duration = Duration::from_millis(100);

/// Readers of events.
const READERS: usize = 1_000;

/// Runs small leavers from requests over HTTP to completed events, against the same over AMQP.
pub async fn small_jobs(server: &Server, scale: &Scale, report: &mut Report) -> Result<()> {
    let leavers = (5_000 / scale.divide).max(CLIENTS as u64);
    let base = data::host(server, "bench_http").await?;
    data::fill_leavers(&base, leavers).await?;
    let requests: Vec<Value> = (FIRST_LEAVER..FIRST_LEAVER + leavers).map(data::small_request).collect();
    let (mut http, mut amqp, mut accepted) = (Samples::default(), Samples::default(), Samples::default());
    for round in 0..scale.rounds {
        let per_second = |time: Duration| leavers as f64 / time.as_secs_f64();
        let mut site = Site::open(server, &base, "rate", round).await?;
        amqp.push(per_second(site.application.run(&requests).await?));
        site.close(server).await?;
        let mut site = Site::open(server, &base, "rate", round).await?;
        let began = Instant::now();
        site.submit_all(&requests).await?;
        accepted.push(per_second(began.elapsed()));
        site.application.await_completed(requests.len()).await?;
        http.push(per_second(began.elapsed()));
        site.close(server).await?;
        eprintln!("  round {}: AMQP {:.0}/s, HTTP {:.0}/s", round + 1, amqp.0[round], http.0[round]);
    }
    server.drop_it(&base.name).await?;
    let note = format!("{CLIENTS} connections; {:.0} answers per second; baseline: AMQP", accepted.median());
    report.add(Row::rates("small jobs per second over HTTP", "leavers/s", &http, Some(&amqp), None, note));
    Ok(())
}

/// Measures previews and lock-outs, one after the other at a steady rate: on an idle system, and while ten million records move.
pub async fn latency(server: &Server, scale: &Scale, report: &mut Report) -> Result<()> {
    let (giant, calls) = (10_000_000 / scale.divide, (400 / scale.divide).max(40));
    let base = data::host(server, "bench_latency").await?;
    data::fill_contacts(&base, giant, 1).await?;
    data::fill_leavers(&base, calls).await?;
    let requests: Vec<Value> = (FIRST_LEAVER..FIRST_LEAVER + calls).map(data::small_request).collect();
    let mut medians = [(); 4].map(|()| Samples::default());
    let mut tails = [(); 4].map(|()| Samples::default());
    for round in 0..scale.rounds.min(3) {
        let idle = times(server, &base, &requests, false, round).await?;
        let during = times(server, &base, &requests, true, round).await?;
        for (place, times) in idle.into_iter().chain(during).enumerate() {
            medians[place].push(times.quantile(0.5));
            tails[place].push(times.quantile(0.99));
        }
    }
    server.drop_it(&base.name).await?;
    for (samples, share) in [(&medians, 50), (&tails, 99)] {
        for (place, what) in ["a preview", "a lock-out"].into_iter().enumerate() {
            let (idle, during) = (&samples[place], &samples[place + 2]);
            let what = format!("{what} over HTTP during a move of {giant}, {share}th percentile");
            report.add(Row::times(&what, "ms", during, idle, None, "baseline: on an idle system".into()));
        }
    }
    Ok(())
}

/// Returns the times of previews and of lock-outs, in milliseconds.
async fn times(
    server: &Server,
    base: &Database,
    requests: &[Value],
    with_giant: bool,
    round: usize,
) -> Result<[Samples; 2]> {
    let site = Site::open(server, base, if with_giant { "giant" } else { "idle" }, round).await?;
    if with_giant {
        site.application.publish(&[data::big_request()]).await?;
        until_chunks_closed(&site.database).await?;
    }
    let [mut previews, mut lock_outs] = [Samples::default(), Samples::default()];
    let mut client = site.api.client(0).await?;
    let mut due = tokio::time::interval(INTERVAL);
    for request in requests {
        let mut lock_out = request.clone();
        lock_out["lock_out"] = json!(true);
        due.tick().await;
        let began = Instant::now();
        client.preview(request).await?;
        previews.push(began.elapsed().as_secs_f64() * 1e3);
        due.tick().await;
        let began = Instant::now();
        client.submit(&lock_out).await?;
        lock_outs.push(began.elapsed().as_secs_f64() * 1e3);
    }
    let moving =
        "SELECT CAST(count(*) AS text) AS v FROM handover.jobs WHERE request_id = 'bench-big' AND state = 'moving'";
    if with_giant && site.database.text(moving).await? == "0" {
        eprintln!("  the move ended before the last call: use a smaller --divide");
    }
    site.close(server).await?;
    Ok([previews, lock_outs])
}

/// Measures the memory of a server without readers and with a thousand, and the size of the binary.
pub async fn memory(server: &Server, scale: &Scale, report: &mut Report) -> Result<()> {
    let readers = (READERS / usize::try_from(scale.divide)?).max(10);
    let base = data::host(server, "bench_readers").await?;
    data::fill_leavers(&base, 1).await?;
    let site = Site::open(server, &base, "readers", 0).await?;
    let mut request = data::small_request(FIRST_LEAVER);
    request["effective_at"] = json!("2100-01-01T00:00:00Z");
    let answer: Value = serde_json::from_slice(&site.api.client(0).await?.submit(&request).await?.body)?;
    let job = answer["job"]["job_id"].as_str().context("a job")?;
    let without = site.worker.peak_memory()?;
    let mut streams = Vec::with_capacity(readers);
    for reader in 0..readers {
        streams.push(site.api.reader(reader, job).await?);
    }
    let with = site.worker.peak_memory()?;
    ensure!(streams.len() == readers, "some readers are missing");
    drop(streams);
    site.close(server).await?;
    server.drop_it(&base.name).await?;
    let note = format!("{without:.0} MB without them; a worker and a server in one process");
    report.add(Row::time(&format!("memory with {readers} readers"), "MB", &Samples(vec![with]), None, note));
    let bytes = std::fs::metadata(worker::binary())?.len();
    let size = Samples(vec![bytes as f64 / f64::from(1 << 20)]);
    report.add(Row::time("size of the binary", "MB", &size, None, String::new()));
    Ok(())
}

/// A worker that serves the API on a copy of a database.
struct Site {
    database: Database,
    worker: Worker,
    application: Application,
    api: Api,
}

impl Site {
    async fn open(server: &Server, base: &Database, name: &str, round: usize) -> Result<Site> {
        let database = server.copy(base, "bench_http_ours").await?;
        let prefix = format!("bench-http-{name}-{round}-{}", std::process::id());
        let address = Api::free_address()?;
        let extra = [("HANDOVER_API__LISTEN", address.clone())];
        let broker = &server.amqp;
        let setup = Setup { database: &database.url, broker, prefix: &prefix, catalog: CATALOG, extra: &extra };
        let worker = Worker::start_serving(&setup)?;
        let application = Application::connect(&server.amqp, &prefix).await?;
        let api = Api::open(&setup, address, CLIENTS)?;
        Ok(Site { database, worker, application, api })
    }

    /// Submits requests from several clients, and waits for every answer.
    async fn submit_all(&self, requests: &[Value]) -> Result<()> {
        let share = requests.len().div_ceil(CLIENTS);
        let clients = requests.chunks(share).enumerate().map(async |(place, requests)| {
            let mut client = self.api.client(place).await?;
            for request in requests {
                client.submit(request).await?;
            }
            anyhow::Ok(())
        });
        futures_util::future::try_join_all(clients).await.map(drop)
    }

    async fn close(self, server: &Server) -> Result<()> {
        self.worker.stop()?;
        self.application.clean_up().await?;
        server.drop_it(&self.database.name).await
    }
}
