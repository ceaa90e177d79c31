//! Messages that are longer than any request may be are set aside within a fixed amount of memory.

use handover::contract::MAX_REQUEST_BYTES;

use crate::support::process::{WorkerProcess, borrowed, settings};
use crate::support::world::keap_request;
use crate::support::{World, on_postgres};

const MIB: usize = 1 << 20;

#[on_postgres]
async fn long_messages_are_set_aside_in_bounded_memory(world: &mut World) {
    for _ in 0..8 {
        world.client.send(vec![b'x'; 24 * MIB]).await;
    }
    let neighbor = world.send(&keap_request("neighbor")).await;
    let settings = settings(world);
    let worker = WorkerProcess::start(&borrowed(&settings));
    for _ in 0..8 {
        let dead_letter = world.next_dead_letter().await;
        assert_eq!(dead_letter.reason(), "too_large");
        assert_eq!(dead_letter.headers["x-handover-body-bytes"], (24 * MIB).to_string());
        assert_eq!(dead_letter.body.len(), 2 * MAX_REQUEST_BYTES, "the beginning");
    }
    assert!(world.end_of(neighbor).await.state.is_final());
    let peak = worker.most_memory() / MIB as u64;
    assert!(peak < 192, "{peak} MiB, for 192 MiB of messages");
    assert_eq!(tokio::task::block_in_place(|| worker.stop()), 0);
}
