//! Queues of RabbitMQ with nothing behind their name: declared and bound, and whoever consumes one loses the connection. So a
//! server may leave them that was killed while it made them; here the process behind the name is deleted.

use std::time::Duration;

use crate::support::broker::Outside;
use crate::support::gate::Gate;
use crate::support::http::Told;
use crate::support::rabbitmq::RabbitMq;
use crate::support::world::{certificate_of, keap_request};
use crate::support::{World, on_postgres};

/// Handover looks on for 20 to 40 seconds, with pauses between its attempts.
const PATIENCE: Duration = Duration::from_secs(120);

const CLOSED: &str = "SELECT count(*) FROM handover.chunks WHERE state = 'closed'";

/// Chunks are small, and the movers rest between them: the job is still under way when the queue is hurt.
const SLOWLY: [(&str, &str); 3] =
    [("HANDOVER_LIMITS__CHUNK_ROWS", "2"), ("HANDOVER_LIMITS__CHUNK_TIME", "1h"), ("HANDOVER_WORKER__PACE", "0.05")];

/// A worker that knows RabbitMQ by a gate, in the midst of a job.
struct Scene {
    gate: Gate,
    told: Told,
    _folder: tempfile::TempDir,
}

impl Scene {
    async fn set(world: &World) -> Scene {
        let gate = Gate::before(&world.broker_url()).await;
        let url = gate.through(&world.broker_url());
        let folder = tempfile::tempdir().expect("a folder");
        let settings = [&SLOWLY[..], &[("HANDOVER_BROKER__URL", url.as_str())]].concat();
        let told = tokio::task::block_in_place(|| Told::start(world, folder.path(), &settings));
        Scene { gate, told, _folder: folder }
    }

    /// Leaves nothing behind the name of a queue, and ends the worker's connections, as the server's end did.
    async fn hollow_out(&self, world: &World, rabbitmq: &RabbitMq, queue: &str) {
        let name = format!("binary_to_atom(<<\"%2F_{}.{queue}\">>, utf8)", world.prefix);
        rabbitmq.control(&["eval", &format!("ra:force_delete_server(quorum_queues, {{{name}, node()}}).")]);
        self.gate.shut();
        world.until("its connections have ended", async || (self.readiness().0 == 503).then_some(())).await;
        self.gate.open();
    }

    fn readiness(&self) -> (u16, String) {
        let (status, ready) = tokio::task::block_in_place(|| self.told.json("/readyz"));
        (status, ready["broker"]["reason"].as_str().unwrap_or_default().to_owned())
    }

    async fn until_ready(&self, world: &World) {
        world.until_within(PATIENCE, "it is ready", async || (self.readiness().0 == 200).then_some(())).await;
    }

    fn reconnects(&self, connection: &str) -> f64 {
        let series = format!("handover_broker_reconnects_total{{connection=\"{connection}\"}}");
        tokio::task::block_in_place(|| self.told.metric(&series)).unwrap_or(0.0)
    }

    fn has_logged(&self, message: &str) -> bool {
        let says = |line: &serde_json::Value| line["message"].as_str().is_some_and(|said| said.contains(message));
        self.told.log().iter().any(says)
    }
}

async fn until_under_way(world: &World) {
    world.until("some chunks are done", async || (world.number(CLOSED).await > 3).then_some(())).await;
}

#[on_postgres]
async fn broken_step_queue_is_recreated_by_itself(world: &mut World) {
    let Some(rabbitmq) = world.use_rabbitmq_of_its_own("hollow queues", "").await else { return };
    let scene = Scene::set(world).await;
    let job = world.send(&keap_request("r1")).await;
    until_under_way(world).await;
    scene.hollow_out(world, &rabbitmq, "steps").await;
    let told = async || scene.readiness().1.contains("INTERNAL_ERROR").then_some(());
    world.until("it says that it cannot take steps", told).await;
    let mut other = keap_request("r2");
    other["user_id"] = "31".into();
    assert_eq!(world.hand_over(&other).await.state, "rejected");
    assert!(!world.job(job).await.expect("a job").state().expect("a state").is_final());
    let ended = async || world.job(job).await.filter(|job| job.state == "completed");
    let ended = world.until_within(PATIENCE, "the job ends", ended).await;
    let moved: u64 = certificate_of(&ended).references.iter().filter_map(|found| found.moved).sum();
    assert_eq!(moved, 104 + 92 + 12);
    world.check_journal(job).await;
    assert_eq!(world.orphans().await, 0);
    scene.until_ready(world).await;
    assert!(scene.has_logged("deleted a broken queue; its steps are redispatched from the ledger"));
    assert!(scene.reconnects("steps") >= 5.0);
    assert_eq!(scene.reconnects("requests"), 1.0, "nobody else is disturbed");
    assert!(world.outside.next_dead_letter(Duration::from_millis(100)).await.is_none(), "nothing is parked");
    assert_eq!(tokio::task::block_in_place(|| scene.told.worker.stop()), 0);
}

#[on_postgres]
async fn broken_request_queue_is_reported_by_readiness(world: &mut World) {
    let Some(rabbitmq) = world.use_rabbitmq_of_its_own("hollow queues", "").await else { return };
    let scene = Scene::set(world).await;
    let job = world.send(&keap_request("r1")).await;
    until_under_way(world).await;
    scene.hollow_out(world, &rabbitmq, "requests").await;
    let queue = format!("{}.requests", world.prefix);
    let says = format!("`{queue}` is not consumed: RabbitMQ fails over it (INTERNAL_ERROR)");
    let told = async || {
        let (status, reason) = scene.readiness();
        (status == 503 && reason.contains(&says) && reason.contains("delete the queue")).then_some(())
    };
    world.until_within(PATIENCE, "it says what to do", told).await;
    assert!(scene.has_logged("a queue cannot be consumed"));
    // Steps are taken all the while.
    let ended = world.end_of(job).await;
    assert_eq!(ended.state, "completed", "{:?}", ended.reasons);
    assert_eq!(scene.reconnects("steps"), 1.0, "nobody else is disturbed");

    rabbitmq.control(&["delete_queue", &queue]);
    scene.until_ready(world).await;
    // RabbitMQ keeps back what comes on a channel from before: a server that was killed has ended those.
    world.outside = Outside::amqp(&world.broker_url(), &world.prefix).await;
    let mut other = keap_request("r2");
    other["user_id"] = "31".into();
    assert_eq!(world.hand_over(&other).await.state, "rejected");
    assert_eq!(tokio::task::block_in_place(|| scene.told.worker.stop()), 0);
}
