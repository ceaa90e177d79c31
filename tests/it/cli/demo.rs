//! The demo, and the schemas.

use handover::contract::Certificate;
use serde_json::json;

use super::{assert_valid, schema};
use crate::support::process::{run, text};
use crate::support::world::keap_request;

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
    assert_eq!((certificate.user_id.as_str(), certificate.orphans), ("53", 0));
    let contact = certificate.references.iter().find(|found| found.kind == "contact").expect("contacts");
    assert_eq!((contact.found, contact.moved, contact.left_behind), (Some(104), Some(104), Some(0)));
    let events = demo["events"].as_array().expect("events");
    let event = schema("event");
    events.iter().for_each(|reported| assert_valid(&event, reported));
    let sequences: Vec<i64> = events.iter().filter_map(|event| event["sequence"].as_i64()).collect();
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
