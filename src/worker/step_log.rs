//! Log lines about messages: one for each step, with its job, outcome and duration.

use std::time::Duration;

use uuid::Uuid;

use crate::broker::{Channel, Incoming};
use crate::contract::read_request;
use crate::job::Step;
use crate::metrics::Observation;

/// Logs the outcome of each chunk that a step worked on. Returns true if there was one.
pub(super) fn chunks(step: Step, committed: &[Observation], took: Duration) -> bool {
    let Names { org, request } = Names::of(committed);
    let mut any = false;
    for observation in committed {
        let (chunk, records, outcome, took, retried) = match observation {
            Observation::ChunkClosed { number, records, took, retried } => {
                (*number, Some(*records), "moved", *took, retried.as_ref())
            }
            Observation::ChunkFailed { number } => (*number, None, "failed", took, None),
            Observation::JobNamed { .. }
            | Observation::JobStarted { .. }
            | Observation::JobEnded { .. }
            | Observation::BreakerTripped
            | Observation::Records { .. } => continue,
        };
        let (job, step, duration_ms) = (step.job_id, step.step.name(), took.as_millis() as u64);
        // A large job has many chunks. Its progress is in `handover job`, and a chunk's failures are one line with their number.
        tracing::debug!(%job, org, request, step, chunk, records, outcome, duration_ms, "chunk done");
        if let Some((attempts, error)) = retried {
            tracing::warn!(%job, org, request, chunk, attempts, error, "chunk done after failed attempts");
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
        Observation::JobNamed { .. }
        | Observation::ChunkClosed { .. }
        | Observation::ChunkFailed { .. }
        | Observation::BreakerTripped
        | Observation::Records { .. } => outcome,
    });
    log(step, Names::of(committed), outcome, took);
}

/// Logs a step that another worker has finished meanwhile.
pub(super) fn superseded(step: Step, took: Duration) {
    log(step, Names { org: None, request: None }, "superseded", took);
}

/// The organization and the request of a step's job, if the step read it.
#[derive(Clone, Copy)]
struct Names<'o> {
    org: Option<&'o str>,
    request: Option<&'o str>,
}

impl Names<'_> {
    fn of(committed: &[Observation]) -> Names<'_> {
        let names = committed.iter().find_map(|observation| match observation {
            Observation::JobNamed { org, request } => Some(Names { org: Some(org), request: Some(request) }),
            Observation::JobStarted { .. }
            | Observation::JobEnded { .. }
            | Observation::ChunkClosed { .. }
            | Observation::ChunkFailed { .. }
            | Observation::BreakerTripped
            | Observation::Records { .. } => None,
        });
        names.unwrap_or(Names { org: None, request: None })
    }
}

fn log(step: Step, Names { org, request }: Names<'_>, outcome: &str, took: Duration) {
    let (job, step, duration_ms) = (step.job_id, step.step.name(), took.as_millis() as u64);
    tracing::info!(%job, org, request, step, outcome, duration_ms, "step done");
}

/// Logs a dead letter by its code alone. Path and detail may quote the message, and so personal data; the headers have them.
pub(super) fn dead_lettered(incoming: &Incoming, code: &str) {
    let queue = incoming.channel.name();
    let read = match incoming.channel {
        Channel::Requests => read_request(&incoming.body).ok(),
        Channel::Steps | Channel::Dead | Channel::Events => None,
    };
    let head = read.as_ref().map(|request| request.header());
    let (org, request) = (head.as_ref().map(|head| head.org()), head.as_ref().map(|head| head.request_id.as_str()));
    let job = read.as_ref().map(|request| request.job_id().0).or_else(|| job_of_step(incoming));
    let (job, message_id) = (job.map(tracing::field::display), &incoming.id);
    tracing::warn!(queue, job, org, request, message_id, code, "message dead-lettered; its headers give the reason");
}

/// Returns the job of a step, if the message is one that can be read.
fn job_of_step(incoming: &Incoming) -> Option<Uuid> {
    match incoming.channel {
        Channel::Requests => None,
        Channel::Steps | Channel::Dead | Channel::Events => {
            serde_json::from_slice::<Step>(&incoming.body).ok().map(|step| step.job_id.0)
        }
    }
}
