//! The column and values that define an active user.

use handover::job::State;
use serde_json::json;

use super::{HOST, Host, leave, reference, table};
use crate::support::world::codes_of;
use crate::support::{World, every_engine};

async fn status_serves(world: &mut World, status: (&'static str, &'static str, &'static str)) {
    let host = Host { status, ..HOST };
    host.start(world, &table("docs"), &reference("doc", "docs", "disposition = \"transfer\"")).await;
    let to_dan = world.hand_over(&host.leave(json!({ "doc": { "user": "4" } }))).await;
    assert_eq!((to_dan.state, codes_of(&to_dan)), (State::Rejected, vec!["successor_inactive".to_owned()]));
    let mut request = host.leave(json!({ "doc": { "user": "2" } }));
    request["request_id"] = json!("r2");
    world.certificate(&request).await;
    let (_, _, inactive) = status;
    assert_eq!(
        world.texts(&format!("SELECT full_name AS t FROM people WHERE status = {inactive} ORDER BY id")).await,
        ["Dan", "Zoe"]
    );
    request["request_id"] = json!("r3");
    assert_eq!(codes_of(&world.hand_over(&request).await), ["already_inactive"]);
}

#[every_engine(also_in_chunks_of = 2)]
async fn a_status_may_be_text(world: &mut World) {
    status_serves(world, ("TEXT", "'on'", "'off'")).await;
}
#[every_engine(also_in_chunks_of = 2)]
async fn a_status_may_be_a_number(world: &mut World) {
    status_serves(world, ("INTEGER", "1", "0")).await;
}
#[every_engine(also_in_chunks_of = 2)]
async fn a_status_may_be_a_boolean(world: &mut World) {
    status_serves(world, ("BOOLEAN", "TRUE", "FALSE")).await;
}

#[every_engine]
async fn unknown_status_is_rejected(world: &mut World) {
    HOST.start(world, &table("docs"), &reference("doc", "docs", "disposition = \"transfer\"")).await;
    world.sql("UPDATE people SET status = NULL WHERE id = 9").await;
    assert_eq!(codes_of(&world.hand_over(&leave(json!({ "doc": { "user": "2" } }))).await), ["not_active"]);
}
