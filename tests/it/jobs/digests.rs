//! The digests: one event for each successor of a job, unless they are turned off.

use handover::job::State;
use serde_json::{Value, json};

use crate::support::keap::{ADMIN, LEAVER, SUPPORT, to};
use crate::support::process::start_worker;
use crate::support::world::read;
use crate::support::{World, every_engine};

#[every_engine]
async fn digests_can_be_turned_off(world: &mut World) {
    let worker = start_worker(world, &[("HANDOVER_EVENTS__ASSIGNED", "false")]);
    let request = json!({ "type": "deactivate", "request_id": "quiet", "org_id": "1", "user_id": LEAVER, "requested_by": ADMIN,
        "reassign": { "contact": to(SUPPORT), "lead": to(SUPPORT), "task": to(SUPPORT) } });
    assert_eq!(world.hand_over(&request).await.state, State::Completed);
    world.until_all_is_published().await;
    let events = world.events().await;
    let types: Vec<&Value> = events[&read(&request).job_id().to_string()].iter().map(|event| &event["type"]).collect();
    assert_eq!(types, ["handover.deactivation.completed"]);
    assert_eq!(tokio::task::block_in_place(|| worker.stop()), 0);
}
