//! Commands that read and change nothing.

use serde_json::json;

use crate::support::process::{borrowed, on, run, settings, text, with_input};
use crate::support::world::{keap_request, read};
use crate::support::{World, every_engine, snapshot};

#[every_engine]
async fn users_are_listed_by_status_with_records(world: &mut World) {
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
}

#[every_engine]
async fn catalog_is_checked_shown_and_scanned(world: &mut World) {
    let checked = on(world, &["catalog", "check"]).expect(0);
    assert!(checked.out.contains("the catalog keap is valid: 0 faults, 0 warnings"), "{}", checked.out);
    let checked = on(world, &["catalog", "check", "--json"]).expect(0).json();
    assert_eq!(checked, json!({ "catalog": "keap", "faults": [], "warnings": [] }));
    assert!(on(world, &["catalog", "show"]).expect(0).out.contains("[[reference]]\nkind = \"contact\""));
    let shown = on(world, &["catalog", "show", "--json"]).expect(0).json();
    let kinds = shown["references"].as_array().expect("references");
    assert!(kinds.iter().any(|kind| kind["kind"] == "note" && kind["disposition"] == "keep"));
    assert!(on(world, &["catalog", "scan"]).expect(0).out.contains("0 foreign keys not covered"));
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
}

#[every_engine]
async fn preview_explains_the_plan_and_changes_nothing(world: &mut World) {
    let before = snapshot::of_host(world).await;
    let good = keap_request("r1");
    let preview = with_input(world, &["preview", "--json"], good.to_string().as_bytes()).expect(0).json();
    assert_eq!(preview["accepted"], true);
    assert_eq!(preview["job_id"], read(&good).job_id().to_string());
    let contact = preview["references"].as_array().expect("references").iter().find(|found| found["kind"] == "contact");
    assert_eq!(contact.expect("contacts")["successors"], json!({ "11": 5, "12": 50, "13": 20, "14": 29 }));
    let plain = with_input(world, &["preview", "-"], good.to_string().as_bytes()).expect(0).out;
    for part in ["104/104", "92/92", "12/12", "\nplan sha256:", "at once, in one transaction"] {
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
    assert!(plain.contains("would be rejected") && plain.contains("to fix it: add `reassign.contact`"), "{plain}");
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
}
