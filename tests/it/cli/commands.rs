//! Commands about a job: revert and its preview, cancel, pause, resume, amend.

use handover::contract::{JobId, SkipReason};
use handover::job::State;
use handover::store::ledger::jobs::Job;
use handover::worker::Role;
use serde_json::{Value, json};

use crate::support::keap::{LEAVER, MATHEW, SUPPORT, to};
use crate::support::process::{on, with_input};
use crate::support::world::{certificate_of, keap_request, result_of};
use crate::support::{World, every_engine};

async fn deactivated(world: &mut World) -> Job {
    world.start_worker().await;
    let job = world.hand_over(&keap_request("r1")).await;
    certificate_of(&job);
    job
}

fn id_of(printed: &str) -> JobId {
    let first = printed.lines().next().expect("a line");
    JobId(first.parse().expect("a job's id"))
}

#[every_engine]
async fn revert_uses_the_jobs_organization(world: &mut World) {
    let job = deactivated(world).await;
    let id = job.id.to_string();
    let sent = on(world, &["revert", &id, "--by", "1", "--reason", "came back", "--wait"]).expect(0);
    let undo = world.job(id_of(&sent.out)).await.expect("the order's job");
    assert_eq!((undo.org.as_str(), undo.reason.as_deref()), ("1", Some("came back")));
    assert_eq!(world.owned_by(LEAVER, "contacts").await, 104);
    let again = on(world, &["revert", &id, "--by", "1", "--wait", "--json"]).expect(3).json_lines();
    assert_eq!(again.last().expect("a line")["state"], "rejected");
    on(world, &["revert", &id]).expect(2);
    let unknown = on(world, &["revert", "00000000-0000-0000-0000-000000000000", "--by", "1"]).expect(1);
    assert!(unknown.err.contains("there is no job"), "{}", unknown.err);
}

#[every_engine]
async fn command_with_same_request_id_runs_once(world: &mut World) {
    let job = deactivated(world).await;
    let command = ["revert", &job.id.to_string(), "--by", "1", "--request-id", "undo-1", "--wait"];
    let first = id_of(&on(world, &command).expect(0).out);
    assert_eq!(id_of(&on(world, &command).expect(0).out), first);
    assert_eq!(world.number("SELECT count(*) FROM handover.jobs WHERE kind = 'revert'").await, 1);
}

#[every_engine]
async fn job_is_paused_amended_resumed_and_cancelled(world: &mut World) {
    world.use_chunks_of(10);
    world.start_roles(&[Role::Planner]).await;
    let job = world.send(&keap_request("r1")).await;
    world.until("the job has begun", async || world.job(job).await.filter(|job| job.state == State::Cutting)).await;
    let id = job.to_string();
    on(world, &["pause", &id, "--by", "1", "--wait"]).expect(0);
    assert_eq!(world.job(job).await.expect("the job").state, State::Paused);
    on(world, &["pause", &id, "--by", "1", "--wait"]).expect(3);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("successors.json");
    std::fs::write(&file, json!({ "contact": to(MATHEW) }).to_string()).expect("a file");
    let file = file.to_str().expect("UTF-8");
    for bad in [r#"{ "contact": { "user": "14" }, "contact": { "user": "13" } }"#, r#"[]"#, "}", r#"{}, "job_id": 1"#] {
        let refused = with_input(world, &["amend", &id, "--by", "1", "--reassign", "-"], bad.as_bytes()).expect(1);
        assert_eq!(refused.out, "", "{bad}");
    }
    on(world, &["amend", &id, "--by", "1", "--reassign", file]).expect(0);
    let goes_on = async || world.job(job).await.filter(|job| job.state == State::Cutting);
    world.until("the amended job goes on", goes_on).await;
    on(world, &["pause", &id, "--by", "1", "--wait"]).expect(0);
    // Only a planner runs, so the resumed job does not end.
    let waited = on(world, &["resume", &id, "--by", "1", "--wait", "--timeout", "3s"]).expect(1);
    assert!(waited.err.contains(&format!("the time is over: the job {id} goes on")), "{}", waited.err);
    world.start_worker().await;
    on(world, &["watch", &id]).expect(0);
    let certificate = certificate_of(&world.end_of(job).await);
    assert_eq!(result_of(&certificate, "contact").successors, [("14".to_owned(), 104)].into());
    let mut later = keap_request("r2");
    later["user_id"] = json!("54");
    later["effective_at"] = json!("2199-01-01T00:00:00Z");
    later["reassign"] = json!({ "contact": to(MATHEW), "lead": to(SUPPORT), "task": to(MATHEW),
        "account": to(MATHEW), "direct_report": to(MATHEW) });
    let later = world.send(&later).await;
    world.until("the job waits", async || world.job(later).await.filter(|job| job.state == State::Scheduled)).await;
    on(world, &["cancel", &later.to_string(), "--by", "1", "--wait"]).expect(0);
    assert_eq!(world.job(later).await.expect("the job").state, State::Cancelled);
}

/// Returns the nonempty counts of a preview or certificate, by kind.
fn counts(references: &Value) -> Vec<Value> {
    references.as_array().expect("references").clone()
}

#[every_engine(also_in_chunks_of = 10)]
async fn revert_preview_matches_the_revert(world: &mut World) {
    world.sql("DELETE FROM follows WHERE follower_id = 53").await;
    world.sql("INSERT INTO follows (follower_id, followed_id) VALUES (53, 11), (53, 12), (53, 13)").await;
    let job = deactivated(world).await;
    world.sql("UPDATE contacts SET owner_id = 15 WHERE id = (SELECT min(id) FROM contacts WHERE owner_id = 12)").await;
    world.sql("UPDATE contacts SET owner_id = 53 WHERE id = (SELECT max(id) FROM contacts WHERE owner_id = 13)").await;
    let moved = "SELECT min(id) FROM tasks WHERE owner_id = 11 AND status = 'pending'";
    world.sql(&format!("DELETE FROM tasks WHERE id = ({moved})")).await;
    // One row whose other user has left since, one whose key is taken, and one without a snapshot.
    world.sql("UPDATE users SET status = 'inactive' WHERE id = 12").await;
    world.sql("INSERT INTO follows (follower_id, followed_id) VALUES (53, 11)").await;
    let one = "SELECT min(id) FROM handover.row_snapshots WHERE kind = 'completed_task'";
    world.change_ledger(&format!("DELETE FROM handover.row_snapshots WHERE id = ({one})")).await;
    let before = world.everything().await;
    let id = job.id.to_string();
    let preview = on(world, &["revert", &id, "--by", "1", "--dry-run", "--json"]).expect(0).json();
    assert_eq!(world.everything().await, before, "a preview changes nothing");
    assert_eq!((&preview["accepted"], &preview["license"]), (&json!(true), &json!("free")));
    let plain = on(world, &["revert", &id, "--by", "1", "--dry-run"]).expect(0).out;
    for part in ["1 changed", "1 gone", "1 back_already", "1 without a snapshot", "license: one is free"] {
        assert!(plain.contains(part), "{part} is missing in:\n{plain}");
    }
    let sent = on(world, &["revert", &id, "--by", "1", "--wait"]).expect(0);
    let undo = world.job(id_of(&sent.out)).await.expect("the order's job");
    let certificate = undo.certificate.clone().expect("a certificate");
    assert_eq!(counts(&preview["references"]), counts(&certificate["references"]));
    let certificate = certificate_of(&undo);
    let skipped = |kind: &str| result_of(&certificate, kind).skipped;
    assert_eq!(skipped("contact"), [(SkipReason::Changed, 1), (SkipReason::BackAlready, 1)].into());
    assert_eq!(skipped("task"), [(SkipReason::Gone, 1)].into());
    assert_eq!(result_of(&certificate, "completed_task").impossible, Some(1));
    assert_eq!(skipped("following"), [(SkipReason::Occupied, 1), (SkipReason::OtherInactive, 1)].into());
}

#[every_engine]
async fn revert_preview_explains_refusals(world: &mut World) {
    let job = deactivated(world).await;
    world.sql("DELETE FROM licenses WHERE user_id IS NULL").await;
    let id = job.id.to_string();
    let codes = |by: &str| -> Vec<String> {
        let preview = on(world, &["revert", &id, "--by", by, "--dry-run", "--json"]).expect(3).json();
        let reasons = preview["rejections"].as_array().expect("reasons");
        reasons.iter().map(|reason| reason["code"].as_str().expect("a code").to_owned()).collect()
    };
    assert_eq!(codes("1"), ["no_license_free"]);
    assert_eq!(codes("13"), ["requester_not_permitted", "no_license_free"]);
    let plain = on(world, &["revert", &id, "--by", "1", "--dry-run"]).expect(3).out;
    assert!(plain.contains("would be rejected") && plain.contains("license: none is free"), "{plain}");
    world.sql("INSERT INTO licenses (org_id) VALUES (1)").await;
    on(world, &["revert", &id, "--by", "1", "--wait"]).expect(0);
    assert_eq!(codes("1"), ["wrong_state"]);
}
