//! The locks of a transaction are bounded, whatever a request names: PostgreSQL has room for some thousands, for everybody.

use std::sync::Arc;

use handover::stages::Context;
use handover::stages::handover::planner;
use handover::stages::intake;
use serde_json::{Map, Value, json};

use crate::support::disturb::Gate;
use crate::support::keap::{GERALDINE, SUPPORT, WEST, deactivation, group, hardcoded, leaver, ratio, share, to};
use crate::support::world::{codes_of, message};
use crate::support::{World, on_postgres};

/// Adds users with these numbers to an organization.
async fn add_users(world: &World, org: u32, first: u32, last: u32) {
    let row = format!("i, {org}, 'U', 'u' || i || '@example.com', 'active', 'member'");
    let users = "INSERT INTO users (id, org_id, name, email, status, role)";
    world.sql(&format!("{users} SELECT {row} FROM generate_series({first}, {last}) i")).await;
}

/// Plans a request, and returns how many locks on users its transaction holds before it commits.
async fn locks_of(world: &World, request: &Value) -> i64 {
    let gate = Gate::before_commit_of(planner::PLAN);
    let gated = Context { store: world.context.store.clone().with_failpoints(gate.clone()), ..world.context.clone() };
    let message = message(request.to_string());
    let planning = tokio::spawn(async move { intake::take(&gated, &[message]).await });
    world.until("it is planned", async || (gate.arrived() == 1).then_some(())).await;
    let locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' \
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let held = world.number(locks).await;
    Arc::clone(&gate).open();
    planning.await.expect("the planner");
    held
}

#[on_postgres]
async fn groups_of_other_organizations_are_not_locked(world: &mut World) {
    add_users(world, 2, 1_000, 1_999).await;
    world.sql("INSERT INTO groups (org_id, name) VALUES (2, 'West team') ON CONFLICT DO NOTHING").await;
    world
        .sql("INSERT INTO group_members (org_id, group_name, user_id) SELECT 2, 'West team', i FROM generate_series(1000, 1999) i")
        .await;
    let request = leaver().leads(hardcoded([group(WEST, 92)]));
    let of_members = "SELECT count(*) FROM opportunities WHERE owner_id IN (15, 16, 17)";
    let before = world.number(of_members).await;
    // The organization and its shared rows, the leaver, the group's three members, and the successor of the rest.
    assert_eq!(locks_of(world, &request).await, 7);
    assert_eq!(world.number(of_members).await, before + 92, "the members of the organization receive the leads");
}

#[on_postgres]
async fn unknown_successors_are_not_locked(world: &mut World) {
    world.start_worker().await;
    let each: Map<String, Value> = (1..=5_000).map(|n| (n.to_string(), json!((1_000_000 + n).to_string()))).collect();
    let all = json!({ "each": each });
    let request = leaver().contacts(all.clone()).leads(all.clone()).tasks(all).with("request_id", json!("many"));
    let rejected = world.send(&request).await;
    let neighbor = world.hand_over(&deactivation("neighbor", GERALDINE).contacts(to(SUPPORT))).await;
    assert!(neighbor.state.is_final());
    let job = world.end_of(rejected).await;
    assert!(codes_of(&job).contains(&"unknown_successor".to_owned()));
    world.stop_workers().await;
    assert_eq!(
        locks_of(world, &request.with("request_id", json!("again"))).await,
        2,
        "the organization and the leaver"
    );
}

#[on_postgres]
async fn many_successors_are_one_lock_on_the_organization(world: &mut World) {
    add_users(world, 1, 1_000, 1_299).await;
    let shares: [Value; 300] = std::array::from_fn(|n| share(&(1_000 + n).to_string(), 1));
    let request = leaver().contacts(ratio(shares));
    assert_eq!(locks_of(world, &request).await, 2, "the organization and its shared rows");
    assert_eq!(world.owned_by("1103", "contacts").await, 1, "the 104th contact");
}
