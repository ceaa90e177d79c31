//! The storm: many jobs of all sizes and of three catalogs, on its own PostgreSQL and RabbitMQ with several worker
//! processes, while faults of every kind are injected. Afterwards a checker reads only the database and the events.
//!
//! `cargo test` runs a short storm; `make storm` runs one twenty times as long. HANDOVER_STORM_SEED repeats a storm:
//! users, records, requests and the sequence of faults are the same (their interleaving is not). HANDOVER_STORM_SCALE
//! is the size in multiples of the short storm, HANDOVER_STORM_MINUTES the time limit.
//!
//! `tests/storm/mutate` makes mistakes in the source and runs a short storm for each. Results with seed 7, on
//! 2026-11-22:
//!
//! | mistake | what the storm reported |
//! |---|---|
//! | a chunk is closed before its moves, in a separate transaction | 147 times at one site: "was closed apart from its moves" |
//! | a request is acknowledged before its outcome is committed | 16 times at one site: its outcome was not committed |
//! | a job's state is not checked at its end | nine jobs completed two to four times, with an event each |
//!
//! | file | content |
//! |---|---|
//! | [`plan`] | size and random numbers |
//! | [`servers`] | the two servers, which the storm stops and starts |
//! | [`site`] | an application: tables, users, records, and the log of owners |
//! | [`worker`], [`proxy`], [`wire`] | worker processes, and the proxies before the servers |
//! | [`acknowledgements`] | checks that acknowledged requests have committed outcomes |
//! | [`host`] | the application's own users |
//! | [`traffic`], [`client`] | the requester, listener and operator |
//! | [`faults`] | the injected faults |
//! | [`checker`] | the promises |
//! | [`tampering`] | tests the checker |
//! | [`secrets`] | searches all output for passwords |

mod acknowledgements;
mod checker;
mod client;
mod faults;
mod host;
mod plan;
mod proxy;
#[path = "../it/support/secrets.rs"]
mod secrets;
mod servers;
mod site;
mod sql;
mod tally;
mod tampering;
mod traffic;
mod wire;
mod worker;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};

use crate::client::Client;
use crate::faults::Faults;
use crate::plan::{Dice, Plan};
use crate::servers::Servers;
use crate::site::{CATALOGS, Site};
use crate::tally::Tally;
use crate::traffic::{Events, Handle, Traffic};
use crate::worker::{Slot, lock};

/// The number of worker processes of a site.
const WORKERS: usize = 2;

fn main() -> ExitCode {
    if !is_asked_for() {
        return ExitCode::SUCCESS;
    }
    if servers::are_containers() {
        println!(
            "storm: SKIPPED: PostgreSQL and RabbitMQ run in containers here, but the storm restarts its own servers"
        );
        return ExitCode::SUCCESS;
    }
    let plan = Plan::read();
    println!("storm: HANDOVER_STORM_SEED={} HANDOVER_STORM_SCALE={}", plan.seed, plan.scale);
    println!("storm: the logs of all processes are in {}", plan.logs().display());
    std::fs::create_dir_all(plan.logs()).expect("a folder");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let began = Instant::now();
    let tally = Arc::new(Tally::default());
    let dice = Dice::new(plan.seed);
    let servers = Arc::new(Servers::new(&dice));
    let stage = Stage { servers: servers.clone(), slots: Arc::default(), logs: plan.logs() };
    let ended = runtime.block_on(async {
        tokio::select! {
            ended = storm(&plan, &dice, &stage, &tally) => ended,
            () = interrupted() => Err("interrupted".into()),
            () = tokio::time::sleep(plan.limit) => Err(format!("not finished after {:?}", plan.limit)),
        }
    });
    // The servers' logs are complete once the servers are down.
    drop(stage);
    let ended = ended.and_then(|()| secrets::are_not_in_files(&servers.secrets(), &plan.logs()));
    tally.lines().iter().for_each(|line| println!("storm: {line}"));
    runtime.shutdown_timeout(Duration::from_secs(1));
    match ended {
        Ok(()) => {
            println!("storm: passed in {} s", began.elapsed().as_secs());
            ExitCode::SUCCESS
        }
        Err(why) => {
            println!("storm: FAILED after {} s, seed {}: {why}", began.elapsed().as_secs(), plan.seed);
            ExitCode::FAILURE
        }
    }
}

/// Returns true if this run includes the storm: `cargo test` passes its filters and flags to every test binary.
fn is_asked_for() -> bool {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let filters: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let is_list = arguments.iter().any(|argument| argument == "--list");
    !is_list && (filters.is_empty() || filters.iter().any(|filter| "storm".contains(filter.as_str())))
}

async fn interrupted() {
    let mut terminate = signal(SignalKind::terminate()).expect("listening");
    let mut interrupt = signal(SignalKind::interrupt()).expect("listening");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Every started process. Dropping it ends all of them.
struct Stage {
    servers: Arc<Servers>,
    slots: Arc<Mutex<Vec<Arc<Slot>>>>,
    logs: PathBuf,
}

impl Drop for Stage {
    fn drop(&mut self) {
        lock(&self.slots).iter().for_each(|slot| slot.end());
        self.servers.down(&self.logs);
    }
}

async fn storm(plan: &Plan, dice: &Dice, stage: &Stage, tally: &Arc<Tally>) -> Result<(), String> {
    let (servers, began) = (stage.servers.clone(), Instant::now());
    tokio::task::spawn_blocking(move || servers.up()).await.map_err(|error| error.to_string())??;
    let url = stage.servers.broker_url(stage.servers.broker_port);
    let mut sites = Vec::new();
    for place in 0..CATALOGS.len() {
        sites.push(Arc::new(Site::make(place, plan, dice, &stage.servers, tally).await?));
    }
    let (mut handles, mut edits) = (Vec::new(), Vec::new());
    for site in &sites {
        tally.add("leavers", site.leavers.len() as u64);
        tally.add("records of leavers at the start", site.leavers.iter().flat_map(|(_, records)| records).sum());
        // The listener exists before the first event is published.
        Client::open(&url, site.name).await.map_err(|error| error.to_string())?.close().await;
        let (traffic, handle) = Traffic::new(site, url.clone(), dice);
        tokio::spawn(traffic.work());
        handles.push(handle);
        edits.push(tokio::spawn(host::work(site.clone(), dice.clone())));
        edits.push(tokio::spawn(host::absences(site.clone(), dice.clone())));
        edits.push(tokio::spawn(host::deployments(site.clone(), dice.clone())));
        for number in 1..=WORKERS {
            let slot = Slot::open(site, number, &["run"], &stage.servers, tally).await;
            lock(&stage.slots).push(slot);
        }
    }
    let faults = Faults {
        sites: sites.clone(),
        handles: handles.clone(),
        slots: lock(&stage.slots).clone(),
        servers: stage.servers.clone(),
        tally: tally.clone(),
        // The name seeds the random numbers: another name means other faults.
        dice: dice.apart("weather"),
    };
    faults.inject_all(plan).await?;
    secrets::are_not_in_the_process_list(&stage.servers.secrets())?;
    println!("storm: the last fault was injected after {} s", began.elapsed().as_secs());
    sites.iter().for_each(|site| site.is_over.store(true, Ordering::Relaxed));
    for edit in edits {
        edit.await.map_err(|error| error.to_string())?;
    }
    wait_and_check(&sites, &handles, stage, tally, &url).await
}

/// Waits until every job has ended, then checks the promises.
async fn wait_and_check(
    sites: &[Arc<Site>],
    handles: &[Handle],
    stage: &Stage,
    tally: &Arc<Tally>,
    url: &str,
) -> Result<(), String> {
    for site in sites {
        wait_until_done(site, false).await?;
    }
    drain(sites, stage, tally, url).await?;
    let mut broken = Vec::new();
    for (site, handle) in sites.iter().zip(handles) {
        broken.extend(broken_promises(site, handle, url).await?);
    }
    match broken.is_empty() {
        true => Ok(()),
        false => Err(format!("broken promises:\n{}", broken.join("\n"))),
    }
}

/// The time without progress after which a storm fails: longer than any interval between two checks of a job.
const STUCK: Duration = Duration::from_secs(240);

/// The unfinished work of a site.
const UNFINISHED: &str = "
    SELECT concat_ws(' ', 'the leaver', p.id) FROM storm.people p WHERE p.id > 100 AND NOT EXISTS (
        SELECT 1 FROM handover.jobs j WHERE j.kind = 'deactivate' AND j.user_id = CAST(p.id AS text)
        AND j.state IN ('completed', 'reverted'))
    UNION ALL SELECT concat_ws(' ', 'the job', request_id, state, reasons) FROM handover.jobs
        WHERE state NOT IN ('completed', 'rejected', 'reverted', 'cancelled')
    UNION ALL SELECT concat_ws(' ', 'the revert of', p.id) FROM storm.people p WHERE p.id > 100 AND p.id % 10 = 7
        AND NOT EXISTS (SELECT 1 FROM handover.jobs j WHERE j.request_id = 'revert-' || p.id)
    UNION ALL SELECT concat_ws(' ', 'late', table_name, leaver, n) FROM (
        SELECT o.tab AS table_name, o.owner AS leaver, count(*) AS n FROM storm.owned o JOIN users u ON u.id = o.owner
        WHERE u.status <> 'active' AND NOT EXISTS (
            SELECT 1 FROM storm.results r WHERE r.leaver = u.id AND r.tab = o.tab AND r.left_behind > 0) GROUP BY 1, 2) late";

/// Waits until every job has ended and, optionally, until the outbox is empty.
async fn wait_until_done(site: &Site, also_outbox: bool) -> Result<(), String> {
    let failed = |error: sea_orm::sqlx::Error| format!("{}: {error}", site.name);
    if !also_outbox {
        sql::run(&site.pool, checker::VIEWS).await.map_err(failed)?;
        sql::run(&site.pool, "DELETE FROM storm.answers").await.map_err(failed)?;
    }
    let query =
        if also_outbox { "SELECT concat_ws(' ', channel, routing_key) FROM handover.outbox" } else { UNFINISHED };
    let (mut progress, mut left) = (Instant::now(), usize::MAX);
    loop {
        // A killed relay's leases last a minute, which is longer than a publish may take. They are cut short here.
        let aged = "UPDATE handover.outbox SET leased_until = NULL WHERE leased_until < now() + interval '45 seconds'";
        sql::run(&site.pool, aged).await.map_err(failed)?;
        let waits = sql::texts(&site.pool, query).await.map_err(failed)?;
        if waits.is_empty() {
            return Ok(());
        }
        if waits.len() < left {
            (progress, left) = (Instant::now(), waits.len());
        }
        if progress.elapsed() > STUCK {
            let some = waits.iter().take(10).cloned().collect::<Vec<_>>().join("\n  ");
            return Err(format!("{} makes no progress; {} things are unfinished:\n  {some}", site.name, waits.len()));
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// Stops the workers. Others finish what is left on the queues, and nothing new starts.
async fn drain(sites: &[Arc<Site>], stage: &Stage, tally: &Arc<Tally>, url: &str) -> Result<(), String> {
    close(stage).await?;
    for site in sites {
        let arguments = &["run", "--stage", "planner,mover,finalizer,relay"];
        let slot = Slot::open(site, WORKERS + 1, arguments, &stage.servers, tally).await;
        lock(&stage.slots).push(slot);
    }
    for site in sites {
        wait_until_done(site, true).await?;
        let client = Client::open(url, site.name).await.map_err(|error| error.to_string())?;
        let began = Instant::now();
        for queue in ["requests", "steps"] {
            while client.waiting(queue).await.map_err(|error| error.to_string())? > 0 {
                if began.elapsed() > Duration::from_secs(60) {
                    return Err(format!("messages remain on the queue {queue} of {}", site.name));
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        client.close().await;
    }
    close(stage).await
}

/// Stops every worker gracefully. Afterwards no message is unacknowledged; otherwise it would be back on its queue.
async fn close(stage: &Stage) -> Result<(), String> {
    let slots: Vec<Arc<Slot>> = lock(&stage.slots).drain(..).collect();
    for slot in slots {
        if !slot.close().await {
            return Err(format!("the worker {} did not stop gracefully", slot.name));
        }
    }
    Ok(())
}

/// Checks the promises on a site and returns the broken ones.
async fn broken_promises(site: &Site, handle: &Handle, url: &str) -> Result<Vec<String>, String> {
    let failed = |error: sea_orm::sqlx::Error| format!("{}: {error}", site.name);
    let mut broken = Vec::new();
    let client = Client::open(url, site.name).await.map_err(|error| error.to_string())?;
    for queue in ["requests", "steps", "dead"] {
        let waiting = client.waiting(queue).await.map_err(|error| error.to_string())?;
        if waiting > 0 {
            broken.push(format!("{}: {waiting} messages wait on the queue {queue}", site.name));
        }
    }
    client.close().await;
    // The listener receives the last events.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let rows = rows_of(&lock(&handle.events), &mut broken);
    sql::run(&site.pool, &format!("INSERT INTO storm.events VALUES {}", rows.join(", "))).await.map_err(failed)?;
    let mut connection = site.pool.acquire().await.map_err(failed)?;
    for (promise, by) in checker::check(&mut connection).await.map_err(failed)? {
        broken.push(format!("{}: {promise}\n    {}", site.name, by.join("\n    ")));
    }
    drop(connection);
    if broken.is_empty() {
        let unseen = tampering::unseen(&site.pool).await.map_err(failed)?;
        broken.extend(unseen.into_iter().map(|mistake| format!("{}: the checker missed: {mistake}", site.name)));
    }
    Ok(broken)
}

fn rows_of(events: &Events, broken: &mut Vec<String>) -> Vec<String> {
    broken.extend(events.wrong.iter().cloned());
    let row = |(id, event): (&String, &serde_json::Value)| {
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        format!(
            "('{id}', '{}', '{}', '{}')",
            text(&event["data"]["job_id"]),
            text(&event["sequence"]),
            text(&event["type"])
        )
    };
    events.by_id.iter().map(row).collect()
}
