//! The certificate: the counts that a finished job proves.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::JobId;
use super::named::named_enum;

/// The counts of a finished job, and the proof that no row is orphaned. It is part of the completed event and of `handover job`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Certificate {
    /// The job.
    pub job_id: JobId,
    /// The organization; empty if the host has none.
    pub org_id: String,
    /// The leaver.
    pub user_id: String,
    /// Of a job that undoes another: the undone job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<JobId>,
    /// Of a job that was undone: the job that undid it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undone_by: Option<JobId>,
    /// The requester.
    pub requested_by: String,
    /// The state that the certificate proves: `completed`, or `reverted` or `cancelled` after an undo.
    pub state: String,
    /// The number of the supplement: 0 for the certificate itself, then one more for each later count that moved records.
    pub supplement: u32,
    /// One entry for each reference that counts for this leaver, in the catalog's order.
    pub references: Vec<ReferenceResult>,
    /// Kinds for which the request names successors without effect, because there was nothing to receive.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without_effect: Vec<String>,
    /// The outcome for the license.
    pub license: LicenseOutcome,
    /// Rows that point at the leaver against the catalog. A completed job has none.
    pub orphans: u64,
    /// The time when the request was accepted.
    #[serde(with = "time::serde::rfc3339")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub requested_at: OffsetDateTime,
    /// The time when the work began.
    #[serde(with = "time::serde::rfc3339")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub started_at: OffsetDateTime,
    /// The time when the job ended.
    #[serde(with = "time::serde::rfc3339")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub completed_at: OffsetDateTime,
    /// The time of the count, with the leaver's row locked.
    #[serde(with = "time::serde::rfc3339")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub counted_at: OffsetDateTime,
}

/// The counts of one reference. Counts that its disposition does not have are absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReferenceResult {
    /// The kind.
    pub kind: String,
    /// The disposition.
    pub disposition: String,
    /// Records found: those moved, left behind and changed meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<u64>,
    /// Records that went to successors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved: Option<u64>,
    /// Records added to a record that the successor already had (`on_conflict = { add = [...] }`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged: Option<u64>,
    /// Records removed because the successor already had them (`on_conflict = "drop"`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped: Option<u64>,
    /// Rows removed by `detach`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed: Option<u64>,
    /// Rows deleted by `purge`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purged: Option<u64>,
    /// Rows changed by `set`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<u64>,
    /// Rows that stay on purpose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<u64>,
    /// Records that the deal gives to nobody. They stay with the leaver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_behind: Option<u64>,
    /// Records that the application took from the leaver while the job was under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_meanwhile: Option<u64>,
    /// Of an undo: records moved back, rows restored, and values set back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<u64>,
    /// Of an undo: the number of records skipped, by reason.
    ///
    /// `changed`: the record is no longer where the job put it. `back_already`: it was brought back before. `gone`: it no
    /// longer exists. `occupied`: another row has its place. `parent_gone`: its parent row no longer exists.
    /// `other_inactive`: its other user is not active, and restores it on return. `table_changed`: the table lost a column of
    /// the snapshot, or has a new required one. `refused`: the database refused it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub skipped: BTreeMap<String, u64>,
    /// Of an undo: rows whose snapshots are no longer kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impossible: Option<u64>,
    /// The number of records that each successor received.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub successors: BTreeMap<String, u64>,
    /// Users whom the request names and who received nothing although others did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub received_nothing: Vec<String>,
}

named_enum! {
    /// The outcome for the user's license.
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
