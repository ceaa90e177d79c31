//! Faults of the broker: connections that end, and queues that disappear or belong to others. RabbitMQ only.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use handover::broker::amqp::{AmqpBroker, AmqpSettings};
use handover::broker::{
    Broker, BrokerError, Channel, Consumer, DeadLetterQueue, Depth, Incoming, Outgoing, ReplyMessage,
};
use handover::contract::JobId;
use handover::job::State;
use handover::trace::MessageInfo;
use handover::worker::Role;

use crate::support::process::on;
use crate::support::proxy::{End, Proxy};
use crate::support::world::{certificate_of, keap_request};
use crate::support::{World, on_postgres};

/// Opens a large job and waits until this many of its chunks are closed.
async fn until_closed(world: &World, chunks: i64) {
    let closed = "SELECT count(*) FROM handover.chunks WHERE state = 'closed'";
    world.until("some chunks are done", async || (world.number(closed).await >= chunks).then_some(())).await;
}

/// Asserts that the job completed, each record moved once, and each event reports another transition.
async fn ended_well(world: &mut World, job: JobId) {
    let ended = world.end_of(job).await;
    let certificate = certificate_of(&ended);
    let moved: Vec<_> = certificate.references.iter().filter_map(|found| found.moved).collect();
    assert_eq!(moved.iter().sum::<u64>(), 104 + 92 + 12, "{certificate:?}");
    world.check_journal(job).await;
    assert_eq!(world.orphans().await, 0);
    world.until_all_is_published().await;
    let events = world.events().await;
    let kinds: Vec<_> = events[&job.to_string()].iter().map(|event| event["type"].to_string()).collect();
    assert_eq!(kinds.iter().filter(|kind| kind.contains("completed")).count(), 1, "{kinds:?}");
    assert!(world.client.next_dead_letter(Duration::from_millis(100)).await.is_none(), "no dead letters");
}

#[on_postgres]
async fn dropped_connections_lose_and_double_nothing(world: &mut World) {
    world.use_chunks_of(2);
    let proxy = Proxy::start().await;
    let broker = AmqpBroker::connect(AmqpSettings::new(proxy.url(), &world.prefix)).await.expect("RabbitMQ");
    world.start_roles_on(&Role::ALL, Arc::new(broker));
    let job = world.send(&keap_request("r1")).await;
    for (chunks, how) in [(3, End::Forced), (20, End::Cut), (40, End::Forced)] {
        until_closed(world, chunks).await;
        let before = proxy.accepted();
        proxy.end(how);
        // Three connections: for requests, for steps, and to publish.
        let all_are_back = async || (proxy.accepted() >= before + 3).then_some(());
        world.until("the worker has connected again", all_are_back).await;
    }
    assert!(!world.job(job).await.expect("a job").state.is_final());
    ended_well(world, job).await;
}

#[on_postgres]
async fn deleted_step_queue_is_declared_again(world: &mut World) {
    world.use_chunks_of(2);
    world.start_worker().await;
    let job = world.send(&keap_request("r1")).await;
    until_closed(world, 3).await;
    let lost = world.client.delete_queue("steps").await;
    let state = world.job(job).await.expect("a job").state;
    assert!([State::Cutting, State::Moving].contains(&state), "the job is {state} with {lost} steps lost");
    ended_well(world, job).await;
    let left = async || (world.client.waiting("steps").await == 0).then_some(());
    world.until("the queue exists and is empty", left).await;
}

#[on_postgres]
async fn deleted_request_queue_is_declared_again(world: &mut World) {
    world.start_worker().await;
    assert_eq!(world.hand_over(&keap_request("r1")).await.state, State::Completed);
    // The relay declares every queue before it first publishes. Here the consumer has to notice.
    world.until_all_is_published().await;
    world.client.delete_queue("requests").await;
    // A publish to an exchange without a queue is lost unless the publisher asks. This message is sent again.
    let mut again = keap_request("r2");
    again["user_id"] = "31".into();
    let job = world
        .until("a request is taken", async || {
            let job = world.send(&again).await;
            world.job(job).await.map(|_| job)
        })
        .await;
    assert_eq!(world.end_of(job).await.state, State::Rejected);
}

#[on_postgres]
async fn wrongly_declared_queue_stops_the_worker(world: &mut World) {
    world.client.make_queue_of_another_kind("requests").await;
    let ended = on(world, &["run"]).expect(1);
    let queue = format!("`{}.requests`", world.prefix);
    for part in [queue.as_str(), "not as Handover declares it", "delete the queue", "`broker.prefix`"] {
        assert!(ended.err.contains(part), "{part} is missing in: {}", ended.err);
    }
    assert!(!ended.err.contains("handover:handover"), "no password: {}", ended.err);
}

/// A broker that is down and records each attempt.
#[derive(Default)]
struct Away(Mutex<Vec<Instant>>);

impl Away {
    fn tries(&self) -> Vec<Instant> {
        self.0.lock().expect("a lock").clone()
    }
}

#[async_trait]
impl Broker for Away {
    async fn publish(&self, messages: &[Outgoing]) -> Vec<Result<(), BrokerError>> {
        self.0.lock().expect("a lock").push(Instant::now());
        messages.iter().map(|_| Err(BrokerError::Unreachable("away".into()))).collect()
    }

    async fn reply(&self, replies: &[ReplyMessage]) -> Vec<Result<(), BrokerError>> {
        replies.iter().map(|_| Err(BrokerError::Unreachable("away".into()))).collect()
    }

    async fn consume(&self, _: Channel, _: u16) -> Result<Box<dyn Consumer>, BrokerError> {
        Err(BrokerError::Unreachable("away".into()))
    }

    async fn dead_letters(&self) -> Result<Box<dyn DeadLetterQueue>, BrokerError> {
        Err(BrokerError::Unreachable("away".into()))
    }

    fn is_external(&self) -> bool {
        true
    }

    fn health(&self) -> Result<(), String> {
        Err("away".into())
    }

    fn trace_info<'m>(&self, _: &'m Incoming) -> MessageInfo<'m> {
        unreachable!("nothing is received")
    }

    fn kind(&self) -> &'static str {
        "away"
    }

    async fn depths(&self) -> Result<Vec<Depth>, BrokerError> {
        Err(BrokerError::Unreachable("away".into()))
    }

    async fn close(&self) {}
}

#[on_postgres]
async fn relay_backs_off_while_broker_is_down(world: &mut World) {
    let letter = "INSERT INTO handover.outbox (message_id, channel, routing_key, content_type, headers, body, created_at, due_at) \
                  SELECT gen_random_uuid(), 'events', 'test', 'text/plain', '{}', '', now(), now() FROM generate_series(1, 2000)";
    world.change_ledger(letter).await;
    let broker = Arc::new(Away::default());
    world.start_roles_on(&[Role::Relay], broker.clone());
    // Each attempt finds other messages; without a pause the attempts would follow each other directly.
    world.until("it has tried five times", async || (broker.tries().len() >= 5).then_some(())).await;
    let tries = broker.tries();
    // Half of each pause is random: the minimum is 50, 100, 200 and 400 milliseconds.
    let passed = tries[4] - tries[0];
    assert!(passed >= Duration::from_millis(700), "five attempts within {passed:?}");
}
