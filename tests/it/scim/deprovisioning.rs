//! Deprovisioning and its undo: access ends at once, records follow, and only the connection that ended access gives it back.

use std::time::Duration;

use handover::job::State;
use handover::stages::handover::scheduled;

use super::provider::Provider;
use crate::support::keap::{AMANDA, GERALDINE, LEAVER, PRIYA, leaver};
use crate::support::people::{USERS, reference};
use crate::support::world::{certificate_of, codes_of, counts, successors_of};
use crate::support::{World, every_engine};

/// Promise: access and sessions end before the answer; no record moves until the time to settle has passed; then the successor of the policy
/// gets all. A repeated deprovisioning makes no second job.
#[every_engine]
async fn records_follow_after_settling(world: &mut World) {
    let okta = Provider::start(world).await;
    let job = okta.deprovision(LEAVER).await;
    assert_eq!(world.status_of(LEAVER).await, "inactive");
    let sessions = format!("SELECT count(*) FROM sessions WHERE user_id = {LEAVER}");
    assert_eq!(world.number(&sessions).await, 0, "sessions end with the access");
    okta.set_active(LEAVER, false).await.scim(200);
    scheduled::start_due(&world.context, job).await.expect("a look");
    let waiting = world.job(job).await.expect("a job");
    assert_eq!((waiting.state, waiting.requested_by.as_str()), (State::Scheduled, "service:okta"));
    assert!(waiting.access_ended_at.is_some());
    assert_eq!(world.number("SELECT count(*) FROM handover.jobs").await, 1);
    assert_eq!(world.owned_by(LEAVER, "contacts").await, 104);
    settle(world).await;
    world.start_worker().await;
    let certificate = certificate_of(&world.end_of(job).await);
    assert_eq!(successors_of(&certificate, "contact"), counts([(AMANDA, 104)]));
    assert_eq!((certificate.orphans, world.owned_by(LEAVER, "contacts").await), (Some(0), 0));
    okta.set_active(LEAVER, false).await.scim(200);
}

/// Promise: a policy that a guard refuses ends access all the same, and the job waits for a person.
#[every_engine]
async fn refused_policies_wait_for_a_person(world: &mut World) {
    world.context.limits.scim.settle = Duration::ZERO;
    let wait = Provider::with_policy(world, "wait", "wait").await;
    let unfit = wait.another(world, "unfit", "user:31").await;
    world.start_worker().await;
    for (idp, user) in [(&wait, LEAVER), (&unfit, GERALDINE)] {
        let job = idp.deprovision(user).await;
        assert_eq!(world.status_of(user).await, "inactive");
        let held = async || world.job(job).await.filter(|job| job.state == State::NeedsAttention);
        let codes = codes_of(&world.until("a person is needed", held).await);
        assert!(!codes.is_empty(), "{user}");
        assert_eq!(codes.contains(&"allotment_missing".to_owned()), user == LEAVER, "{user}: {codes:?}");
    }
}

/// Promise: the connection that has deprovisioned a user lets them in again: while records settle nothing has moved, and later what has
/// moved stays.
#[every_engine]
async fn own_deprovisionings_are_taken_back(world: &mut World) {
    let okta = Provider::start(world).await;
    let first = okta.deprovision(LEAVER).await;
    okta.provision(LEAVER).await;
    assert_eq!(world.status_of(LEAVER).await, "active");
    okta.set_active(LEAVER, true).await.scim(200);
    world.start_worker().await;
    let ended = world
        .until("the job is cancelled", async || world.job(first).await.filter(|job| job.state == State::Cancelled));
    ended.await;
    assert_eq!(world.owned_by(LEAVER, "contacts").await, 104);
    let undone = || async { world.number("SELECT count(*) FROM handover.jobs WHERE state = 'completed'").await };
    world.until("the undo has ended", async || (undone().await == 1).then_some(())).await;
    let second = okta.deprovision(LEAVER).await;
    assert_ne!(first, second);
    settle(world).await;
    certificate_of(&world.end_of(second).await);
    okta.provision(LEAVER).await;
    assert_eq!(
        (world.status_of(LEAVER).await.as_str(), world.owned_by(AMANDA, "contacts").await > 100),
        ("active", true)
    );
}

/// Promise: whom a person or another connection has locked out, a connection does not let in; without a license nobody comes back.
#[every_engine]
async fn others_and_licenses_keep_users_out(world: &mut World) {
    let okta = Provider::start(world).await;
    let entra = okta.another(world, "entra", "manager").await;
    world.start_worker().await;
    let job = world.hand_over(&leaver()).await;
    okta.set_active(LEAVER, false).await.scim(200);
    let because = async |provider: &Provider, user: &str| provider.set_active(user, true).await.failure(409, None);
    assert!(because(&okta, LEAVER).await.contains(&job.id.to_string()));
    let own = okta.deprovision(PRIYA).await;
    assert!(because(&entra, PRIYA).await.contains(&own.to_string()));
    assert!(because(&okta, "31").await.contains("not by this connection"), "nobody knows who did it");
    settle(world).await;
    certificate_of(&world.end_of(own).await);
    world.sql("DELETE FROM licenses WHERE user_id IS NULL").await;
    assert!(because(&okta, PRIYA).await.contains("no license is free"));
    assert!(because(&okta, PRIYA).await.contains("no license is free"), "a refusal is not final");
    world.sql("INSERT INTO licenses (org_id) VALUES (1)").await;
    okta.provision(PRIYA).await;
    okta.set_active("201", false).await.failure(404, None);
}

/// Creates a firm with one administrator, user 1, and a protected user, 2. Returns its provider.
async fn firm(world: &mut World) -> Provider {
    let protected = "[scim]\nuser_name = \"mail\"\nprotected = { column = \"role\", equals = \"root\" }\n";
    let last = "[[reference]]\nkind = \"last_admin\"\ntable = \"people\"\nkey = \"id\"\nuser = \"id\"\n\
                where = { role = \"admin\" }\ndisposition = \"block\"\nsole_in = \"firm\"\n";
    world
        .sql(
            "CREATE TABLE people (id BIGINT NOT NULL PRIMARY KEY, full_name TEXT, mail TEXT, status TEXT, role TEXT, firm TEXT NOT NULL); \
             INSERT INTO people VALUES (1, 'Ann', 'a@example.com', 'active', 'admin', 'a'), \
             (2, 'Ben', 'b@example.com', 'active', 'root', 'a'); \
             CREATE TABLE docs (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT)",
        )
        .await;
    let docs = reference("doc", "docs", "disposition = \"transfer\"");
    world.use_catalog(&format!("{USERS}{protected}{last}{docs}")).await;
    Provider::add(world, None, "okta", "wait").await
}

/// Promise: the last administrator and protected users stay, whatever a connection asks; the audit trail tells of it.
#[every_engine]
async fn access_guards_refuse(world: &mut World) {
    let okta = firm(world).await;
    okta.set_active("1", false).await.failure(403, None);
    okta.set_active("2", false).await.failure(403, None);
    assert_eq!(world.number("SELECT count(*) FROM people WHERE status = 'active'").await, 2);
    let actions = world.texts("SELECT action AS t FROM handover.audit ORDER BY id").await;
    assert_eq!(actions, ["scim_connection.added", "deactivate.rejected", "deactivate.refused"]);
}

/// Promise: a refusal that a provider meets again and again is recorded once, and ends when its cause does.
#[every_engine]
async fn repeated_refusals_are_recorded_once(world: &mut World) {
    let okta = firm(world).await;
    let first = okta.set_active("1", false).await.failure(403, None);
    for _ in 0..3 {
        assert_eq!(okta.set_active("1", false).await.failure(403, None), first);
    }
    let refusals = "SELECT count(*) FROM handover.jobs WHERE state = 'rejected'";
    let audited = "SELECT count(*) FROM handover.audit WHERE action = 'deactivate.rejected'";
    assert_eq!((world.number(refusals).await, world.number(audited).await), (1, 1));
    world.sql("INSERT INTO people VALUES (3, 'Cleo', 'c@example.com', 'active', 'admin', 'a')").await;
    okta.deprovision("1").await;
    assert_eq!(world.texts("SELECT status AS t FROM people WHERE id = 1").await, ["inactive"]);
    okta.set_active("3", false).await.failure(403, None);
    assert_eq!(world.number(refusals).await, 2, "another user's refusal is another one");
}

/// Lets the time to settle pass for every job, as time does.
pub async fn settle(world: &World) {
    world.change_ledger("UPDATE handover.scim_deprovisionings SET starts_at = at").await;
    world.change_ledger("UPDATE handover.outbox SET due_at = created_at WHERE channel = 'steps'").await;
}

/// Promise: two equal calls at the same time make one job, and both succeed.
#[every_engine]
async fn equal_calls_make_one_job(world: &mut World) {
    let okta = Provider::start(world).await;
    let both = tokio::join!(okta.set_active(LEAVER, false), okta.set_active(LEAVER, false));
    for answer in [both.0, both.1] {
        assert_eq!(answer.scim(200)["active"], false);
    }
    assert_eq!(world.number("SELECT count(*) FROM handover.jobs WHERE state <> 'rejected'").await, 1);
    assert_eq!(world.number("SELECT count(*) FROM handover.scim_deprovisionings").await, 1);
}
