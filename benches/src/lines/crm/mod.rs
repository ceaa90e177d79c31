//! The second host, where Handover is compared with hand-written SQL and with a Celery worker.

mod big;
mod idle;
mod team;

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::crm;
use crate::measure::Samples;
use crate::peer::Peer;
use crate::server::{Database, Server};
use crate::traffic::{Application, Reader};
use crate::worker::{Setup, Worker};

pub use big::run as big;
pub use idle::run as idle;
pub use team::run as team;

/// A contestant that reads requests from RabbitMQ and publishes events.
#[derive(Clone, Copy)]
enum Contestant<'c> {
    Handover,
    Peer { peer: &'c Peer, processes: u64 },
}

impl Contestant<'_> {
    fn start(self, database: &Database, amqp: &str, prefix: &str, has_follows: bool) -> Result<Worker> {
        match self {
            Contestant::Handover => {
                let catalog = crm::catalog(has_follows)?;
                let extra = [("HANDOVER_WORKER__PACE", "full".to_owned())];
                let catalog = catalog.to_str().unwrap_or_default();
                Worker::start(&Setup { database: &database.url, broker: amqp, prefix, catalog, extra: &extra })
            }
            Contestant::Peer { peer, processes } => peer.start(database, amqp, prefix, has_follows, processes),
        }
    }

    fn reader(self) -> Reader {
        match self {
            Contestant::Handover => Reader::Handover,
            Contestant::Peer { .. } => Reader::Celery,
        }
    }

    fn prefix(self) -> String {
        let name = match self {
            Contestant::Handover => "ours",
            Contestant::Peer { .. } => "peer",
        };
        format!("bench-crm-{name}-{}", std::process::id())
    }
}

/// The result of a run over all requests.
struct Run {
    took: Duration,
    deadlocks: f64,
}

/// Runs all requests on a copy of the database, and checks that nothing of the leavers is left.
async fn run_all(
    contestant: Contestant<'_>,
    server: &Server,
    base: &Database,
    requests: &[Value],
    leavers: (u64, u64),
    has_follows: bool,
) -> Result<Run> {
    let database = server.copy(base, "bench_crm_copy").await?;
    let prefix = contestant.prefix();
    let mut application = Application::connect_durably(&server.amqp, &prefix, contestant.reader()).await?;
    let worker = contestant.start(&database, &server.amqp, &prefix, has_follows)?;
    let took = application.run(requests).await?;
    worker.stop()?;
    application.clean_up().await?;
    let deadlocks = deadlocks(&database).await?;
    require_done(&database, leavers).await?;
    server.drop_it(&database.name).await?;
    Ok(Run { took, deadlocks })
}

async fn require_done(database: &Database, (first, last): (u64, u64)) -> Result<()> {
    let left = crm::left_over(database, first, last).await?;
    ensure!(left == 0, "{left} leavers are not offboarded");
    Ok(())
}

async fn deadlocks(database: &Database) -> Result<f64> {
    let counted = "SELECT CAST(deadlocks AS text) AS v FROM pg_stat_database WHERE datname = current_database()";
    Ok(database.text(counted).await?.parse()?)
}

/// Returns the number of processes with the best rate, tried once each. A fixed pool at its best size is at least as good as one
/// that grows and shrinks.
async fn best_processes(
    peer: &Peer,
    server: &Server,
    base: &Database,
    requests: &[Value],
    leavers: (u64, u64),
    candidates: &[u64],
) -> Result<u64> {
    let mut best = (candidates[0], Duration::MAX);
    for processes in candidates.iter().copied() {
        let contestant = Contestant::Peer { peer, processes };
        let took = run_all(contestant, server, base, requests, leavers, false).await?.took;
        eprintln!("  the Celery worker with {processes} processes: {took:.1?}");
        if took < best.1 {
            best = (processes, took);
        }
    }
    Ok(best.0)
}

/// Returns rates for a number of things and the seconds that they took.
fn rates(count: u64, seconds: &Samples) -> Samples {
    Samples(seconds.0.iter().map(|seconds| count as f64 / seconds).collect())
}
