//! Routing keys of messages that are sent back.

use crate::support::process::on;
use crate::support::world::{keap_request, read};
use crate::support::{World, every_engine};

#[every_engine]
async fn replay_keeps_the_routing_key(world: &mut World) {
    world.start_worker().await;
    let request = keap_request("r1");
    world.client.send_as("request.reassign", request.to_string().into_bytes()).await;
    for replays in 1..=2 {
        let set_aside = async || (world.client.waiting("dead").await == 1).then_some(());
        world.until("it is dead-lettered", set_aside).await;
        on(world, &["dead", "replay", "--reason", "type_mismatch", "--by", "ops", "--yes"]).expect(0);
        let again = async || {
            let list = on(world, &["dead", "list", "--json"]).expect(0).json_lines();
            list.first().is_some_and(|shown| shown["replays"] == replays).then_some(())
        };
        world.until("it is dead-lettered again", again).await;
    }
    let dead_letter = world.next_dead_letter().await;
    assert_eq!(dead_letter.reason(), "type_mismatch");
    assert_eq!(dead_letter.headers["x-handover-routing-key"], "request.reassign");
    assert!(world.job(read(&request).job_id()).await.is_none());
}
