//! What the log says of messages: a line a step, with its job, what became of it and how long it took.

use std::time::Duration;

use uuid::Uuid;

use crate::broker::{Channel, Incoming};
use crate::contract::read_request;
use crate::job::Step;
use crate::metrics::Observation;

/// Says what became of each chunk that a step has worked on; whether there was one.
pub(super) fn chunks(step: Step, committed: &[Observation], took: Duration) -> bool {
    let mut any = false;
    for observation in committed {
        match observation {
            Observation::ChunkClosed { number, records, took } => {
                tell(step, Some(*number), Some(*records), "moved", *took)
            }
            Observation::ChunkFailed { number } => tell(step, Some(*number), None, "failed", took),
            _ => continue,
        }
        any = true;
    }
    any
}

/// Says what a step without a chunk has done, by what it committed.
pub(super) fn step_done(step: Step, committed: &[Observation], took: Duration) {
    let outcome = committed.iter().fold("done", |outcome, observation| match observation {
        Observation::JobStarted { .. } => "begun",
        Observation::JobEnded { outcome, .. } => outcome,
        _ => outcome,
    });
    tell(step, None, None, outcome, took);
}

/// Says that a step was somebody else's by now.
pub(super) fn step_superseded(step: Step, took: Duration) {
    tell(step, None, None, "superseded", took);
}

fn tell(step: Step, chunk: Option<i32>, records: Option<u64>, outcome: &str, took: Duration) {
    let (job, step, duration_ms) = (step.job_id, step.step.name(), took.as_millis() as u64);
    tracing::info!(%job, step, chunk, records, outcome, duration_ms, "a step is done");
}

/// Says that a message is set aside. Not what it says: path and detail may quote it, and so name people. They are in its
/// headers.
pub(super) fn dead_lettered(incoming: &Incoming, code: &str) {
    let (queue, job) = (incoming.channel.name(), job_of(incoming).map(tracing::field::display));
    tracing::warn!(queue, job, message_id = incoming.id, code, "a message is parked: its headers say why");
}

/// The job that a message is about, as far as it can be read.
fn job_of(incoming: &Incoming) -> Option<Uuid> {
    match incoming.channel {
        Channel::Requests => read_request(&incoming.body).ok().map(|request| request.job_id().0),
        _ => serde_json::from_slice::<Step>(&incoming.body).ok().map(|step| step.job_id.0),
    }
}
