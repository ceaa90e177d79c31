//! The HTTP listener of a real worker, in normal operation and during outages.

use std::net::TcpListener;

use crate::support::broker::amqp_url;
use crate::support::gate::Gate;
use crate::support::http::{ObservedWorker, get};
use crate::support::process::{run as run_binary, text};
use crate::support::server::until;
use crate::support::world::keap_request;
use crate::support::{World, every_engine, on_postgres};

#[every_engine]
async fn worker_reports_liveness_readiness_and_version(world: &mut World) {
    let folder = tempfile::tempdir().expect("a folder");
    let observed = ObservedWorker::start(world, folder.path(), &[]);
    assert_eq!(observed.get("/livez").0, 200);
    let (status, version) = observed.json("/version");
    assert_eq!((status, version["version"].as_str()), (200, Some(env!("CARGO_PKG_VERSION"))));
    let (status, ready) = observed.json("/readyz");
    assert_eq!(status, 200, "{ready}");
    for part in ["database", "migrations", "broker"] {
        assert_eq!(ready[part]["ready"], true, "{ready}");
    }
    assert_eq!(observed.get("/metrics").0, 200);
    assert_eq!(observed.get("/").0, 404);
    let manifest = std::fs::read_to_string("deploy/kubernetes/worker.yaml").expect("the manifest");
    let probes: Vec<&str> =
        manifest.split("httpGet: { path: ").skip(1).filter_map(|rest| rest.split(',').next()).collect();
    assert_eq!(probes.len(), 3);
    assert!(probes.iter().all(|path| observed.get(path).0 == 200), "{probes:?}");
    let address = observed.address.clone();
    assert_eq!(tokio::task::block_in_place(|| observed.worker.stop()), 0);
    assert!(get(&address, "/livez").is_none(), "no one listens any more");
}

#[on_postgres]
async fn worker_is_not_ready_during_outages(world: &mut World) {
    let folder = tempfile::tempdir().expect("a folder");
    let (broker, database) = (Gate::before(&amqp_url()).await, Gate::before(world.worker_url()).await);
    let more = [
        ("HANDOVER_BROKER__URL", broker.through(&amqp_url())),
        ("HANDOVER_DATABASE__URL", database.through(world.worker_url())),
    ];
    let more: Vec<(&str, &str)> = more.iter().map(|(name, value)| (*name, value.as_str())).collect();
    tokio::task::block_in_place(|| {
        let observed = ObservedWorker::start(world, folder.path(), &more);
        let is = |part: &str, ready: bool| {
            let (status, found) = observed.json("/readyz");
            let gauge = observed.metric(&format!("handover_ready{{part=\"{part}\"}}"));
            let others = ["database", "broker"].into_iter().filter(|other| *other != part);
            status == if ready { 200 } else { 503 }
                && found[part]["ready"] == ready
                && (ready || found[part]["reason"].as_str().is_some_and(|reason| !reason.is_empty()))
                && others.into_iter().all(|other| found[other]["ready"] == true)
                && gauge == Some(f64::from(u8::from(ready)))
        };
        for (part, gate) in [("broker", &broker), ("database", &database)] {
            until("it is ready", || is(part, true));
            gate.shut();
            until(&format!("readiness reports that the {part} is unavailable"), || is(part, false));
            assert_eq!(observed.get("/livez").0, 200, "a restart would fix nothing");
            gate.open();
            until("it is ready again", || is(part, true));
        }
    });
}

#[on_postgres]
async fn worker_refuses_other_ledger_versions(world: &mut World) {
    let folder = tempfile::tempdir().expect("a folder");
    let observed = ObservedWorker::start(world, folder.path(), &[]);
    for (statement, says) in [
        ("INSERT INTO handover.handover_migrations (version, applied_at) VALUES ('m99990101_000001_x', 0)", "newer"),
        // There is only one migration, so a ledger without it has none.
        ("DELETE FROM handover.handover_migrations", "run `handover migrate`"),
    ] {
        world.change_ledger(statement).await;
        tokio::task::block_in_place(|| {
            until("it says so", || {
                let (status, ready) = observed.json("/readyz");
                status == 503 && ready["migrations"]["reason"].as_str().is_some_and(|reason| reason.contains(says))
            });
        });
        let ended = crate::support::process::on(world, &["run"]).expect(1);
        assert!(ended.err.contains(says), "{}", ended.err);
    }
}

#[on_postgres]
async fn draining_worker_is_not_ready(world: &mut World) {
    let folder = tempfile::tempdir().expect("a folder");
    let observed = ObservedWorker::start(world, folder.path(), &[("HANDOVER_DATABASE__LOCK_TIMEOUT", "30s")]);
    let holding = world.store.begin("test").await.expect("a transaction");
    holding
        .run("holding a user", holding.sql("SELECT 1 FROM public.users WHERE id = 53 FOR UPDATE"))
        .await
        .expect("held");
    world.send(&keap_request("r1")).await;
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    world.until("the worker waits for the user", async || (world.number(waits).await > 0).then_some(())).await;
    observed.worker.signal("TERM");
    tokio::task::block_in_place(|| {
        until("it is draining", || {
            let (status, ready) = observed.json("/readyz");
            status == 503 && ready["draining"] == true
        });
        assert_eq!(observed.get("/livez").0, 200);
    });
    holding.commit().await.expect("let go");
    tokio::task::block_in_place(|| assert_eq!(observed.worker.end(), 0));
}

#[test]
fn second_worker_on_one_address_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let database = format!("sqlite://{}?mode=rwc", text(&folder.path().join("never.db")));
    let settings = [("HANDOVER_HTTP__LISTEN", address.as_str()), ("HANDOVER_DATABASE__URL", &database)];
    let ended = run_binary(&settings, &["run"]).expect(1);
    for part in ["http.listen", &address, "in use"] {
        assert!(ended.err.contains(part), "{}", ended.err);
    }
    assert!(!folder.path().join("never.db").exists(), "the database was opened");
    let wrong = run_binary(&[("HANDOVER_HTTP__LISTEN", "nine")], &["run"]).expect(1);
    assert!(wrong.err.contains("it must be an address and a port"), "{}", wrong.err);
}
