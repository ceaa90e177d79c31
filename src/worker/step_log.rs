//! Log lines about messages: one for each step, with its job, outcome and duration.

use std::time::Duration;

use uuid::Uuid;

use crate::broker::{Channel, Incoming};
use crate::contract::read_request;
use crate::job::Step;
use crate::metrics::Observation;

/// Logs the outcome of each chunk that a step worked on. Returns true if there was one.
pub(super) fn chunks(step: Step, committed: &[Observation], took: Duration) -> bool {
    let mut any = false;
    for observation in committed {
        match observation {
            Observation::ChunkClosed { number, records, took } => {
                log(step, Some(*number), Some(*records), "moved", *took)
            }
            Observation::ChunkFailed { number } => log(step, Some(*number), None, "failed", took),
            Observation::JobStarted { .. } | Observation::JobEnded { .. } | Observation::Records { .. } => continue,
        }
        any = true;
    }
    any
}

/// Logs a step without chunks, with the outcome that it committed.
pub(super) fn done(step: Step, committed: &[Observation], took: Duration) {
    let outcome = committed.iter().fold("done", |outcome, observation| match observation {
        Observation::JobStarted { .. } => "begun",
        Observation::JobEnded { outcome, .. } => outcome,
        Observation::ChunkClosed { .. } | Observation::ChunkFailed { .. } | Observation::Records { .. } => outcome,
    });
    log(step, None, None, outcome, took);
}

/// Logs a step that another worker has finished meanwhile.
pub(super) fn superseded(step: Step, took: Duration) {
    log(step, None, None, "superseded", took);
}

fn log(step: Step, chunk: Option<i32>, records: Option<u64>, outcome: &str, took: Duration) {
    let (job, step, duration_ms) = (step.job_id, step.step.name(), took.as_millis() as u64);
    tracing::info!(%job, step, chunk, records, outcome, duration_ms, "step done");
}

/// Logs a dead letter by its code alone. Path and detail may quote the message, and so personal data; the headers have them.
pub(super) fn dead_lettered(incoming: &Incoming, code: &str) {
    let (queue, job) = (incoming.channel.name(), job_of(incoming).map(tracing::field::display));
    tracing::warn!(queue, job, message_id = incoming.id, code, "message dead-lettered; its headers give the reason");
}

/// Returns the job of a message, if the message can be read.
fn job_of(incoming: &Incoming) -> Option<Uuid> {
    match incoming.channel {
        Channel::Requests => read_request(&incoming.body).ok().map(|request| request.job_id().0),
        Channel::Steps | Channel::Dead | Channel::Events => {
            serde_json::from_slice::<Step>(&incoming.body).ok().map(|step| step.job_id.0)
        }
    }
}
