//! The command line, through the binary itself: what it prints, what it answers, and how it ends.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use handover::contract::{Certificate, JobId};
use serde_json::{Value, json};

use crate::support::broker::amqp_url;
use crate::support::world::{LIMIT, keap_request, read};
use crate::support::{Setting, World, on_both, snapshot};

/// A process that ended.
struct Ended {
    code: i32,
    out: String,
    err: String,
}

impl Ended {
    fn expect(self, code: i32) -> Ended {
        assert_eq!(self.code, code, "standard output:\n{}\nstandard error:\n{}", self.out, self.err);
        self
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }

    fn json_lines(&self) -> Vec<Value> {
        let read = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.out.lines().map(read).collect()
    }
}

/// The binary with an environment of its own: nothing of ours is set but what is given.
fn binary(environment: &[(&str, &str)], arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_handover"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("HANDOVER_")) {
        command.env_remove(name);
    }
    command.args(arguments).envs(environment.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs a command to its end, which must come within the limit.
fn finish(mut child: Child, input: &[u8]) -> Ended {
    let id = child.id();
    let mut stdin = child.stdin.take().expect("standard input");
    let input = input.to_vec();
    std::thread::spawn(move || {
        // A command that reads nothing closes it.
        let _ = stdin.write_all(&input);
    });
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    let Ok(output) = receiver.recv_timeout(LIMIT) else {
        signal(id, "KILL");
        panic!("the command has not ended within {LIMIT:?}");
    };
    let output = output.expect("an end");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Ended { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}

fn run(environment: &[(&str, &str)], arguments: &[&str]) -> Ended {
    finish(binary(environment, arguments).spawn().expect("the binary"), b"")
}

fn signal(process: u32, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &process.to_string()]).status();
    assert!(sent.expect("kill").success());
}

/// A worker process; killed if a test fails before it is stopped.
struct WorkerProcess(Option<Child>);

impl WorkerProcess {
    fn start(environment: &[(&str, &str)]) -> WorkerProcess {
        let mut command = binary(environment, &["run"]);
        // Nobody reads what it logs until its end.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        WorkerProcess(Some(command.spawn().expect("the binary")))
    }

    /// Tells it to stop; its exit code.
    fn stop(mut self) -> i32 {
        let child = self.0.take().expect("a process");
        signal(child.id(), "TERM");
        finish(child, b"").code
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The settings of a process that works on a test's world.
fn settings(world: &World) -> Vec<(String, String)> {
    let broker = if world.setting == Setting::Servers { amqp_url() } else { "local".into() };
    [
        ("HANDOVER_DATABASE__URL", world.database_url().to_owned()),
        ("HANDOVER_BROKER__URL", broker),
        ("HANDOVER_BROKER__PREFIX", world.prefix.clone()),
        ("HANDOVER_WORKER__POLL", "50ms".into()),
        ("HANDOVER_WORKER__SWEEP_EVERY", "200ms".into()),
        ("HANDOVER_LIMITS__STALLED_AFTER", "2s".into()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

fn borrowed(settings: &[(String, String)]) -> Vec<(&str, &str)> {
    settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

/// Runs a command on the world.
fn on(world: &World, arguments: &[&str]) -> Ended {
    with_input(world, arguments, b"")
}

fn with_input(world: &World, arguments: &[&str], input: &[u8]) -> Ended {
    let settings = settings(world);
    let child = binary(&borrowed(&settings), arguments).spawn().expect("the binary");
    tokio::task::block_in_place(|| finish(child, input))
}

fn start_worker(world: &World, more: &[(&str, &str)]) -> WorkerProcess {
    let settings = settings(world);
    WorkerProcess::start(&[borrowed(&settings), more.to_vec()].concat())
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

// --- The demo --------------------------------------------------------------------------------------------------------

/// What every event's schema is, from the binary.
fn schema(of: &str) -> jsonschema::Validator {
    let schema = run(&[], &["schema", of]).expect(0).json();
    jsonschema::meta::validate(&schema).unwrap_or_else(|error| panic!("no JSON Schema: {error}"));
    jsonschema::validator_for(&schema).expect("a schema")
}

fn assert_valid(schema: &jsonschema::Validator, value: &Value) {
    let faults: Vec<String> =
        schema.iter_errors(value).map(|fault| format!("{}: {fault}", fault.instance_path())).collect();
    assert!(faults.is_empty(), "{faults:?}: {value}");
}

/// Plays a story of the demo: every part that it expects is told.
fn the_demo_tells(catalog: &str) {
    let file = format!("{}/config/stories/{catalog}.toml", env!("CARGO_MANIFEST_DIR"));
    let story: toml::Table = toml::from_str(&std::fs::read_to_string(file).expect("a story")).expect("TOML");
    let folder = tempfile::tempdir().expect("a folder");
    let demo = run(&[("TMPDIR", text(folder.path()))], &["demo", "--catalog", catalog]).expect(0);
    assert_eq!(demo.err, "");
    let mut told = demo.out.as_str();
    for chapter in story["chapter"].as_array().expect("chapters") {
        let says = chapter["says"].as_str().expect("a sentence");
        told = told.split_once(says).unwrap_or_else(|| panic!("{says:?} is missing in:\n{}", demo.out)).1;
        for part in chapter["expects"].as_array().expect("parts") {
            let part = part.as_str().expect("a text");
            assert!(told.contains(part), "{part:?} is missing after {says:?} in:\n{}", demo.out);
        }
    }
    assert!(!demo.out.contains(['\u{1b}', '\r']), "{:?}", demo.out);
    assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 0);
}

#[test]
fn the_demo_shows_the_keap_pages_example_in_plain_lines_and_leaves_nothing_behind() {
    the_demo_tells("keap");
}

#[test]
fn the_demo_shows_the_agent_connect_pages_example() {
    the_demo_tells("agent-connect");
}

#[test]
fn the_demo_shows_the_apto_pages_example() {
    the_demo_tells("apto");
}

#[test]
fn the_demo_as_data_has_the_plan_the_certificate_and_the_events() {
    let demo = run(&[], &["demo", "--json"]).expect(0);
    assert_eq!(demo.err, "");
    let demo = demo.json();
    assert_eq!(demo["preview"]["accepted"], true);
    assert!(demo["preview"]["token"].as_str().expect("a token").starts_with("p1."));
    let certificate: Certificate = serde_json::from_value(demo["certificate"].clone()).expect("a certificate");
    assert_eq!((certificate.user_id.as_str(), certificate.orphans), ("53", 0));
    let contact = certificate.references.iter().find(|found| found.kind == "contact").expect("contacts");
    assert_eq!((contact.found, contact.moved, contact.left_behind), (Some(104), Some(104), Some(0)));
    let events = demo["events"].as_array().expect("events");
    let event = schema("event");
    events.iter().for_each(|told| assert_valid(&event, told));
    let sequences: Vec<i64> = events.iter().filter_map(|event| event["sequence"].as_i64()).collect();
    assert_eq!(sequences, (1..=events.len() as i64).collect::<Vec<_>>());
    let completed = events.iter().find(|event| event["type"] == "handover.deactivation.completed").expect("the end");
    for (name, value) in demo["certificate"].as_object().expect("a certificate") {
        assert_eq!(&completed["data"][name], value, "{name}");
    }
}

#[test]
fn a_larger_demo_is_worked_on_in_chunks_and_kept_where_it_is_asked_to() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("demo.db");
    let demo = run(&[], &["demo", "--records", "3000", "--keep", text(&file), "--json"]).expect(0).json();
    let references = demo["certificate"]["references"].as_array().expect("references");
    let contact = references.iter().find(|found| found["kind"] == "contact").expect("contacts");
    assert_eq!((&contact["found"], &contact["moved"]), (&json!(3000), &json!(3000)));
    assert!(demo["preview"]["chunks"].as_u64().expect("chunks") >= 3);
    let event = schema("event");
    demo["events"].as_array().expect("events").iter().for_each(|told| assert_valid(&event, told));

    let again = run(&[], &["demo", "--keep", text(&file)]).expect(1);
    assert!(again.err.contains("exists already"), "{}", again.err);

    let url = format!("sqlite://{}", file.display());
    let kept = [("HANDOVER_DATABASE__URL", url.as_str())];
    let id = demo["certificate"]["job_id"].as_str().expect("an id");
    let job = run(&kept, &["job", id, "--json"]).expect(0).json();
    for (name, value) in demo["certificate"].as_object().expect("a certificate") {
        assert_eq!(&job[name], value, "{name}");
    }
    assert_eq!(job["request_id"], "demo-1");
    assert_eq!(job["progress"]["contact"]["done"], 3000);
    let plain = run(&kept, &["job", id]).expect(0).out;
    assert!(plain.contains("completed") && plain.contains("3000 moved"), "{plain}");

    let jobs = run(&kept, &["jobs", "--json"]).expect(0).json_lines();
    assert_eq!((jobs.len(), &jobs[0]["job_id"]), (1, &json!(id)));
    assert!(run(&kept, &["jobs"]).expect(0).out.contains(id));
    assert_eq!(run(&kept, &["jobs", "--state", "rejected", "--json"]).expect(0).out, "");
    assert!(run(&kept, &["watch", id]).expect(0).out.contains("completed"));
    let nobody = run(&kept, &["job", "00000000-0000-0000-0000-000000000000"]).expect(1);
    assert!(nobody.err.contains("handover jobs"), "{}", nobody.err);
    run(&kept, &["job", "not-an-id"]).expect(2);
    run(&kept, &["jobs", "--state", "dreaming"]).expect(2);
}

#[test]
fn the_schemas_accept_what_is_sent_and_told_and_refuse_what_is_not() {
    let request = schema("request");
    assert_valid(&request, &keap_request("r1"));
    let mut whole = keap_request("r2");
    whole["type"] = json!("deactivate");
    whole["effective_at"] = json!("2026-12-01T00:00:00Z");
    whole["reassign"]["direct_report"] = json!({ "each": { "31": "40" }, "rest": { "manager": true } });
    assert_valid(&request, &whole);
    for (field, value) in
        [("user_id", json!(53)), ("user_id", json!("")), ("colour", json!("red")), ("type", json!("x"))]
    {
        let mut wrong = keap_request("r3");
        wrong[field] = value;
        assert!(!request.is_valid(&wrong), "{wrong}");
    }
    assert!(!schema("event").is_valid(&json!({ "specversion": "1.0" })));
}

// --- Reading ---------------------------------------------------------------------------------------------------------

on_both!(users_are_listed_by_status_with_what_they_own, |world| {
    let ids = |status: &str| -> Vec<String> {
        let listed = on(world, &["users", "--status", status, "--json"]).expect(0).json_lines();
        listed.iter().map(|user| user["id"].as_str().expect("an id").to_owned()).collect()
    };
    let active = ["1", "11", "12", "13", "14", "15", "16", "17", "53", "54", "201"];
    assert_eq!(ids("active"), active);
    assert_eq!(ids("invited"), ["21"]);
    assert_eq!(ids("inactive"), ["31"]);
    assert_eq!(ids("active-or-invited").len(), 12);
    assert_eq!(ids("all").len(), 13);
    let usual = on(world, &["users", "--json"]).expect(0).json_lines();
    assert_eq!(usual.len(), 12);
    let dana = usual.iter().find(|user| user["id"] == "53").expect("the leaver");
    assert_eq!((&dana["license"], &dana["name"]), (&json!(true), &json!("Dana Whitfield")));
    assert_eq!(dana["owns"], json!({ "contact": 104, "lead": 92, "task": 12 }));
    let plain = on(world, &["users", "--status", "all"]).expect(0).out;
    assert!(plain.contains("104 contact, 92 lead, 12 task"), "{plain}");
    assert_eq!(plain.lines().count(), 14);
    on(world, &["users", "--status", "asleep"]).expect(2);
});

on_both!(the_catalog_is_checked_shown_and_scanned, |world| {
    let checked = on(world, &["catalog", "check"]).expect(0);
    assert!(checked.out.contains("the catalog keap holds: 0 faults, 0 warnings"), "{}", checked.out);
    let checked = on(world, &["catalog", "check", "--json"]).expect(0).json();
    assert_eq!(checked, json!({ "catalog": "keap", "faults": [], "warnings": [] }));
    assert!(on(world, &["catalog", "show"]).expect(0).out.contains("[[reference]]\nkind = \"contact\""));
    let shown = on(world, &["catalog", "show", "--json"]).expect(0).json();
    let kinds = shown["references"].as_array().expect("references");
    assert!(kinds.iter().any(|kind| kind["kind"] == "note" && kind["disposition"] == "keep"));
    assert!(on(world, &["catalog", "scan"]).expect(0).out.contains("0 foreign keys are not covered"));
    assert_eq!(on(world, &["catalog", "scan", "--json"]).expect(0).json(), json!([]));

    world.sql("CREATE TABLE badges (id bigint PRIMARY KEY, holder_id bigint NOT NULL REFERENCES users (id))").await;
    let scanned = on(world, &["catalog", "scan"]).expect(1);
    assert!(scanned.out.contains("badges.holder_id points at users"), "{}", scanned.out);

    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("wrong.toml");
    let wrong = crate::support::world::catalog_source("keap")
        .replacen("\"contacts\"", "\"contact\"", 1)
        .replace("\"30d\"", "\"?\"");
    std::fs::write(&file, wrong).expect("a file");
    let mut settings = settings(world);
    settings.push(("HANDOVER_CATALOG".into(), text(&file).into()));
    let checked =
        tokio::task::block_in_place(|| run(&borrowed(&settings), &["catalog", "check", "--json"])).expect(1).json();
    assert_eq!(checked["faults"].as_array().expect("faults").len(), 2, "{checked}");
    let worker = tokio::task::block_in_place(|| run(&borrowed(&settings), &["run"])).expect(1);
    assert!(worker.err.contains("has 2 faults") && worker.err.contains("(it has `contacts`)"), "{}", worker.err);
    settings.push(("HANDOVER_CATALOG".into(), "no-such-file.toml".into()));
    let missing = tokio::task::block_in_place(|| run(&borrowed(&settings), &["catalog", "check"])).expect(1);
    assert!(missing.err.contains("no-such-file.toml") && missing.err.contains("keap"), "{}", missing.err);
});

on_both!(a_preview_says_what_would_be_done_or_why_not_and_changes_nothing, |world| {
    let before = snapshot::of_host(world).await;
    let good = keap_request("r1");
    let preview = with_input(world, &["preview", "--json"], good.to_string().as_bytes()).expect(0).json();
    assert_eq!(preview["accepted"], true);
    assert_eq!(preview["job_id"], read(&good).job_id().to_string());
    let contact = preview["references"].as_array().expect("references").iter().find(|found| found["kind"] == "contact");
    assert_eq!(contact.expect("contacts")["successors"], json!({ "11": 5, "12": 50, "13": 20, "14": 29 }));
    let plain = with_input(world, &["preview", "-"], good.to_string().as_bytes()).expect(0).out;
    for part in ["104/104", "92/92", "12/12", "plan token: p1.", "at once, in one transaction"] {
        assert!(plain.contains(part), "{part} is missing in:\n{plain}");
    }
    let mut bad = keap_request("r2");
    bad["reassign"] = json!({ "lead": { "user": "14" } });
    bad["requested_by"] = json!("13");
    let refused = with_input(world, &["preview", "--json"], bad.to_string().as_bytes()).expect(3).json();
    let codes: Vec<&str> = refused["rejections"]
        .as_array()
        .expect("reasons")
        .iter()
        .filter_map(|reason| reason["code"].as_str())
        .collect();
    assert_eq!(codes, ["requester_not_permitted", "allotment_missing", "successor_not_eligible", "allotment_missing"]);
    let plain = with_input(world, &["preview"], bad.to_string().as_bytes()).expect(3).out;
    assert!(plain.contains("would be rejected") && plain.contains("to mend it: add `reassign.contact`"), "{plain}");
    let both = format!("{good}\n{bad}\n");
    assert_eq!(with_input(world, &["preview", "--json"], both.as_bytes()).expect(3).json_lines().len(), 2);
    let mut unfit = keap_request("r3");
    unfit["user_id"] = json!("053");
    let unfit = with_input(world, &["preview"], unfit.to_string().as_bytes()).expect(1);
    assert!(unfit.err.contains("invalid_id at `user_id`"), "{}", unfit.err);
    assert_eq!(snapshot::of_host(world).await, before);
    for table in ["jobs", "requests", "outbox", "audit"] {
        assert_eq!(world.number(&format!("SELECT count(*) FROM handover.{table}")).await, 0, "{table}");
    }
});

// --- Sending and working ---------------------------------------------------------------------------------------------

/// A request that hands everything of a user to 11.
fn leaves(user: &str) -> Value {
    let everything = json!({ "user": "11" });
    json!({
        "request_id": format!("leaver {user}"), "org_id": "1", "user_id": user, "requested_by": "1",
        "reassign": { "contact": everything, "lead": everything, "task": everything },
    })
}

on_both!(requests_are_sent_from_a_file_from_lines_and_from_standard_input, |world| {
    let folder = tempfile::tempdir().expect("a folder");
    let (one, lines) = (folder.path().join("one.json"), folder.path().join("lines.jsonl"));
    std::fs::write(&one, serde_json::to_string_pretty(&leaves("53")).expect("JSON")).expect("a file");
    std::fs::write(&lines, format!("{}\n\n{}\n", leaves("15"), leaves("16"))).expect("a file");
    let id = |user: &str| read(&leaves(user)).job_id();
    assert_eq!(on(world, &["submit", text(&one)]).expect(0).out, format!("{}\n", id("53")));
    assert_eq!(on(world, &["submit", text(&lines)]).expect(0).out, format!("{}\n{}\n", id("15"), id("16")));
    let piped = with_input(world, &["submit", "--json"], leaves("17").to_string().as_bytes()).expect(0).json_lines();
    assert_eq!(piped, [json!({ "request_id": "leaver 17", "job_id": id("17").to_string() })]);
    let worker = start_worker(world, &[]);
    for user in ["53", "15", "16", "17"] {
        assert_eq!(world.end_of(id(user)).await.state, "completed", "{user}");
    }
    assert_eq!(tokio::task::block_in_place(|| worker.stop()), 0);
});

on_both!(submit_waits_for_the_end_and_tells_it_by_its_exit_code, |world| {
    let worker = start_worker(world, &[]);
    let done = with_input(world, &["submit", "--wait"], leaves("53").to_string().as_bytes()).expect(0).out;
    assert!(done.contains("completed") && done.contains("104 moved"), "{done}");
    let again = with_input(world, &["submit", "--wait", "--json"], leaves("53").to_string().as_bytes()).expect(0);
    assert_eq!(again.json_lines().last().expect("a line")["state"], "completed");
    let rejected = with_input(world, &["submit", "--wait"], leaves("31").to_string().as_bytes()).expect(3).out;
    assert!(rejected.contains("already_inactive"), "{rejected}");
    let both = format!("{}\n{}\n", leaves("31"), leaves("15"));
    with_input(world, &["submit", "--wait"], both.as_bytes()).expect(3);
    let mut conflict = leaves("53");
    conflict["reason"] = json!("another body");
    let conflict = with_input(world, &["submit", "--wait"], conflict.to_string().as_bytes()).expect(1);
    assert!(conflict.err.contains("was used before with another body"), "{}", conflict.err);
    assert_eq!(tokio::task::block_in_place(|| worker.stop()), 0);
});

on_both!(where_one_request_of_a_file_cannot_be_read_nothing_is_sent, |world| {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("requests.jsonl");
    let mut wrong = leaves("15");
    wrong["reassign"]["contact"] = json!({ "logic": "ratio", "shares": [{ "user": "11", "amount": -1 }] });
    std::fs::write(&file, format!("{}\n{wrong}\n{}\n", leaves("53"), leaves("16"))).expect("a file");
    let refused = on(world, &["submit", text(&file)]).expect(1);
    assert_eq!(refused.out, "");
    for part in ["requests.jsonl, line 2", "nothing was sent", "invalid_amount", "reassign.contact.shares[0].amount"] {
        assert!(refused.err.contains(part), "{part} is missing in: {}", refused.err);
    }
    world.start_worker().await;
    let marker = world.hand_over(&leaves("999")).await;
    assert_eq!(marker.state, "rejected");
    assert_eq!(world.number("SELECT count(*) FROM handover.jobs").await, 1);
    assert!(on(world, &["submit", "no-such-file"]).expect(1).err.contains("no-such-file cannot be read"));
    assert!(on(world, &["submit"]).expect(1).err.contains("holds no request"));
});

on_both!(a_worker_that_is_told_to_stop_finishes_what_it_holds_and_another_completes_the_job, |world| {
    world
        .sql(
            "INSERT INTO contacts (id, org_id, owner_id, created_by, name) \
             WITH RECURSIVE n (i) AS (SELECT 100000 UNION ALL SELECT i + 1 FROM n WHERE i < 102999) \
             SELECT i, 1, 53, 1, 'More' FROM n",
        )
        .await;
    let job = world.send(&leaves("53")).await;
    let worker = start_worker(world, &[("HANDOVER_LIMITS__CHUNK_ROWS", "2")]);
    let closed = "SELECT count(*) FROM handover.chunks WHERE state = 'closed'";
    world.until("some chunks are done", async || (world.number(closed).await > 5).then_some(())).await;
    let began = Instant::now();
    assert_eq!(tokio::task::block_in_place(|| worker.stop()), 0);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    let stopped = world.job(job).await.expect("a job");
    assert!(!stopped.state().expect("a state").is_final(), "{stopped:?}");
    let done = world.number(closed).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(world.number(closed).await, done, "nobody works on");

    let worker = start_worker(world, &[]);
    let ended = world.end_of(job).await;
    let certificate = crate::support::world::certificate_of(&ended);
    let contact = certificate.references.iter().find(|found| found.kind == "contact").expect("contacts");
    assert_eq!((contact.found, contact.moved), (Some(3104), Some(3104)));
    assert_eq!(world.number("SELECT count(*) FROM contacts WHERE owner_id = 53").await, 0);
    assert_eq!(tokio::task::block_in_place(|| worker.stop()), 0);
});

on_both!(an_idle_worker_stops_at_once, |world| {
    let worker = start_worker(world, &[]);
    let settings = settings(world);
    let job = JobId(world.end_of(world.send(&leaves("999")).await).await.id);
    let began = Instant::now();
    assert_eq!(tokio::task::block_in_place(|| worker.stop()), 0);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let seen = tokio::task::block_in_place(|| run(&borrowed(&settings), &["job", &job.to_string()])).expect(0);
    assert!(seen.out.contains("unknown_user"), "{}", seen.out);
});

// --- Setting up ------------------------------------------------------------------------------------------------------

#[test]
fn a_database_without_a_ledger_is_told_what_to_do_and_migrating_twice_is_fine() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}?mode=rwc", folder.path().join("new.db").display());
    let new = [("HANDOVER_DATABASE__URL", url.as_str())];
    for arguments in [&["run"][..], &["jobs"], &["users"], &["job", "00000000-0000-0000-0000-000000000000"]] {
        let ended = run(&new, arguments).expect(1);
        assert!(ended.err.contains("run `handover migrate`"), "{arguments:?}: {}", ended.err);
    }
    run(&new, &["migrate"]).expect(0);
    run(&new, &["migrate"]).expect(0);
    assert_eq!(run(&new, &["jobs", "--json"]).expect(0).out, "");
    // The catalog's tables are not there yet.
    assert!(run(&new, &["users"]).expect(1).err.contains("the database has no table `users`"));
    run(&new, &["migrate", "--reference-crm"]).expect(0);
    let migrated = run(&new, &["migrate", "--reference-crm"]).expect(0);
    assert_eq!(migrated.out, "the reference CRM is up to date\nthe ledger is up to date\n");
    assert_eq!(run(&new, &["users", "--json"]).expect(0).out, "");
    assert!(run(&new, &["catalog", "scan"]).expect(0).out.contains("0 foreign keys"));
}

on_both!(the_reference_crm_can_come_after_the_ledger, |world| {
    if world.setting == Setting::Embedded {
        return;
    }
    // A role that is called like the ledger's schema, as in `deploy/services`.
    let role = world.texts("SELECT current_user::text AS t").await;
    assert_eq!(role, ["handover"]);
    world.sql("DROP SCHEMA public CASCADE").await;
    world.sql("CREATE SCHEMA public").await;
    on(world, &["migrate"]).expect(0);
    on(world, &["migrate", "--reference-crm"]).expect(0);
    assert!(on(world, &["catalog", "check"]).expect(0).out.contains("0 faults"));
});

#[test]
fn everything_that_is_wrong_with_the_configuration_is_told_at_once_and_no_password() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("handover.toml");
    std::fs::write(
        &file,
        "colour = \"red\"\n[database]\nurl = \"mysql://me:s3cret-word@db/crm\"\n[limits]\nwindow = 0\nchunk_rows = 1000000\n[worker]\ngrace = \"soon\"\n",
    )
    .expect("a file");
    let wrong = [
        ("HANDOVER_BROKER__URL", "http://me:s3cret-word@broker"),
        ("HANDOVER_LOG__FORMAT", "poetry"),
        ("HANDOVER_LIMITS__GROUP", "0"),
    ];
    let ended = run(&wrong, &["jobs", "--config", text(&file)]).expect(1);
    for part in [
        "colour",
        "`database.url`",
        "`broker.url`",
        "`limits.window`",
        "`limits.group`",
        "`limits.chunk_rows`",
        "[worker]",
        "[log]",
    ] {
        assert!(ended.err.contains(part), "{part} is missing in: {}", ended.err);
    }
    assert!(!ended.err.contains("s3cret-word") && !ended.out.contains("s3cret-word"), "{}", ended.err);
    let missing = run(&[], &["jobs", "--config", "no-such-file.toml"]).expect(1);
    assert!(missing.err.contains("no-such-file.toml"), "{}", missing.err);
    std::fs::write(&file, "[database\n").expect("a file");
    assert!(run(&[], &["jobs", "--config", text(&file)]).expect(1).err.contains("cannot be read"));
}

#[test]
fn a_password_is_never_printed() {
    // Nothing listens on port 1.
    let postgres = ("HANDOVER_DATABASE__URL", "postgres://me:s3cret-word@127.0.0.1:1/crm");
    let quick = ("HANDOVER_DATABASE__ACQUIRE_TIMEOUT", "1s");
    let loud = ("HANDOVER_LOG__FILTER", "trace");
    for arguments in [&["run"][..], &["jobs"], &["migrate"], &["catalog", "check"]] {
        let ended = run(&[postgres, quick, loud], arguments).expect(1);
        assert!(!ended.err.contains("s3cret-word") && !ended.out.contains("s3cret-word"), "{}{}", ended.out, ended.err);
        assert!(ended.err.contains("me:***@127.0.0.1"), "{}", ended.err);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}?mode=rwc", folder.path().join("new.db").display());
    let amqp = ("HANDOVER_BROKER__URL", "amqp://me:s3cret-word@127.0.0.1:1/%2f");
    let settings = [("HANDOVER_DATABASE__URL", url.as_str()), amqp, ("HANDOVER_BROKER__CONNECT_TIMEOUT", "1s"), loud];
    run(&settings, &["migrate", "--reference-crm"]).expect(0);
    let child = binary(&settings, &["run"]).spawn().expect("the binary");
    let id = child.id();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(4));
        // It may have given up by itself.
        let _ = Command::new("kill").args(["-TERM", &id.to_string()]).status();
    });
    let ended = finish(child, b"");
    assert!(!ended.err.contains("s3cret-word") && !ended.out.contains("s3cret-word"), "{}{}", ended.out, ended.err);
}

#[test]
fn what_is_no_command_is_a_matter_of_usage() {
    for arguments in [
        &["fly"][..],
        &[],
        &["demo", "--records", "0"],
        &["demo", "--fly"],
        &["schema", "planet"],
        &["run", "--stage", "x"],
    ] {
        let ended = run(&[], arguments).expect(2);
        assert!(
            ended.err.contains("Usage") || ended.err.contains("possible values") || ended.err.contains("--help"),
            "{}",
            ended.err
        );
    }
    assert!(run(&[], &["--help"]).expect(0).out.contains("Show what Handover does"));
    assert!(run(&[], &["--version"]).expect(0).out.starts_with("handover "));
}
