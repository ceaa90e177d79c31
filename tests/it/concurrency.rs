//! Races on PostgreSQL. Gates hold one transaction until the other reaches the point that the test needs.

mod amended;
mod crowds;
mod load;
mod lock_counts;
mod random_crowds;
mod recounts;
mod same_request_id;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use handover::contract::JobId;
use handover::job::State;
use handover::stages::handover::{cutter, finalizer, mover, planner, scheduled};
use handover::stages::intake;
use handover::stages::{Context, Outcome};
use handover::store::Cause;
use handover::store::ledger::jobs;
use handover::worker::Role;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use tokio::sync::Barrier;
use tokio::task::JoinHandle;

use crate::support::disturb::Gate;
use crate::support::world::{certificate_of, keap_request, message, read};
use crate::support::{World, every_engine, on_postgres};

fn give_all(leaver: u32, successor: u32) -> Value {
    json!({
        "type": "deactivate", "request_id": format!("{leaver} leaves"), "org_id": "1", "user_id": leaver.to_string(), "requested_by": "1",
        "reassign": { "contact": { "user": successor.to_string() } },
    })
}

fn id_of(request: &Value) -> JobId {
    read(request).job_id()
}

async fn take(context: &Context, requests: &[&Value]) {
    let messages: Vec<intake::Message> = requests.iter().map(|request| message(request.to_string())).collect();
    let outcomes = intake::take(context, &messages).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Answered(_))), "{outcomes:?}");
}

async fn states(world: &World, requests: &[&Value]) -> Vec<State> {
    let mut states = Vec::new();
    for request in requests {
        states.push(world.job(id_of(request)).await.expect("a job").state);
    }
    states
}

async fn reasons(world: &World, request: &Value) -> Vec<String> {
    let reasons = world.job(id_of(request)).await.expect("a job").reasons.unwrap_or_default();
    let codes = reasons.as_array().into_iter().flatten().filter_map(|reason| reason["code"].as_str());
    codes.map(str::to_owned).collect()
}

async fn contacts_of(world: &World, user: u32) -> i64 {
    world.number(&format!("SELECT count(*) FROM contacts WHERE owner_id = {user}")).await
}

/// Counts the sessions of this database that wait for a lock.
async fn waiting(world: &World) -> i64 {
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    world.number(waiting).await
}

fn gated(world: &World, gate: &Arc<Gate>) -> Context {
    Context { store: world.context.store.clone().with_failpoints(gate.clone()), ..world.context.clone() }
}

fn spawn_take(context: &Context, request: &Value) -> JoinHandle<()> {
    let (context, request) = (context.clone(), request.clone());
    tokio::spawn(async move { take(&context, &[&request]).await })
}

/// Runs two planners at once. The first waits before its commit until the second reaches its own commit or waits for
/// the first.
async fn take_concurrently(world: &World, first: &Value, second: &Value) {
    // The first use of a catalog stores it, and a concurrent first use waits for that. This test is about something
    // else.
    world.hire(199, 1).await;
    take(&world.context, &[&give_all(199, 11)]).await;
    let gate = Gate::before_commit_of(planner::PLAN);
    let context = gated(world, &gate);
    let first = spawn_take(&context, first);
    world.until("the first is planned", async || (gate.arrived() == 1).then_some(())).await;
    let second = spawn_take(&context, second);
    let met = async || (gate.arrived() == 2 || waiting(world).await > 0).then_some(());
    world.until("the second has come", met).await;
    gate.open();
    first.await.expect("the first planner");
    second.await.expect("the second planner");
}

/// Opens a large job and cuts it into chunks by hand. No worker runs.
async fn open_by_hand(world: &World, request: &Value) -> JobId {
    take(&world.context, &[request]).await;
    let id = id_of(request);
    while world.job(id).await.expect("a job").state == State::Cutting {
        cutter::cut(&world.context, id).await.expect("cut");
    }
    id
}

#[on_postgres]
async fn successor_leaving_in_same_group_passes_records_on(world: &mut World) {
    world.hire(101, 5).await;
    world.hire(102, 5).await;
    let (first, second) = (give_all(101, 102), give_all(102, 11));
    let before = contacts_of(world, 11).await;
    take(&world.context, &[&first, &second]).await;
    assert_eq!(states(world, &[&first, &second]).await, [State::Completed, State::Completed]);
    assert_eq!(contacts_of(world, 11).await, before + 10);
    assert_eq!(world.orphans().await, 0);
}

#[on_postgres]
async fn leaver_of_earlier_request_receives_nothing_later(world: &mut World) {
    world.hire(101, 5).await;
    world.hire(102, 5).await;
    let (first, second) = (give_all(102, 11), give_all(101, 102));
    take(&world.context, &[&first, &second]).await;
    assert_eq!(states(world, &[&first, &second]).await, [State::Completed, State::Rejected]);
    assert_eq!(contacts_of(world, 101).await, 5);
    assert_eq!(world.orphans().await, 0);
}

#[on_postgres]
async fn successor_leaving_in_other_planner_passes_records_on(world: &mut World) {
    world.hire(101, 5).await;
    world.hire(102, 5).await;
    let (first, second) = (give_all(101, 102), give_all(102, 11));
    take_concurrently(world, &first, &second).await;
    assert_eq!(states(world, &[&first, &second]).await, [State::Completed, State::Completed]);
    assert_eq!(contacts_of(world, 102).await, 0);
    assert_eq!(world.orphans().await, 0);
}

#[on_postgres]
async fn nobody_receives_while_being_deactivated_elsewhere(world: &mut World) {
    world.hire(101, 5).await;
    world.hire(102, 5).await;
    let (first, second) = (give_all(102, 11), give_all(101, 102));
    take_concurrently(world, &first, &second).await;
    assert_eq!(states(world, &[&first, &second]).await, [State::Completed, State::Rejected]);
    assert_eq!(reasons(world, &second).await, ["successor_inactive"]);
    assert_eq!(world.orphans().await, 0);
}

#[on_postgres]
async fn leaving_successor_waits_for_the_large_job(world: &mut World) {
    world.use_chunks_of(3);
    world.hire(101, 60).await;
    world.hire(102, 5).await;
    world.start_worker().await;
    world.start_worker().await;
    let (first, second) = (give_all(101, 102), give_all(102, 11));
    let first_id = world.send(&first).await;
    world.until("the first is under way", async || world.job(first_id).await).await;
    let second_id = world.send(&second).await;
    assert_eq!(world.end_of(first_id).await.state, State::Completed);
    assert_eq!(world.end_of(second_id).await.state, State::Completed);
    assert_eq!(contacts_of(world, 101).await + contacts_of(world, 102).await, 0);
    assert_eq!(world.orphans().await, 0);
}

#[on_postgres]
async fn checking_a_waiting_job_is_not_audited(world: &mut World) {
    world.use_chunks_of(3);
    world.hire(101, 10).await;
    world.hire(102, 5).await;
    let (first, second) = (give_all(101, 102), give_all(102, 11));
    take(&world.context, &[&first]).await;
    take(&world.context, &[&second]).await;
    for _ in 0..3 {
        scheduled::start_due(&world.context, id_of(&second)).await.expect("looked at");
    }
    assert_eq!(states(world, &[&first, &second]).await, [State::Cutting, State::Scheduled]);
    let trail = format!("SELECT count(*) FROM handover.audit WHERE job_id = {}", world.uuid(id_of(&second)));
    assert_eq!(world.number(&trail).await, 1);
}

#[every_engine]
async fn update_expecting_another_state_writes_nothing(world: &mut World) {
    world.use_chunks_of(3);
    world.hire(101, 10).await;
    let request = give_all(101, 11);
    take(&world.context, &[&request]).await;
    let mut stale = world.job(id_of(&request)).await.expect("a job");
    stale.state = State::Completed;
    let session = world.store.begin("test").await.expect("a transaction");
    let written = jobs::update(&session, State::Moving, stale).await;
    assert!(matches!(written.map_err(|error| error.cause), Err(Cause::Superseded)));
    session.commit().await.expect("committed");
    assert_eq!(states(world, &[&request]).await, [State::Cutting]);
}

#[on_postgres]
async fn mutual_successors_cannot_both_leave(world: &mut World) {
    for user in [101, 102, 103, 104] {
        world.hire(user, 5).await;
    }
    let (first, second) = (give_all(101, 102), give_all(102, 101));
    take(&world.context, &[&first, &second]).await;
    assert_eq!(states(world, &[&first, &second]).await, [State::Completed, State::Rejected]);
    let (first, second) = (give_all(103, 104), give_all(104, 103));
    take_concurrently(world, &first, &second).await;
    assert_eq!(states(world, &[&first, &second]).await, [State::Completed, State::Rejected]);
    assert_eq!(contacts_of(world, 102).await + contacts_of(world, 104).await, 20);
    assert_eq!(world.orphans().await, 0);
}

async fn share_an_alert(world: &World) -> (Value, Value) {
    world.hire(101, 2).await;
    world.hire(102, 2).await;
    world.sql("INSERT INTO workflow_alerts (id, org_id, name) VALUES (77, 1, 'Fire')").await;
    world.sql("INSERT INTO workflow_alert_recipients (alert_id, user_id) VALUES (77, 101), (77, 102)").await;
    (give_all(101, 11), give_all(102, 11))
}

async fn one_of_two_left(world: &World, requests: [&Value; 2]) {
    let mut states = states(world, &requests).await;
    states.sort();
    assert_eq!(states, [State::Completed, State::Rejected]);
    let mut refused = Vec::new();
    for request in requests {
        refused.extend(reasons(world, request).await);
    }
    assert_eq!(refused, ["blocked"]);
    let recipients = "SELECT count(*) FROM workflow_alert_recipients r JOIN users u ON u.id = r.user_id \
                      WHERE r.alert_id = 77 AND u.status = 'active'";
    assert_eq!(world.number(recipients).await, 1);
    assert_eq!(world.orphans().await, 0);
}

#[on_postgres]
async fn last_alert_recipient_stays_within_a_group(world: &mut World) {
    let (first, second) = share_an_alert(world).await;
    take(&world.context, &[&first, &second]).await;
    one_of_two_left(world, [&first, &second]).await;
}

#[on_postgres]
async fn last_alert_recipient_stays_across_planners(world: &mut World) {
    let (first, second) = share_an_alert(world).await;
    take_concurrently(world, &first, &second).await;
    one_of_two_left(world, [&first, &second]).await;
}

#[on_postgres]
async fn closing_last_chunks_together_still_finalizes(world: &mut World) {
    world.use_chunks_of(10);
    world.context.limits.stalled_after = Duration::from_secs(3600);
    world.hire(101, 20).await;
    let id = open_by_hand(world, &give_all(101, 11)).await;
    world.client.lose_steps().await;
    world.change_ledger("DELETE FROM handover.outbox WHERE channel = 'steps'").await;
    let gate = Gate::before_commit_of(mover::MOVE);
    let context = gated(world, &gate);
    let run_ticket = || {
        let context = context.clone();
        tokio::spawn(async move { mover::run_ticket(&context, id).await.expect("moved") })
    };
    let movers = [run_ticket(), run_ticket()];
    world.until("both have moved", async || (gate.arrived() == 2).then_some(())).await;
    gate.open();
    for mover in movers {
        mover.await.expect("a mover");
    }
    assert_eq!(world.job(id).await.expect("a job").state, State::Moving, "each saw the other's chunk open");
    world.start_roles(&[Role::Mover, Role::Relay]).await;
    assert_eq!(world.end_of(id).await.state, State::Completed);
    assert_eq!(contacts_of(world, 101).await, 0);
}

#[on_postgres]
async fn finalizer_counts_rows_of_open_transactions(world: &mut World) {
    world.use_chunks_of(10);
    world.hire(101, 20).await;
    let id = open_by_hand(world, &give_all(101, 11)).await;
    while world.job(id).await.expect("a job").state != State::Finalizing {
        mover::run_ticket(&world.context, id).await.expect("moved");
    }
    let host = world.store.begin("host").await.expect("a transaction");
    let insert = "INSERT INTO contacts (org_id, owner_id, created_by, name) VALUES (1, 101, 1, 'Just in time')";
    host.execute_unprepared(insert).await.expect("inserted");
    let context = world.context.clone();
    let finalizer = tokio::spawn(async move { finalizer::finalize(&context, id).await });
    world.until("the finalizer waits", async || (waiting(world).await > 0).then_some(())).await;
    assert_eq!(world.job(id).await.expect("a job").state, State::Finalizing);
    host.commit().await.expect("committed");
    finalizer.await.expect("the finalizer").expect("finalized");
    assert_eq!(world.job(id).await.expect("a job").late_passes, 1);
    world.start_worker().await;
    let certificate = certificate_of(&world.end_of(id).await);
    let contact = certificate.references.iter().find(|reference| reference.kind == "contact").expect("contacts");
    assert_eq!((contact.found, contact.moved), (Some(21), Some(21)));
    assert_eq!(world.orphans().await, 0);
}

/// Simulates a busy host: it inserts records for the leaver, edits some, gives one to a user of its choice, and gives
/// a moved one back. Returns the users who received records.
async fn host_works(world: &World, rounds: i64) -> BTreeMap<i64, i64> {
    let mut placed = BTreeMap::new();
    for round in 1..=rounds {
        let (edited, chosen, back) = (round * 7 % 100 + 1, round, 100 - round % 40);
        let insert = format!(
            "INSERT INTO contacts (org_id, owner_id, created_by, name) VALUES (1, 53, 53, 'Meanwhile {round}')"
        );
        world.sql(&insert).await;
        world.sql(&format!("UPDATE contacts SET name = 'Edited {round}' WHERE id = {edited}")).await;
        if chosen < 60 {
            world.sql(&format!("UPDATE contacts SET owner_id = 1 WHERE id = {chosen}")).await;
            placed.insert(chosen, 1);
        }
        world
            .sql(&format!("UPDATE contacts SET owner_id = 53 WHERE id = {back} AND owner_id IN (11, 12, 13, 14)"))
            .await;
    }
    placed
}

#[on_postgres]
async fn host_writes_during_every_stage_survive(world: &mut World) {
    world.use_chunks_of(3);
    world.context.limits.late_passes = 10_000;
    let contacts = world.number("SELECT count(*) FROM contacts").await;
    world.start_worker().await;
    let id = world.send(&keap_request("large")).await;
    let rounds = 120;
    let placed = host_works(world, rounds).await;
    assert_eq!(world.end_of(id).await.state, State::Completed);
    world
        .until("everything that came late is moved", async || {
            let again = format!("UPDATE handover.jobs SET recount_at = requested_at WHERE id = {}", world.uuid(id));
            world.change_ledger(&again).await;
            (contacts_of(world, 53).await == 0).then_some(())
        })
        .await;
    assert_eq!(world.number("SELECT count(*) FROM contacts").await, contacts + rounds);
    for (contact, owner) in placed {
        let now = world.number(&format!("SELECT owner_id FROM contacts WHERE id = {contact}")).await;
        assert_eq!(now, owner, "the host reassigned contact {contact}");
    }
    assert_eq!(world.orphans().await, 0);
}

#[on_postgres]
async fn concurrent_planners_keep_round_robin_exact(world: &mut World) {
    let members = [15, 16, 17];
    let mut before = Vec::new();
    for member in members {
        before.push(contacts_of(world, member).await);
    }
    let barrier = Arc::new(Barrier::new(20));
    let mut planners = Vec::new();
    for user in 101..=120 {
        world.hire(user, 7).await;
    }
    for user in 101..=120 {
        let mut request = give_all(user, 11);
        let turn = json!([{ "round_robin": "West team", "amount": 7 }]);
        request["reassign"]["contact"] = json!({ "logic": "hardcoded", "shares": turn });
        let (context, barrier) = (world.context.clone(), barrier.clone());
        planners.push(tokio::spawn(async move {
            barrier.wait().await;
            take(&context, &[&request]).await;
        }));
    }
    for planner in planners {
        planner.await.expect("a planner");
    }
    let mut received = Vec::new();
    for (member, before) in members.into_iter().zip(before) {
        received.push(contacts_of(world, member).await - before);
    }
    received.sort_unstable();
    assert_eq!(received, [46, 47, 47]);
    assert_eq!(world.orphans().await, 0);
}

#[on_postgres]
async fn several_workers_run_each_job_once(world: &mut World) {
    for user in 101..=140 {
        world.hire(user, 3).await;
    }
    for _ in 0..3 {
        world.start_worker().await;
    }
    let mut jobs = Vec::new();
    for user in 101..=140 {
        jobs.push(world.send(&give_all(user, 11)).await);
    }
    for job in &jobs {
        assert_eq!(world.end_of(*job).await.state, State::Completed);
        world.check_journal(*job).await;
    }
    world.until_all_is_published().await;
    let events = world.events().await;
    for job in &jobs {
        let types: Vec<&Value> = events[&job.to_string()].iter().map(|event| &event["type"]).collect();
        assert_eq!(types, ["handover.deactivation.completed", "handover.records.assigned"]);
    }
    assert_eq!(world.number("SELECT count(*) FROM handover.journal WHERE kind = 'contact'").await, 40);
    assert_eq!(world.orphans().await, 0);
}
