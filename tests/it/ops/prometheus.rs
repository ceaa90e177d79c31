//! Debian's Prometheus scrapes a real worker with the rules and the dashboard of `deploy/`. The tests are skipped with
//! a message if it is not installed.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use handover::metrics::{ALL, Kind};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::http::{ObservedWorker, get};
use crate::support::process::text;
use crate::support::proxy::{End, Proxy};
use crate::support::server::{Process, free_port, until};
use crate::support::world::keap_request;
use crate::support::{Engine, run};

const RULES: &str = "deploy/prometheus/rules.yml";

fn is_installed(program: &str) -> bool {
    let is_installed = Path::new("/usr/bin").join(program).exists();
    if !is_installed {
        eprintln!("skipped: {program} is not installed, so alerts and dashboard were not tested");
    }
    is_installed
}

struct Prometheus {
    address: String,
    _process: Process,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts a Prometheus that scrapes a worker every second and loads our rules.
    fn start(worker: &str) -> Prometheus {
        let folder = tempfile::tempdir().expect("a folder");
        let rules = std::fs::canonicalize(RULES).expect("the rules");
        let configuration = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\nrule_files: [\"{}\"]\nscrape_configs:\n  - job_name: handover\n    \
             static_configs: [{{ targets: [\"{worker}\"] }}]\n",
            rules.display()
        );
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, configuration).expect("a file");
        let address = format!("127.0.0.1:{}", free_port());
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", text(&file))).arg(format!("--web.listen-address={address}"));
        command.arg(format!("--storage.tsdb.path={}", text(&folder.path().join("data"))));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = Process::start(&mut command, "TERM");
        until("Prometheus is ready", || get(&address, "/-/ready").is_some_and(|(status, _)| status == 200));
        Prometheus { address, _process: process, _folder: folder }
    }

    /// Returns a successful answer of its API.
    fn ask(&self, path: &str) -> Value {
        let (status, body) = get(&self.address, path).expect("an answer");
        let body: Value = serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"));
        assert_eq!((status, body["status"].as_str()), (200, Some("success")), "{path}: {body}");
        body["data"].clone()
    }

    /// Returns the names of all series.
    fn names(&self) -> BTreeSet<String> {
        let names = self.ask("/api/v1/label/__name__/values");
        names.as_array().expect("names").iter().filter_map(|name| Some(name.as_str()?.to_owned())).collect()
    }
}

/// Returns the queries of the dashboard as Grafana sends them.
fn dashboard() -> Vec<String> {
    let text = std::fs::read_to_string("deploy/grafana/handover.json").expect("the dashboard");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    let targets =
        dashboard["panels"].as_array().expect("panels").iter().filter_map(|panel| panel["targets"].as_array());
    let expressions = targets.flatten().map(|target| target["expr"].as_str().expect("a query"));
    expressions.map(|expression| expression.replace("$__rate_interval", "1m")).collect()
}

/// Returns the metric names in a query: words not followed by a bracket or a label comparison.
fn names_in(query: &str) -> BTreeSet<String> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = query
        .split(|c| !is_word(c))
        .filter(|word| *word == "up" || ["handover_", "process_"].iter().any(|prefix| word.starts_with(prefix)));
    words.map(str::to_owned).collect()
}

fn encoded(query: &str) -> String {
    url::form_urlencoded::byte_serialize(query.as_bytes()).collect()
}

#[test]
fn prometheus_scrapes_every_documented_metric() {
    if !is_installed("prometheus") {
        return;
    }
    run(Engine::Postgres, async |world| {
        let folder = tempfile::tempdir().expect("a folder");
        let proxy = Proxy::start().await;
        let url = proxy.url();
        let more = [("HANDOVER_BROKER__URL", url.as_str()), ("HANDOVER_LIMITS__CHUNK_ROWS", "10")];
        let observed = ObservedWorker::start(world, folder.path(), &more);
        // A reconnect, a chunked job and an unreadable message: every metric gets a value.
        proxy.end(End::Cut);
        let job = world.send(&keap_request("r1")).await;
        world.end_of(job).await;
        world.client.send(b"nothing that can be read".to_vec()).await;
        tokio::task::block_in_place(|| {
            until("it is dead-lettered", || observed.metric("handover_queue_messages{queue=\"dead\"}") == Some(1.0));
            let prometheus = Prometheus::start(&observed.address);
            let wanted: BTreeSet<String> = ALL
                .iter()
                .map(|about| match about.kind {
                    Kind::Histogram => format!("{}_bucket", about.name),
                    _ => about.name.to_owned(),
                })
                .collect();
            until("every metric of the list is scraped", || {
                let names = prometheus.names();
                wanted.iter().all(|name| names.contains(name))
            });
            let names = prometheus.names();
            let rules = prometheus.ask("/api/v1/rules");
            let rules = rules["groups"][0]["rules"].as_array().expect("rules").clone();
            assert!(rules.len() >= 10, "{rules:?}");
            let alerts = rules.iter().map(|rule| rule["query"].as_str().expect("a query").to_owned());
            for query in alerts.chain(dashboard()) {
                let used = names_in(&query);
                assert!(!used.is_empty(), "no metric: {query}");
                for name in used {
                    assert!(names.contains(&name), "{name} is not in the scrape: {query}");
                }
                prometheus.ask(&format!("/api/v1/query?query={}", encoded(&query)));
            }
            // A dead letter: its alert is pending, and no other paging alert is.
            until("the dead letter is noticed", || {
                let rules = prometheus.ask("/api/v1/rules");
                let rules = rules["groups"][0]["rules"].as_array().expect("rules").clone();
                let state = |rule: &Value| {
                    (rule["name"].as_str() == Some("HandoverMessagesParked")).then(|| rule["state"].clone())
                };
                rules.iter().find_map(state).is_some_and(|state| state == "pending" || state == "firing")
            });
        });
    });
}

#[test]
fn alerts_fire_and_link_to_the_runbook() {
    if !is_installed("promtool") {
        return;
    }
    for arguments in
        [["check", "rules", "rules.yml"], ["test", "rules", "rules_test.yml"], ["check", "config", "prometheus.yml"]]
    {
        let output = Command::new("promtool").args(arguments).current_dir("deploy/prometheus").output();
        let output = output.expect("promtool");
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&said));
    }
    let read = |file: &str| std::fs::read_to_string(file).expect(file);
    let (rules, tests, runbook) =
        (read(RULES), read("deploy/prometheus/rules_test.yml"), read("docs/operations/runbook.md"));
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    let entries: Vec<&str> = runbook.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert_eq!(alerts, entries, "one runbook entry per alert, in order");
    for alert in alerts {
        let link = format!("docs/operations/runbook.md#{}", alert.to_lowercase());
        assert!(rules.contains(&format!("runbook_url: '{link}'")), "{link}");
        assert!(tests.contains(&format!("- alertname: {alert}\n")), "{alert} has no test");
    }
}
