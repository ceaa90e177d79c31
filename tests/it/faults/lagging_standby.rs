//! Standbys of the host's database: movers slow down while a standby lags, if their role may see the lag.

use handover::store::{Settings, Store};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::database::{WORKER, fill, settings};
use crate::support::postgres::{Programs, Server};
use crate::support::process::{WorkerProcess, binary, finish, run};
use crate::support::world::LIMIT;

/// A server with a standby that applies nothing. The standby ends first.
struct Pair {
    _standby: Server,
    primary: Server,
    _folder: TempDir,
}

impl Pair {
    fn start() -> Option<Pair> {
        let programs = Programs::find("standbys that fall behind")?;
        let folder = tempfile::tempdir().expect("a folder");
        let home = folder.path();
        programs.initialize(home, "primary");
        let primary = programs.start(home, "primary", &[]);
        let (from, how) =
            (format!("--port={}", primary.port), ["--write-recovery-conf", "--checkpoint=fast", "--no-sync"]);
        let copy = ["--host=127.0.0.1", &from, "--username=handover", "--pgdata=standby"];
        programs.run(home, "pg_basebackup", &[&copy[..], &how].concat());
        let late = ["recovery_min_apply_delay=1h", "wal_receiver_status_interval=1s"].map(str::to_owned);
        Some(Pair { _standby: programs.start(home, "standby", &late), primary, _folder: folder })
    }

    fn url(&self, role: &str) -> String {
        format!("postgres://{role}@localhost:{}/postgres", self.primary.port)
    }

    async fn owner(&self) -> Store {
        let settings: Settings = settings(self.url("handover"));
        Store::open(&settings).await.expect("PostgreSQL")
    }
}

/// Returns the doctor's findings about standbys for a worker's role.
fn diagnosis(environment: &[(&str, &str)]) -> Value {
    let reported = run(environment, &["doctor", "--json"]).expect(0).json();
    let checks = reported["checks"].as_array().expect("checks");
    checks.iter().find(|check| check["check"] == "standbys").expect("a check of standbys").clone()
}

async fn lag(owner: &Store) {
    let behind = "SELECT COALESCE(max(replay_lag) > '6 s', false) AS is_behind FROM pg_stat_replication";
    let deadline = tokio::time::Instant::now() + LIMIT;
    loop {
        let session = owner.reader();
        let row = session.one("looking", session.sql(behind)).await.expect("an answer").expect("a row");
        if row.get("is_behind").expect("a boolean") {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "the standby lags");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn movers_back_off_while_a_standby_lags() {
    let Some(pair) = Pair::start() else { return };
    let owner = pair.owner().await;
    fill(&owner, 3000).await;
    let as_owner = pair.url("handover");
    let grants = run(&[("HANDOVER_DATABASE__URL", &as_owner)], &["catalog", "grants", "--role", WORKER]).expect(0).out;
    owner.run_script("granting", &format!("CREATE ROLE {WORKER} LOGIN; {grants}")).await.expect("granted");
    let url = pair.url(WORKER);
    let environment = [
        ("HANDOVER_DATABASE__URL", url.as_str()),
        ("HANDOVER_BROKER__URL", "local"),
        ("HANDOVER_LIMITS__CHUNK_ROWS", "10"),
        ("HANDOVER_LOG__FORMAT", "json"),
    ];
    lag(&owner).await;
    let unseen = diagnosis(&environment);
    assert_eq!(unseen["verdict"], "warning", "{unseen}");
    assert!(unseen["hint"].as_str().expect("a hint").contains("GRANT pg_read_all_stats"), "{unseen}");

    let session = owner.begin("granting").await.expect("a transaction");
    session.execute_unprepared(&format!("GRANT pg_read_all_stats TO {WORKER}")).await.expect("granted");
    session.commit().await.expect("committed");
    assert_eq!(diagnosis(&environment)["verdict"], "good");
    let log = tempfile::NamedTempFile::new().expect("a file");
    let worker = WorkerProcess::start_with_log(&environment, log.reopen().expect("the file"));
    let request = json!({ "type": "deactivate", "request_id": "r1", "org_id": "1", "user_id": "53", "requested_by": "1",
        "reassign": { "contact": { "user": "11" }, "lead": { "user": "11" }, "task": { "user": "11" } } });
    let child = binary(&environment, &["submit", "-", "--wait"]).spawn().expect("the binary");
    finish(child, request.to_string().as_bytes()).expect(0);
    assert_eq!(worker.stop(), 0);
    let log = std::fs::read_to_string(log.path()).expect("a log");
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let reasons: Vec<Value> =
        lines.filter(|line| line["message"] == "movers back off").map(|line| line["reasons"].clone()).collect();
    assert!(
        reasons.iter().any(|reasons| reasons.as_str().is_some_and(|why| why.contains("a standby lags by "))),
        "{log}"
    );
    owner.close().await;
}
