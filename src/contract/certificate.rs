//! The certificate: the counts that a finished job proves.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::named::named_enum;
use super::{JobId, State};

/// The counts of a finished job, and the proof that no row is orphaned. It is part of the completed event and of `handover job`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Certificate {
    /// The job.
    pub job_id: JobId,
    /// The organization; empty if the host has none.
    pub org_id: String,
    /// The leaver.
    pub user_id: String,
    /// The job that this job undoes, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<JobId>,
    /// The job that undid this one, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undone_by: Option<JobId>,
    /// The requester.
    pub requested_by: String,
    /// The state that the certificate proves: `completed`, or `reverted` or `cancelled` after an undo. `needs_attention` if rows
    /// have arrived since that may not stay.
    #[schemars(extend("enum" = ["completed", "reverted", "cancelled", "needs_attention"]))]
    pub state: State,
    /// 0 for the first certificate. Each supplement increments it; a recount that has moved late records writes one.
    pub supplement: u32,
    /// One entry for each reference that counts for this leaver, in the catalog's order.
    pub references: Vec<ReferenceResult>,
    /// The request's kinds whose allotment had no effect: no record was moved, merged or dropped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without_effect: Vec<String>,
    /// The outcome for the license.
    pub license: LicenseOutcome,
    /// Rows that still point at the leaver although the catalog does not allow it: 0, or the job needs attention. Absent if they
    /// were not counted: a reassignment and an undo do not count them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orphans: Option<u64>,
    /// The time when the request was accepted.
    #[serde(with = "time::serde::rfc3339")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub requested_at: OffsetDateTime,
    /// The time when the work began.
    #[serde(with = "time::serde::rfc3339")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub started_at: OffsetDateTime,
    /// The time when the job ended the user's access; absent if it has not.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub access_ended_at: Option<OffsetDateTime>,
    /// The time when the job ended.
    #[serde(with = "time::serde::rfc3339")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub completed_at: OffsetDateTime,
    /// The time when the step that counted began. It counted later, with the leaver's row locked.
    #[serde(with = "time::serde::rfc3339")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub counted_at: OffsetDateTime,
}

/// The counts for one reference. Counts that do not apply to its disposition are absent, and so are `merged` and `dropped`
/// if they are zero.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReferenceResult {
    /// The kind.
    pub kind: String,
    /// The disposition.
    pub disposition: String,
    /// The records found. For a transfer: `moved`, `merged`, `dropped`, `left_behind` and `changed_meanwhile` together. For
    /// `detach`, `purge` and `set`: the rows that the job handled. In an undo: the records that the undone job moved or removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<u64>,
    /// Records whose owner changed to a successor, without `merged`.
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
    /// Records that stay with the leaver: the deal gives them to nobody, or the request does not allot them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_behind: Option<u64>,
    /// Records that were no longer the leaver's when their chunk was moved, because the application had changed them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_meanwhile: Option<u64>,
    /// In an undo: records moved back, rows restored, and values set back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<u64>,
    /// In an undo: the number of records skipped, by reason.
    ///
    /// `changed`: the record is no longer where the job put it. `back_already`: it was brought back before. `gone`: it no
    /// longer exists. `occupied`: another row already holds its unique key. `parent_gone`: its parent row no longer exists.
    /// `other_inactive`: the row also points at another user who is not active; it waits for that user's return. `locked_out`: the row
    /// gives access, and another job has locked the user out since. `table_changed`: the table lost a column of
    /// the snapshot, or has a new required one. `refused`: the database refused it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub skipped: BTreeMap<SkipReason, u64>,
    /// In an undo: removed rows that cannot be restored, because their snapshots are no longer kept, or none were taken (`secret`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impossible: Option<u64>,
    /// The number of records that each successor received, moved or merged.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub successors: BTreeMap<String, u64>,
    /// Users named in the allotment who received no record. Empty if the kind is in `without_effect`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub received_nothing: Vec<String>,
}

named_enum! {
    /// The outcome for the user's license.
    pub enum LicenseOutcome: "license outcome" {
        /// The license is free; the billed count is unchanged.
        Freed = "freed",
        /// The user is active again and holds a license, or all that were freed.
        Taken = "taken",
        /// The user needs none (Keap: "partners do not require a user license").
        Exempt = "exempt",
        /// The job freed or took none, or the catalog has no `[license]`.
        None = "none",
    }
}

named_enum! {
    /// The reason for which an undo skipped a record.
    pub enum SkipReason: "skip reason" {
        /// It was brought back before.
        BackAlready = "back_already",
        /// It is not as the job left it.
        Changed = "changed",
        /// It does not exist any more.
        Gone = "gone",
        /// It gives access, and another job has locked the user out since.
        LockedOut = "locked_out",
        /// Another row already holds its unique key.
        Occupied = "occupied",
        /// It also points at another user, who is not active. It waits for that user's return.
        OtherInactive = "other_inactive",
        /// A row that it points at does not exist any more.
        ParentGone = "parent_gone",
        /// The database refused it.
        Refused = "refused",
        /// Its table lacks a column of the snapshot, or has a new required one.
        TableChanged = "table_changed",
    }
}
