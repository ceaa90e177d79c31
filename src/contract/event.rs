//! Events: CloudEvents 1.0 in structured JSON.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use super::named::named_enum;
use super::{Certificate, JobId, LicenseOutcome, Reason, RequestType, State, event_id};

/// The MIME type of every event.
pub const EVENT_CONTENT_TYPE: &str = "application/cloudevents+json";

/// The type of an event, which is also its routing key on the topic exchange of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum EventType {
    /// `handover.deactivation.<change>`: of a `deactivate`.
    Deactivation(Change),
    /// `handover.reassignment.<change>`: of a `reassign`.
    Reassignment(Change),
    /// `handover.undo.<change>`: of a job that undoes another, or restores rows for a reactivation.
    Undo(Change),
    /// `handover.request.rejected`: of any other request that is refused.
    RequestRejected,
    /// `handover.user.reactivated`: of a `reactivate`.
    Reactivated,
    /// `handover.invitation.<change>`: of a request about an invitation.
    Invitation(InvitationChange),
    /// `handover.records.assigned`: for each successor of a job, the number of records of each kind.
    Assigned,
    /// `handover.scim.breaker_tripped`: an identity provider has deprovisioned too many users, and no record moves.
    BreakerTripped,
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
    /// Returns the event of a change of a job, by the type of its request.
    pub fn of(kind: RequestType, change: Change) -> EventType {
        match kind {
            RequestType::Deactivate => EventType::Deactivation(change),
            RequestType::Reassign => EventType::Reassignment(change),
            RequestType::Reactivate
            | RequestType::Invite
            | RequestType::ResendInvitation
            | RequestType::AcceptInvitation
            | RequestType::CancelInvitation
            | RequestType::Revert
            | RequestType::Cancel
            | RequestType::Pause
            | RequestType::Resume
            | RequestType::Amend => match change == Change::Rejected {
                true => EventType::RequestRejected,
                false => EventType::Undo(change),
            },
        }
    }

    /// Lists every type that is published.
    pub fn all() -> Vec<EventType> {
        let deactivations = Change::ALL.map(EventType::Deactivation);
        let reassignments = Change::ALL.map(EventType::Reassignment);
        let undos = [Change::Scheduled, Change::NeedsAttention, Change::Paused, Change::Resumed, Change::Cancelled];
        let undos = undos.map(EventType::Undo);
        let invitations = InvitationChange::ALL.map(EventType::Invitation);
        let others =
            [EventType::RequestRejected, EventType::Reactivated, EventType::Assigned, EventType::BreakerTripped];
        deactivations.into_iter().chain(reassignments).chain(undos).chain(invitations).chain(others).collect()
    }

    /// Returns the name of the type.
    pub fn name(self) -> String {
        match self {
            EventType::Deactivation(change) => format!("handover.deactivation.{}", change.name()),
            EventType::Reassignment(change) => format!("handover.reassignment.{}", change.name()),
            EventType::Undo(change) => format!("handover.undo.{}", change.name()),
            EventType::RequestRejected => "handover.request.rejected".into(),
            EventType::Reactivated => "handover.user.reactivated".into(),
            EventType::Invitation(answer) => format!("handover.invitation.{}", answer.name()),
            EventType::Assigned => "handover.records.assigned".into(),
            EventType::BreakerTripped => "handover.scim.breaker_tripped".into(),
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
        found.ok_or_else(|| format!("{name:?} is not a known event type"))
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
    /// The id, which is the same whenever the same event is published again.
    pub id: Uuid,
    /// Always `/handover`.
    pub source: String,
    /// The type of the event.
    #[serde(rename = "type")]
    pub kind: EventType,
    /// The leaver's id; of an event about a connection of an identity provider, its name.
    pub subject: String,
    /// The time of the change.
    #[serde(with = "time::serde::rfc3339")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub time: OffsetDateTime,
    /// Always `application/json`.
    pub datacontenttype: String,
    /// The position among the events of the job or of the connection, from 1: ten digits, so that texts sort as numbers do
    /// (CloudEvents' extension `sequence`).
    pub sequence: String,
    /// The W3C trace context of the request or, if traces are exported, of the span that took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// The content of the event.
    pub data: T,
}

impl<T> CloudEvent<T> {
    /// Creates the event of a job's `sequence`-th transition.
    pub fn of(job: JobId, sequence: i64, kind: EventType, subject: &str, time: OffsetDateTime, data: T) -> Self {
        CloudEvent::new(event_id(job, sequence), sequence, kind, subject, time, data)
    }

    /// Creates an event about a subject, under an id.
    pub fn new(id: Uuid, sequence: i64, kind: EventType, subject: &str, time: OffsetDateTime, data: T) -> Self {
        CloudEvent {
            specversion: "1.0".into(),
            id,
            source: "/handover".into(),
            kind,
            subject: subject.into(),
            time,
            datacontenttype: "application/json".into(),
            sequence: format!("{sequence:010}"),
            traceparent: None,
            data,
        }
    }
}

/// The `data` of an event about a job, unless it is a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JobStatusData {
    /// The job.
    pub job_id: JobId,
    /// The sender's id of the request.
    pub request_id: String,
    /// The organization; empty if the host has none.
    pub org_id: String,
    /// The request type.
    pub request_type: RequestType,
    /// The user; of a deactivation, the leaver.
    pub user_id: String,
    /// The state of the job.
    pub state: State,
    /// Every reason why the job was refused, or why it needs attention. Of a scheduled lock-out: what it lacks so far. Of a job that
    /// a lock-out replaced: the job of the lock-out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
    /// Of a scheduled job: its start.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub effective_at: Option<OffsetDateTime>,
    /// Of a scheduled job: the job that it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_for: Option<JobId>,
    /// The time when the job ended the user's access; absent if it has not.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub access_ended_at: Option<OffsetDateTime>,
}

/// The `data` of `handover.deactivation.completed`: the certificate, and the sender's id of the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Completion {
    /// The sender's id of the request.
    pub request_id: String,
    /// The certificate.
    #[serde(flatten)]
    pub certificate: Certificate,
}

/// The `data` of `handover.records.assigned`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Assigned {
    /// The job.
    pub job_id: JobId,
    /// The organization; empty if the host has none.
    pub org_id: String,
    /// The leaver.
    pub from_user_id: String,
    /// The successor.
    pub user_id: String,
    /// The number of records of each kind.
    pub records: BTreeMap<String, u64>,
}

/// The `data` of `handover.scim.breaker_tripped`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BreakerTripped {
    /// The organization; empty if the host has none.
    pub org_id: String,
    /// The name of the connection.
    pub connection: String,
    /// The number of users whom it has deprovisioned within an hour. Their access has ended, and no record moves.
    pub deprovisioned: u64,
    /// The number above which the breaker trips.
    pub most: u64,
}

/// The `data` of `handover.invitation.*`: everything that the mail needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InvitationData {
    /// The job.
    pub job_id: JobId,
    /// The sender's id of the request.
    pub request_id: String,
    /// The organization; empty if the host has none.
    pub org_id: String,
    /// The invited user.
    pub user_id: String,
    /// The person's name.
    pub name: String,
    /// The person's email address.
    pub email: String,
    /// The requester.
    pub requested_by: String,
    /// The invitation's key, if the host stores invitations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invitation_id: Option<String>,
    /// Of an accepted invitation: the license.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<LicenseOutcome>,
}
