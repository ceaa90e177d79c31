//! The demo, and the schemas.

use std::path::Path;

use handover::contract::Certificate;
use serde_json::json;

use super::{assert_valid, schema};
use crate::support::process::{WorkerProcess, borrowed, run, settings, text};
use crate::support::world::keap_request;
use crate::support::{Engine, World, every_engine};

/// Runs a demo and asserts that its output has every expected part.
fn assert_demo_prints(catalog: &str) {
    let file = format!("{}/config/scenarios/{catalog}.toml", env!("CARGO_MANIFEST_DIR"));
    let script: toml::Table = toml::from_str(&std::fs::read_to_string(file).expect("a scenario")).expect("TOML");
    let folder = tempfile::tempdir().expect("a folder");
    let demo = run(&[("TMPDIR", text(folder.path()))], &["demo", "--catalog", catalog]).expect(0);
    assert_eq!(demo.err, "");
    let mut reported = demo.out.as_str();
    for example in script["example"].as_array().expect("examples") {
        let caption = example["caption"].as_str().expect("a caption");
        reported = reported.split_once(caption).unwrap_or_else(|| panic!("{caption:?} is missing in:\n{}", demo.out)).1;
        for part in example["expects"].as_array().expect("parts") {
            let part = part.as_str().expect("a text");
            assert!(reported.contains(part), "{part:?} is missing after {caption:?} in:\n{}", demo.out);
        }
    }
    assert!(!demo.out.contains(['\u{1b}', '\r']), "{:?}", demo.out);
    assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 0);
}

#[test]
fn keap_demo_prints_lines_and_cleans_up() {
    assert_demo_prints("keap");
}

#[test]
fn agent_connect_demo_runs() {
    assert_demo_prints("agent-connect");
}

#[test]
fn apto_demo_runs() {
    assert_demo_prints("apto");
}

#[test]
fn json_demo_has_plan_certificate_and_events() {
    let demo = run(&[], &["demo", "--json"]).expect(0);
    assert_eq!(demo.err, "");
    let demo = demo.json();
    assert_eq!(demo["preview"]["accepted"], true);
    assert!(demo["preview"]["token"].as_str().expect("a token").starts_with("p1."));
    let certificate: Certificate = serde_json::from_value(demo["certificate"].clone()).expect("a certificate");
    assert_eq!((certificate.user_id.as_str(), certificate.orphans), ("53", Some(0)));
    let contact = certificate.references.iter().find(|found| found.kind == "contact").expect("contacts");
    assert_eq!((contact.found, contact.moved, contact.left_behind), (Some(104), Some(104), Some(0)));
    let events = demo["events"].as_array().expect("events");
    let event = schema("event");
    events.iter().for_each(|reported| assert_valid(&event, reported));
    let sequences: Vec<i64> = events.iter().filter_map(|event| event["sequence"].as_str()?.parse().ok()).collect();
    assert_eq!(sequences, (1..=events.len() as i64).collect::<Vec<_>>());
    let completed = events.iter().find(|event| event["type"] == "handover.deactivation.completed").expect("the end");
    for (name, value) in demo["certificate"].as_object().expect("a certificate") {
        assert_eq!(&completed["data"][name], value, "{name}");
    }
}

#[test]
fn large_demo_uses_chunks_and_is_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("demo.db");
    let demo = run(&[], &["demo", "--records", "3000", "--keep", text(&file), "--json"]).expect(0).json();
    let references = demo["certificate"]["references"].as_array().expect("references");
    let contact = references.iter().find(|found| found["kind"] == "contact").expect("contacts");
    assert_eq!((&contact["found"], &contact["moved"]), (&json!(3000), &json!(3000)));
    assert!(demo["preview"]["chunks"].as_u64().expect("chunks") >= 3);
    let event = schema("event");
    demo["events"].as_array().expect("events").iter().for_each(|reported| assert_valid(&event, reported));

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
fn schemas_accept_real_messages_and_refuse_others() {
    let request = schema("request");
    assert_valid(&request, &keap_request("r1"));
    let mut whole = keap_request("r2");
    whole["type"] = json!("deactivate");
    whole["effective_at"] = json!("2026-12-01T00:00:00Z");
    whole["user_id"] = json!(53);
    whole["reassign"]["direct_report"] = json!({ "each": { "31": "40" }, "rest": { "manager": true } });
    assert_valid(&request, &whole);
    for (field, value) in
        [("user_id", json!(53.5)), ("user_id", json!("")), ("colour", json!("red")), ("type", json!("x"))]
    {
        let mut wrong = keap_request("r3");
        wrong[field] = value;
        assert!(!request.is_valid(&wrong), "{wrong}");
    }
    assert!(!schema("event").is_valid(&json!({ "specversion": "1.0" })));
}

/// Returns settings and URL of an empty database for its owner.
async fn empty_database(world: &mut World, folder: &Path) -> (Vec<(String, String)>, String) {
    let url = match world.engine {
        Engine::Sqlite => format!("sqlite://{}?mode=rwc", folder.join("empty.db").display()),
        Engine::Postgres => {
            world.sql("DROP SCHEMA public CASCADE").await;
            world.sql("CREATE SCHEMA public").await;
            world.change_ledger("DROP SCHEMA handover CASCADE").await;
            world.database_url().to_owned()
        }
    };
    let mut settings = settings(world);
    settings.retain(|(name, _)| name != "HANDOVER_DATABASE__URL");
    settings.push(("HANDOVER_DATABASE__URL".into(), url.clone()));
    (settings, url)
}

#[every_engine]
async fn seeded_crm_runs_the_readme_request(world: &mut World) {
    let folder = tempfile::tempdir().expect("a folder");
    let (settings, _) = empty_database(world, folder.path()).await;
    let settings = borrowed(&settings);
    let on = |arguments: &[&str]| tokio::task::block_in_place(|| run(&settings, arguments));
    on(&["migrate", "--seed"]).expect(2);
    let migrate = ["migrate", "--reference-crm", "--seed"];
    assert!(on(&migrate).expect(0).out.contains("the reference CRM has the example of keap"));
    let users = on(&["users", "--status", "all", "--json"]).expect(0).json_lines();
    let again = on(&migrate).expect(1);
    assert!(again.err.contains("has users already, and nothing was added"), "{}", again.err);
    assert_eq!(on(&["users", "--status", "all", "--json"]).expect(0).json_lines(), users);
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("the README");
    let mut blocks = readme.split("```json\n").skip(1).filter_map(|block| block.split("```").next());
    let request = blocks.find(|block| block.contains("\"deactivate\"")).expect("a request");
    let file = folder.path().join("request.json");
    std::fs::write(&file, request).expect("a file");
    let worker = WorkerProcess::start(&settings);
    let done = on(&["submit", text(&file), "--wait"]).expect(0).out;
    for part in ["completed", "104 moved", "92 moved", "12 moved"] {
        assert!(done.contains(part), "{part} is missing in:\n{done}");
    }
    assert_eq!(tokio::task::block_in_place(|| worker.stop()), 0);
    // The database numbers the next row itself.
    let next = "INSERT INTO users (org_id, name, username, email, status, role) \
                VALUES (1, 'New', 'new', 'new@example.com', 'active', 'member')";
    if world.engine == Engine::Postgres {
        world.sql(next).await;
    }
}

#[every_engine]
async fn demo_runs_on_a_given_database(world: &mut World) {
    let folder = tempfile::tempdir().expect("a folder");
    let (settings, url) = empty_database(world, folder.path()).await;
    let demo = ["demo", "--database", &url];
    let ended = tokio::task::block_in_place(|| run(&[], &demo)).expect(0);
    assert!(ended.out.contains("license freed, orphans 0"), "{}", ended.out);
    assert!(!ended.out.contains(&url), "a URL may hold a password: {}", ended.out);
    let jobs = tokio::task::block_in_place(|| run(&borrowed(&settings), &["jobs", "--json"])).expect(0).json_lines();
    assert_eq!((jobs.len(), &jobs[0]["state"]), (1, &json!("completed")));
    let again = tokio::task::block_in_place(|| run(&[], &demo)).expect(1);
    assert!(again.err.contains("has users already"), "{}", again.err);
    let wrong = run(&[], &["demo", "--database", "mysql://me:s3cret@host/db"]).expect(1);
    assert!(wrong.err.contains("--database") && !wrong.err.contains("s3cret"), "{}", wrong.err);
    run(&[], &["demo", "--database", "sqlite://x.db", "--keep", "y.db"]).expect(2);
}

/// Promise: `demo --scim` plays messages of two providers, each with the answer that its caption states, and leaves nothing behind.
#[test]
fn scim_demo_plays_two_providers() {
    let folder = tempfile::tempdir().expect("a folder");
    let demo = run(&[("TMPDIR", text(folder.path()))], &["demo", "--scim"]).expect(0);
    for part in ["okta < 200 totalResults: 1", "active: false", "needs_attention", "okta < 409"] {
        assert!(demo.out.contains(part), "{part:?} is missing in:\n{}", demo.out);
    }
    assert!(!demo.out.contains("hdo_"), "a token is printed: {}", demo.out);
    assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 0);
}
