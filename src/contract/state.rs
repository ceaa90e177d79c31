//! The states of a job, as events, certificates and outputs name them. `job` holds the table of transitions.

use super::named::named_enum;

named_enum! {
    /// The state of a job.
    #[schemars(rename = "JobState")]
    pub enum State: "job state" {
        /// Accepted; waits for its time or for another job. No record has moved yet; a lock-out may have ended the access already.
        Scheduled = "scheduled",
        /// The leaver is locked out. References are being cut into chunks, and chunks are being moved.
        Cutting = "cutting",
        /// Every reference is cut; chunks are being moved.
        Moving = "moving",
        /// Every chunk is closed; the count is due.
        Finalizing = "finalizing",
        /// Done, with a certificate.
        Completed = "completed",
        /// Refused, with every reason. Final: fix the request and send it under a new id.
        Rejected = "rejected",
        /// Stopped until a person decides. What was moved stays moved.
        NeedsAttention = "needs_attention",
        /// Stopped on request, until it is resumed.
        Paused = "paused",
        /// Being undone by another job.
        Reverting = "reverting",
        /// Undone after its end.
        Reverted = "reverted",
        /// Ended early; what it had moved is back.
        Cancelled = "cancelled",
    }
}
