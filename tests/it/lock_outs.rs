//! Lock-outs: access ends at once when asked for now, at its time when asked for later, and never early, whatever a guard of the
//! handover says and whatever else is under way.

mod cancelled;
mod guards;
mod obstacles;
mod open_jobs;
mod successors;
mod timing;

use handover::contract::JobId;
use handover::store::ledger::jobs::Job;
use serde_json::{Value, json};

use crate::support::World;
use crate::support::keap::{Deactivation, SUPPORT, deactivation, to};
use crate::support::world::codes_of;

/// A time that no test reaches.
const LATER: &str = "2199-01-01T00:00:00Z";

/// Adds a user with three contacts and a session.
async fn hire(world: &World, user: u32) {
    world.hire(user, 3).await;
    world.sql(&format!("INSERT INTO sessions (id, user_id, ip_address) VALUES ('s{user}', {user}, '192.0.2.1')")).await;
}

/// Starts a request that locks a user out, and gives the contacts to [`SUPPORT`].
fn lock_out(request_id: &str, user: u32) -> Deactivation {
    deactivation(request_id, &user.to_string()).contacts(to(SUPPORT)).with("lock_out", json!(true))
}

/// True if a user is inactive and has no session.
async fn is_out(world: &World, user: u32) -> bool {
    // One statement: both change in one transaction.
    let sessions = format!("SELECT CAST(count(*) AS text) FROM sessions WHERE user_id = {user}");
    let found = world.texts(&format!("SELECT status || ' ' || ({sessions}) AS t FROM users WHERE id = {user}")).await;
    match found[0].as_str() {
        "inactive 0" => true,
        "active 1" => false,
        other => panic!("the user {user} is half out: {other}"),
    }
}

/// Waits until a job has a state, and returns it.
async fn until_state(world: &World, job: JobId, state: &str) -> Job {
    world
        .until(&format!("the job is {state}"), async || world.job(job).await.filter(|job| job.state.name() == state))
        .await
}

/// Returns the codes of a job's reasons; none if it has no reasons.
fn open_codes(job: &Job) -> Vec<String> {
    if job.reasons.is_some() { codes_of(job) } else { Vec::new() }
}

/// Sends a lock-out whose user gets records from nobody, and returns its job once it is out.
async fn send(world: &World, request: &Value) -> JobId {
    let id = world.send(request).await;
    world.until("the request is taken", async || world.job(id).await).await;
    id
}
