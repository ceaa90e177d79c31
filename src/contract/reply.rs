//! Replies: the immediate answer to a request that came with AMQP's `reply_to`.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::named::named_enum;
use super::{DeadLetterCode, JobId, Reason, ReasonCode};

/// The message type (AMQP's `type`) of every reply.
pub const REPLY_TYPE: &str = "handover.reply";

/// The MIME type of every reply.
pub const REPLY_CONTENT_TYPE: &str = "application/json";

/// The outcome of a request. It is sent after the outcome is committed, and again whenever the request is repeated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reply {
    /// The outcome.
    pub outcome: ReplyOutcome,
    /// The sender's id of the request, if it can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The job that the request makes. A request that is set aside makes none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_id: Option<JobId>,
    /// Of a duplicate: the outcome of the first request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_outcome: Option<RequestOutcome>,
    /// Every reason why the request is rejected, or the reason why it is set aside. A duplicate repeats the reasons.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<ReplyReasonSchema>")]
    pub reasons: Vec<Reason<ReplyCode>>,
    /// Of a request that is set aside: the path to the first faulty field; `.` is the whole message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// The schema of a reply's reason under a name of its own: all kinds of [`Reason`] have the same.
struct ReplyReasonSchema;

impl JsonSchema for ReplyReasonSchema {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ReplyReason".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Reason::<ReplyCode>::json_schema(generator)
    }
}

named_enum! {
    /// The outcome of a request.
    pub enum ReplyOutcome: "reply outcome" {
        /// The job is under way, done or scheduled; events report its progress.
        Accepted = "accepted",
        /// The request was received before; nothing was done again.
        Duplicate = "duplicate",
        /// The request is refused, for good under this id.
        Rejected = "rejected",
        /// The message is in the dead-letter queue, for a person.
        Parked = "parked",
    }
}

named_enum! {
    /// The outcome of a request when it was first received.
    pub enum RequestOutcome: "request outcome" {
        /// It created its job.
        Accepted = "accepted",
        /// It was refused.
        Rejected = "rejected",
    }
}

/// The code of a reply's reason: of a request that is refused, or of a message that is set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ReplyCode {
    /// Why the request is refused.
    Refused(ReasonCode),
    /// Why the message is set aside.
    SetAside(DeadLetterCode),
}

impl ReplyCode {
    /// Returns the name that replies use.
    pub fn name(self) -> &'static str {
        match self {
            ReplyCode::Refused(code) => code.name(),
            ReplyCode::SetAside(code) => code.name(),
        }
    }
}

impl fmt::Display for ReplyCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl From<ReasonCode> for ReplyCode {
    fn from(code: ReasonCode) -> ReplyCode {
        ReplyCode::Refused(code)
    }
}

impl From<DeadLetterCode> for ReplyCode {
    fn from(code: DeadLetterCode) -> ReplyCode {
        ReplyCode::SetAside(code)
    }
}
