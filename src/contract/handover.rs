//! The request to hand over what a user owns, and the types of requests.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;
use time::OffsetDateTime;

use super::named::named_enum;
use super::{Allotment, JobId, OrgId, RequestId, UserId};

/// A request to hand over what a user owns, as published to `handover.requests`: `deactivate`, or `reassign`, which only
/// moves records. Unknown fields are refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HandoverRequest {
    /// The request type.
    #[serde(rename = "type")]
    #[schemars(extend("enum" = ["deactivate", "reassign"]))]
    pub kind: RequestType,
    /// The sender's id of this request. The same id with the same body is the same job; with another body it is a conflict.
    pub request_id: RequestId,
    /// The organization; absent if the host has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub org_id: Option<OrgId>,
    /// The leaver.
    pub user_id: UserId,
    /// The requester, whom the catalog's `may` must permit.
    pub requested_by: UserId,
    /// The cause, for the audit trail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 2000))]
    pub reason: Option<String>,
    /// The start; at once if absent or past. RFC 3339.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub effective_at: Option<OffsetDateTime>,
    /// The end of a leave: the job is then reverted automatically. RFC 3339.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub return_at: Option<OffsetDateTime>,
    /// End the user's access at its time (at once without `effective_at`), even if a guard of the handover fails or another job of
    /// the user is under way. The job then waits for a person, or for that job.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lock_out: bool,
    /// For each transferred kind of the catalog: its allotment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reassign: BTreeMap<String, Allotment>,
    /// Optional work to do as well: names from the catalog's `also` conditions.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub also: BTreeSet<String>,
    /// True if the request is a row of a bulk file. A catalog may refuse in bulk what it allows one by one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bulk: bool,
    /// The plan token of a preview: the request is refused if the plan has changed since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<String>,
    /// The reaction if the plan differs from `expect`.
    #[serde(default, skip_serializing_if = "Drift::is_refused")]
    pub drift: Drift,
}

named_enum! {
    /// The type of a request.
    pub enum RequestType: "request type" {
        /// Hand over what the user owns, then free the license.
        Deactivate = "deactivate",
        /// Only move records, from anyone: what was left behind, or went to the wrong user.
        Reassign = "reassign",
        /// Let a user in again: license, status, and what the catalog restores. Ownership stays where it went.
        Reactivate = "reactivate",
        /// Add a user, who is invited until they accept.
        Invite = "invite",
        /// Send an invitation again.
        ResendInvitation = "resend_invitation",
        /// Accept an invitation: the user takes a license and is active.
        AcceptInvitation = "accept_invitation",
        /// Withdraw an invitation.
        CancelInvitation = "cancel_invitation",
        /// Undo a completed job: records that are still where it put them go back.
        Revert = "revert",
        /// End a job early: a scheduled one is dropped, one under way is stopped and undone.
        Cancel = "cancel",
        /// Stop a job until it is resumed.
        Pause = "pause",
        /// Continue a job that was paused, or that needs attention.
        Resume = "resume",
        /// Name other successors for what a job has not moved yet, and continue it.
        Amend = "amend",
    }
}

/// The form of a request: its set of fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Handover,
    User,
    Invite,
    Job,
}

impl RequestType {
    /// Returns true if a request of this type is a command about a job.
    pub fn is_about_job(self) -> bool {
        match self.form() {
            Form::Job => true,
            Form::Handover | Form::User | Form::Invite => false,
        }
    }

    pub(super) fn form(self) -> Form {
        match self {
            RequestType::Deactivate | RequestType::Reassign => Form::Handover,
            RequestType::Reactivate
            | RequestType::ResendInvitation
            | RequestType::AcceptInvitation
            | RequestType::CancelInvitation => Form::User,
            RequestType::Invite => Form::Invite,
            RequestType::Revert
            | RequestType::Cancel
            | RequestType::Pause
            | RequestType::Resume
            | RequestType::Amend => Form::Job,
        }
    }
}

named_enum! {
    /// The reaction if a plan differs from the preview that the request names.
    #[derive(Default)]
    pub enum Drift: "reaction to drift" {
        /// The request is refused, and the reason lists the differences.
        #[default]
        Refuse = "refuse",
        /// The request is accepted with the changed plan.
        Allow = "allow",
    }
}

named_enum! {
    /// The catalog with which a job is resumed, if not with its own.
    pub enum CatalogChoice: "catalog" {
        /// The version that is current: guards and successors are evaluated again.
        Current = "current",
    }
}

impl Drift {
    fn is_refused(&self) -> bool {
        *self == Drift::Refuse
    }
}

impl HandoverRequest {
    /// Returns the organization as the ledger stores it: empty if the host has none.
    pub fn org(&self) -> &str {
        self.org_id.as_ref().map_or("", OrgId::as_str)
    }

    /// Returns the id of the job that this request makes.
    pub fn job_id(&self) -> JobId {
        JobId::of(self.org(), &self.request_id)
    }

    /// Lists the successors that the allotments name.
    pub fn successors(&self) -> impl Iterator<Item = &UserId> {
        self.reassign.values().flat_map(Allotment::users)
    }

    /// Lists the round-robin groups that the allotments name.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.reassign.values().flat_map(Allotment::groups)
    }
}
