//! Deprovisioning and its undo: access ends at once, records follow, and only the connection that ended access gives it back.

use std::time::Duration;

use handover::app::scim::status::StatusOutcome;
use handover::contract::JobId;
use handover::job::State;
use handover::stages::handover::scheduled;

use super::idp::Idp;
use crate::support::keap::{AMANDA, GERALDINE, LEAVER, PRIYA, leaver};
use crate::support::people::{USERS, reference};
use crate::support::world::{certificate_of, codes_of, counts, successors_of};
use crate::support::{World, every_engine};

/// Promise: access and sessions end before the answer; no record moves until the time to settle has passed; then the successor of the policy
/// gets all. A repeated deprovisioning makes no second job.
#[every_engine]
async fn records_follow_after_settling(world: &mut World) {
    let okta = Idp::add(world, "okta", &["manager"]).await;
    let job = okta.deprovision(world, LEAVER).await;
    assert_eq!(world.status_of(LEAVER).await, "inactive");
    let sessions = format!("SELECT count(*) FROM sessions WHERE user_id = {LEAVER}");
    assert_eq!(world.number(&sessions).await, 0, "sessions end with the access");
    assert_eq!(okta.set(world, LEAVER, false).await, StatusOutcome::AlreadySo);
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
    assert_eq!(okta.set(world, LEAVER, false).await, StatusOutcome::AlreadySo);
}

/// Promise: a policy that a guard refuses ends access all the same, and the job waits for a person.
#[every_engine]
async fn refused_policies_wait_for_a_person(world: &mut World) {
    world.context.limits.scim.settle = Duration::ZERO;
    let wait = Idp::add(world, "wait", &["wait"]).await;
    let unfit = Idp::add(world, "unfit", &["user:31"]).await;
    world.start_worker().await;
    for (idp, user) in [(&wait, LEAVER), (&unfit, GERALDINE)] {
        let job = idp.deprovision(world, user).await;
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
    let okta = Idp::add(world, "okta", &["manager"]).await;
    let first = okta.deprovision(world, LEAVER).await;
    okta.provision(world, LEAVER).await;
    assert_eq!(world.status_of(LEAVER).await, "active");
    assert_eq!(okta.set(world, LEAVER, true).await, StatusOutcome::AlreadySo);
    world.start_worker().await;
    let ended = world
        .until("the job is cancelled", async || world.job(first).await.filter(|job| job.state == State::Cancelled));
    ended.await;
    assert_eq!(world.owned_by(LEAVER, "contacts").await, 104);
    let undone = || async { world.number("SELECT count(*) FROM handover.jobs WHERE state = 'completed'").await };
    world.until("the undo has ended", async || (undone().await == 1).then_some(())).await;
    let second = okta.deprovision(world, LEAVER).await;
    assert_ne!(first, second);
    settle(world).await;
    certificate_of(&world.end_of(second).await);
    okta.provision(world, LEAVER).await;
    assert_eq!(
        (world.status_of(LEAVER).await.as_str(), world.owned_by(AMANDA, "contacts").await > 100),
        ("active", true)
    );
}

/// Promise: whom a person or another connection has locked out, a connection does not let in; without a license nobody comes back.
#[every_engine]
async fn others_and_licenses_keep_users_out(world: &mut World) {
    let okta = Idp::add(world, "okta", &["manager"]).await;
    let entra = Idp::add(world, "entra", &["manager"]).await;
    world.start_worker().await;
    let job = world.hand_over(&leaver()).await;
    let other = StatusOutcome::NotOfThisConnection(Some(JobId(job.id)));
    assert_eq!(okta.set(world, LEAVER, false).await, StatusOutcome::AlreadySo);
    assert_eq!(okta.set(world, LEAVER, true).await, other);
    let own = okta.deprovision(world, PRIYA).await;
    assert_eq!(entra.set(world, PRIYA, true).await, StatusOutcome::NotOfThisConnection(Some(own)));
    assert_eq!(okta.set(world, "31", true).await, StatusOutcome::NotOfThisConnection(None), "nobody knows who did it");
    settle(world).await;
    certificate_of(&world.end_of(own).await);
    world.sql("DELETE FROM licenses WHERE user_id IS NULL").await;
    assert_eq!(okta.set(world, PRIYA, true).await, StatusOutcome::NoLicense);
    assert_eq!(okta.set(world, PRIYA, true).await, StatusOutcome::NoLicense, "a refusal is not final");
    world.sql("INSERT INTO licenses (org_id) VALUES (1)").await;
    okta.provision(world, PRIYA).await;
    assert_eq!(
        okta.set(world, "201", false).await,
        StatusOutcome::Unknown,
        "users of other organizations do not exist"
    );
}

/// Promise: the last administrator and protected users stay, whatever a connection asks; the audit trail tells of it.
#[every_engine]
async fn access_guards_refuse(world: &mut World) {
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
    let okta = Idp::add_to(world, None, "okta", &["wait"]).await;
    let StatusOutcome::Refused(reasons) = okta.set(world, "1", false).await else { panic!("not refused") };
    assert_eq!(reasons[0].code.name(), "protected");
    assert_eq!(okta.set(world, "2", false).await, StatusOutcome::Protected);
    assert_eq!(world.number("SELECT count(*) FROM people WHERE status = 'active'").await, 2);
    let actions = world.texts("SELECT action AS t FROM handover.audit ORDER BY id").await;
    assert_eq!(actions, ["scim_connection.added", "deactivate.rejected", "deactivate.refused"]);
}

/// Lets the time to settle pass for every job, as time does.
pub async fn settle(world: &World) {
    world.change_ledger("UPDATE handover.scim_deprovisionings SET starts_at = at").await;
    world.change_ledger("UPDATE handover.outbox SET due_at = created_at WHERE channel = 'steps'").await;
}

/// Promise: two equal calls at the same time make one job, and both succeed.
#[every_engine]
async fn equal_calls_make_one_job(world: &mut World) {
    let okta = Idp::add(world, "okta", &["manager"]).await;
    let both = tokio::join!(okta.set(world, LEAVER, false), okta.set(world, LEAVER, false));
    for outcome in [both.0, both.1] {
        assert!(matches!(outcome, StatusOutcome::Done(_) | StatusOutcome::AlreadySo), "{outcome:?}");
    }
    assert_eq!(world.number("SELECT count(*) FROM handover.jobs WHERE state <> 'rejected'").await, 1);
    assert_eq!(world.number("SELECT count(*) FROM handover.scim_deprovisionings").await, 1);
}
