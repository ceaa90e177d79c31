//! The storm: many jobs of all sizes, of three catalogs, on a PostgreSQL and a RabbitMQ of its own, with several worker
//! processes, while everything is disturbed that can be. When it has blown over, a checker reads the database and the events,
//! and nothing else.
//!
//! `cargo test` runs a short one; `make storm` twenty times as much. HANDOVER_STORM_SEED repeats one: the people, what they
//! own, what is asked for, and the deck of disturbances are the same then (what meets what is the machine's choice).
//! HANDOVER_STORM_SCALE is its size, in multiples of the short one; HANDOVER_STORM_MINUTES when it has to be over.
//!
//! `tests/storm/mutate` makes mistakes in the source and runs a short storm each time. Seen with the seed 7, on 2026-11-22:
//!
//! | mistake | what the storm said |
//! |---|---|
//! | a chunk is closed before its moves, in a transaction of its own | 147 times at one site: "was closed apart from its moves" |
//! | a request is acknowledged before its outcome is committed | 16 times at one site that its outcome did not stand |
//! | a job's state is not asked for when it is ended | nine jobs were completed two to four times, with an event each |
//!
//! | file | is |
//! |---|---|
//! | [`plan`] | its size, and chance from a seed |
//! | [`servers`] | the two servers, ended and started as it likes |
//! | [`site`] | an application: its tables, people, records, and the log of who owned what when |
//! | [`worker`], [`proxy`], [`wire`] | worker processes, and what stands between them and the servers |
//! | [`witness`] | whether what is acknowledged stands |
//! | [`host`] | the application's own users |
//! | [`outside`], [`line`] | who asks, listens, and repeats |
//! | [`weather`] | the disturbances |
//! | [`checker`] | the promises |
//! | [`tampering`] | the checker's own test |
//! | [`secrets`] | what nothing that is written may hold |

mod checker;
mod host;
mod line;
mod outside;
mod plan;
mod proxy;
#[path = "../it/support/secrets.rs"]
mod secrets;
mod servers;
mod site;
mod sql;
mod tally;
mod tampering;
mod weather;
mod wire;
mod witness;
mod worker;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};

use crate::line::Line;
use crate::outside::{Events, Handle, Outside};
use crate::plan::{Dice, Plan};
use crate::servers::Servers;
use crate::site::{CATALOGS, Site};
use crate::tally::Tally;
use crate::weather::Weather;
use crate::worker::{Slot, lock};

/// Worker processes of a site.
const WORKERS: usize = 2;

fn main() -> ExitCode {
    if !is_asked_for() {
        return ExitCode::SUCCESS;
    }
    if servers::are_containers() {
        println!("storm: SKIPPED: PostgreSQL and RabbitMQ are containers here, and it restarts servers of its own");
        return ExitCode::SUCCESS;
    }
    let plan = Plan::read();
    println!("storm: HANDOVER_STORM_SEED={} HANDOVER_STORM_SCALE={}", plan.seed, plan.scale);
    println!("storm: what the processes say is in {}", plan.logs().display());
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
            () = tokio::time::sleep(plan.limit) => Err(format!("it is not over after {:?}", plan.limit)),
        }
    });
    // What the servers said is there once they are down.
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

/// `cargo test` hands every test binary its filter and flags.
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

/// Every process that was started; all of them end with this, however it ends.
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
    let (mut outsides, mut edits) = (Vec::new(), Vec::new());
    for site in &sites {
        tally.add("leavers", site.leavers.len() as u64);
        tally.add("records of leavers when it began", site.leavers.iter().flat_map(|(_, records)| records).sum());
        // Before the first event is published, its listener is there.
        Line::open(&url, site.name).await.map_err(|error| error.to_string())?.close().await;
        let (outside, handle) = Outside::new(site, url.clone(), dice);
        tokio::spawn(outside.work());
        outsides.push(handle);
        edits.push(tokio::spawn(host::work(site.clone(), dice.clone())));
        edits.push(tokio::spawn(host::absences(site.clone(), dice.clone())));
        for number in 1..=WORKERS {
            let slot = Slot::open(site, number, &["run"], &stage.servers, tally).await;
            lock(&stage.slots).push(slot);
        }
    }
    let weather = Weather {
        sites: sites.clone(),
        outsides: outsides.clone(),
        slots: lock(&stage.slots).clone(),
        servers: stage.servers.clone(),
        tally: tally.clone(),
        dice: dice.apart("weather"),
    };
    weather.rage(plan).await?;
    secrets::are_not_in_the_process_list(&stage.servers.secrets())?;
    println!("storm: it has blown over after {} s", began.elapsed().as_secs());
    sites.iter().for_each(|site| site.is_calm.store(true, Ordering::Relaxed));
    for edit in edits {
        edit.await.map_err(|error| error.to_string())?;
    }
    look_back(&sites, &outsides, stage, tally, &url).await
}

/// Waits until everything has ended, and holds what is there against the promises.
async fn look_back(
    sites: &[Arc<Site>],
    outsides: &[Handle],
    stage: &Stage,
    tally: &Arc<Tally>,
    url: &str,
) -> Result<(), String> {
    for site in sites {
        settle(site, false).await?;
    }
    drain(sites, stage, tally, url).await?;
    let mut broken = Vec::new();
    for (site, handle) in sites.iter().zip(outsides) {
        broken.extend(judge(site, handle, url).await?);
    }
    match broken.is_empty() {
        true => Ok(()),
        false => Err(format!("broken promises:\n{}", broken.join("\n"))),
    }
}

/// How long nothing may come to its end, once the storm is over: longer than any pause between two looks at a job.
const STUCK: Duration = Duration::from_secs(240);

/// What a site still waits for.
const UNSETTLED: &str = "
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

/// Waits until everything has ended, or nothing waits in the outbox either.
async fn settle(site: &Site, also_outbox: bool) -> Result<(), String> {
    let told = |error: sea_orm::sqlx::Error| format!("{}: {error}", site.name);
    if !also_outbox {
        sql::run(&site.pool, checker::VIEWS).await.map_err(told)?;
        sql::run(&site.pool, "DELETE FROM storm.answers").await.map_err(told)?;
    }
    let query =
        if also_outbox { "SELECT concat_ws(' ', channel, routing_key) FROM handover.outbox" } else { UNSETTLED };
    let (mut progress, mut left) = (Instant::now(), usize::MAX);
    loop {
        // A relay that was killed holds its messages for a minute. It has been longer than a publish may take.
        let aged = "UPDATE handover.outbox SET leased_until = NULL WHERE leased_until < now() + interval '45 seconds'";
        sql::run(&site.pool, aged).await.map_err(told)?;
        let waits = sql::texts(&site.pool, query).await.map_err(told)?;
        if waits.is_empty() {
            return Ok(());
        }
        if waits.len() < left {
            (progress, left) = (Instant::now(), waits.len());
        }
        if progress.elapsed() > STUCK {
            let some = waits.iter().take(10).cloned().collect::<Vec<_>>().join("\n  ");
            return Err(format!("{} waits for {} things for ever:\n  {some}", site.name, waits.len()));
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// Stops the workers, and has others finish what is left on the queues, with nobody to start anything new.
async fn drain(sites: &[Arc<Site>], stage: &Stage, tally: &Arc<Tally>, url: &str) -> Result<(), String> {
    close(stage).await?;
    for site in sites {
        let arguments = &["run", "--stage", "planner,mover,finalizer,relay"];
        let slot = Slot::open(site, WORKERS + 1, arguments, &stage.servers, tally).await;
        lock(&stage.slots).push(slot);
    }
    for site in sites {
        settle(site, true).await?;
        let line = Line::open(url, site.name).await.map_err(|error| error.to_string())?;
        let began = Instant::now();
        for queue in ["requests", "steps"] {
            while line.waiting(queue).await.map_err(|error| error.to_string())? > 0 {
                if began.elapsed() > Duration::from_secs(60) {
                    return Err(format!("messages wait on the queue of {queue} of {} for ever", site.name));
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        line.close().await;
    }
    close(stage).await
}

/// Tells every worker to finish. Afterwards nothing is unacknowledged any more: it would be back on its queue.
async fn close(stage: &Stage) -> Result<(), String> {
    let slots: Vec<Arc<Slot>> = lock(&stage.slots).drain(..).collect();
    for slot in slots {
        if !slot.close().await {
            return Err(format!("the worker {} did not end well when it was told to", slot.name));
        }
    }
    Ok(())
}

/// Holds a site against the promises; what is broken.
async fn judge(site: &Site, handle: &Handle, url: &str) -> Result<Vec<String>, String> {
    let told = |error: sea_orm::sqlx::Error| format!("{}: {error}", site.name);
    let mut broken = Vec::new();
    let line = Line::open(url, site.name).await.map_err(|error| error.to_string())?;
    for queue in ["requests", "steps", "dead"] {
        let waiting = line.waiting(queue).await.map_err(|error| error.to_string())?;
        if waiting > 0 {
            broken.push(format!("{}: {waiting} messages wait on the queue {queue}", site.name));
        }
    }
    line.close().await;
    // The listener reads the last events.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let rows = rows_of(&lock(&handle.events), &mut broken);
    sql::run(&site.pool, &format!("INSERT INTO storm.events VALUES {}", rows.join(", "))).await.map_err(told)?;
    let mut connection = site.pool.acquire().await.map_err(told)?;
    for (promise, by) in checker::check(&mut connection).await.map_err(told)? {
        broken.push(format!("{}: {promise}\n    {}", site.name, by.join("\n    ")));
    }
    drop(connection);
    if broken.is_empty() {
        let unseen = tampering::unseen(&site.pool).await.map_err(told)?;
        broken.extend(unseen.into_iter().map(|mistake| format!("{}: the checker does not see: {mistake}", site.name)));
    }
    Ok(broken)
}

fn rows_of(events: &Events, broken: &mut Vec<String>) -> Vec<String> {
    broken.extend(events.wrong.iter().cloned());
    let row = |(id, event): (&String, &serde_json::Value)| {
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        format!("('{id}', '{}', {}, '{}')", text(&event["data"]["job_id"]), event["sequence"], text(&event["type"]))
    };
    events.by_id.iter().map(row).collect()
}
