//! RabbitMQ that is up but limits its service: it blocks publishers, its queues are declared differently, or it drops
//! messages.
//! A worker waits, reports it, recovers by itself, and loses nothing.

use handover::job::State;
use std::time::Duration;

use serde_json::Value;

use crate::support::database::{come_back, go_away};
use crate::support::gate::Gate;
use crate::support::http::ObservedWorker;
use crate::support::world::{certificate_of, keap_request};
use crate::support::{World, on_postgres};

const CLOSED: &str = "SELECT count(*) FROM handover.chunks WHERE state = 'closed'";

fn has_logged(reported: &ObservedWorker, is_it: impl Fn(&Value) -> bool) -> bool {
    reported.log().iter().any(is_it)
}

/// Returns true if the worker is ready, and the broker's reason if not.
fn readiness(reported: &ObservedWorker) -> (bool, String) {
    let (status, ready) = tokio::task::block_in_place(|| reported.json("/readyz"));
    (status == 200, ready["broker"]["reason"].as_str().unwrap_or_default().to_owned())
}

/// Waits until a worker reports that the broker makes it unready, with these words.
async fn until_unready(world: &World, reported: &ObservedWorker, words: &[&str]) {
    let says = async || {
        let (is_ready, reason) = readiness(reported);
        (!is_ready && words.iter().all(|word| reason.contains(word))).then_some(())
    };
    world.until(&format!("readiness fails with {words:?}"), says).await;
    let gauge = tokio::task::block_in_place(|| reported.metric("handover_ready{part=\"broker\"}"));
    assert_eq!(gauge, Some(0.0));
}

async fn until_ready(world: &World, reported: &ObservedWorker) {
    world.until("it is ready", async || readiness(reported).0.then_some(())).await;
}

/// Sends a request about a user who has left already, which is answered without any work.
fn already_left(request_id: &str) -> Value {
    let mut request = keap_request(request_id);
    request["user_id"] = "31".into();
    request
}

#[on_postgres]
async fn worker_waits_while_publishers_are_blocked(world: &mut World) {
    let Some(rabbitmq) = world.use_own_rabbitmq("a RabbitMQ without memory", "").await else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let slowly = [
        ("HANDOVER_LIMITS__CHUNK_ROWS", "4"),
        ("HANDOVER_LIMITS__CHUNK_TIME", "1h"),
        ("HANDOVER_WORKER__PACE", "0.05"),
    ];
    let reported = tokio::task::block_in_place(|| ObservedWorker::start(world, folder.path(), &slowly));
    let job = world.send(&keap_request("r1")).await;
    world.until("some chunks are done", async || (world.number(CLOSED).await > 3).then_some(())).await;
    rabbitmq.control(&["set_vm_memory_high_watermark", "0.0001"]);
    until_unready(world, &reported, &["RabbitMQ blocks publishers", "memory"]).await;
    assert!(has_logged(&reported, |line| line["message"] == "RabbitMQ blocks publishers"));
    // It acknowledges what it took all the same: acknowledgements and publishes use different connections.
    let held = || rabbitmq.control(&["--silent", "list_queues", "name", "messages_unacknowledged"]);
    let none = async || held().lines().all(|line| line.ends_with("\t0")).then_some(());
    world.until("no message is unacknowledged", none).await;
    let waits =
        || reported.metric("handover_outbox_messages{channel=\"steps\"}").is_some_and(|messages| messages > 0.0);
    world.until("the outbox fills", async || tokio::task::block_in_place(waits).then_some(())).await;
    assert!(!world.job(job).await.expect("a job").state.is_final());

    rabbitmq.control(&["set_vm_memory_high_watermark", "0.4"]);
    until_ready(world, &reported).await;
    assert!(has_logged(&reported, |line| line["message"] == "RabbitMQ accepts messages again"));
    let ended = world.end_of(job).await;
    let moved: u64 = certificate_of(&ended).references.iter().filter_map(|found| found.moved).sum();
    assert_eq!(moved, 104 + 92 + 12);
    world.check_journal(job).await;
    world.until_all_is_published().await;
    assert_eq!(world.events().await[&job.to_string()].len(), ended.sequence as usize);
    assert_eq!(tokio::task::block_in_place(|| reported.worker.stop()), 0);
}

#[on_postgres]
async fn worker_recovers_once_the_queue_is_fixed(world: &mut World) {
    let folder = tempfile::tempdir().expect("a folder");
    let gate = Gate::before(&world.broker_url()).await;
    let url = gate.through(&world.broker_url());
    let settings = [("HANDOVER_BROKER__URL", url.as_str())];
    let reported = tokio::task::block_in_place(|| ObservedWorker::start(world, folder.path(), &settings));
    for queue in ["requests", "steps"] {
        until_ready(world, &reported).await;
        // The queue is replaced while the worker is stopped. A worker that consumes it would declare it again first.
        gate.shut();
        until_unready(world, &reported, &["not connected"]).await;
        world.client.make_queue_of_another_kind(queue).await;
        gate.open();
        let name = format!("`{}.{queue}`", world.prefix);
        until_unready(world, &reported, &[&name, "not as Handover declares it", "delete the queue"]).await;
        world.client.delete_queue(queue).await;
        until_ready(world, &reported).await;
        assert_eq!(world.hand_over(&already_left(queue)).await.state, State::Rejected);
    }
    assert_eq!(tokio::task::block_in_place(|| reported.worker.stop()), 0);
}

#[on_postgres]
async fn database_outage_uses_no_delivery_attempts(world: &mut World) {
    let Some(rabbitmq) = world.use_own_rabbitmq("RabbitMQ's delivery limit", "").await else { return };
    rabbitmq.control(&["set_policy", "limit", ".*", "{\"delivery-limit\": 3}", "--apply-to", "queues"]);
    let folder = tempfile::tempdir().expect("a folder");
    let impatient = [("HANDOVER_DATABASE__ACQUIRE_TIMEOUT", "1s"), ("HANDOVER_LIMITS__CHUNK_ROWS", "2")];
    let reported = tokio::task::block_in_place(|| ObservedWorker::start(world, folder.path(), &impatient));
    let database = world.texts("SELECT CAST(current_database() AS text) AS t").await.remove(0);
    let mut jobs = vec![world.send(&keap_request("large")).await];
    world.until("the job is under way", async || (world.number(CLOSED).await > 3).then_some(())).await;

    go_away(&database).await;
    for n in 0..60 {
        jobs.push(world.send(&already_left(&format!("small {n}"))).await);
    }
    // More often than RabbitMQ would redeliver a message.
    let tried = |of: &[&str]| {
        let is_one = |line: &&Value| of.iter().any(|what| line["what"] == *what);
        reported.log().iter().filter(is_one).any(|line| line["attempt"].as_u64() >= Some(4))
    };
    let requests = ["looking up the users of requests", "planning requests"];
    let both = async || (tried(&requests) && tried(&["taking a step"])).then_some(());
    world.until("both stages retried several times", both).await;
    come_back(&database).await;
    for job in jobs {
        let ended = world.end_of(job).await;
        assert!([State::Completed, State::Rejected].contains(&ended.state), "{:?}", ended.reasons);
        world.check_journal(job).await;
    }
    assert!(world.client.next_dead_letter(Duration::from_millis(200)).await.is_none(), "no message was dropped");
    assert_eq!(tokio::task::block_in_place(|| reported.worker.stop()), 0);
}
