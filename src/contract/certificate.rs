//! The counts that a finished job proves.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::JobId;
use super::named::named_enum;

/// What a finished job did, and that nothing was orphaned. The heart of the completed event, of `handover job` and of the demo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Certificate {
    /// The job.
    pub job_id: JobId,
    /// The organization; empty where the host has none.
    pub org_id: String,
    /// The leaver.
    pub user_id: String,
    /// Of a job that undoes another: that job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<JobId>,
    /// Of a job that was undone: by which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undone_by: Option<JobId>,
    /// Who asked.
    pub requested_by: String,
    /// The state that the certificate belongs to: `completed`; of one that was undone, `reverted` or `cancelled`.
    pub state: String,
    /// 0 for the certificate itself; each later count that found and moved more counts one up.
    pub supplement: u32,
    /// One entry for each reference of the catalog that counted for this leaver, in the catalog's order.
    pub references: Vec<ReferenceResult>,
    /// Kinds that the request names successors for and of which there was nothing to receive.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without_effect: Vec<String>,
    /// What became of the license.
    pub license: LicenseOutcome,
    /// Rows that point at the leaver and that no rule of the catalog allows to stay. Zero, or the job does not complete.
    pub orphans: u64,
    /// When the request was accepted.
    #[serde(with = "time::serde::rfc3339")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub requested_at: OffsetDateTime,
    /// When the work began.
    #[serde(with = "time::serde::rfc3339")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub started_at: OffsetDateTime,
    /// When the job ended.
    #[serde(with = "time::serde::rfc3339")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub completed_at: OffsetDateTime,
    /// When the rows were counted, with the leaver's row locked.
    #[serde(with = "time::serde::rfc3339")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub counted_at: OffsetDateTime,
}

/// What became of one reference. Only the counts that its disposition has are there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReferenceResult {
    /// The catalog's name for it.
    pub kind: String,
    /// The catalog's disposition.
    pub disposition: String,
    /// Records that the job came upon: those moved, left behind and changed meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<u64>,
    /// Records that went to successors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved: Option<u64>,
    /// Records that were added to those which the successor has already (`on_conflict = { add = [...] }`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged: Option<u64>,
    /// Records that went away because the successor holds them already (`on_conflict = "drop"`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped: Option<u64>,
    /// Rows removed, of a `detach`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed: Option<u64>,
    /// Rows deleted, of a `purge`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purged: Option<u64>,
    /// Rows changed, of a `set`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<u64>,
    /// Rows that stay on purpose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<u64>,
    /// Records that were dealt to nobody and stay with the leaver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_behind: Option<u64>,
    /// Records that the host took away while the job was under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_meanwhile: Option<u64>,
    /// Of an undo: records that are back where they were, rows that are there again, values that are as before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<u64>,
    /// Of an undo: what was left alone, by reason. `changed`: it is not where the job put it any more; `back_already`: somebody brought it back before; `gone`: it is not
    /// there any more; `occupied`: another row has its place; `parent_gone`: what it belongs to is not there any more;
    /// `other_inactive`: it comes back when its other user does; `table_changed`: its table has no column any more for what
    /// it holds, or one that must be filled and that it knows nothing of; `refused`: the database refused it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub skipped: BTreeMap<String, u64>,
    /// Of an undo: rows of which no copy is kept any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impossible: Option<u64>,
    /// How many went to whom.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub successors: BTreeMap<String, u64>,
    /// Users whom the request names and who received nothing, where others did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub received_nothing: Vec<String>,
}

named_enum! {
    /// What happened to the user's license.
    pub enum LicenseOutcome: "license outcome" {
        /// The license is free; the billed count is unchanged.
        Freed = "freed",
        /// The user is active again and holds a license.
        Taken = "taken",
        /// The user needs none (Keap: "partners do not require a user license").
        Exempt = "exempt",
        /// The user held none, or the catalog has no `[license]`.
        None = "none",
    }
}
