//! Many requests at once, and small jobs during a giant one.

use handover::job::State;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use handover::contract::JobId;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

use crate::support::process::{WorkerProcess, borrowed, settings, start_worker};
use crate::support::world::{LIMIT, read};
use crate::support::{World, every_engine, on_postgres};

/// The number of requests. The documented promise is 10,000, which takes minutes without optimization.
fn size() -> usize {
    let asked = std::env::var("HANDOVER_TEST_LOAD").ok();
    asked.map_or(2_000, |asked| asked.parse().expect("HANDOVER_TEST_LOAD is a number"))
}

/// The memory limit of a worker process, in bytes.
const MEMORY: u64 = 128 << 20;

fn leaves(user: usize) -> Value {
    json!({
        "type": "deactivate", "request_id": format!("leaver {user}"), "org_id": "1", "user_id": user.to_string(), "requested_by": "1",
        "reassign": { "contact": { "user": "11" } },
    })
}

/// Inserts this many users, starting at an id, with two contacts each.
async fn hire(world: &World, first: usize, users: usize) {
    let last = first + users - 1;
    let all = format!("WITH RECURSIVE n (i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {last})");
    world
        .sql(&format!(
            "INSERT INTO users (id, org_id, name, email, status, role) {all} \
             SELECT i, 1, 'User', 'user' || CAST(i AS text) || '@example.com', 'active', 'member' FROM n"
        ))
        .await;
    world.sql(&format!("INSERT INTO licenses (org_id, user_id) {all} SELECT 1, i FROM n")).await;
    for name in ["First", "Second"] {
        let contact = format!("SELECT 1, i, i, '{name}' FROM n");
        world.sql(&format!("INSERT INTO contacts (org_id, owner_id, created_by, name) {all} {contact}")).await;
    }
}

/// Asserts that each request is answered once. An event may be repeated under the same id.
async fn until_all_are_answered(world: &mut World, requests: usize) {
    let mut answers: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    while answers.len() < requests {
        let event = world.client.next_event(LIMIT).await;
        let event = event.unwrap_or_else(|| panic!("{} of {requests} are answered", answers.len()));
        if event["type"] == "handover.deactivation.completed" {
            let text = |value: &Value| value.as_str().expect("a text").to_owned();
            answers.entry(text(&event["data"]["request_id"])).or_default().insert(text(&event["id"]));
        }
    }
    assert!(answers.values().all(|events| events.len() == 1), "a request was answered twice");
}

#[on_postgres]
async fn thousands_of_requests_are_answered_once(world: &mut World) {
    let (duplicates, poison) = (size() / 10, size() / 100);
    let users = size() - duplicates - poison;
    hire(world, 10_000, users).await;
    let bodies: Vec<Vec<u8>> = (0..size())
        .map(|n| match n % 100 {
            // The number of good requests before each poisonous one equals the number of repeats after it.
            0 => format!("{{\"request_id\": \"poison {n}\"").into_bytes(),
            place => leaves(10_000 + good(n, place)).to_string().into_bytes(),
        })
        .collect();
    world.client.send_all(&bodies).await;
    let worker = start_worker(world, &[]);

    until_all_are_answered(world, users).await;
    for _ in 0..poison {
        world.next_dead_letter().await;
    }
    world.until("the queue is drained", async || (world.client.waiting("requests").await == 0).then_some(())).await;
    let memory = worker.most_memory();
    assert!(memory < MEMORY, "the worker had {} MiB", memory >> 20);
    assert_eq!(tokio::task::block_in_place(|| worker.stop()), 0);
    // Messages that a worker took but did not acknowledge have been redelivered by now.
    assert_eq!(world.client.waiting("requests").await, 0);
    assert!(world.client.next_dead_letter(Duration::from_millis(100)).await.is_none(), "no more dead letters");
    assert_eq!(world.number("SELECT count(*) FROM handover.jobs WHERE state = 'completed'").await, users as i64);
    assert_eq!(world.orphans().await, 0);
    assert_eq!(world.number("SELECT count(*) FROM contacts WHERE owner_id >= 10000").await, 0);
}

/// A worker that takes few requests at a time and logs to a file.
fn start_slow(world: &World, log: &Path) -> WorkerProcess {
    let settings = settings(world);
    let more = [
        ("HANDOVER_LIMITS__GROUP", "3"),
        ("HANDOVER_WORKER__PLANNERS", "1"),
        ("HANDOVER_WORKER__GRACE", "20s"),
        ("HANDOVER_DATABASE__LOCK_TIMEOUT", "50s"),
    ];
    WorkerProcess::start_with_log(&[borrowed(&settings), more.to_vec()].concat(), File::create(log).expect("a file"))
}

#[on_postgres]
async fn stopping_under_load_answers_every_request_once(world: &mut World) {
    let users = 600;
    hire(world, 10_000, users).await;
    let bodies: Vec<Vec<u8>> = (10_000..10_000 + users).map(|user| leaves(user).to_string().into_bytes()).collect();
    world.client.send_all(&bodies).await;
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log");
    let done = "SELECT count(*) FROM handover.jobs";
    let until_done = async |world: &World, jobs: i64| {
        world.until("it is in the midst", async || (world.number(done).await >= jobs).then_some(())).await;
    };

    let worker = start_slow(world, &log);
    until_done(world, 20).await;
    let began = Instant::now();
    assert_eq!(tokio::task::block_in_place(|| worker.stop()), 0);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    let before = world.number(done).await;
    assert!(before < users as i64, "all {before} were done before");

    let worker = start_slow(world, &log);
    until_done(world, before + 20).await;
    // It cannot finish the work that it holds now.
    let held = world.store.begin("host").await.expect("a transaction");
    held.execute_unprepared("LOCK TABLE public.contacts IN ACCESS EXCLUSIVE MODE").await.expect("a lock");
    worker.signal("TERM");
    let drains = || std::fs::read_to_string(&log).expect("a log").contains("worker draining");
    world.until("it drains", async || drains().then_some(())).await;
    let again = Instant::now();
    assert_eq!(tokio::task::block_in_place(|| worker.stop()), 1);
    assert!(again.elapsed() < Duration::from_secs(5), "{:?}", again.elapsed());
    drop(held);
    let before = world.number(done).await;
    assert!(before < users as i64, "all {before} were done before");

    let worker = start_worker(world, &[]);
    until_all_are_answered(world, users).await;
    assert_eq!(tokio::task::block_in_place(|| worker.stop()), 0);
    assert_eq!(world.client.waiting("requests").await, 0);
    assert!(world.client.next_dead_letter(Duration::from_millis(100)).await.is_none(), "no dead letters");
    assert_eq!(world.number("SELECT count(*) FROM handover.jobs WHERE state = 'completed'").await, users as i64);
    assert_eq!(world.number("SELECT count(*) FROM contacts WHERE owner_id >= 10000").await, 0);
    let moved = "SELECT sum(records) FROM handover.journal WHERE action = 'moved'";
    assert_eq!(world.number(moved).await, 2 * users as i64, "each record moved once");
}

/// Returns the good request at an index: in each hundred, 89 are new and the last ten repeat the first ten.
fn good(n: usize, place: usize) -> usize {
    let of_hundred = if place < 90 { place - 1 } else { place - 90 };
    n / 100 * 89 + of_hundred
}

#[every_engine]
async fn small_job_finishes_during_a_giant(world: &mut World) {
    hire(world, 10_000, 5).await;
    world
        .sql(
            "INSERT INTO contacts (id, org_id, owner_id, created_by, name) \
             WITH RECURSIVE n (i) AS (SELECT 100000 UNION ALL SELECT i + 1 FROM n WHERE i < 109999) \
             SELECT i, 1, 53, 1, 'More' FROM n",
        )
        .await;
    world.use_chunks_of(2);
    let mut giant = leaves(53);
    for kind in ["lead", "task"] {
        giant["reassign"][kind] = json!({ "user": "11" });
    }
    let giant = world.send(&giant).await;
    world.start_worker().await;
    let closed = "SELECT count(*) FROM handover.chunks WHERE state = 'closed'";
    world.until("the giant is under way", async || (world.number(closed).await > 0).then_some(())).await;
    let small: Vec<JobId> = (10_000..10_005).map(|user| read(&leaves(user)).job_id()).collect();
    for user in 10_000..10_005 {
        world.send(&leaves(user)).await;
    }
    for job in small {
        assert_eq!(world.end_of(job).await.state, State::Completed);
    }
    let state = world.job(giant).await.expect("a job").state;
    assert!(!state.is_final() && !state.is_held(), "the giant is {state}");
}
