//! The log of a worker without a terminal.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::support::http::ObservedWorker;
use crate::support::keap::{example, to};
use crate::support::process::{binary, borrowed, run, settings, signal};
use crate::support::server::until;
use crate::support::terminal::at_a_terminal;
use crate::support::world::keap_request;
use crate::support::{World, every_engine, on_sqlite};

/// Returns a field of a log line.
fn text(line: &Value, field: &str) -> String {
    line[field].as_str().unwrap_or_else(|| panic!("no {field}: {line}")).to_owned()
}

#[every_engine]
async fn log_has_one_line_per_step(world: &mut World) {
    let folder = tempfile::tempdir().expect("a folder");
    let filter = ("HANDOVER_LOG__FILTER", "info,handover::worker::step_log=debug");
    let observed = ObservedWorker::start(world, folder.path(), &[("HANDOVER_LIMITS__CHUNK_ROWS", "50"), filter]);
    let mut request = keap_request("r1");
    request["reason"] = json!("left with Zaphod Beeblebrox");
    let job = world.send(&request).await;
    world.end_of(job).await;
    let mut refused = keap_request("r2");
    refused["user_id"] = json!("99999");
    let refused = world.hand_over(&refused).await;
    let mut little = keap_request("r6");
    (little["user_id"], little["reassign"]) =
        (json!("54"), json!({ "contact": { "user": "11" }, "lead": { "user": "12" }, "task": { "user": "11" } }));
    let small = world.hand_over(&little).await.id;
    // Invalid values everywhere: the error messages quote them.
    for body in [
        json!({ "type": "deactivate", "request_id": "r3", "Zaphod Beeblebrox": "zaphod@example.org" }),
        json!({ "type": "deactivate", "request_id": "r4", "org_id": "1", "user_id": "zaphod@example.org", "requested_by": "1" }),
        json!({ "type": "deactivate", "request_id": "r5", "org_id": "1", "user_id": "53", "requested_by": "1", "reassign": "Zaphod Beeblebrox" }),
        json!({ "type": "deactivate", "request_id": "r1", "org_id": "1", "user_id": "54", "requested_by": "1" }),
    ] {
        world.client.send(body.to_string().into_bytes()).await;
    }
    let dead_lettered = |lines: &[Value]| {
        lines
            .iter()
            .filter(|line| line["message"].as_str().is_some_and(|text| text.starts_with("message dead-lettered")))
            .count()
    };
    tokio::task::block_in_place(|| until("four messages are dead-lettered", || dead_lettered(&observed.log()) == 4));

    let lines = observed.log();
    for line in &lines {
        for field in ["timestamp", "level", "target", "message"] {
            assert!(line[field].is_string(), "{line}");
        }
    }
    let mut chunks = BTreeSet::new();
    let mut outcomes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let is_of_step = |line: &&Value| line["message"] == "step done" || line["message"] == "chunk done";
    for line in lines.iter().filter(is_of_step) {
        assert_eq!(line["job"].as_str(), Some(&*job.to_string()), "{line}");
        assert_eq!((&line["org"], &line["request"]), (&json!("1"), &json!("r1")), "{line}");
        assert!(line["duration_ms"].is_u64(), "{line}");
        let (step, outcome) = (text(line, "step"), text(line, "outcome"));
        let is_chunk = line["message"] == "chunk done";
        assert_eq!(line["level"], if is_chunk { "DEBUG" } else { "INFO" }, "{line}");
        if is_chunk {
            chunks.insert(line["chunk"].as_i64().unwrap_or_else(|| panic!("no chunk: {line}")));
            assert!(line["records"].as_u64().is_some_and(|records| records > 0), "{line}");
        }
        outcomes.entry(step).or_default().push(outcome);
    }
    let count = world.number("SELECT count(*) FROM handover.chunks").await;
    assert_eq!(chunks, (0..count).collect(), "each chunk is in the log");
    assert!(outcomes["cut"].iter().all(|outcome| outcome == "done"), "{outcomes:?}");
    assert_eq!(outcomes["finalize"].iter().filter(|outcome| *outcome == "completed").count(), 1, "{outcomes:?}");
    for (id, outcome) in [(job.0, "cutting"), (refused.id, "rejected"), (small, "completed")] {
        let is = |line: &&Value| line["message"] == "request taken" && line["job"] == id.to_string().as_str();
        let line = lines.iter().find(is).unwrap_or_else(|| panic!("{id} is not in the log"));
        assert_eq!((&*text(line, "step"), &*text(line, "outcome")), ("plan", outcome), "{line}");
        assert!(line["kind"] == "deactivate" && line["duration_ms"].is_u64(), "{line}");
        assert!(line["org"] == "1" && line["request"].is_string(), "{line}");
    }
    let conflict = lines.iter().find(|line| line["code"] == "conflict").expect("a line");
    assert_eq!(text(conflict, "job"), job.to_string(), "readable messages have a job id");
    assert_eq!((text(conflict, "org"), text(conflict, "request")), ("1".into(), "r1".into()));

    let mut people = world.texts("SELECT name AS t FROM users").await;
    people.extend(world.texts("SELECT email AS t FROM users").await);
    people.extend(["Zaphod", "zaphod@example.org"].map(str::to_owned));
    for line in &lines {
        let text = line.to_string();
        for person in &people {
            assert!(!text.contains(person.as_str()), "{person} appears in the log: {text}");
        }
    }
}

#[every_engine]
async fn log_is_json_to_its_last_line(world: &mut World) {
    let settings = settings(world);
    let missing = ("HANDOVER_CATALOG", "no-such-file.toml");
    let environment = [borrowed(&settings), vec![missing]].concat();
    let ended = tokio::task::block_in_place(|| run(&environment, &["run"])).expect(1);
    let lines: Vec<Value> = ended.err.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let last = lines.last().expect("a line");
    assert_eq!((&last["level"], &last["message"]), (&json!("ERROR"), &json!("worker failed")));
    assert!(text(last, "error").contains("no-such-file.toml"), "{last}");
}

#[on_sqlite]
async fn log_obeys_no_color(world: &mut World) {
    let settings = settings(world);
    let wrong = ("HANDOVER_CATALOG", "no-such-file.toml");
    for (value, is_colored) in [("", true), ("1", false)] {
        let environment = [borrowed(&settings), vec![wrong, ("NO_COLOR", value)]].concat();
        let shown = tokio::task::block_in_place(|| at_a_terminal(&environment, &["run"], "")).expect(1).err;
        assert!(shown.contains("worker failed"), "{shown}");
        assert_eq!(shown.contains('\u{1b}'), is_colored, "{value:?}: {shown}");
    }
}

#[on_sqlite]
async fn worker_waits_at_its_start(world: &mut World) {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, log) = (folder.path().join("late.db"), folder.path().join("log"));
    let url = format!("sqlite://{}", file.display());
    let mut settings = settings(world);
    settings.retain(|(name, _)| name != "HANDOVER_DATABASE__URL");
    settings.push(("HANDOVER_DATABASE__URL".into(), url));
    let environment = borrowed(&settings);
    let ended = tokio::task::block_in_place(|| run(&environment, &["run", "--wait-for", "1s"])).expect(1);
    assert_eq!(ended.err.matches("not there yet; waiting").count(), 1, "{}", ended.err);
    let mut command = binary(&environment, &["run", "--wait-for", "1m"]);
    let mut worker = command.stderr(std::fs::File::create(&log).expect("a file")).spawn().expect("the binary");
    let reads = |part: &str| std::fs::read_to_string(&log).expect("a log").contains(part).then_some(());
    world.until("the worker waits", async || reads("not there yet; waiting")).await;
    let migrate = ["migrate", "--reference-crm", "--seed"];
    tokio::task::block_in_place(|| run(&environment, &migrate)).expect(0);
    world.until("the worker runs", async || reads("worker started")).await;
    signal(worker.id(), "TERM");
    assert!(tokio::task::block_in_place(|| worker.wait()).expect("an end").success());
}

/// A chunk's failed attempts are one line with their number.
#[every_engine]
async fn retries_of_a_chunk_are_one_line(world: &mut World) {
    let folder = tempfile::tempdir().expect("a folder");
    let more = [("HANDOVER_LIMITS__CHUNK_ROWS", "50"), ("HANDOVER_LIMITS__CHUNK_ATTEMPTS", "20")];
    let observed = ObservedWorker::start(world, folder.path(), &more);
    let contacts = "SELECT CAST(id AS text) AS t FROM contacts WHERE owner_id = 53 ORDER BY id LIMIT 2";
    let contacts = world.texts(contacts).await.join(", ");
    // The database refuses one of them until someone fixes it.
    world
        .sql(&format!("CREATE UNIQUE INDEX refuses ON contacts (owner_id) WHERE owner_id = 11 AND id IN ({contacts})"))
        .await;
    let request = example("r1").contacts(to("11"));
    let job = world.send(&request).await;
    let failed = "SELECT count(*) FROM handover.chunks WHERE attempts >= 2";
    world.until("a chunk has failed twice", async || (world.number(failed).await > 0).then_some(())).await;
    world.sql("DROP INDEX refuses").await;
    assert_eq!(world.end_of(job).await.state.name(), "completed");
    let is_about_attempts = |line: &&Value| line["attempts"].is_i64();
    let is_logged = || observed.log().iter().any(|line| line["attempts"].is_i64());
    tokio::task::block_in_place(|| until("the attempts are logged", is_logged));
    let lines: Vec<Value> = observed.log().into_iter().filter(|line| is_about_attempts(&line)).collect();
    let [line] = lines.as_slice() else { panic!("one line: {lines:?}") };
    assert_eq!((&line["level"], &line["message"]), (&json!("WARN"), &json!("chunk done after failed attempts")));
    assert!(line["attempts"].as_i64() >= Some(2) && text(line, "error").to_lowercase().contains("unique"), "{line}");
    assert_eq!((&line["org"], &line["request"], &line["job"]), (&json!("1"), &json!("r1"), &json!(job)));
}
