//! A user who is locked out while a job gives them records: they leave at once, and receive nothing more.

use std::sync::Arc;

use handover::contract::JobId;
use handover::stages::Context;
use handover::stages::handover::{cutter, mover};
use handover::worker::Role;
use serde_json::json;

use super::{hire, is_out, lock_out, send, until_state};
use crate::support::disturb::Gate;
use crate::support::keap::{SUPPORT, deactivation, ratio, share};
use crate::support::world::{certificate_of, codes_of, reasons_of};
use crate::support::{World, every_engine, on_postgres};
use crate::undo::revert::command;

/// Leaves, and gives contacts to [`TAKER`] and [`SUPPORT`] by turns.
const GIVER: u32 = 300;
/// Receives, and is locked out.
const TAKER: u32 = 301;

/// Opens a job that gives records to the taker, moves a few of them, and leaves no worker.
async fn give(world: &mut World) -> JobId {
    world.use_chunks_of(4);
    world.hire(GIVER, 40).await;
    hire(world, TAKER).await;
    world.start_roles(&[Role::Planner]).await;
    let shares = ratio([share(&TAKER.to_string(), 1), share(SUPPORT, 1)]);
    let id = world.send(&deactivation("giving", &GIVER.to_string()).contacts(shares)).await;
    until_state(world, id, "cutting").await;
    cutter::cut(&world.context, id).await.expect("cut");
    for _ in 0..3 {
        mover::run_ticket(&world.context, id).await.expect("moved");
    }
    assert_eq!(world.owned_by(&TAKER.to_string(), "contacts").await, 3 + 6);
    id
}

#[every_engine]
async fn lock_out_does_not_wait_for_givers(world: &mut World) {
    let giving = give(world).await;
    let leaving = send(world, &lock_out("leaving", TAKER)).await;
    assert!(is_out(world, TAKER).await, "the taker has access while the giver's job is under way");
    world.start_worker().await;
    assert_eq!(world.end_of(leaving).await.state.name(), "completed");
    let held = world.end_of(giving).await;
    assert_eq!((held.state.name(), codes_of(&held)), ("needs_attention", vec!["successor_gone".to_owned()]));
    assert_eq!(reasons_of(&held)[0].concerning.user_id, Some(TAKER.to_string()));
    assert_eq!(world.owned_by(&TAKER.to_string(), "contacts").await, 0, "what they had received has moved on");
    world.check_journal(leaving).await;
    // Nothing is lost: with another successor the job goes on.
    let mut amend = command("amend", "r2", giving);
    amend["reassign"] = json!({ "contact": { "user": SUPPORT } });
    assert_eq!(world.hand_over(&amend).await.state.name(), "completed");
    let done = until_state(world, giving, "completed").await;
    assert_eq!(
        certificate_of(&done).references.iter().find(|found| found.kind == "contact").expect("contacts").moved,
        Some(40)
    );
    assert_eq!(world.orphans().await, 0);
}

#[every_engine]
async fn lock_out_does_not_wait_for_paused_givers(world: &mut World) {
    let giving = give(world).await;
    assert_eq!(world.hand_over(&command("pause", "r2", giving)).await.state.name(), "completed");
    let leaving = send(world, &lock_out("leaving", TAKER).without_allotments()).await;
    assert!(is_out(world, TAKER).await);
    assert_eq!(codes_of(&until_state(world, leaving, "needs_attention").await), ["allotment_missing"]);
    world.hand_over(&command("resume", "r3", giving)).await;
    world.start_worker().await;
    assert_eq!(codes_of(&world.end_of(giving).await), ["successor_gone"]);
    assert_eq!(world.owned_by(&TAKER.to_string(), "contacts").await, 3 + 6, "they received more");
    // Back again, they receive what is left for them.
    world.hand_over(&command("cancel", "r4", leaving)).await;
    until_state(world, leaving, "cancelled").await;
    world.hand_over(&command("resume", "r5", giving)).await;
    until_state(world, giving, "completed").await;
    assert_eq!(world.owned_by(&TAKER.to_string(), "contacts").await, 3 + 20);
}

/// The application lets the user in again by hand. The job that has locked them out is still open.
#[every_engine]
async fn locked_out_user_receives_nothing_although_active(world: &mut World) {
    let giving = give(world).await;
    send(world, &lock_out("leaving", TAKER).without_allotments()).await;
    world.sql(&format!("UPDATE users SET status = 'active' WHERE id = {TAKER}")).await;
    world.start_worker().await;
    assert_eq!(codes_of(&world.end_of(giving).await), ["successor_gone"]);
    assert_eq!(world.owned_by(&TAKER.to_string(), "contacts").await, 3 + 6);
}

/// A chunk is being moved to the taker while they are locked out. The lock-out waits for it, and passes the records on.
#[on_postgres]
async fn chunk_in_flight_is_passed_on(world: &mut World) {
    let giving = give(world).await;
    world.stop_workers().await;
    let gate = Gate::before_commit_of(mover::MOVE);
    let gated = Context { store: world.context.store.clone().with_failpoints(gate.clone()), ..world.context.clone() };
    let moving = tokio::spawn(async move { mover::run_ticket(&gated, giving).await });
    world.until("the chunk is moved", async || (gate.arrived() == 1).then_some(())).await;
    world.start_roles(&[Role::Planner]).await;
    let leaving = world.send(&lock_out("leaving", TAKER)).await;
    world.until_user_lock_is_awaited().await;
    // Others give them nothing while the lock-out waits.
    let refused = mover::run_ticket(&world.context, giving).await;
    assert!(refused.is_err_and(|error| error.is_transient()));
    Arc::clone(&gate).open();
    moving.await.expect("the mover").expect("moved");
    world.start_worker().await;
    assert_eq!(world.end_of(leaving).await.state.name(), "completed");
    assert_eq!(world.owned_by(&TAKER.to_string(), "contacts").await, 0);
    assert_eq!(codes_of(&world.end_of(giving).await), ["successor_gone"]);
}

/// The organization is looked at in each transaction that deals, not only when the job is planned.
#[every_engine]
async fn successor_of_another_organization_receives_nothing_more(world: &mut World) {
    let giving = give(world).await;
    world.sql(&format!("UPDATE users SET org_id = 2 WHERE id = {TAKER}")).await;
    world.start_worker().await;
    assert_eq!(codes_of(&world.end_of(giving).await), ["successor_gone"]);
    assert_eq!(world.owned_by(&TAKER.to_string(), "contacts").await, 3 + 6);
}
