//! Messages that are longer than any request may be are set aside within a fixed amount of memory.

use handover::contract::MAX_REQUEST_BYTES;

use crate::support::process::{WorkerProcess, borrowed, settings};
use crate::support::world::keap_request;
use crate::support::{World, on_postgres};

const MIB: usize = 1 << 20;

/// Returns the most memory that a process has used, in MiB.
fn peak_memory(process: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("a process");
    let line = status.lines().find(|line| line.starts_with("VmHWM")).expect("a line").to_owned();
    let kib: usize = line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number");
    kib / 1024
}

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
        assert_eq!(dead_letter.body.len(), MAX_REQUEST_BYTES + 1, "the beginning");
    }
    assert!(world.end_of(neighbor).await.state.is_final());
    let peak = peak_memory(worker.id());
    assert!(peak < 192, "{peak} MiB, for 192 MiB of messages");
    assert_eq!(tokio::task::block_in_place(|| worker.stop()), 0);
}
