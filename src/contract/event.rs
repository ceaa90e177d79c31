//! What Handover tells the outside: CloudEvents 1.0 in structured JSON.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Certificate, JobId, Rejection, event_id};

/// The MIME type of every event.
pub const EVENT_CONTENT_TYPE: &str = "application/cloudevents+json";

/// The types of events; each is also its routing key on the topic exchange of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum EventType {
    /// Accepted, and waits for its time or for another job.
    #[serde(rename = "handover.deactivation.scheduled")]
    Scheduled,
    /// Accepted and under way. A job that is done at once says only that it is completed.
    #[serde(rename = "handover.deactivation.started")]
    Started,
    /// Done: `data` is the certificate.
    #[serde(rename = "handover.deactivation.completed")]
    Completed,
    /// Refused: `data` holds every reason.
    #[serde(rename = "handover.deactivation.rejected")]
    Rejected,
    /// Stopped until a person decides: `data` says why.
    #[serde(rename = "handover.deactivation.needs_attention")]
    NeedsAttention,
    /// One digest a job and successor: how many of what, from whom.
    #[serde(rename = "handover.records.assigned")]
    Assigned,
}

impl EventType {
    /// The type's name.
    pub fn name(self) -> &'static str {
        match self {
            EventType::Scheduled => "handover.deactivation.scheduled",
            EventType::Started => "handover.deactivation.started",
            EventType::Completed => "handover.deactivation.completed",
            EventType::Rejected => "handover.deactivation.rejected",
            EventType::NeedsAttention => "handover.deactivation.needs_attention",
            EventType::Assigned => "handover.records.assigned",
        }
    }
}

/// A CloudEvent with one kind of `data`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CloudEvent<T> {
    /// Always `1.0`.
    pub specversion: String,
    /// Stable: the same event is always published under the same id.
    pub id: Uuid,
    /// Always `/handover`.
    pub source: String,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: EventType,
    /// The leaver's id.
    pub subject: String,
    /// When it happened.
    #[serde(with = "time::serde::rfc3339")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub time: OffsetDateTime,
    /// Always `application/json`.
    pub datacontenttype: String,
    /// The order of a job's events, from 1.
    pub sequence: i64,
    /// W3C trace context of the request, where it brought one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// What is told.
    pub data: T,
}

impl<T> CloudEvent<T> {
    /// The event of a job's `sequence`-th transition.
    pub fn of(job: JobId, sequence: i64, kind: EventType, subject: &str, time: OffsetDateTime, data: T) -> Self {
        CloudEvent {
            specversion: "1.0".into(),
            id: event_id(job, sequence),
            source: "/handover".into(),
            kind,
            subject: subject.into(),
            time,
            datacontenttype: "application/json".into(),
            sequence,
            traceparent: None,
            data,
        }
    }
}

/// The `data` of a deactivation event other than the completed one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JobNews {
    /// The job.
    pub job_id: JobId,
    /// The sender's name for the request.
    pub request_id: String,
    /// The organization; empty where the host has none.
    pub org_id: String,
    /// The leaver.
    pub user_id: String,
    /// The state that the job is in now.
    pub state: String,
    /// Of a rejected job: every reason. Of one that needs attention: what a person has to decide.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Rejection>,
    /// Of a scheduled job: when it starts.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub effective_at: Option<OffsetDateTime>,
    /// Of a scheduled job: the job that it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_for: Option<JobId>,
}

/// The `data` of `handover.deactivation.completed`: the certificate, and the sender's name for the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Completion {
    /// The sender's name for the request.
    pub request_id: String,
    /// What the job proves.
    #[serde(flatten)]
    pub certificate: Certificate,
}

/// The `data` of `handover.records.assigned`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Assigned {
    /// The job.
    pub job_id: JobId,
    /// The organization; empty where the host has none.
    pub org_id: String,
    /// Who left.
    pub from_user_id: String,
    /// Who received.
    pub user_id: String,
    /// How many of each kind.
    pub records: BTreeMap<String, u64>,
}
