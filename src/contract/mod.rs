//! The outside's words: what a request may say, what an event tells, and the ids both use.
//!
//! Everything here is data with serde and a JSON Schema; nothing does I/O. What can be constructed is well formed:
//! the inside never checks an id's shape or an amount's range again.

mod allotment;
mod any;
mod certificate;
mod event;
mod ids;
mod printable;
mod read;
mod rejection;
mod reply;
mod request;
mod unique;

pub use allotment::{Allotment, Extras, Recipient, Share};
pub use any::{AnyRequest, Head, Invite, Order, UserRequest, hex};
pub use certificate::{Certificate, LicenseOutcome, ReferenceResult};
pub use event::{
    Answer, Assigned, Change, CloudEvent, Completion, EVENT_CONTENT_TYPE, EventType, InvitationNews, JobNews,
};
pub use ids::{JOB_NAMESPACE, JobId, OrgId, RequestId, UserId, event_id};
pub use printable::{printable, printable_json, printable_lines};
pub use read::{MAX_REQUEST_BYTES, Unreadable, read_request};
pub use rejection::{Concerning, Rejection};
pub use reply::{REPLY_CONTENT_TYPE, REPLY_TYPE, Reception, Reply};
pub use request::{Drift, Request, RequestType};
