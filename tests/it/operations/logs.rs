//! What a worker logs where nobody sits at a terminal.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::http::Told;
use crate::support::on_both;
use crate::support::server::until;
use crate::support::world::keap_request;

on_both!(a_workers_log_has_a_line_a_step_with_its_job_and_says_nothing_of_people_but_ids, |world| {
    let folder = tempfile::tempdir().expect("a folder");
    let told = Told::start(world, folder.path(), &[("HANDOVER_LIMITS__CHUNK_ROWS", "50")]);
    let mut request = keap_request("r1");
    request["reason"] = json!("left with Zaphod Beeblebrox");
    let job = world.send(&request).await;
    world.end_of(job).await;
    let mut refused = keap_request("r2");
    refused["user_id"] = json!("99999");
    let refused = world.hand_over(&refused).await;
    // Whatever stands where something else should: what is wrong with it is told by quoting it.
    for body in [
        json!({ "request_id": "r3", "Zaphod Beeblebrox": "zaphod@example.org" }),
        json!({ "request_id": "r4", "org_id": "1", "user_id": "zaphod@example.org", "requested_by": "1" }),
        json!({ "request_id": "r5", "org_id": "1", "user_id": "53", "requested_by": "1", "reassign": "Zaphod Beeblebrox" }),
    ] {
        world.outside.send(body.to_string().into_bytes()).await;
    }
    let parked = |lines: &[Value]| {
        lines
            .iter()
            .filter(|line| line["message"].as_str().is_some_and(|text| text.starts_with("a message is parked")))
            .count()
    };
    tokio::task::block_in_place(|| until("three messages are parked", || parked(&told.log()) == 3));

    let lines = told.log();
    for line in &lines {
        for field in ["timestamp", "level", "target", "message"] {
            assert!(line[field].is_string(), "{line}");
        }
    }
    let (mut steps, mut worked_on) = (BTreeMap::<String, usize>::new(), 0);
    for line in lines.iter().filter(|line| line["message"] == "a step is done") {
        assert_eq!((line["job"].as_str(), line["level"].as_str()), (Some(&*job.to_string()), Some("INFO")), "{line}");
        assert!(line["took_ms"].is_u64(), "{line}");
        worked_on += line["chunks"].as_u64().unwrap_or(0);
        *steps.entry(line["step"].as_str().expect("a step").to_owned()).or_default() += 1;
    }
    let chunks = world.number("SELECT count(*) FROM handover.chunks").await as u64;
    assert!(steps["Cut"] >= 1 && steps["Ticket"] >= 1 && steps["Finalize"] >= 1, "{steps:?}");
    assert_eq!(worked_on, chunks, "each chunk is told of once");
    for (id, state) in [(job.to_string(), "cutting"), (refused.id.to_string(), "rejected")] {
        let is = |line: &&Value| line["message"] == "a request is taken" && line["job"] == id.as_str();
        let line = lines.iter().find(is).unwrap_or_else(|| panic!("{id} is not in the log"));
        assert_eq!((line["state"].as_str(), line["kind"].as_str()), (Some(state), Some("deactivate")), "{line}");
    }

    let mut people = world.texts("SELECT name AS t FROM users").await;
    people.extend(world.texts("SELECT email AS t FROM users").await);
    people.extend(["Zaphod", "zaphod@example.org"].map(str::to_owned));
    for line in &lines {
        let text = line.to_string();
        for person in &people {
            assert!(!text.contains(person.as_str()), "{person} stands in the log: {text}");
        }
    }
});
