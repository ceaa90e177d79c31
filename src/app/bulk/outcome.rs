//! The outcome of each row.

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::reason::{RowReason, RowReasonSchema};
use crate::contract::{JobId, RequestType};
use crate::job::State;

/// The outcome of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[schemars(with = "String")]
pub enum RowOutcome {
    /// The row would be accepted.
    Ok,
    /// The row does not ask for a deactivation.
    Skipped,
    /// The same request was sent before.
    SentBefore,
    /// The row is rejected, or would be.
    Rejected,
    /// The request could not be sent, or its job is unknown.
    Failed,
    /// The request may have been sent: the run ended while sending it.
    Sending,
    /// The request was sent; the run ended before its job did.
    Sent,
    /// The request was sent, and its job is in this state.
    Job(State),
}

/// The part of a row that a report shows whatever the outcome.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct Understood {
    /// The user: the id if it is known, otherwise the text of the row.
    pub user: String,
    /// The user's name.
    pub name: Option<String>,
    /// The user's email address.
    pub email: Option<String>,
    /// The type of the request; none if the row makes none.
    #[serde(rename = "type")]
    pub kind: Option<RequestType>,
    /// The start, with its offset; at once if there is none.
    pub starts: Option<String>,
    /// The return, with its offset.
    pub returns: Option<String>,
    /// The successors, with the kinds that each receives if they differ.
    pub successors: Vec<String>,
}

/// A row of a report.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RowResult {
    /// Its number in the file; the head is 1.
    pub row: u64,
    /// The row as it is understood.
    #[serde(flatten)]
    pub understood: Understood,
    /// The outcome.
    pub outcome: RowOutcome,
    /// A remark on a row that is neither done nor rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Every reason why the row was not done.
    #[schemars(with = "Vec<RowReasonSchema>")]
    pub reasons: Vec<RowReason>,
    /// The job, existing or future.
    pub job_id: Option<JobId>,
    /// Records that successors received, or would receive.
    pub records: Option<u64>,
}

impl RowOutcome {
    /// Returns the name that reports use.
    pub fn name(self) -> &'static str {
        match self {
            RowOutcome::Ok => "ok",
            RowOutcome::Skipped => "skipped",
            RowOutcome::SentBefore => "sent_before",
            RowOutcome::Rejected => "rejected",
            RowOutcome::Failed => "failed",
            RowOutcome::Sending => "sending",
            RowOutcome::Sent => "sent",
            RowOutcome::Job(state) => state.name(),
        }
    }
}

impl Serialize for RowOutcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
