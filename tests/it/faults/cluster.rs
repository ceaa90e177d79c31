//! A cluster of three RabbitMQ nodes, set up by `deploy/rabbitmq/definitions.json`. Workers and the application have
//! only the permissions that this file grants.

mod nodes;

use handover::job::State;
use std::collections::{BTreeMap, BTreeSet};

use futures_util::StreamExt;
use lapin::options::{
    BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use sea_orm::ConnectionTrait;
use serde_json::Value;

use crate::support::process::{WorkerProcess, start_worker};
use crate::support::world::{LIMIT, certificate_of, keap_request, read};
use crate::support::{World, on_postgres};
use nodes::Cluster;

const PASSWORD: &str = "s3cret-word";

/// Starts a worker process that cuts chunks of one record and knows every node.
fn start(world: &World, url: &str) -> WorkerProcess {
    let settings = [
        ("HANDOVER_BROKER__URL", url),
        ("HANDOVER_BROKER__PREFIX", "handover"),
        ("HANDOVER_BROKER__HEARTBEAT", "2s"),
        ("HANDOVER_LIMITS__CHUNK_ROWS", "1"),
        ("HANDOVER_WORKER__MOVERS", "1"),
    ];
    start_worker(world, &settings)
}

/// Connects as the application to the first node that accepts.
async fn connect(url: &str) -> Connection {
    for url in url.split(',') {
        if let Ok(connection) = Connection::connect(url, ConnectionProperties::default()).await {
            return connection;
        }
    }
    panic!("no node accepts the application");
}

/// Publishes with a confirm. Returns the broker's error if it refuses.
async fn publish(channel: &Channel, key: &str, body: &Value) -> lapin::Result<()> {
    let (properties, body) = (BasicProperties::default().with_delivery_mode(2), body.to_string());
    let options = BasicPublishOptions::default();
    channel.basic_publish("handover".into(), key.into(), options, body.as_bytes(), properties).await?.await?;
    Ok(())
}

async fn confirming(connection: &Connection) -> Channel {
    let channel = connection.create_channel().await.expect("a channel");
    channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms");
    channel
}

/// Binds a queue of the application to the events. The queue survives its node and its connection.
async fn listen(channel: &Channel) {
    let mut quorum = FieldTable::default();
    quorum.insert("x-queue-type".into(), lapin::types::AMQPValue::LongString("quorum".into()));
    channel.queue_declare("app.events".into(), QueueDeclareOptions::durable(), quorum).await.expect("a queue");
    let (exchange, none) = ("handover.events".into(), FieldTable::default());
    let bound = channel.queue_bind("app.events".into(), exchange, "#".into(), QueueBindOptions::default(), none);
    bound.await.expect("bound");
}

/// Waits for this many events of a job and ignores repeats.
async fn events_of(connection: &Connection, job: &str, count: usize) -> BTreeMap<String, Value> {
    let channel = connection.create_channel().await.expect("a channel");
    let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    let consume = channel.basic_consume("app.events".into(), "".into(), options, FieldTable::default());
    let mut events = consume.await.expect("consuming");
    let mut seen = BTreeMap::new();
    while seen.len() < count {
        let delivery = tokio::time::timeout(LIMIT, events.next()).await.expect("in time").expect("one").expect("whole");
        let event: Value = serde_json::from_slice(&delivery.data).expect("an event");
        if event["data"]["job_id"] == job {
            seen.insert(event["id"].to_string(), event);
        }
    }
    seen
}

#[on_postgres]
async fn queue_leader_change_loses_nothing(world: &mut World) {
    let Some(cluster) = tokio::task::block_in_place(Cluster::start) else { return };
    tokio::task::block_in_place(|| cluster.define(&["handover", "handover-app"], PASSWORD));
    let url = cluster.url("handover", PASSWORD);
    let workers = [start(world, &url), start(world, &url)];
    let outside = cluster.url("handover-app", PASSWORD);
    let connection = connect(&outside).await;
    let channel = confirming(&connection).await;
    listen(&channel).await;
    let request = keap_request("r1");
    // The job cannot end before the leader does: a lock holds one of the leaver's records.
    let held = world.store.begin("host").await.expect("a transaction");
    let hold =
        "SELECT 1 FROM public.contacts WHERE id = (SELECT max(id) FROM public.contacts WHERE owner_id = 53) FOR UPDATE";
    held.execute_unprepared(hold).await.expect("held");
    publish(&channel, "request.deactivate", &request).await.expect("the application may ask");
    let job = read(&request).job_id();

    let leader = tokio::task::block_in_place(|| cluster.leader_of("handover.steps"));
    let closed = "SELECT count(*) FROM handover.chunks WHERE state = 'closed'";
    world.until("some chunks are done", async || (world.number(closed).await >= 10).then_some(())).await;
    cluster.kill(leader);
    assert!(!world.job(job).await.expect("a job").state.is_final());
    held.commit().await.expect("let go");

    let ended = world.end_of(job).await;
    let moved: u64 = certificate_of(&ended).references.iter().filter_map(|found| found.moved).sum();
    assert_eq!(moved, 104 + 92 + 12);
    world.check_journal(job).await;
    assert_eq!(world.orphans().await, 0);
    let connection = connect(&outside).await;
    let events = events_of(&connection, &job.to_string(), ended.sequence as usize).await;
    let sequences: BTreeSet<i64> =
        events.values().filter_map(|event| event["sequence"].as_str()?.parse().ok()).collect();
    assert_eq!(sequences, (1..=ended.sequence).collect(), "{events:#?}");

    // Two nodes are a majority and continue.
    let mut next = keap_request("r2");
    next["user_id"] = "999".into();
    publish(&confirming(&connection).await, "request.deactivate", &next).await.expect("taken");
    assert_eq!(world.end_of(read(&next).job_id()).await.state, State::Rejected);
    for worker in workers {
        assert_eq!(tokio::task::block_in_place(|| worker.stop()), 0);
    }
    // The application may send requests, but nothing in Handover's name.
    let forged = publish(&confirming(&connection).await, "step.finalize", &request).await.expect_err("refused");
    assert!(forged.to_string().contains("ACCESS_REFUSED") || forged.to_string().contains("access"), "{forged}");
    let channel = connection.create_channel().await.expect("a channel");
    let options = BasicConsumeOptions::default();
    let stolen = channel.basic_consume("handover.requests".into(), "".into(), options, FieldTable::default()).await;
    assert!(stolen.is_err());
}
