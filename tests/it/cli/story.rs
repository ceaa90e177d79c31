//! `handover job ID`: the whole story of a job.

use serde_json::json;

use crate::support::on_both;
use crate::support::people::{leave, reference, start};
use crate::support::process::on;

on_both!(a_jobs_story_goes_from_the_request_to_the_certificate_with_every_failed_attempt_and_every_order, |world| {
    world.use_chunks_of(2);
    let tables = "CREATE TABLE docs (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT); \
                  INSERT INTO docs VALUES (1, 9), (2, 9), (3, 9), (4, 9), (5, 9);";
    start(world, tables, &reference("doc", "docs", "disposition = \"transfer\"")).await;
    // The database refuses one row, until a person mends it.
    world.sql("CREATE UNIQUE INDEX docs_two ON docs (owner) WHERE owner = 2 AND id IN (2, 4)").await;
    let request = leave("9", json!({ "doc": { "user": "2" } }));
    let job = world.hand_over(&request).await;
    assert_eq!(job.state, "needs_attention", "{:?}", job.reasons);
    world.sql("DROP INDEX docs_two").await;
    let id = job.id.to_string();
    on(world, &["resume", &id, "--by", "1", "--reason", "mended", "--wait"]).expect(0);
    let ended = world.end_of(handover::contract::JobId(job.id)).await;
    assert_eq!(ended.state, "completed", "{:?}", ended.reasons);

    let told = on(world, &["job", &id, "--json"]).expect(0).json();
    assert_eq!(told["request"]["body"]["request_id"], request["request_id"]);
    assert_eq!(told["request"]["outcome"], "accepted");
    let failed = told["failed_attempts"].as_array().expect("attempts");
    assert!(!failed.is_empty(), "{told}");
    for attempt in failed {
        let message = attempt["detail"][0]["message"].as_str().expect("a message").to_lowercase();
        assert!(message.contains("unique"), "the database's own words: {message}");
    }
    assert_eq!(told["orders"][0]["type"], "resume");
    assert_eq!((&told["orders"][0]["requested_by"], &told["orders"][0]["reason"]), (&json!("1"), &json!("mended")));
    let moved: u64 =
        told["journal"].as_array().expect("a journal").iter().filter_map(|done| done["records"].as_u64()).sum();
    assert_eq!(moved, 5, "{told}");
    assert_eq!(told["orphans"], 0);
    let history: Vec<&str> =
        told["history"].as_array().expect("a history").iter().filter_map(|entry| entry["action"].as_str()).collect();
    let place = |action: &str| {
        history.iter().position(|told| *told == action).unwrap_or_else(|| panic!("{action}: {history:?}"))
    };
    assert!(place("deactivate.needs_attention") < place("deactivate.completed"), "{history:?}");
    assert!(!history.contains(&"chunk.failed"), "{history:?}");
    let plain = on(world, &["job", &id]).expect(0).out;
    for part in ["failed  ", "attempt 1", "resume by 1", "deactivate.completed"] {
        assert!(plain.contains(part), "{part} is missing in:\n{plain}");
    }
});
