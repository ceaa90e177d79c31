//! The messages that stages leave in the outbox: steps for other stages, and events for subscribers.

use std::collections::BTreeMap;

use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::broker::Channel;
use crate::contract::{
    Assigned, BreakerTripped, Certificate, Change, CloudEvent, Completion, EVENT_CONTENT_TYPE, EventType,
    InvitationChange, InvitationData, JobId, JobStatusData, Reason, wave_event_id,
};
use crate::job::{Step, StepKind};
use crate::stages::context::now;
use crate::stages::event_settings::EventSettings;
use crate::store::ledger::jobs::Job;
use crate::store::ledger::outbox::OutboxMessage;
use crate::store::{Error, Result};

/// Creates a step of a job that is due at a time.
pub fn step(kind: StepKind, job: &Job, due: OffsetDateTime) -> Result<OutboxMessage> {
    step_message(&Step { step: kind, job_id: JobId(job.id), deferrals: 0 }, job, due)
}

/// Creates the message of a step that is put off once more.
pub fn deferred_step(step: Step, job: &Job, due: OffsetDateTime) -> Result<OutboxMessage> {
    step_message(&Step { deferrals: step.deferrals.saturating_add(1), ..step }, job, due)
}

fn step_message(step: &Step, job: &Job, due: OffsetDateTime) -> Result<OutboxMessage> {
    let message = Draft {
        id: Uuid::new_v4(),
        channel: Channel::Steps,
        routing_key: step.step.routing_key().into(),
        content_type: "application/json",
        body: to_json(step)?,
    };
    Ok(message.of_job(job, due))
}

/// Creates tickets of a job that are due at a time.
pub fn tickets(count: u64, job: &Job, due: OffsetDateTime) -> Result<Vec<OutboxMessage>> {
    (0..count).map(|_| step(StepKind::Ticket, job, due)).collect()
}

/// Creates the event of a job's new state, and increments the job's sequence.
pub fn job_status(job: &mut Job, change: Change, reasons: Vec<Reason>, now: OffsetDateTime) -> Result<OutboxMessage> {
    let kind = EventType::of(job.kind, change);
    let data = JobStatusData {
        job_id: JobId(job.id),
        request_id: job.request_id.clone(),
        org_id: job.org.clone(),
        request_type: job.kind,
        user_id: job.user_id.clone(),
        state: job.state,
        reasons,
        effective_at: job.effective_at,
        wait_for: job.wait_for.map(JobId),
        access_ended_at: job.access_ended_at,
    };
    event(job, kind, data, now)
}

/// Creates the event of completion and, with the first certificate, one digest for each successor, unless digests are turned off.
pub fn completion(
    job: &mut Job,
    certificate: &Certificate,
    events: EventSettings,
    now: OffsetDateTime,
) -> Result<Vec<OutboxMessage>> {
    let completed = EventType::of(job.kind, Change::Completed);
    let mut messages = vec![certified(job, completed, certificate, now)?];
    if events.assigned && certificate.supplement == 0 {
        for (user, records) in digests(certificate) {
            let data = Assigned {
                job_id: JobId(job.id),
                org_id: job.org.clone(),
                from_user_id: job.user_id.clone(),
                user_id: user,
                records,
            };
            messages.push(event(job, EventType::Assigned, data, now)?);
        }
    }
    Ok(messages)
}

/// Creates an event whose data is a certificate.
pub fn certified(
    job: &mut Job,
    kind: EventType,
    certificate: &Certificate,
    now: OffsetDateTime,
) -> Result<OutboxMessage> {
    let data = Completion { request_id: job.request_id.clone(), certificate: certificate.clone() };
    event(job, kind, data, now)
}

/// Creates the event of an invitation.
pub fn invitation(
    job: &mut Job,
    change: InvitationChange,
    data: InvitationData,
    now: OffsetDateTime,
) -> Result<OutboxMessage> {
    event(job, EventType::Invitation(change), data, now)
}

/// Creates the event of a breaker that has tripped, with the number of its wave.
pub fn breaker_tripped(wave: i64, data: BreakerTripped, time: OffsetDateTime) -> Result<OutboxMessage> {
    let id = wave_event_id(&data.org_id, &data.connection, wave);
    let connection = data.connection.clone();
    let event = CloudEvent::new(id, wave, EventType::BreakerTripped, &connection, time, data);
    Ok(published(&event)?.at(now()))
}

/// Counts by successor what the certificate counts by reference.
fn digests(certificate: &Certificate) -> BTreeMap<String, BTreeMap<String, u64>> {
    let mut digests: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    for reference in &certificate.references {
        for (user, count) in &reference.successors {
            digests.entry(user.clone()).or_default().insert(reference.kind.clone(), *count);
        }
    }
    digests
}

fn event<T: Serialize>(job: &mut Job, kind: EventType, data: T, time: OffsetDateTime) -> Result<OutboxMessage> {
    job.sequence += 1;
    let mut event = CloudEvent::of(JobId(job.id), job.sequence, kind, &job.user_id, time, data);
    event.traceparent.clone_from(&job.traceparent);
    Ok(published(&event)?.of_job(job, now()))
}

/// Returns an event as a message.
fn published<T: Serialize>(event: &CloudEvent<T>) -> Result<Draft> {
    Ok(Draft {
        id: event.id,
        channel: Channel::Events,
        routing_key: event.kind.name(),
        content_type: EVENT_CONTENT_TYPE,
        body: to_json(event)?,
    })
}

fn to_json<T: Serialize>(body: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(body).map_err(|error| Error::unexpected("writing a message", error.to_string()))
}

/// A message before it belongs to a job.
struct Draft {
    id: Uuid,
    channel: Channel,
    routing_key: String,
    content_type: &'static str,
    body: Vec<u8>,
}

impl Draft {
    fn of_job(self, job: &Job, due_at: OffsetDateTime) -> OutboxMessage {
        let mut message = OutboxMessage { job_id: Some(job.id), ..self.at(due_at) };
        if let Some(traceparent) = &job.traceparent {
            message.headers = serde_json::json!({ "traceparent": traceparent });
        }
        message
    }

    fn at(self, due_at: OffsetDateTime) -> OutboxMessage {
        OutboxMessage {
            id: 0,
            message_id: self.id,
            channel: self.channel,
            routing_key: self.routing_key,
            content_type: self.content_type.into(),
            headers: serde_json::json!({}),
            body: self.body,
            job_id: None,
            created_at: now(),
            due_at,
            leased_until: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::State;

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
            state: State::Completed,
            supplement: 0,
            references: vec![reference("contact", &[("11", 5), ("12", 50)]), reference("task", &[("11", 12)])],
            without_effect: Vec::new(),
            license: crate::contract::LicenseOutcome::Freed,
            orphans: Some(0),
            requested_at: now(),
            started_at: now(),
            access_ended_at: None,
            completed_at: now(),
            counted_at: now(),
        };
        let digests = digests(&certificate);
        assert_eq!(digests["11"], BTreeMap::from([("contact".into(), 5), ("task".into(), 12)]));
        assert_eq!(digests["12"], BTreeMap::from([("contact".into(), 50)]));
    }
}
