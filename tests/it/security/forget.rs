//! Forgetting a person: the ledger keeps counts but no personal data.

use handover::contract::{JobId, SkipReason};
use serde_json::{Value, json};

use crate::support::keap::{ADMIN, AMANDA};
use crate::support::process::{as_owner, on};
use crate::support::world::{certificate_of, codes_of, keap_request, result_of};
use crate::support::{Engine, World, every_engine};

/// Ends the period in which completed jobs are recounted.
async fn end_recounts(world: &World) {
    world.change_ledger("UPDATE handover.jobs SET recount_at = NULL").await;
}

/// Waits until the relay has published all events. SQLite has no relay.
async fn until_events_are_published(world: &World) {
    if world.engine == Engine::Postgres {
        let waiting = "SELECT count(*) FROM handover.outbox WHERE channel = 'events'";
        world.until("events are published", async || (world.number(waiting).await == 0).then_some(())).await;
    }
}

fn forget(world: &World, user: &str) -> Value {
    let erased = as_owner(world, &["forget", user, "--org", "1", "--by", "1", "--json"]).expect(0).json();
    assert_eq!(erased["dry_run"], json!(false));
    erased["held"].clone()
}

/// Counts the ledger's rows that contain a text.
async fn rows_with(world: &World, text: &str) -> Vec<String> {
    let ledger = world.everything().await.into_iter().filter(|(table, _)| table.contains("handover"));
    let reported = ledger.filter(|(table, _)| !table.contains("catalogs") && !table.contains("migrations"));
    let rows = reported.flat_map(|(table, rows)| rows.into_iter().map(move |row| format!("{table}: {row}")));
    rows.filter(|row| row.contains(text)).collect()
}

#[every_engine(also_in_chunks_of = 10)]
async fn forgotten_leaver_leaves_only_counts(world: &mut World) {
    world.start_worker().await;
    // A user with a unique name who shares rows with others.
    world.sql("UPDATE users SET name = 'Zuzana Q', email = 'zuzana@example.com' WHERE id = 53").await;
    let mut request = keap_request("offboarding of zuzana");
    request["reason"] = json!("zuzana was dismissed");
    let job = world.hand_over(&request).await;
    let certificate = certificate_of(&job);
    let mut refused = keap_request("zuzana again");
    refused["reason"] = json!("zuzana, once more");
    assert_eq!(codes_of(&world.hand_over(&refused).await), ["already_inactive"]);
    until_events_are_published(world).await;
    let early = as_owner(world, &["forget", "53", "--org", "1", "--by", "1"]).expect(1);
    assert!(early.err.contains("still counted again"), "{}", early.err);
    end_recounts(world).await;

    let before = world.everything().await;
    as_owner(world, &["forget", "53", "--org", "1", "--by", "1", "--dry-run"]).expect(0);
    assert_eq!(world.everything().await, before, "a dry run changes nothing");
    let held = forget(world, "53");
    assert_eq!((&held["jobs"], held["row_snapshots"].as_u64() > Some(0)), (&json!(2), true), "{held}");
    assert_eq!(rows_with(world, "zuzana").await, Vec::<String>::new());
    for place in
        ["jobs WHERE user_id", "journal WHERE from_user", "row_snapshots WHERE from_user", "audit WHERE user_id"]
    {
        assert_eq!(world.number(&format!("SELECT count(*) FROM handover.{place} = '53'")).await, 0, "{place}");
    }
    let after = world.job(JobId(job.id)).await.expect("the job");
    let counted = certificate_of(&after);
    assert_eq!(result_of(&counted, "contact"), result_of(&certificate, "contact"), "the counts stay");
    assert_ne!(counted.user_id, "53");
    assert_eq!(world.number("SELECT sum(records) FROM handover.journal WHERE kind = 'contact'").await, 104);
    let trail = on(world, &["audit", "--action", "forgotten", "--json"]).expect(0).json_lines();
    assert_eq!((trail.len(), &trail[0]["actor"]), (1, &json!("1")));
    assert_eq!(trail[0]["user_id"], json!(after.user_id), "the same pseudonym replaces them everywhere");

    let revert = json!({ "type": "revert", "request_id": "back", "org_id": "1", "requested_by": ADMIN, "job_id": job.id.to_string() });
    assert_eq!(codes_of(&world.hand_over(&revert).await), ["forgotten"]);
    until_events_are_published(world).await;
    for nobody in ["53", "9999"] {
        let again = as_owner(world, &["forget", nobody, "--org", "1", "--by", "1"]).expect(1);
        let said = format!("nothing is held of user {nobody} of organization 1");
        assert!(again.err.contains(&said), "{}", again.err);
    }
    let entries = "SELECT count(*) FROM handover.audit WHERE action = 'forgotten'";
    assert_eq!(world.number(entries).await, 1, "nobody else was forgotten");
}

#[every_engine]
async fn forgotten_successor_does_not_prevent_undo(world: &mut World) {
    world.start_worker().await;
    world.sql("UPDATE users SET role = 'admin' WHERE id = 12").await;
    let mut request = keap_request("r1");
    request["requested_by"] = json!(AMANDA);
    let job = world.hand_over(&request).await;
    certificate_of(&job);
    until_events_are_published(world).await;
    end_recounts(world).await;
    let held = forget(world, "12");
    assert_eq!((&held["jobs"], &held["named_in"]), (&json!(0), &json!(1)));
    let text = serde_json::to_string(&world.job(JobId(job.id)).await.expect("the job").certificate).expect("JSON");
    assert!(!text.contains("\"12\""), "{text}");
    for place in
        ["journal WHERE to_user", "job_successors WHERE user_id", "audit WHERE actor", "jobs WHERE requested_by"]
    {
        assert_eq!(world.number(&format!("SELECT count(*) FROM handover.{place} = '12'")).await, 0, "{place}");
    }
    let revert = json!({ "type": "revert", "request_id": "back", "org_id": "1", "requested_by": ADMIN, "job_id": job.id.to_string() });
    let undone = certificate_of(&world.hand_over(&revert).await);
    let contacts = result_of(&undone, "contact");
    assert_eq!(
        (contacts.restored, contacts.skipped[&SkipReason::Changed]),
        (Some(54), 50),
        "Amanda keeps what she received"
    );
}

#[every_engine]
async fn open_jobs_and_workers_cannot_forget(world: &mut World) {
    world.start_worker().await;
    let mut later = keap_request("later");
    later["effective_at"] = json!("2126-01-01T00:00:00Z");
    let id = world.send(&later).await;
    world.until("the job is scheduled", async || world.job(id).await).await;
    until_events_are_published(world).await;
    for user in ["53", "13", "1"] {
        let by = ["forget", user, "--org", "1", "--by", "14"];
        let refused = as_owner(world, &by).expect(1);
        assert!(refused.err.contains("is scheduled"), "{user}: {}", refused.err);
    }
    if world.engine == Engine::Postgres {
        let mut gone = keap_request("gone");
        gone["user_id"] = json!("31");
        assert_eq!(codes_of(&world.hand_over(&gone).await), ["already_inactive"]);
        until_events_are_published(world).await;
        let refused = on(world, &["forget", "31", "--org", "1", "--by", "14"]).expect(1);
        assert!(refused.err.contains("as the owner of the ledger"), "{}", refused.err);
    }
}
