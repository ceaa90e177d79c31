//! One job at a time on an idle system.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::Value;

use super::{Contestant, require_done};
use crate::crm::{self, Successors};
use crate::data::FIRST_LEAVER;
use crate::echo::Echo;
use crate::lines::Scale;
use crate::measure::Samples;
use crate::peer::Peer;
use crate::report::{Report, Row};
use crate::server::{Database, Server};
use crate::traffic::{Application, Reader};

/// Jobs that come before the measured ones.
const WARM_UP: u64 = 20;

/// Celery's processes: one works, the others are ready.
const PROCESSES: u64 = 4;

/// Measures each job from publishing its request to its completed event.
pub async fn run(server: &Server, scale: &Scale, report: &mut Report) -> Result<()> {
    let jobs = (500 / scale.divide).max(50) + WARM_UP;
    let base = crm::host(server, "bench_crm_idle").await?;
    crm::fill_team(&base, jobs).await?;
    let peer = Peer::install()?;
    let requests = crm::team_requests(jobs, Successors::One);
    let (mut floor, mut theirs, mut ours) = <[Latencies; 3]>::default().into();
    for round in 0..scale.rounds {
        floor.add(by_echo(server, &base, &requests).await?);
        if let Some(peer) = &peer {
            theirs.add(by(Contestant::Peer { peer, processes: PROCESSES }, server, &base, &requests).await?);
        }
        ours.add(by(Contestant::Handover, server, &base, &requests).await?);
        let medians = [&floor, &theirs, &ours].map(|latencies| latencies.medians.0.last().copied().unwrap_or(f64::NAN));
        let [floor, theirs, ours] = medians;
        eprintln!("  round {}: floor {floor:.1} ms, Celery {theirs:.1} ms, Handover {ours:.1} ms", round + 1);
    }
    server.drop_it(&base.name).await?;
    write(&floor, &theirs, &ours, report);
    Ok(())
}

fn write(floor: &Latencies, theirs: &Latencies, ours: &Latencies, report: &mut Report) {
    if !theirs.medians.0.is_empty() {
        let note = format!("baseline: {PROCESSES} processes");
        let what = "one job, idle, median, against Celery";
        report.add(Row::times(what, "ms", &ours.medians, &theirs.medians, Some(1.0), note.clone()));
        let what = "one job, idle, 99th percentile, against Celery";
        report.add(Row::times(what, "ms", &ours.longest, &theirs.longest, Some(1.0), note));
    }
    let above = ours.medians.0.iter().zip(&floor.medians.0).map(|(ours, floor)| ours - floor).collect();
    let note = format!(
        "the floor, an echo through two quorum queues with the hand-written transaction: median {:.1} ms, 99th percentile {:.1} ms",
        floor.medians.median(),
        floor.longest.median()
    );
    report.add(Row::time("one job, idle, median above the floor", "ms", &Samples(above), Some(2.0), note));
}

/// The median and the 99th percentile of each round, in milliseconds.
#[derive(Default)]
struct Latencies {
    medians: Samples,
    longest: Samples,
}

impl Latencies {
    fn add(&mut self, times: Samples) {
        self.medians.push(times.median());
        self.longest.push(times.quantile(0.99));
    }
}

async fn by(contestant: Contestant<'_>, server: &Server, base: &Database, requests: &[Value]) -> Result<Samples> {
    let database = server.copy(base, "bench_crm_copy").await?;
    let prefix = contestant.prefix();
    let mut application = Application::connect_durably(&server.amqp, &prefix, contestant.reader()).await?;
    let worker = contestant.start(&database, &server.amqp, &prefix, true)?;
    let times = one_by_one(&mut application, requests).await?;
    worker.stop()?;
    application.clean_up().await?;
    finish(server, database, requests).await?;
    Ok(times)
}

async fn by_echo(server: &Server, base: &Database, requests: &[Value]) -> Result<Samples> {
    let database = server.copy(base, "bench_crm_copy").await?;
    let prefix = format!("bench-crm-echo-{}", std::process::id());
    let mut application = Application::connect_durably(&server.amqp, &prefix, Reader::Queue).await?;
    let echo = Echo::start(&database, &server.amqp, &prefix).await?;
    let times = one_by_one(&mut application, requests).await?;
    echo.stop().await?;
    application.clean_up().await?;
    finish(server, database, requests).await?;
    Ok(times)
}

/// Runs the requests one by one. Returns the time of each after the warm-up, in milliseconds.
async fn one_by_one(application: &mut Application, requests: &[Value]) -> Result<Samples> {
    let mut times = Samples::default();
    for request in requests {
        let began = Instant::now();
        application.run(std::slice::from_ref(request)).await?;
        times.push(began.elapsed().as_secs_f64() * 1000.0);
        // Everybody publishes and acknowledges what is left, so that the system is idle.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(Samples(times.0.split_off(WARM_UP as usize)))
}

async fn finish(server: &Server, database: Database, requests: &[Value]) -> Result<()> {
    require_done(&database, (FIRST_LEAVER, FIRST_LEAVER + requests.len() as u64 - 1)).await?;
    server.drop_it(&database.name).await
}
