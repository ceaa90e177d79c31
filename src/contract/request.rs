//! Requests of every type, and the fields that all of them have.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{Allotment, CatalogChoice, HandoverRequest, JobId, OrgId, RequestId, RequestType, UserId};

/// A request of any type, as published to `handover.requests`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(title = "Request")]
pub enum Request {
    /// Hands over what a user owns.
    Handover(HandoverRequest),
    /// Acts on an existing user.
    User(UserCommand),
    /// Invites a user.
    Invite(InviteCommand),
    /// Acts on a job.
    Job(JobCommand),
}

/// A request about a user: `reactivate`, `resend_invitation`, `accept_invitation` or `cancel_invitation`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UserCommand {
    /// The request type.
    #[serde(rename = "type")]
    #[schemars(extend("enum" = ["reactivate", "resend_invitation", "accept_invitation", "cancel_invitation"]))]
    pub kind: RequestType,
    /// The sender's id of this request.
    pub request_id: RequestId,
    /// The organization; absent if the host has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub org_id: Option<OrgId>,
    /// The user.
    pub user_id: UserId,
    /// The requester. An invited user accepts for themselves.
    pub requested_by: UserId,
    /// The cause, for the audit trail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 2000))]
    pub reason: Option<String>,
}

/// A request to invite a user: `invite`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InviteCommand {
    /// The request type.
    #[serde(rename = "type")]
    #[schemars(extend("enum" = ["invite"]))]
    pub kind: RequestType,
    /// The sender's id of this request.
    pub request_id: RequestId,
    /// The organization; absent if the host has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub org_id: Option<OrgId>,
    /// The person's name.
    #[schemars(extend("minLength" = 1, "maxLength" = 200))]
    pub name: String,
    /// The person's email address.
    #[schemars(extend("minLength" = 3, "maxLength" = 320))]
    pub email: String,
    /// The requester.
    pub requested_by: UserId,
    /// The cause, for the audit trail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 2000))]
    pub reason: Option<String>,
}

/// A request about a job: `revert`, `cancel`, `pause`, `resume` or `amend`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JobCommand {
    /// The request type.
    #[serde(rename = "type")]
    #[schemars(extend("enum" = ["revert", "cancel", "pause", "resume", "amend"]))]
    pub kind: RequestType,
    /// The sender's id of this request.
    pub request_id: RequestId,
    /// The organization; absent if the host has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub org_id: Option<OrgId>,
    /// The job.
    pub job_id: JobId,
    /// The requester.
    pub requested_by: UserId,
    /// The cause, for the audit trail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 2000))]
    pub reason: Option<String>,
    /// Of `resume`: `current` continues the job with the catalog that is current. Guards and successors are evaluated again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catalog: Option<CatalogChoice>,
    /// Of `amend`: for each kind, the allotment of the remaining records.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reassign: BTreeMap<String, Allotment>,
}

/// The fields that every request has.
#[derive(Debug, Clone, Copy)]
pub struct RequestHeader<'r> {
    /// The request type.
    pub kind: RequestType,
    /// The sender's id of the request.
    pub request_id: &'r RequestId,
    /// The organization.
    pub org_id: Option<&'r OrgId>,
    /// The requester.
    pub requested_by: &'r UserId,
    /// The cause.
    pub reason: Option<&'r str>,
}

impl RequestHeader<'_> {
    /// Returns the organization as the ledger stores it: empty if the host has none.
    pub fn org(&self) -> &str {
        self.org_id.map_or("", OrgId::as_str)
    }

    /// Returns the id of the job that the request makes.
    pub fn job_id(&self) -> JobId {
        JobId::of(self.org(), self.request_id)
    }
}

macro_rules! header {
    ($request:expr) => {
        RequestHeader {
            kind: $request.kind,
            request_id: &$request.request_id,
            org_id: $request.org_id.as_ref(),
            requested_by: &$request.requested_by,
            reason: $request.reason.as_deref(),
        }
    };
}

impl HandoverRequest {
    /// Returns the fields that every request has.
    pub fn header(&self) -> RequestHeader<'_> {
        header!(self)
    }
}

impl Request {
    /// Returns the fields that every request has.
    pub fn header(&self) -> RequestHeader<'_> {
        match self {
            Request::Handover(request) => request.header(),
            Request::User(request) => header!(request),
            Request::Invite(request) => header!(request),
            Request::Job(request) => header!(request),
        }
    }

    /// Returns the id of the job that the request makes.
    pub fn job_id(&self) -> JobId {
        self.header().job_id()
    }

    /// Lists the users whom the request names, so that their ids can be written in another way.
    pub fn users_mut(&mut self) -> Vec<&mut UserId> {
        match self {
            Request::Handover(HandoverRequest { user_id, requested_by, reassign, .. }) => {
                let named = reassign.values_mut().flat_map(Allotment::users_mut);
                [user_id, requested_by].into_iter().chain(named).collect()
            }
            Request::User(UserCommand { user_id, requested_by, .. }) => vec![user_id, requested_by],
            Request::Invite(InviteCommand { requested_by, .. }) => vec![requested_by],
            Request::Job(JobCommand { requested_by, reassign, .. }) => {
                let named = reassign.values_mut().flat_map(Allotment::users_mut);
                std::iter::once(requested_by).chain(named).collect()
            }
        }
    }

    /// Returns the request if it hands over what a user owns.
    pub fn into_handover(self) -> Option<HandoverRequest> {
        match self {
            Request::Handover(request) => Some(request),
            Request::User(_) | Request::Invite(_) | Request::Job(_) => None,
        }
    }

    /// Returns the request in its canonical form: defaults are left out, and keys are sorted.
    pub fn canonical(&self) -> serde_json::Value {
        serde_json::to_value(self).expect("a request is serializable")
    }

    /// Returns the SHA-256 of the canonical form, in hexadecimal. Two bodies that mean the same have the same hash.
    pub fn body_hash(&self) -> String {
        hash_of(&self.canonical())
    }
}

/// Returns the SHA-256 hash of a request's canonical form, in hexadecimal.
pub fn hash_of(canonical: &serde_json::Value) -> String {
    hex(&Sha256::digest(canonical.to_string()))
}

/// Writes bytes in lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    bytes.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]).collect()
}
