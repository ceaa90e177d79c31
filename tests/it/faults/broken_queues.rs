//! RabbitMQ queues that are declared and bound but have no process: consuming one closes the connection.
//! A server that is killed while it declares a queue can leave one behind. Here the test deletes the queue's process.

use handover::job::State;
use std::time::Duration;

use crate::support::broker::BrokerClient;
use crate::support::gate::Gate;
use crate::support::http::ObservedWorker;
use crate::support::rabbitmq::RabbitMq;
use crate::support::world::{certificate_of, keap_request};
use crate::support::{World, on_postgres};

/// Handover keeps trying for 20 to 40 seconds, with pauses between its attempts.
const PATIENCE: Duration = Duration::from_secs(120);

const CLOSED: &str = "SELECT count(*) FROM handover.chunks WHERE state = 'closed'";

/// Small chunks and pausing movers keep the job running while the test breaks the queue.
const SLOWLY: [(&str, &str); 3] =
    [("HANDOVER_LIMITS__CHUNK_ROWS", "2"), ("HANDOVER_LIMITS__CHUNK_TIME", "1h"), ("HANDOVER_WORKER__PACE", "0.05")];

/// Starts a worker that reaches RabbitMQ through a gate, in the middle of a job.
struct Scene {
    gate: Gate,
    reported: ObservedWorker,
    _folder: tempfile::TempDir,
}

impl Scene {
    async fn set(world: &World) -> Scene {
        let gate = Gate::before(&world.broker_url()).await;
        let url = gate.through(&world.broker_url());
        let folder = tempfile::tempdir().expect("a folder");
        let settings = [&SLOWLY[..], &[("HANDOVER_BROKER__URL", url.as_str())]].concat();
        let reported = tokio::task::block_in_place(|| ObservedWorker::start(world, folder.path(), &settings));
        Scene { gate, reported, _folder: folder }
    }

    /// Deletes the process of a queue and ends the worker's connections, as a killed server does.
    async fn break_queue(&self, world: &World, rabbitmq: &RabbitMq, queue: &str) {
        let name = format!("binary_to_atom(<<\"%2F_{}.{queue}\">>, utf8)", world.prefix);
        rabbitmq.control(&["eval", &format!("ra:force_delete_server(quorum_queues, {{{name}, node()}}).")]);
        self.gate.shut();
        world.until("its connections have ended", async || (self.readiness().0 == 503).then_some(())).await;
        self.gate.open();
    }

    fn readiness(&self) -> (u16, String) {
        let (status, ready) = tokio::task::block_in_place(|| self.reported.json("/readyz"));
        (status, ready["broker"]["reason"].as_str().unwrap_or_default().to_owned())
    }

    async fn until_ready(&self, world: &World) {
        world.until_within(PATIENCE, "it is ready", async || (self.readiness().0 == 200).then_some(())).await;
    }

    fn reconnects(&self, connection: &str) -> f64 {
        let series = format!("handover_broker_reconnects_total{{connection=\"{connection}\"}}");
        tokio::task::block_in_place(|| self.reported.metric(&series)).unwrap_or(0.0)
    }

    fn has_logged(&self, message: &str) -> bool {
        let says = |line: &serde_json::Value| line["message"].as_str().is_some_and(|said| said.contains(message));
        self.reported.log().iter().any(says)
    }
}

async fn until_under_way(world: &World) {
    world.until("some chunks are done", async || (world.number(CLOSED).await > 3).then_some(())).await;
}

#[on_postgres]
async fn broken_step_queue_is_recreated_by_itself(world: &mut World) {
    let Some(rabbitmq) = world.use_own_rabbitmq("hollow queues", "").await else { return };
    let scene = Scene::set(world).await;
    let job = world.send(&keap_request("r1")).await;
    until_under_way(world).await;
    scene.break_queue(world, &rabbitmq, "steps").await;
    let reported = async || scene.readiness().1.contains("INTERNAL_ERROR").then_some(());
    world.until("readiness reports that steps cannot be consumed", reported).await;
    let mut other = keap_request("r2");
    other["user_id"] = "31".into();
    assert_eq!(world.hand_over(&other).await.state, State::Rejected);
    assert!(!world.job(job).await.expect("a job").state.is_final());
    let ended = async || world.job(job).await.filter(|job| job.state == State::Completed);
    let ended = world.until_within(PATIENCE, "the job ends", ended).await;
    let moved: u64 = certificate_of(&ended).references.iter().filter_map(|found| found.moved).sum();
    assert_eq!(moved, 104 + 92 + 12);
    world.check_journal(job).await;
    assert_eq!(world.orphans().await, 0);
    scene.until_ready(world).await;
    assert!(scene.has_logged("deleted a broken queue; its steps are redispatched from the ledger"));
    assert!(scene.reconnects("steps") >= 5.0);
    assert_eq!(scene.reconnects("requests"), 1.0, "other consumers are not disturbed");
    assert!(world.client.next_dead_letter(Duration::from_millis(100)).await.is_none(), "no dead letters");
    assert_eq!(tokio::task::block_in_place(|| scene.reported.worker.stop()), 0);
}

#[on_postgres]
async fn broken_request_queue_is_reported_by_readiness(world: &mut World) {
    let Some(rabbitmq) = world.use_own_rabbitmq("hollow queues", "").await else { return };
    let scene = Scene::set(world).await;
    let job = world.send(&keap_request("r1")).await;
    until_under_way(world).await;
    scene.break_queue(world, &rabbitmq, "requests").await;
    let queue = format!("{}.requests", world.prefix);
    let says = format!("`{queue}` is not consumed: RabbitMQ fails over it (INTERNAL_ERROR)");
    let reported = async || {
        let (status, reason) = scene.readiness();
        (status == 503 && reason.contains(&says) && reason.contains("delete the queue")).then_some(())
    };
    world.until_within(PATIENCE, "it says what to do", reported).await;
    assert!(scene.has_logged("queue cannot be consumed"));
    // Steps are processed all the while.
    let ended = world.end_of(job).await;
    assert_eq!(ended.state, State::Completed, "{:?}", ended.reasons);
    assert_eq!(scene.reconnects("steps"), 1.0, "other consumers are not disturbed");

    rabbitmq.control(&["delete_queue", &queue]);
    scene.until_ready(world).await;
    // RabbitMQ withholds messages of an earlier channel. A killed server has ended those channels.
    world.client = BrokerClient::amqp(&world.broker_url(), &world.prefix).await;
    let mut other = keap_request("r2");
    other["user_id"] = "31".into();
    assert_eq!(world.hand_over(&other).await.state, State::Rejected);
    assert_eq!(tokio::task::block_in_place(|| scene.reported.worker.stop()), 0);
}
