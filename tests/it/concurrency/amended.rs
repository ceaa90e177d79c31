//! An amendment of a scheduled job while the job starts.

use handover::stages::handover::scheduled;
use handover::worker::Role;
use serde_json::json;

use crate::support::keap::{GERALDINE, SUPPORT, deactivation, to};
use crate::support::people::begun;
use crate::support::{World, on_postgres};
use crate::undo::revert::command;

/// The start has read the request, and waits for the amendment, which holds the lock on the user.
#[on_postgres]
async fn amendment_is_not_lost_to_the_start(world: &mut World) {
    world.start_roles(&[Role::Planner]).await;
    world.hire(300, 3).await;
    let before = world.owned_by(SUPPORT, "contacts").await;
    let later = deactivation("later", "300").contacts(to(SUPPORT)).with("effective_at", json!("2199-01-01T00:00:00Z"));
    let job = world.send(&later).await;
    world.until("it is scheduled", async || world.job(job).await).await;
    world.make_due(job).await;
    let held = begun(world, &format!("SELECT 1 FROM handover.jobs WHERE id = '{job}' FOR UPDATE")).await;
    let mut amend = command("amend", "amend", job);
    amend["reassign"] = json!({ "contact": to(GERALDINE) });
    let amendment = world.send(&amend).await;
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    world.until("the amendment waits for the job", async || (world.number(waits).await > 0).then_some(())).await;
    let context = world.context.clone();
    let starting = tokio::spawn(async move { scheduled::start_due(&context, job).await });
    world.until_user_lock_is_awaited().await;
    held.rollback().await.expect("given up");
    starting.await.expect("the start").expect("started");
    assert_eq!(world.job(amendment).await.expect("a job").state.name(), "completed");
    assert_eq!(world.job(job).await.expect("a job").state.name(), "completed");
    assert_eq!((world.owned_by("300", "contacts").await, world.owned_by(SUPPORT, "contacts").await), (0, before));
}
