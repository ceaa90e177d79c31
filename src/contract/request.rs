//! What a request may say.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::{Allotment, JobId, OrgId, RequestId, UserId, unique};

/// A request to deactivate a user, as published to `handover.requests`. Unknown fields are refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// What is asked for.
    #[serde(rename = "type", default)]
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
}

impl RequestType {
    /// The word that stands in requests, routing keys and catalogs.
    pub fn name(self) -> &'static str {
        match self {
            RequestType::Deactivate => "deactivate",
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

impl Request {
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

    /// The request in its canonical form: fields in their documented order, defaults left out, map keys sorted.
    pub fn canonical(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// SHA-256 over the canonical form, in hexadecimal: two bodies that mean the same have the same hash.
    pub fn body_hash(&self) -> String {
        hex(&Sha256::digest(self.canonical().to_string()))
    }
}

/// Lower-case hexadecimal.
fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
