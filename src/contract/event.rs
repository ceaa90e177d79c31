//! What Handover tells the outside: CloudEvents 1.0 in structured JSON.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use super::named::named_enum;
use super::{Certificate, JobId, LicenseOutcome, Reason, RequestType, event_id};

/// The MIME type of every event.
pub const EVENT_CONTENT_TYPE: &str = "application/cloudevents+json";

/// The types of events; each is also its routing key on the topic exchange of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum EventType {
    /// `handover.deactivation.<change>`
    Deactivation(Change),
    /// `handover.reassignment.<change>`: of a `reassign`.
    Reassignment(Change),
    /// `handover.undo.<change>`: of a job that undoes another or restores what a reactivation brings back.
    Undo(Change),
    /// `handover.request.rejected`: of a request that is neither a deactivation nor a reassignment.
    RequestRejected,
    /// `handover.user.reactivated`
    Reactivated,
    /// `handover.invitation.<answer>`
    Invitation(InvitationChange),
    /// `handover.records.assigned`: one digest a job and successor, how many of what, from whom.
    Assigned,
}

named_enum! {
    /// A change of a job that an event reports.
    pub enum Change: "job change" {
        /// The job is accepted, and waits for its time or for another job.
        Scheduled = "scheduled",
        /// The job is accepted and under way. A job that is done at once publishes only `completed`.
        Started = "started",
        /// The job is done: `data` is the certificate.
        Completed = "completed",
        /// The request is refused: `data` holds every reason.
        Rejected = "rejected",
        /// The job waits for a decision: `data` holds the reasons.
        NeedsAttention = "needs_attention",
        /// The job was paused on request.
        Paused = "paused",
        /// The job continues.
        Resumed = "resumed",
        /// The job ended early; what it had moved is back.
        Cancelled = "cancelled",
        /// The job was undone: `data` is the certificate of the undo.
        Reverted = "reverted",
    }
}

named_enum! {
    /// A change of an invitation that an event reports.
    pub enum InvitationChange: "invitation change" {
        /// The user is invited: send the mail.
        Created = "created",
        /// Send the mail again.
        Resent = "resent",
        /// The user accepted.
        Accepted = "accepted",
        /// The invitation was withdrawn.
        Cancelled = "cancelled",
    }
}

impl EventType {
    /// The event of a change to a job that a request of this type made.
    pub fn of(kind: RequestType, change: Change) -> EventType {
        match (kind, change) {
            (RequestType::Deactivate, change) => EventType::Deactivation(change),
            (RequestType::Reassign, change) => EventType::Reassignment(change),
            (_, Change::Rejected) => EventType::RequestRejected,
            (_, change) => EventType::Undo(change),
        }
    }

    /// Every type that is published.
    pub fn all() -> Vec<EventType> {
        let deactivations = Change::ALL.map(EventType::Deactivation);
        let reassignments = Change::ALL.map(EventType::Reassignment);
        let undos = [Change::Scheduled, Change::NeedsAttention, Change::Paused, Change::Resumed, Change::Cancelled];
        let undos = undos.map(EventType::Undo);
        let invitations = InvitationChange::ALL.map(EventType::Invitation);
        let others = [EventType::RequestRejected, EventType::Reactivated, EventType::Assigned];
        deactivations.into_iter().chain(reassignments).chain(undos).chain(invitations).chain(others).collect()
    }

    /// The type's name.
    pub fn name(self) -> String {
        match self {
            EventType::Deactivation(change) => format!("handover.deactivation.{}", change.name()),
            EventType::Reassignment(change) => format!("handover.reassignment.{}", change.name()),
            EventType::Undo(change) => format!("handover.undo.{}", change.name()),
            EventType::RequestRejected => "handover.request.rejected".into(),
            EventType::Reactivated => "handover.user.reactivated".into(),
            EventType::Invitation(answer) => format!("handover.invitation.{}", answer.name()),
            EventType::Assigned => "handover.records.assigned".into(),
        }
    }
}

impl From<EventType> for String {
    fn from(kind: EventType) -> String {
        kind.name()
    }
}

impl TryFrom<String> for EventType {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let found = EventType::all().into_iter().find(|kind| kind.name() == name);
        found.ok_or_else(|| format!("there is no event of the type {name:?}"))
    }
}

impl JsonSchema for EventType {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "EventType".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let names: Vec<String> = EventType::all().into_iter().map(EventType::name).collect();
        schemars::json_schema!({ "type": "string", "enum": names })
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
    /// W3C trace context of the request: what it came with or, where traces are exported, the span of taking it.
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

/// The `data` of an event about a job that tells no certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JobStatusData {
    /// The job.
    pub job_id: JobId,
    /// The sender's name for the request.
    pub request_id: String,
    /// The organization; empty where the host has none.
    pub org_id: String,
    /// What was asked for.
    pub request_type: String,
    /// The user: of a deactivation the leaver.
    pub user_id: String,
    /// The state that the job is in now.
    pub state: String,
    /// Of a rejected job: every reason. Of one that needs attention: what a person has to decide.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
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

/// The `data` of `handover.invitation.*`: what whoever sends the mail needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InvitationData {
    /// The job.
    pub job_id: JobId,
    /// The sender's name for the request.
    pub request_id: String,
    /// The organization; empty where the host has none.
    pub org_id: String,
    /// Who is invited.
    pub user_id: String,
    /// Their name.
    pub name: String,
    /// Their address.
    pub email: String,
    /// Who asked for it.
    pub requested_by: String,
    /// The invitation's own key, where the host keeps invitations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invitation_id: Option<String>,
    /// Of an accepted one: what became of the license.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<LicenseOutcome>,
}
