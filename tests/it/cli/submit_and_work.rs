//! Submitting requests, and the worker process.

use handover::job::State;
use std::time::{Duration, Instant};

use handover::contract::JobId;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

use crate::support::keap::{ADMIN, LEAVER, SUPPORT, to};
use crate::support::process::{WorkerProcess, borrowed, on, run, settings, start_worker, text, with_input};
use crate::support::world::{catalog_source, keap_request, read};
use crate::support::{Engine, World, every_engine};

/// Returns a request that gives a user's records to [`SUPPORT`].
fn leaves(user: &str) -> Value {
    let everything = to(SUPPORT);
    json!({
        "type": "deactivate", "request_id": format!("leaver {user}"), "org_id": "1", "user_id": user, "requested_by": ADMIN,
        "reassign": { "contact": everything, "lead": everything, "task": everything },
    })
}

#[every_engine]
async fn submit_reads_files_lines_and_standard_input(world: &mut World) {
    let folder = tempfile::tempdir().expect("a folder");
    let (one, lines) = (folder.path().join("one.json"), folder.path().join("lines.jsonl"));
    std::fs::write(&one, serde_json::to_string_pretty(&leaves("53")).expect("JSON")).expect("a file");
    std::fs::write(&lines, format!("{}\n\n{}\n", leaves("15"), leaves("16"))).expect("a file");
    let id = |user: &str| read(&leaves(user)).job_id();
    assert_eq!(on(world, &["submit", text(&one)]).expect(0).out, format!("{}\n", id("53")));
    assert_eq!(on(world, &["submit", text(&lines)]).expect(0).out, format!("{}\n{}\n", id("15"), id("16")));
    let piped = with_input(world, &["submit", "--json"], leaves("17").to_string().as_bytes()).expect(0).json_lines();
    assert_eq!(piped, [json!({ "request_id": "leaver 17", "job_id": id("17").to_string() })]);
    let worker = start_worker(world, &[]);
    for user in ["53", "15", "16", "17"] {
        assert_eq!(world.end_of(id(user)).await.state, State::Completed, "{user}");
    }
    assert_eq!(tokio::task::block_in_place(|| worker.stop()), 0);
}

#[every_engine]
async fn submit_waits_and_exits_by_outcome(world: &mut World) {
    let worker = start_worker(world, &[]);
    let done = with_input(world, &["submit", "--wait"], leaves("53").to_string().as_bytes()).expect(0).out;
    assert!(done.contains("completed") && done.contains("104 moved"), "{done}");
    let again = with_input(world, &["submit", "--wait", "--json"], leaves("53").to_string().as_bytes()).expect(0);
    assert_eq!(again.json_lines().last().expect("a line")["state"], "completed");
    let rejected = with_input(world, &["submit", "--wait"], leaves("31").to_string().as_bytes()).expect(3).out;
    assert!(rejected.contains("already_inactive"), "{rejected}");
    let both = format!("{}\n{}\n", leaves("31"), leaves("15"));
    with_input(world, &["submit", "--wait"], both.as_bytes()).expect(3);
    let mut conflict = leaves("53");
    conflict["reason"] = json!("another body");
    let conflict = with_input(world, &["submit", "--wait"], conflict.to_string().as_bytes()).expect(1);
    assert!(conflict.err.contains("was used before with another body"), "{}", conflict.err);
    assert_eq!(tokio::task::block_in_place(|| worker.stop()), 0);
}

#[every_engine]
async fn waiting_ends_with_a_dead_letter(world: &mut World) {
    // The worker has another catalog than the command, which therefore finds nothing wrong.
    world.use_catalog(&catalog_source("keap").replace("kind = \"lead\"", "kind = \"prospect\"")).await;
    world.start_worker().await;
    // An older dead letter of the same request is another message.
    world.client.send(leaves("53").to_string().into_bytes()).await;
    world.until("it is set aside", async || (world.client.waiting("dead").await == 1).then_some(())).await;
    let both = format!("{}\n{}\n", leaves("53"), leaves("15"));
    let ended = with_input(world, &["submit", "--wait"], both.as_bytes()).expect(1);
    for user in ["53", "15"] {
        let reported = format!(
            "the request leaver {user} was set aside: unknown_kind: the catalog transfers no kind `lead`: use one of: "
        );
        assert!(ended.err.contains(&reported), "{}", ended.err);
    }
    let ended = with_input(world, &["submit", "--wait", "--json"], leaves("16").to_string().as_bytes()).expect(1);
    let dead_letter = ended.json_lines().pop().expect("a line");
    assert_eq!((&dead_letter["reason"], &dead_letter["path"]), (&json!("unknown_kind"), &json!("reassign.lead")));
    assert_eq!(world.client.waiting("dead").await, 4);
}

#[every_engine]
async fn waiting_ends_without_a_worker(world: &mut World) {
    world.client.send(leaves("54").to_string().into_bytes()).await;
    if world.engine == Engine::Sqlite {
        // Its queue shows no workers, only how long messages wait.
        world.change_ledger("UPDATE handover.outbox SET created_at = '2026-01-01 00:00:00+00:00'").await;
    }
    let ended = with_input(world, &["submit", "--wait"], leaves("53").to_string().as_bytes()).expect(1);
    assert!(ended.err.contains("no worker takes it: run `handover run`"), "{}", ended.err);
    let ended =
        with_input(world, &["submit", "--wait", "--timeout", "1s"], leaves("15").to_string().as_bytes()).expect(1);
    assert!(ended.err.contains("the time is over: the request leaver 15 goes on"), "{}", ended.err);
    let mut later = leaves("16");
    later["effective_at"] = json!("2126-01-01T00:00:00Z");
    world.start_worker().await;
    let ended = with_input(world, &["submit", "--wait"], later.to_string().as_bytes()).expect(0).out;
    assert!(ended.contains("scheduled") && ended.contains("starts at     2126-01-01"), "{ended}");
}

#[every_engine]
async fn one_unreadable_request_sends_nothing(world: &mut World) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("requests.jsonl");
    let mut wrong = leaves("15");
    wrong["reassign"]["contact"] = json!({ "logic": "ratio", "shares": [{ "user": "11", "amount": -1 }] });
    std::fs::write(&file, format!("{}\n{wrong}\n{}\n", leaves("53"), leaves("16"))).expect("a file");
    let refused = on(world, &["submit", text(&file)]).expect(1);
    assert_eq!(refused.out, "");
    for part in ["requests.jsonl, line 2", "nothing was sent", "invalid_amount", "reassign.contact.shares[0].amount"] {
        assert!(refused.err.contains(part), "{part} is missing in: {}", refused.err);
    }
    world.start_worker().await;
    let marker = world.hand_over(&leaves("999")).await;
    assert_eq!(marker.state, State::Rejected);
    assert_eq!(world.number("SELECT count(*) FROM handover.jobs").await, 1);
    assert!(on(world, &["submit", "no-such-file"]).expect(1).err.contains("no-such-file cannot be read"));
    assert!(on(world, &["submit"]).expect(1).err.contains("holds no request"));
}

#[every_engine]
async fn stopped_worker_drains_and_another_completes(world: &mut World) {
    world
        .sql(
            "INSERT INTO contacts (id, org_id, owner_id, created_by, name) \
             WITH RECURSIVE n (i) AS (SELECT 100000 UNION ALL SELECT i + 1 FROM n WHERE i < 102999) \
             SELECT i, 1, 53, 1, 'More' FROM n",
        )
        .await;
    let job = world.send(&leaves("53")).await;
    let worker = start_worker(world, &[("HANDOVER_LIMITS__CHUNK_ROWS", "2")]);
    let closed = "SELECT count(*) FROM handover.chunks WHERE state = 'closed'";
    world.until("some chunks are done", async || (world.number(closed).await > 5).then_some(())).await;
    let began = Instant::now();
    assert_eq!(tokio::task::block_in_place(|| worker.stop()), 0);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    let stopped = world.job(job).await.expect("a job");
    assert!(!stopped.state.is_final(), "{stopped:?}");

    let worker = start_worker(world, &[]);
    let ended = world.end_of(job).await;
    let certificate = crate::support::world::certificate_of(&ended);
    let contact = certificate.references.iter().find(|found| found.kind == "contact").expect("contacts");
    assert_eq!((contact.found, contact.moved), (Some(3104), Some(3104)));
    assert_eq!(world.owned_by(LEAVER, "contacts").await, 0);
    assert_eq!(tokio::task::block_in_place(|| worker.stop()), 0);
}

#[every_engine]
async fn second_stop_signal_ends_at_once(world: &mut World) {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log");
    let patient = [
        ("HANDOVER_LIMITS__CHUNK_ROWS", "2"),
        ("HANDOVER_DATABASE__LOCK_TIMEOUT", "25s"),
        ("HANDOVER_WORKER__GRACE", "50s"),
        ("HANDOVER_WORKER__SWEEP_EVERY", "10ms"),
        // On SQLite no one else could write between the chunks.
        ("HANDOVER_WORKER__PACE", if world.engine == Engine::Sqlite { "0.2" } else { "default" }),
    ];
    let settings = settings(world);
    let environment = [borrowed(&settings), patient.to_vec()].concat();
    let worker = WorkerProcess::start_with_log(&environment, std::fs::File::create(&log).expect("a file"));
    let job = world.send(&keap_request("r1")).await;
    let closed = "SELECT count(*) FROM handover.chunks WHERE state = 'closed'";
    world.until("some chunks are done", async || (world.number(closed).await > 5).then_some(())).await;
    // It cannot finish the work that it holds now.
    let held = world.store.begin("host").await.expect("a transaction");
    if world.engine == Engine::Postgres {
        held.execute_unprepared("LOCK TABLE contacts, opportunities IN ACCESS EXCLUSIVE MODE").await.expect("a lock");
    }
    worker.signal("TERM");
    let drains = async || std::fs::read_to_string(&log).expect("a log").contains("worker draining");
    world.until("the worker drains", async || drains().await.then_some(())).await;
    let again = Instant::now();
    assert_eq!(tokio::task::block_in_place(|| worker.stop()), 1);
    assert!(again.elapsed() < Duration::from_secs(10), "{:?}", again.elapsed());
    drop(held);
    assert!(!world.job(job).await.expect("a job").state.is_final());

    let worker = start_worker(world, &[]);
    let ended = world.end_of(job).await;
    assert_eq!(ended.state, State::Completed, "{:?}", ended.reasons);
    world.check_journal(job).await;
    assert_eq!(world.orphans().await, 0);
    assert_eq!(tokio::task::block_in_place(|| worker.stop()), 0);
}

#[every_engine]
async fn idle_worker_stops_at_once(world: &mut World) {
    let worker = start_worker(world, &[]);
    let settings = settings(world);
    let job = JobId(world.end_of(world.send(&leaves("999")).await).await.id);
    let began = Instant::now();
    assert_eq!(tokio::task::block_in_place(|| worker.stop()), 0);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let seen = tokio::task::block_in_place(|| run(&borrowed(&settings), &["job", &job.to_string()])).expect(0);
    assert!(seen.out.contains("unknown_user"), "{}", seen.out);
}
