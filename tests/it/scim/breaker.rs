//! The breaker: a wave of deprovisionings ends access, moves no record, and is released or rolled back by a person.

use std::ops::Range;

use handover::contract::JobId;
use handover::job::State;
use handover::stages::handover::scheduled;
use serde_json::{Value, json};

use super::deprovisioning::settle;
use super::provider::Provider;
use crate::support::keap::{ADMIN, AMANDA, deactivation};
use crate::support::process::{as_owner, on};
use crate::support::visitor::Visitor;
use crate::support::{World, every_engine};

/// The users of the wave, who own nothing or little.
const FIRST: u32 = 1_000;

async fn hire(world: &World, ids: Range<u32>) {
    let people: Vec<String> = ids
        .map(|id| {
            format!("({id}, 1, 'P {id}', 'p{id}', 'p{id}@example.com', 'Sales', 'active', 'member', 12, FALSE, FALSE)")
        })
        .collect();
    let columns = "(id, org_id, name, username, email, title, status, role, manager_id, is_partner, can_manage_team)";
    world.sql(&format!("INSERT INTO users {columns} VALUES {}", people.join(", "))).await;
}

async fn wave(world: &World, provider: &Provider, ids: Range<u32>) -> Vec<JobId> {
    hire(world, ids.clone()).await;
    let mut jobs = Vec::new();
    for id in ids.clone() {
        jobs.push(provider.deprovision(&id.to_string()).await);
    }
    let active = format!("SELECT count(*) FROM users WHERE id >= {FIRST} AND status = 'active'");
    assert_eq!((world.number(&active).await, jobs.len()), (0, ids.len()), "access ends for everybody");
    jobs
}

/// Promise: above the bound access ends for all, nobody's records move, also of those who were still settling, until a release.
#[every_engine]
async fn waves_move_records_only_after_a_release(world: &mut World) {
    world.context.limits.scim.breaker_least = 3;
    let okta = Provider::start(world).await;
    let jobs = wave(world, &okta, FIRST..FIRST + 200).await;
    settle(world).await;
    for job in &jobs {
        scheduled::start_due(&world.context, *job).await.expect("a look");
        assert_eq!(world.job(*job).await.expect("a job").state, State::Scheduled);
    }
    let listed = on(world, &["scim", "list", "--json"]).expect(0).json_lines();
    assert!(listed[0]["held_since"].is_string(), "{listed:?}");
    let tripped = "SELECT count(*) FROM handover.audit WHERE action = 'scim_breaker.tripped'";
    assert_eq!(world.number(tripped).await, 1);
    assert!(as_owner(world, &["scim", "remove", "okta", "--org", "1"]).expect(1).err.contains("the breaker holds"));
    let release = ["scim", "release", "okta", "--org", "1", "--by", "1"];
    assert!(on(world, &[&release[..], &["--dry-run"]].concat()).expect(0).out.contains("200 jobs would go on"));
    world.start_worker().await;
    assert!(on(world, &[&release[..], &["--yes"]].concat()).expect(0).out.contains("200 jobs of okta go on"));
    for job in &jobs {
        assert_eq!(world.end_of(*job).await.state, State::Completed);
    }
    let events = world.events().await;
    let [event] = events["okta"].as_slice() else { panic!("one event for the wave: {events:?}") };
    assert_eq!(event["type"], "handover.scim.breaker_tripped");
    let data = &event["data"];
    assert_eq!((data["org_id"].as_str(), data["connection"].as_str()), (Some("1"), Some("okta")), "{data}");
    assert!(data["deprovisioned"].as_u64() > data["most"].as_u64(), "{data}");
    // The count begins anew.
    okta.deprovision("13").await;
    assert_eq!(world.number(tripped).await, 1);
    assert!(on(world, &release).expect(1).err.contains("holds nothing"));
}

/// Promise: a rollback brings back the users of the wave, those of the filter, and the breaker stays open.
#[every_engine]
async fn waves_are_rolled_back(world: &mut World) {
    world.context.limits.scim.breaker_least = 3;
    let okta = Provider::start(world).await;
    let jobs = wave(world, &okta, FIRST..FIRST + 5).await;
    let rollback = ["scim", "rollback", "okta", "--org", "1", "--by", "1", "--json"];
    let preview = on(world, &[&rollback[..], &["--dry-run"]].concat()).expect(0).json();
    assert_eq!(preview.as_array().map(Vec::len), Some(5), "{preview}");
    assert_eq!(world.status_of("1000").await, "inactive", "a preview changes nothing");
    on(world, &[&rollback[..], &["--user", "1000", "--yes"]].concat()).expect(0);
    assert_eq!(
        (world.status_of("1000").await.as_str(), world.status_of("1001").await.as_str()),
        ("active", "inactive")
    );
    on(world, &[&rollback[..], &["--yes"]].concat()).expect(0);
    let inactive = format!("SELECT count(*) FROM users WHERE id >= {FIRST} AND status = 'inactive'");
    assert_eq!(world.number(&inactive).await, 0);
    let listed = on(world, &["scim", "list", "--json"]).expect(0).json_lines();
    assert!(listed[0]["held_since"].is_string(), "the breaker stays open: {listed:?}");
    world.start_worker().await;
    for job in &jobs {
        let cancelled = async || world.job(*job).await.filter(|job| job.state == State::Cancelled);
        world.until("the job is cancelled", cancelled).await;
    }
    let held = okta.deprovision("1000").await;
    settle(world).await;
    scheduled::start_due(&world.context, held).await.expect("a look");
    assert_eq!(world.job(held).await.expect("a job").state, State::Scheduled, "an open breaker holds");
    okta.set_active("1000", false).await.scim(200);
}

/// Promise: a rollback leaves out a user of the wave whom a person has let in and locked out since.
#[every_engine]
async fn rollbacks_skip_users_of_other_doors(world: &mut World) {
    world.context.limits.scim.breaker_least = 3;
    let okta = Provider::start(world).await;
    hire(world, FIRST..FIRST + 1).await;
    let first = okta.deprovision("1000").await;
    settle(world).await;
    world.start_worker().await;
    assert_eq!(world.end_of(first).await.state, State::Completed);
    let back =
        json!({ "type": "reactivate", "request_id": "b", "org_id": "1", "user_id": "1000", "requested_by": "1" });
    assert_eq!(world.hand_over(&back).await.state, State::Completed);
    assert_eq!(world.hand_over(&deactivation("d", "1000")).await.state, State::Completed);
    wave(world, &okta, FIRST + 1..FIRST + 5).await;
    let rollback = ["scim", "rollback", "okta", "--org", "1", "--by", "1", "--json", "--yes"];
    let done = on(world, &rollback).expect(0).json();
    let skipped: Vec<&Value> =
        done.as_array().expect("users").iter().filter(|user| !user["skipped"].is_null()).collect();
    assert_eq!((skipped.len(), skipped[0]["user_id"].as_str()), (1, Some("1000")), "{done}");
    assert_eq!((world.status_of("1000").await, world.status_of("1001").await), ("inactive".into(), "active".into()));
}

/// Promise: the console's inbox shows a wave, and lets it go on for who may deactivate.
#[every_engine]
async fn inbox_releases_a_wave(world: &mut World) {
    world.context.limits.scim.breaker_least = 3;
    let okta = Provider::start(world).await;
    let jobs = wave(world, &okta, FIRST..FIRST + 5).await;
    settle(world).await;
    let fields = [("connection", "okta")];
    let amanda = Visitor::signed_in(world, &okta.server, AMANDA).await;
    assert!(amanda.get("/inbox").await.expect(200).body.contains("disabled"));
    amanda.post("/inbox/release", &fields).await.expect(403);
    let admin = Visitor::signed_in(world, &okta.server, ADMIN).await;
    let page = admin.get("/inbox").await.expect(200).body;
    assert!(page.contains("okta") && page.contains("Hand over the records of 5 users"), "{page}");
    admin.post("/inbox/release", &fields).await.expect(303);
    assert!(!admin.get("/inbox").await.expect(200).body.contains("Hand over the records"));
    world.start_worker().await;
    for job in &jobs {
        assert_eq!(world.end_of(*job).await.state, State::Completed);
    }
}
