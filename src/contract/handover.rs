//! What a request may say.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{Allotment, JobId, OrgId, RequestId, UserId, unique};

/// A request to hand over what a user owns, as published to `handover.requests`: `deactivate`, or `reassign`, which only
/// moves. Unknown fields are refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HandoverRequest {
    /// What is asked for.
    #[serde(rename = "type", default)]
    #[schemars(extend("enum" = ["deactivate", "reassign"]))]
    pub kind: RequestType,
    /// The sender's name for this request. The same id with the same body is the same job; with another body it is a conflict.
    pub request_id: RequestId,
    /// The organization; absent where the host has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub org_id: Option<OrgId>,
    /// The leaver.
    pub user_id: UserId,
    /// Who asks: must be allowed to by the catalog's `may`.
    pub requested_by: UserId,
    /// Why, for the audit trail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 2000))]
    pub reason: Option<String>,
    /// When to start; at once where absent or past. RFC 3339.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub effective_at: Option<OffsetDateTime>,
    /// A leave, not a farewell: on that day the job is reverted by itself. RFC 3339.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub return_at: Option<OffsetDateTime>,
    /// End the user's access at once, even where an allotment is missing: the job then waits until an `amend` names it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lock_out: bool,
    /// For each kind of the catalog that is transferred: who receives how much.
    #[serde(default, deserialize_with = "unique::map", skip_serializing_if = "BTreeMap::is_empty")]
    pub reassign: BTreeMap<String, Allotment>,
    /// What is to be done beside what is always done: names that the catalog's `also` conditions have.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub also: BTreeSet<String>,
    /// Whether the request is a row of a bulk file: a catalog may refuse in bulk what it allows one by one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bulk: bool,
    /// The plan token of a preview: the request is refused when what it saw has changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<String>,
    /// Whether drift from `expect` is allowed.
    #[serde(default, skip_serializing_if = "Drift::is_refused")]
    pub drift: Drift,
}

/// What can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RequestType {
    /// Hand over what the user has, then free the license.
    #[default]
    Deactivate,
    /// Only move records, from anyone: what was left behind, or went to the wrong user.
    Reassign,
    /// Let a user in again: license, status, and what the catalog restores. Ownership stays where it went.
    Reactivate,
    /// Add a user, who is invited until they accept.
    Invite,
    /// Send an invitation again.
    ResendInvitation,
    /// An invited user comes: takes a license and is active.
    AcceptInvitation,
    /// An invited user is not to come any more.
    CancelInvitation,
    /// Undo a completed job: what is still where it was put goes back.
    Revert,
    /// End a job that has not: a scheduled one is forgotten, one under way is stopped and undone.
    Cancel,
    /// Stop a job until it is resumed.
    Pause,
    /// Let a job go on that was paused, or that needed attention.
    Resume,
    /// Name other successors for what a job has not moved yet, and let it go on.
    Amend,
}

/// What the fields of a request are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Handover,
    User,
    Invite,
    Job,
}

impl RequestType {
    /// Every type.
    pub const ALL: [RequestType; 12] = [
        RequestType::Deactivate,
        RequestType::Reassign,
        RequestType::Reactivate,
        RequestType::Invite,
        RequestType::ResendInvitation,
        RequestType::AcceptInvitation,
        RequestType::CancelInvitation,
        RequestType::Revert,
        RequestType::Cancel,
        RequestType::Pause,
        RequestType::Resume,
        RequestType::Amend,
    ];

    /// The word that stands in requests, routing keys and catalogs.
    pub fn name(self) -> &'static str {
        match self {
            RequestType::Deactivate => "deactivate",
            RequestType::Reassign => "reassign",
            RequestType::Reactivate => "reactivate",
            RequestType::Invite => "invite",
            RequestType::ResendInvitation => "resend_invitation",
            RequestType::AcceptInvitation => "accept_invitation",
            RequestType::CancelInvitation => "cancel_invitation",
            RequestType::Revert => "revert",
            RequestType::Cancel => "cancel",
            RequestType::Pause => "pause",
            RequestType::Resume => "resume",
            RequestType::Amend => "amend",
        }
    }

    /// The type of that name.
    pub fn from_name(name: &str) -> Option<RequestType> {
        RequestType::ALL.into_iter().find(|kind| kind.name() == name)
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

/// Whether a plan may differ from the preview that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Drift {
    /// A plan that has changed is rejected, and the rejection says what changed.
    #[default]
    Refuse,
    /// A plan that has changed goes on.
    Allow,
}

impl Drift {
    fn is_refused(&self) -> bool {
        *self == Drift::Refuse
    }
}

impl HandoverRequest {
    /// The organization as the ledger keeps it: empty where the host has none.
    pub fn org(&self) -> &str {
        self.org_id.as_ref().map_or("", OrgId::as_str)
    }

    /// The job that this request makes.
    pub fn job_id(&self) -> JobId {
        JobId::of(self.org(), &self.request_id)
    }

    /// The successors that the request names, in every allotment.
    pub fn successors(&self) -> impl Iterator<Item = &UserId> {
        self.reassign.values().flat_map(Allotment::users)
    }

    /// The round-robin groups that the request names.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.reassign.values().flat_map(Allotment::groups)
    }
}
