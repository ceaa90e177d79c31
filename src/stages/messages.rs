//! What stages leave in the outbox: steps for each other, events for the outside.

use std::collections::BTreeMap;

use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::broker::{Channel, Outgoing};
use crate::contract::{
    Assigned, Certificate, Change, CloudEvent, Completion, EVENT_CONTENT_TYPE, EventType, InvitationChange,
    InvitationData, JobId, JobStatusData, Reason, RequestType,
};
use crate::job::{Step, StepKind};
use crate::stages::now;
use crate::store::ledger::jobs::Job;
use crate::store::ledger::outbox::OutboxMessage;

/// A step of a job, due at a time.
pub fn step(kind: StepKind, job: &Job, due: OffsetDateTime) -> OutboxMessage {
    let step = Step { step: kind, job_id: JobId(job.id) };
    let body = serde_json::to_vec(&step).unwrap_or_default();
    let mut letter = letter(Channel::Steps, Uuid::new_v4(), kind.routing_key(), "application/json", body);
    letter.due_at = due;
    letter.job_id = Some(job.id);
    letter.headers = headers(job.traceparent.as_deref());
    letter
}

/// The event of a transition that is no completion. Counts the job's sequence up.
pub fn news(job: &mut Job, change: Change, reasons: Vec<Reason>, now: OffsetDateTime) -> OutboxMessage {
    let kind = EventType::of(kind_of(job), change);
    let data = JobStatusData {
        job_id: JobId(job.id),
        request_id: job.request_id.clone(),
        org_id: job.org.clone(),
        request_type: job.kind.clone(),
        user_id: job.user_id.clone(),
        state: job.state.clone(),
        reasons,
        effective_at: job.effective_at,
        wait_for: job.wait_for.map(JobId),
    };
    event(job, kind, data, now)
}

/// The completed event and, on the first certificate, one digest for each successor.
pub fn completion(job: &mut Job, certificate: &Certificate, now: OffsetDateTime) -> Vec<OutboxMessage> {
    let completed = EventType::of(kind_of(job), Change::Completed);
    let mut letters = vec![certified(job, completed, certificate, now)];
    if certificate.supplement == 0 {
        for (user, records) in digests(certificate) {
            let data = Assigned {
                job_id: JobId(job.id),
                org_id: job.org.clone(),
                from_user_id: job.user_id.clone(),
                user_id: user,
                records,
            };
            letters.push(event(job, EventType::Assigned, data, now));
        }
    }
    letters
}

/// An event whose data is a certificate.
pub fn certified(job: &mut Job, kind: EventType, certificate: &Certificate, now: OffsetDateTime) -> OutboxMessage {
    let data = Completion { request_id: job.request_id.clone(), certificate: certificate.clone() };
    event(job, kind, data, now)
}

/// The event of an invitation.
pub fn invitation(job: &mut Job, answer: InvitationChange, data: InvitationData, now: OffsetDateTime) -> OutboxMessage {
    event(job, EventType::Invitation(answer), data, now)
}

/// What the ledger holds was written by [`RequestType::name`].
fn kind_of(job: &Job) -> RequestType {
    job.kind.parse::<RequestType>().unwrap_or_default()
}

fn digests(certificate: &Certificate) -> BTreeMap<String, BTreeMap<String, u64>> {
    let mut digests: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    for reference in &certificate.references {
        for (user, count) in &reference.successors {
            digests.entry(user.clone()).or_default().insert(reference.kind.clone(), *count);
        }
    }
    digests
}

fn event<T: Serialize>(job: &mut Job, kind: EventType, data: T, now: OffsetDateTime) -> OutboxMessage {
    job.sequence += 1;
    let mut event = CloudEvent::of(JobId(job.id), job.sequence, kind, &job.user_id, now, data);
    event.traceparent.clone_from(&job.traceparent);
    let body = serde_json::to_vec(&event).unwrap_or_default();
    let mut letter = letter(Channel::Events, event.id, &kind.name(), EVENT_CONTENT_TYPE, body);
    letter.job_id = Some(job.id);
    letter.headers = headers(job.traceparent.as_deref());
    letter
}

fn headers(traceparent: Option<&str>) -> serde_json::Value {
    match traceparent {
        Some(traceparent) => serde_json::json!({ "traceparent": traceparent }),
        None => serde_json::json!({}),
    }
}

fn letter(channel: Channel, id: Uuid, routing_key: &str, content_type: &str, body: Vec<u8>) -> OutboxMessage {
    let message = Outgoing {
        id,
        channel,
        routing_key: routing_key.into(),
        content_type: content_type.into(),
        headers: BTreeMap::new(),
        body,
    };
    message.to_outbox_message(now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_by_successor() {
        let reference = |kind: &str, successors: &[(&str, u64)]| crate::contract::ReferenceResult {
            kind: kind.into(),
            successors: successors.iter().map(|(user, count)| ((*user).to_owned(), *count)).collect(),
            ..Default::default()
        };
        let certificate = Certificate {
            job_id: JobId(Uuid::nil()),
            org_id: "1".into(),
            user_id: "53".into(),
            undoes: None,
            undone_by: None,
            requested_by: "1".into(),
            state: "completed".into(),
            supplement: 0,
            references: vec![reference("contact", &[("11", 5), ("12", 50)]), reference("task", &[("11", 12)])],
            without_effect: Vec::new(),
            license: crate::contract::LicenseOutcome::Freed,
            orphans: 0,
            requested_at: now(),
            started_at: now(),
            completed_at: now(),
            counted_at: now(),
        };
        let digests = digests(&certificate);
        assert_eq!(digests["11"], BTreeMap::from([("contact".into(), 5), ("task".into(), 12)]));
        assert_eq!(digests["12"], BTreeMap::from([("contact".into(), 50)]));
    }
}
