//! `handover job ID`: the whole history of a job.

use handover::job::State;
use handover::store::ledger::audit::MOST_FAILED;
use serde_json::json;

use crate::support::keap::leaver;
use crate::support::people::{leave, reference, start};
use crate::support::process::on;
use crate::support::world::certificate_of;
use crate::support::{World, every_engine};

#[every_engine]
async fn job_history_shows_every_attempt_and_command(world: &mut World) {
    world.use_chunks_of(2);
    let tables = "CREATE TABLE docs (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT); \
                  INSERT INTO docs VALUES (1, 9), (2, 9), (3, 9), (4, 9), (5, 9);";
    start(world, tables, &reference("doc", "docs", "disposition = \"transfer\"")).await;
    // The database refuses one row until someone fixes it.
    world.sql("CREATE UNIQUE INDEX docs_two ON docs (owner) WHERE owner = 2 AND id IN (2, 4)").await;
    let request = leave("9", json!({ "doc": { "user": "2" } }));
    let job = world.hand_over(&request).await;
    assert_eq!(job.state, State::NeedsAttention, "{:?}", job.reasons);
    world.sql("DROP INDEX docs_two").await;
    let id = job.id.to_string();
    let resumed = on(world, &["resume", &id, "--by", "1", "--reason", "fixed", "--wait"]).expect(0).out;
    assert!(resumed.contains("5 moved"), "it waits for the job, not for the command: {resumed}");
    let ended = world.end_of(handover::contract::JobId(job.id)).await;
    assert_eq!(ended.state, State::Completed, "{:?}", ended.reasons);

    let reported = on(world, &["job", &id, "--json"]).expect(0).json();
    assert_eq!(reported["request"]["body"]["request_id"], request["request_id"]);
    assert_eq!(reported["request"]["outcome"], "accepted");
    let failed = reported["failed_attempts"].as_array().expect("attempts");
    assert!(!failed.is_empty(), "{reported}");
    for attempt in failed {
        let message = attempt["detail"][0]["message"].as_str().expect("a message").to_lowercase();
        assert!(message.contains("unique"), "the database's own words: {message}");
    }
    assert_eq!(reported["commands"][0]["type"], "resume");
    assert_eq!(
        (&reported["commands"][0]["requested_by"], &reported["commands"][0]["reason"]),
        (&json!("1"), &json!("fixed"))
    );
    let moved: u64 =
        reported["journal"].as_array().expect("a journal").iter().filter_map(|done| done["records"].as_u64()).sum();
    assert_eq!(moved, 5, "{reported}");
    assert_eq!(reported["orphans"], 0);
    let history: Vec<&str> = reported["history"]
        .as_array()
        .expect("a history")
        .iter()
        .filter_map(|entry| entry["action"].as_str())
        .collect();
    let place = |action: &str| {
        history.iter().position(|reported| *reported == action).unwrap_or_else(|| panic!("{action}: {history:?}"))
    };
    assert!(place("deactivate.needs_attention") < place("deactivate.completed"), "{history:?}");
    assert!(!history.contains(&"chunk.failed"), "{history:?}");
    let plain = on(world, &["job", &id]).expect(0).out;
    for part in ["failed  ", "attempt 1", "resume by 1", "deactivate.completed"] {
        assert!(plain.contains(part), "{part} is missing in:\n{plain}");
    }
}

#[every_engine]
async fn job_history_limits_the_listed_attempts(world: &mut World) {
    world.use_chunks_of(2);
    let tables = "CREATE TABLE docs (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT CHECK (owner <> 2)); \
                  INSERT INTO docs VALUES (1, 9), (2, 9), (3, 9), (4, 9), (5, 9);";
    start(world, tables, &reference("doc", "docs", "disposition = \"transfer\"")).await;
    let job = world.hand_over(&leave("9", json!({ "doc": { "user": "2" } }))).await;
    assert_eq!(job.state, State::NeedsAttention, "{:?}", job.reasons);
    let id = job.id.to_string();
    let attempts = async || {
        let reported = on(world, &["job", &id, "--json"]).expect(0).json();
        reported["failed_attempts"].as_array().expect("attempts").clone()
    };
    let before = attempts().await;
    assert!(before.len() > 5, "{before:?}");
    // As if this had gone on for a long time.
    let columns = "at, org, actor, action, user_id, job_id, request_id, detail";
    let rest = MOST_FAILED - 1 - before.len() as u64;
    world
        .change_ledger(&format!(
            "INSERT INTO handover.audit ({columns}) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rest}) \
             SELECT {columns} FROM n CROSS JOIN (SELECT {columns} FROM handover.audit WHERE action = 'chunk.failed' LIMIT 1) one"
        ))
        .await;
    let resumed = on(world, &["resume", &id, "--by", "1", "--wait"]).expect(1).out;
    assert!(resumed.contains("to fix it: fix the row"), "a reason has its hint: {resumed}");
    let stuck = "SELECT count(*) FROM handover.audit WHERE action = 'deactivate.needs_attention'";
    world.until("it is stuck again", async || (world.number(stuck).await == 2).then_some(())).await;
    let after = attempts().await;
    assert_eq!(after.len() as u64, MOST_FAILED + 1);
    assert_eq!(after.last().expect("the last")["detail"][0]["code"], "more_attempts_failed");
    assert!(after[..MOST_FAILED as usize].iter().all(|attempt| attempt["detail"][0]["code"] == "attempt_failed"));
    let count = world.number("SELECT count(*) FROM handover.audit WHERE action = 'chunk.failed'").await;
    assert_eq!(count as u64, MOST_FAILED + 1);
    let plain = on(world, &["job", &id]).expect(0).out;
    assert!(plain.contains("failed attempts: 1001; the first 20 follow"), "{plain}");
    assert!(plain.lines().count() < 100, "the output is readable: {plain}");
}

#[every_engine]
async fn unknown_words_in_the_ledger_are_reported(world: &mut World) {
    let tables = "CREATE TABLE docs (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT); INSERT INTO docs VALUES (1, 9);";
    start(world, tables, &reference("doc", "docs", "disposition = \"transfer\"")).await;
    let id = world.hand_over(&leave("9", json!({ "doc": { "user": "2" } }))).await.id.to_string();
    on(world, &["job", &id]).expect(0);
    for (table, column) in [("journal", "action"), ("requests", "outcome"), ("jobs", "state"), ("jobs", "kind")] {
        world.change_ledger(&format!("UPDATE handover.{table} SET {column} = 'asleep'")).await;
        let error = on(world, &["job", &id]).expect(1).err;
        for part in [table, column, "\"asleep\""] {
            assert!(error.contains(part), "{table}.{column}: {error}");
        }
    }
}

/// A duration can be read from the times of a job and of a command that are done at once.
#[every_engine]
async fn small_jobs_end_after_they_were_requested(world: &mut World) {
    world.start_worker().await;
    let job = world.hand_over(&leaver()).await;
    let certificate = certificate_of(&job);
    let (started, completed) = (job.started_at.expect("a start"), job.completed_at.expect("an end"));
    assert!(job.requested_at <= started && started < completed, "{job:?}");
    assert_eq!((certificate.started_at, certificate.completed_at), (started, completed));
    let invite = json!({ "type": "invite", "request_id": "r2", "org_id": "1", "requested_by": "1",
        "name": "Nicole", "email": "nicole@fun.example" });
    let invited = world.hand_over(&invite).await;
    assert!(invited.completed_at > Some(invited.requested_at), "{invited:?}");
}
