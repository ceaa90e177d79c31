//! A team whose members leave together and follow each other: 4,000 leavers with 33 rows each.

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Contestant, best_processes, deadlocks, require_done, run_all};
use crate::crm::{self, Successors};
use crate::data::FIRST_LEAVER;
use crate::lines::Scale;
use crate::measure::Samples;
use crate::peer::Peer;
use crate::report::{Report, Row};
use crate::server::{Database, Server};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/crm/leaver.sql");

/// The clients of pgbench.
const CLIENTS: u64 = 16;

/// The numbers of Celery's processes to try.
const PROCESSES: [u64; 3] = [4, 8, 16];

/// Runs the team's requests in four variants: to one successor and to twenty, without follows and with them.
pub async fn run(server: &Server, scale: &Scale, report: &mut Report) -> Result<()> {
    let leavers = (4_000 / scale.divide / CLIENTS).max(1) * CLIENTS;
    let base = crm::host(server, "bench_crm_team").await?;
    crm::fill_team(&base, leavers).await?;
    let peer = Peer::install()?;
    let processes = match &peer {
        Some(peer) => {
            let requests = crm::team_requests(leavers, Successors::One);
            best_processes(peer, server, &base, &requests, all(leavers), &PROCESSES).await?
        }
        None => 0,
    };
    let mut variants =
        [(Successors::One, false), (Successors::Twenty, false), (Successors::One, true), (Successors::Twenty, true)]
            .map(|(to, has_follows)| Variant::new(to, has_follows, leavers));
    for round in 0..scale.rounds {
        for variant in &mut variants {
            variant.round(server, &base, peer.as_ref().map(|peer| Contestant::Peer { peer, processes })).await?;
            eprintln!("  round {}, {}", round + 1, variant.last());
        }
    }
    server.drop_it(&base.name).await?;
    for variant in &variants {
        variant.report(processes, report);
    }
    let [one, twenty, ..] = &variants;
    let note = "baseline: one successor".to_owned();
    let what = "jobs per second of a team, twenty successors against one";
    report.add(Row::rates(what, "jobs/s", &twenty.ours, Some(&one.ours), Some(0.83), note));
    Ok(())
}

fn all(leavers: u64) -> (u64, u64) {
    (FIRST_LEAVER, FIRST_LEAVER + leavers - 1)
}

/// The rates of one variant, by round.
struct Variant {
    to: Successors,
    has_follows: bool,
    leavers: u64,
    requests: Vec<Value>,
    by_hand: Samples,
    peer: Samples,
    ours: Samples,
    deadlocks: [Samples; 3],
}

impl Variant {
    fn new(to: Successors, has_follows: bool, leavers: u64) -> Variant {
        let requests = crm::team_requests(leavers, to);
        let (by_hand, peer, ours) = Default::default();
        Variant { to, has_follows, leavers, requests, by_hand, peer, ours, deadlocks: Default::default() }
    }

    async fn round(&mut self, server: &Server, base: &Database, peer: Option<Contestant<'_>>) -> Result<()> {
        let [by_hand, of_peer, of_ours] = &mut self.deadlocks;
        let (rate, count) = pgbench(server, base, self.leavers, self.to, self.has_follows).await?;
        self.by_hand.push(rate);
        by_hand.push(count);
        let leavers = all(self.leavers);
        let contestants =
            [peer.map(|peer| (peer, &mut self.peer, of_peer)), Some((Contestant::Handover, &mut self.ours, of_ours))];
        for (contestant, rates, deadlocks) in contestants.into_iter().flatten() {
            let run = run_all(contestant, server, base, &self.requests, leavers, self.has_follows).await?;
            rates.push(self.leavers as f64 / run.took.as_secs_f64());
            deadlocks.push(run.deadlocks);
        }
        Ok(())
    }

    fn title(&self) -> String {
        format!("{}, {} follows", self.to.title(), if self.has_follows { "with" } else { "without" })
    }

    fn last(&self) -> String {
        let last = |samples: &Samples| samples.0.last().map_or("-".to_owned(), |rate| format!("{rate:.0}/s"));
        let (by_hand, peer, ours) = (last(&self.by_hand), last(&self.peer), last(&self.ours));
        format!("{}: pgbench {by_hand}, Celery {peer}, Handover {ours}", self.title())
    }

    fn report(&self, processes: u64, report: &mut Report) {
        let what = |against: &str| format!("jobs per second of a team, {}, against {against}", self.title());
        let most = self.deadlocks.each_ref().map(|deadlocks| deadlocks.range().1);
        let note = format!(
            "baseline: {CLIENTS} clients, up to {:.0} deadlocks; no requests, guards, journal, copies, certificate or events",
            most[0]
        );
        report.add(Row::rates(&what("pgbench"), "jobs/s", &self.ours, Some(&self.by_hand), Some(1.5), note));
        if !self.peer.0.is_empty() {
            let note = format!("baseline: {processes} processes, up to {:.0} deadlocks", most[1]);
            report.add(Row::rates(&what("Celery"), "jobs/s", &self.ours, Some(&self.peer), Some(4.0), note));
        }
        let what = format!("deadlocks of a team, {}", self.title());
        report.add(Row::time(&what, "deadlocks", &self.deadlocks[2], Some(0.0), String::new()));
    }
}

/// Returns the leavers per second of pgbench, and the deadlocks.
async fn pgbench(
    server: &Server,
    base: &Database,
    leavers: u64,
    to: Successors,
    has_follows: bool,
) -> Result<(f64, f64)> {
    let database = server.copy(base, "bench_crm_copy").await?;
    let variables = [
        ("first", FIRST_LEAVER),
        ("clients", CLIENTS),
        ("done", 0),
        ("successor", to.first()),
        ("successors", to.count()),
        ("follows", has_follows.into()),
    ];
    let mut arguments = vec!["--no-vacuum".to_owned(), "--protocol=prepared".to_owned(), format!("--file={SCRIPT}")];
    arguments.extend(variables.map(|(name, value)| format!("--define={name}={value}")));
    arguments.extend([
        format!("--client={CLIENTS}"),
        "--jobs=2".to_owned(),
        format!("--transactions={}", leavers / CLIENTS),
    ]);
    let output = database.program("pgbench", &arguments).await?;
    let rate = output.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
    require_done(&database, all(leavers)).await?;
    let deadlocks = deadlocks(&database).await?;
    server.drop_it(&database.name).await?;
    Ok((rate.context(output)?, deadlocks))
}
