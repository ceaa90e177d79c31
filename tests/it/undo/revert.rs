//! Reverting, reactivating, and moving records that were left behind.

use handover::job::State;
use std::collections::BTreeMap;

use handover::contract::{JobId, SkipReason};
use handover::store::ledger::jobs::Job;
use serde_json::{Value, json};

use crate::support::keap::{ADMIN, AMANDA, GERALDINE, LEAVER, MATHEW, PRIYA, SUPPORT, hardcoded, share, to};
use crate::support::world::{certificate_of, codes_of, keap_request, result_of};
use crate::support::{World, every_engine, process, snapshot};

/// Returns a request about a job.
pub fn command(kind: &str, request_id: &str, job: JobId) -> Value {
    json!({ "type": kind, "request_id": request_id, "org_id": "1", "requested_by": ADMIN, "job_id": job })
}

/// Returns a request about a user.
fn about(kind: &str, request_id: &str, user: &str) -> Value {
    json!({ "type": kind, "request_id": request_id, "org_id": "1", "requested_by": ADMIN, "user_id": user })
}

async fn deactivated(world: &mut World) -> JobId {
    let job = world.hand_over(&keap_request("r1")).await;
    certificate_of(&job);
    JobId(job.id)
}

pub async fn state_of(world: &World, job: JobId) -> State {
    world.job(job).await.expect("a job").state
}

pub async fn until_state(world: &World, job: JobId, state: State) -> Job {
    world.until(&format!("the job is {state}"), async || world.job(job).await.filter(|job| job.state == state)).await
}

/// Returns every row of the host in every column, except touched times and credentials, which do not come back.
pub async fn host(world: &World) -> BTreeMap<String, Vec<String>> {
    world.sql("UPDATE contacts SET updated_at = created_at").await;
    world.sql("UPDATE opportunities SET updated_at = created_at").await;
    world.sql("UPDATE tasks SET updated_at = created_at").await;
    world.sql("UPDATE accounts SET updated_at = created_at").await;
    world.sql("UPDATE users SET updated_at = created_at").await;
    let mut tables = world.everything().await;
    tables.retain(|table, _| !table.contains("handover") && !table.ends_with("api_tokens"));
    tables
}

#[every_engine(also_in_chunks_of = 10)]
pub async fn revert_restores_every_row(world: &mut World) {
    let before = host(world).await;
    world.start_worker().await;
    let job = deactivated(world).await;
    let undo = world.hand_over(&command("revert", "r2", job)).await;
    let certificate = certificate_of(&undo);
    assert_eq!(certificate.undoes, Some(job));
    assert_eq!(certificate.state, State::Reverted);
    for (kind, count) in [("contact", 104), ("lead", 92), ("task", 12), ("session", 2)] {
        let result = result_of(&certificate, kind);
        assert_eq!((result.found, result.restored), (Some(count), Some(count)), "{kind}");
        assert!(result.skipped.is_empty(), "{kind}: {:?}", result.skipped);
    }
    assert_eq!(state_of(world, job).await, State::Reverted);
    assert_eq!(host(world).await, before);
    let events = world.events().await;
    let reported: Vec<&str> = events[&job.to_string()].iter().filter_map(|event| event["type"].as_str()).collect();
    assert_eq!(reported.last(), Some(&"handover.deactivation.reverted"));
}

#[every_engine]
async fn revert_skips_rows_changed_since(world: &mut World) {
    world.start_worker().await;
    let others = world.owned_by(PRIYA, "contacts").await;
    let job = deactivated(world).await;
    world.sql("UPDATE contacts SET owner_id = 15 WHERE id = (SELECT min(id) FROM contacts WHERE owner_id = 12)").await;
    world
        .sql("DELETE FROM tasks WHERE id = (SELECT min(id) FROM tasks WHERE owner_id = 11 AND status = 'pending')")
        .await;
    let undo = world.hand_over(&command("revert", "r2", job)).await;
    let certificate = certificate_of(&undo);
    let contact = result_of(&certificate, "contact");
    assert_eq!((contact.restored, contact.skipped.get(&SkipReason::Changed)), (Some(103), Some(&1)));
    let task = result_of(&certificate, "task");
    assert_eq!((task.restored, task.skipped.get(&SkipReason::Gone)), (Some(11), Some(&1)));
    let history = process::with_input(world, &["job", &undo.id.to_string(), "--json"], b"");
    let listed = history.expect(0).json()["skipped"].clone();
    let mut reported: Vec<_> =
        listed.as_array().expect("a list").iter().map(|one| (&one["kind"], &one["reason"])).collect();
    reported.sort_by_key(|(kind, _)| kind.to_string());
    assert_eq!(reported, [(&json!("contact"), &json!("changed")), (&json!("task"), &json!("gone"))]);
    assert_eq!(listed[0]["keys"].as_array().map(Vec::len), Some(1), "{listed}");
    assert_eq!(world.owned_by(PRIYA, "contacts").await, others + 1);
    assert_eq!(world.owned_by(LEAVER, "contacts").await, 103);
}

#[every_engine]
async fn revert_needs_a_free_license(world: &mut World) {
    world.start_worker().await;
    let job = deactivated(world).await;
    world.sql("DELETE FROM licenses WHERE user_id IS NULL AND org_id = 1").await;
    let before = snapshot::of_host(world).await;
    let refused = world.hand_over(&command("revert", "r2", job)).await;
    assert_eq!((refused.state, codes_of(&refused)), (State::Rejected, vec!["no_license_free".to_owned()]));
    assert_eq!(snapshot::of_host(world).await, before);
    assert_eq!(state_of(world, job).await, State::Completed);
    // A seat of another organization does not count.
    world.sql("INSERT INTO licenses (org_id) VALUES (2)").await;
    let refused = world.hand_over(&command("revert", "r3", job)).await;
    assert_eq!(codes_of(&refused), ["no_license_free"]);
    world.sql("INSERT INTO licenses (org_id) VALUES (1)").await;
    certificate_of(&world.hand_over(&command("revert", "r4", job)).await);
    assert_eq!(world.held_by(LEAVER, "licenses").await, 1);
}

#[every_engine]
async fn revert_after_reactivation_takes_no_license(world: &mut World) {
    world.start_worker().await;
    let job = deactivated(world).await;
    certificate_of(&world.hand_over(&about("reactivate", "r2", LEAVER)).await);
    let seats = world.number("SELECT count(*) FROM licenses WHERE user_id IS NOT NULL").await;
    let certificate = certificate_of(&world.hand_over(&command("revert", "r3", job)).await);
    assert_eq!(result_of(&certificate, "contact").restored, Some(104));
    let memberships = result_of(&certificate, "group_membership");
    assert_eq!(memberships.restored.unwrap_or(0), 0, "the memberships are back already: {memberships:?}");
    assert_eq!(memberships.skipped.get(&SkipReason::BackAlready), memberships.found.as_ref());
    assert_eq!(world.number("SELECT count(*) FROM licenses WHERE user_id IS NOT NULL").await, seats);
    assert_eq!(world.held_by(LEAVER, "licenses").await, 1);
}

#[every_engine]
async fn reverting_twice_does_nothing(world: &mut World) {
    world.start_worker().await;
    let job = deactivated(world).await;
    certificate_of(&world.hand_over(&command("revert", "r2", job)).await);
    let before = snapshot::of_host(world).await;
    let again = world.hand_over(&command("revert", "r3", job)).await;
    assert_eq!((again.state, codes_of(&again)), (State::Rejected, vec!["wrong_state".to_owned()]));
    assert_eq!(snapshot::of_host(world).await, before);
}

#[every_engine]
async fn only_the_latest_job_is_reverted(world: &mut World) {
    world.start_worker().await;
    let first = deactivated(world).await;
    certificate_of(&world.hand_over(&about("reactivate", "r2", LEAVER)).await);
    let own = world.owned_by(GERALDINE, "contacts").await - 20;
    world.sql("UPDATE contacts SET owner_id = 53 WHERE owner_id = 13").await;
    let mut request = keap_request("r3");
    request["reassign"] = json!({ "contact": to(MATHEW) });
    let second = JobId(world.hand_over(&request).await.id);
    let refused = world.hand_over(&command("revert", "r4", first)).await;
    assert_eq!(codes_of(&refused), ["later_job"]);
    certificate_of(&world.hand_over(&command("revert", "r5", second)).await);
    let certificate = certificate_of(&world.hand_over(&command("revert", "r6", first)).await);
    let contact = result_of(&certificate, "contact");
    assert_eq!(
        (contact.restored, contact.skipped.get(&SkipReason::BackAlready)),
        (Some(84), Some(&20)),
        "twenty were returned by hand"
    );
    assert_eq!(world.owned_by(LEAVER, "contacts").await, 104 + own);
}

#[every_engine]
pub async fn purged_rows_return_while_snapshots_last(world: &mut World) {
    world.start_worker().await;
    let purged = world.number("SELECT count(*) FROM tasks WHERE owner_id = 53 AND status = 'completed'").await as u64;
    let job = deactivated(world).await;
    world.change_ledger("UPDATE handover.row_snapshots SET keep_until = at WHERE keep_until IS NOT NULL").await;
    let expired = "SELECT count(*) FROM handover.row_snapshots WHERE keep_until IS NOT NULL";
    world.until("the copies are purged", async || (world.number(expired).await == 0).then_some(())).await;
    let certificate = certificate_of(&world.hand_over(&command("revert", "r2", job)).await);
    let result = result_of(&certificate, "completed_task");
    assert_eq!((result.restored, result.impossible), (Some(0), Some(purged)));
}

#[every_engine]
async fn occupied_or_parentless_rows_are_skipped(world: &mut World) {
    world.start_worker().await;
    let completed =
        world.number("SELECT count(*) FROM tasks WHERE owner_id = 53 AND status = 'completed'").await as u64;
    let tasks = world
        .texts("SELECT CAST(id AS text) AS t FROM tasks WHERE owner_id = 53 AND status = 'completed' ORDER BY id")
        .await;
    world
        .sql("INSERT INTO contacts (id, org_id, owner_id, created_by, name) VALUES (900001, 1, 11, 11, 'Parent')")
        .await;
    world.sql(&format!("UPDATE tasks SET contact_id = 900001 WHERE id = {}", tasks[1])).await;
    let job = deactivated(world).await;
    let taken = format!(
        "INSERT INTO tasks (id, org_id, owner_id, created_by, title) VALUES ({}, 1, 11, 11, 'Taken')",
        tasks[0]
    );
    world.sql(&taken).await;
    world.sql("DELETE FROM contacts WHERE id = 900001").await;
    let certificate = certificate_of(&world.hand_over(&command("revert", "r2", job)).await);
    let result = result_of(&certificate, "completed_task");
    assert_eq!(result.restored, Some(completed - 2));
    assert_eq!(
        (result.skipped.get(&SkipReason::Occupied), result.skipped.get(&SkipReason::ParentGone)),
        (Some(&1), Some(&1))
    );
}

#[every_engine]
async fn reactivation_does_not_move_ownership_back(world: &mut World) {
    world.start_worker().await;
    let groups = world.held_by(LEAVER, "group_members").await;
    let follows = world.number("SELECT count(*) FROM follows WHERE follower_id = 53 OR followed_id = 53").await;
    deactivated(world).await;
    assert_eq!(world.number("SELECT count(*) FROM follows WHERE follower_id = 53 OR followed_id = 53").await, 0);
    let job = world.hand_over(&about("reactivate", "r2", LEAVER)).await;
    let certificate = certificate_of(&job);
    assert_eq!(world.status_of(LEAVER).await, "active");
    assert_eq!(world.held_by(LEAVER, "licenses").await, 1);
    assert_eq!(world.owned_by(LEAVER, "contacts").await, 0);
    assert_eq!(world.held_by(LEAVER, "sessions").await, 0, "rows without restore do not return");
    assert_eq!(world.held_by(LEAVER, "group_members").await, groups);
    assert_eq!(world.number("SELECT count(*) FROM follows WHERE follower_id = 53 OR followed_id = 53").await, follows);
    assert_eq!(result_of(&certificate, "group_membership").restored, Some(groups as u64));
    let event = world.next_event_of(JobId(job.id)).await;
    assert_eq!(event["type"], "handover.user.reactivated");
    // A later reactivation is rejected.
    let again = world.hand_over(&about("reactivate", "r3", LEAVER)).await;
    assert_eq!(codes_of(&again), ["already_active"]);
}

async fn leave(world: &mut World, request_id: &str, user: &str) {
    let request = json!({ "type": "deactivate", "request_id": request_id, "org_id": "1", "user_id": user, "requested_by": ADMIN,
        "reassign": { "contact": to(AMANDA), "lead": to(AMANDA), "task": to(AMANDA), "account": to(AMANDA),
            "direct_report": to(ADMIN) } });
    let job = world.hand_over(&request).await;
    assert_eq!(job.state, State::Completed, "{:?}", job.reasons);
}

#[every_engine]
async fn follow_returns_once_both_users_return(world: &mut World) {
    world.start_worker().await;
    world.sql("DELETE FROM follows").await;
    let between = "SELECT count(*) FROM follows WHERE follower_id IN (15, 16) AND followed_id IN (15, 16)";
    world.sql("INSERT INTO licenses (org_id) VALUES (1), (1)").await;
    for (round, (first_out, first_back)) in
        [("15", "15"), ("15", "16"), ("16", "15"), ("16", "16")].into_iter().enumerate()
    {
        world.sql("INSERT INTO follows (follower_id, followed_id) VALUES (15, 16), (16, 15)").await;
        let other = |user: &str| if user == "15" { "16" } else { "15" };
        leave(world, &format!("out-{round}-1"), first_out).await;
        leave(world, &format!("out-{round}-2"), other(first_out)).await;
        certificate_of(&world.hand_over(&about("reactivate", &format!("back-{round}-1"), first_back)).await);
        assert_eq!(world.number(between).await, 0, "one of the users is still inactive");
        certificate_of(&world.hand_over(&about("reactivate", &format!("back-{round}-2"), other(first_back))).await);
        assert_eq!(world.number(between).await, 2, "{first_out} left first, {first_back} came back first");
        world.sql("DELETE FROM follows").await;
    }
}

#[every_engine(also_in_chunks_of = 10)]
pub async fn records_left_behind_can_move_later(world: &mut World) {
    world.start_worker().await;
    let mut request = keap_request("r1");
    request["reassign"]["lead"] = hardcoded([share(SUPPORT, 5)]);
    certificate_of(&world.hand_over(&request).await);
    assert_eq!(world.owned_by(LEAVER, "opportunities").await, 87);
    let reassign = json!({ "type": "reassign", "request_id": "r2", "org_id": "1", "user_id": LEAVER, "requested_by": ADMIN,
        "reassign": { "lead": to(AMANDA) } });
    let certificate = certificate_of(&world.hand_over(&reassign).await);
    assert_eq!(result_of(&certificate, "lead").moved, Some(87));
    assert_eq!(certificate.references.len(), 1, "nothing else is touched");
    assert_eq!(world.owned_by(LEAVER, "opportunities").await, 0);
    // The records went to the wrong user, who is active, and move on.
    let onward = json!({ "type": "reassign", "request_id": "r3", "org_id": "1", "user_id": AMANDA, "requested_by": ADMIN,
        "reassign": { "lead": to(GERALDINE) } });
    certificate_of(&world.hand_over(&onward).await);
    assert_eq!(world.status_of(AMANDA).await, "active");
    assert_eq!(world.held_by(AMANDA, "licenses").await, 1);
}

#[every_engine]
async fn command_cannot_reach_another_organizations_job(world: &mut World) {
    world.start_worker().await;
    let job = deactivated(world).await;
    let before = snapshot::of_host(world).await;
    let foreign = json!({ "type": "revert", "request_id": "r2", "org_id": "2", "requested_by": "201", "job_id": job });
    assert_eq!(codes_of(&world.hand_over(&foreign).await), ["unknown_job"]);
    let mut stranger = command("revert", "r3", job);
    stranger["requested_by"] = json!(AMANDA);
    assert_eq!(codes_of(&world.hand_over(&stranger).await), ["requester_not_permitted"]);
    assert_eq!(snapshot::of_host(world).await, before);
}
