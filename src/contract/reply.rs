//! What is answered at once to whoever asks for it: a request that came with AMQP's `reply_to`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{JobId, Reason};

/// The message type (AMQP's `type`) of every reply.
pub const REPLY_TYPE: &str = "handover.reply";

/// The MIME type of every reply.
pub const REPLY_CONTENT_TYPE: &str = "application/json";

/// What became of a request. It is sent once that is committed, and again whenever the request comes again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reply {
    /// What became of it.
    pub outcome: ReplyOutcome,
    /// The sender's name for the request, where it could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The job that the request makes: absent where the request is parked, which makes none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_id: Option<JobId>,
    /// Of a duplicate: what became of the request when it came first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["accepted", "rejected"]))]
    pub first_outcome: Option<String>,
    /// Why it is rejected, every reason at once; or why it is parked. A duplicate of a rejected request has them again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
    /// Of a parked request: the path to the field that is to blame, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// How a request was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReplyOutcome {
    /// It is being done, is done already, or waits for its time: events tell how it goes on.
    Accepted,
    /// It came before, and nothing was done again.
    Duplicate,
    /// It may not be done, and never will under this id.
    Rejected,
    /// It is set aside in the dead queue, for a person.
    Parked,
}
