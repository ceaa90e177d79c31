//! `handover doctor`, and a worker that meets the same faults.

use std::time::Duration;

use sea_orm::ConnectionTrait;
use serde_json::Value;
use time::OffsetDateTime;

use crate::support::database::WORKER;
use crate::support::process::{as_owner, borrowed, on, run as run_process, settings, start_worker};
use crate::support::world::keap_request;
use crate::support::{Engine, World, every_engine, on_postgres};

/// Returns the checks of one kind, each with its verdict, finding and hint.
fn checks(reported: &Value, kind: &str) -> Vec<(String, String, String)> {
    let text = |check: &Value, name: &str| check[name].as_str().unwrap_or("").to_owned();
    let all = reported["checks"].as_array().expect("checks").iter().filter(|check| check["check"] == kind);
    all.map(|check| (text(check, "verdict"), text(check, "found"), text(check, "hint"))).collect()
}

async fn as_host(world: &World, statement: &str) {
    let session = world.store.begin("meddling").await.expect("a transaction");
    session.execute_unprepared(statement).await.expect(statement);
    session.commit().await.expect("committed");
}

fn migrations_of(world: &World) -> &'static str {
    match world.engine {
        Engine::Postgres => "handover.handover_migrations",
        Engine::Sqlite => "handover_migrations",
    }
}

/// Runs a command with some settings changed.
fn with(world: &World, changed: &[(&str, &str)], arguments: &[&str]) -> crate::support::process::Ended {
    let settings = settings(world);
    let environment = [borrowed(&settings), changed.to_vec()].concat();
    tokio::task::block_in_place(|| run_process(&environment, arguments))
}

#[every_engine]
async fn doctor_passes_and_changes_nothing(world: &mut World) {
    let reported = on(world, &["doctor", "--json"]).expect(0).json();
    assert_eq!(reported["good"], true, "{reported}");
    for kind in ["database", "clock", "ledger", "catalog", "rights", "broker"] {
        let checks = checks(&reported, kind);
        assert!(!checks.is_empty() && checks.iter().all(|(verdict, ..)| verdict == "good"), "{kind}: {reported}");
    }
    if world.engine == Engine::Postgres {
        assert_eq!(checks(&reported, "queues").len(), 3, "{reported}");
        assert_eq!(checks(&reported, "exchanges").len(), 2, "{reported}");
    }
    let plain = on(world, &["doctor"]).expect(0).out;
    assert!(plain.contains("0 faults, 0 warnings") && plain.contains("rights    good"), "{plain}");
    assert!(!plain.contains("handover:handover"), "no password: {plain}");
}

#[on_postgres]
async fn doctor_declares_nothing_on_the_broker(world: &mut World) {
    let prefix = format!("{}-none", world.prefix);
    let reported = with(world, &[("HANDOVER_BROKER__PREFIX", &prefix)], &["doctor", "--json"]).expect(0).json();
    let again = with(world, &[("HANDOVER_BROKER__PREFIX", &prefix)], &["doctor", "--json"]).expect(0).json();
    for reported in [reported, again] {
        let missing = checks(&reported, "queues");
        assert!(missing.len() == 1 && checks(&reported, "exchanges").is_empty(), "one cause, one finding: {reported}");
        let (verdict, found, hint) = &missing[0];
        assert!(verdict == "warning" && hint.contains("`handover run`"), "{found}: {hint}");
        for name in ["", ".events", ".requests", ".steps", ".dead"] {
            assert!(found.contains(&format!("`{prefix}{name}`")), "{found}");
        }
    }
}

#[every_engine]
async fn doctor_warns_of_messages_that_nobody_takes(world: &mut World) {
    world.client.send(b"no request".to_vec()).await;
    if world.engine == Engine::Sqlite {
        let session = world.store.begin("meddling").await.expect("a transaction");
        let mut sql = session.sql("");
        let before = sql.bind(OffsetDateTime::now_utc() - Duration::from_secs(120));
        sql.add(&format!("UPDATE handover_outbox SET created_at = {before}"));
        session.run("meddling", sql).await.expect("an older message");
        session.commit().await.expect("committed");
    }
    let warned = |world: &World| {
        let found = checks(&on(world, &["doctor", "--json"]).expect(0).json(), "queues");
        found.into_iter().filter(|(verdict, ..)| verdict == "warning").collect::<Vec<_>>()
    };
    let waits = async || Some(warned(world)).filter(|found| !found.is_empty());
    let found = world.until("the message is on the queue", waits).await;
    let (_, what, hint) = &found[0];
    assert!(what.contains("1 message waiting") && what.contains("no worker takes from"), "{found:?}");
    assert!(hint.contains("`handover run`"), "{found:?}");
    world.start_worker().await;
    world.until("the message is taken", async || warned(world).is_empty().then_some(())).await;
}

#[every_engine]
async fn doctor_warns_of_a_ledger_of_another_catalog(world: &mut World) {
    let worker = start_worker(world, &[]);
    world.end_of(world.send(&keap_request("r1")).await).await;
    assert_eq!(tokio::task::block_in_place(|| worker.stop()), 0);
    assert!(on(world, &["doctor"]).expect(0).out.contains("0 faults, 0 warnings"));
    let reported = with(world, &[("HANDOVER_CATALOG", "agent-connect")], &["doctor", "--json"]);
    let reported = checks(&reported.json(), "catalog");
    let (verdict, found, hint) = &reported[1];
    assert!(verdict == "warning" && found.ends_with("another catalog: keap"), "{reported:?}");
    assert!(hint.contains("`database.url` and `catalog`"), "{hint}");
}

#[every_engine]
async fn other_ledger_versions_are_refused_with_hint(world: &mut World) {
    let table = migrations_of(world);
    as_host(world, &format!("INSERT INTO {table} (version, applied_at) VALUES ('m20991231_000001_to_come', 0)")).await;
    for arguments in [&["run"][..], &["jobs"], &["audit"]] {
        let refused = on(world, arguments).expect(1);
        let is_told = refused.err.contains("newer than this binary") && refused.err.contains("to_come");
        assert!(is_told, "{}", refused.err);
    }
    let refused = as_owner(world, &["migrate"]).expect(1);
    assert!(refused.err.contains("newer than this binary"), "{}", refused.err);
    let reported = on(world, &["doctor", "--json"]).expect(1).json();
    let ledger = &checks(&reported, "ledger")[0];
    assert_eq!(ledger.0, "fault");
    assert!(ledger.2.contains("newer"), "{ledger:?}");
    // Every other check still runs.
    assert_eq!(checks(&reported, "rights")[0].0, "good");
    assert_eq!(checks(&reported, "broker")[0].0, "good");

    // This is what a binary with one more migration sees; the version comparison has its own test.
    as_host(world, &format!("DELETE FROM {table}")).await;
    let refused = on(world, &["run"]).expect(1);
    assert!(refused.err.contains("run `handover migrate`"), "{}", refused.err);
}

#[every_engine]
async fn ledger_of_a_former_format_is_refused(world: &mut World) {
    let table = migrations_of(world);
    as_host(world, &format!("DELETE FROM {table}")).await;
    as_host(world, &format!("INSERT INTO {table} (version, applied_at) VALUES ('m20261122_000001_ledger', 0)")).await;
    for arguments in [&["run"][..], &["jobs"], &["audit"]] {
        let refused = on(world, arguments).expect(1);
        assert!(refused.err.contains("the ledger has format 1"), "{arguments:?}: {}", refused.err);
    }
    let refused = as_owner(world, &["migrate"]).expect(1);
    for hint in ["the ledger has format 1", "finish or revert its jobs", "export", "drop its tables"] {
        assert!(refused.err.contains(hint), "{hint}: {}", refused.err);
    }
    let ledger = &checks(&on(world, &["doctor", "--json"]).expect(1).json(), "ledger")[0];
    assert!(ledger.0 == "fault" && ledger.1.contains("format 1"), "{ledger:?}");
}

#[on_postgres]
async fn doctor_reports_every_fault_with_a_hint(world: &mut World) {
    as_host(world, &format!("REVOKE UPDATE (status) ON users FROM {WORKER}")).await;
    world.client.make_queue_of_another_kind("steps").await;
    let reported = on(world, &["doctor", "--json"]).expect(1).json();
    let rights = &checks(&reported, "rights")[0];
    assert!(
        rights.1.contains("UPDATE on users (status)") && rights.2.contains("`handover catalog grants"),
        "{rights:?}"
    );
    let queues = checks(&reported, "queues");
    let steps = queues.iter().find(|(_, found, _)| found.contains(".steps`")).expect("the queue of steps");
    assert_eq!(steps.0, "fault");
    assert!(steps.1.contains("not as Handover declares it") && steps.2.contains("delete the queue"), "{steps:?}");
    assert_eq!(queues.iter().filter(|(verdict, ..)| verdict == "good").count(), 2, "{queues:?}");

    world.sql("ALTER TABLE contacts RENAME COLUMN owner_id TO keeper_id").await;
    let reported = on(world, &["doctor", "--json"]).expect(1).json();
    assert!(checks(&reported, "catalog")[0].1.contains("owner_id"), "{reported}");
    assert_eq!(checks(&reported, "rights")[0].0, "not_seen");
}

#[on_postgres]
async fn connection_faults_are_clear_and_hide_passwords(world: &mut World) {
    let mut database = url::Url::parse(world.worker_url()).expect("a URL");
    database.set_password(Some("n0t-the-word")).expect("a password");
    let mut broker = url::Url::parse(&crate::support::broker::amqp_url()).expect("a URL");
    broker.set_password(Some("n0t-the-word")).expect("a password");
    let quick = [("HANDOVER_DATABASE__ACQUIRE_TIMEOUT", "2s"), ("HANDOVER_BROKER__CONNECT_TIMEOUT", "2s")];
    let wrong_database = [&quick[..], &[("HANDOVER_DATABASE__URL", database.as_str())]].concat();
    let wrong_broker = [&quick[..], &[("HANDOVER_BROKER__URL", broker.as_str())]].concat();
    let away = [&quick[..], &[("HANDOVER_BROKER__URL", "amqp://me:n0t-the-word@127.0.0.1:1/")]].concat();
    let no_database = [&quick[..], &[("HANDOVER_DATABASE__URL", "postgres://me:n0t-the-word@127.0.0.1:1/x")]].concat();
    for (environment, parts) in [
        (&wrong_database, ["password authentication failed for user", "check `database.url`"]),
        (&no_database, ["127.0.0.1:1/", "check `database.url`"]),
        (&wrong_broker, ["refused the login of user `handover`", "`broker.url`"]),
        (&away, ["amqp://127.0.0.1:1", "refused"]),
    ] {
        let ended = with(world, environment, &["run"]).expect(1);
        for part in parts {
            assert!(ended.err.contains(part), "{part} is missing in: {}", ended.err);
        }
        let last = ended.err.lines().filter(|line| line.contains("worker failed")).count();
        assert_eq!(last, 1, "one message: {}", ended.err);
        let reported = with(world, environment, &["doctor", "--json"]).expect(1);
        for text in [&ended.err, &reported.err, &reported.out] {
            assert!(!text.contains("n0t-the-word"), "{text}");
        }
        let faults = reported.json()["checks"]
            .as_array()
            .expect("checks")
            .iter()
            .filter(|check| check["verdict"] == "fault")
            .count();
        assert_eq!(faults, 1, "{}", reported.out);
    }
    assert_eq!(world.number("SELECT count(*) FROM handover.jobs").await, 0);
}
