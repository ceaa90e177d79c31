//! The public contract: requests, commands, replies, events, certificates, and the ids that they use.
//!
//! Everything here is data with serde and a JSON Schema; nothing does I/O. Every value is well formed once it is constructed:
//! no other module checks the shape of an id or the range of an amount again.

mod allotment;
mod handover;
mod certificate;
mod counted;
mod dead_letter_code;
mod event;
mod fault;
mod ids;
mod named;
mod scope;
mod principal;
mod printable;
mod read;
mod reason;
mod reason_code;
mod reply;
mod request;
mod routing_key;
mod similar;
mod state;

pub use allotment::{Allotment, Extras, Recipient, Share};
pub use certificate::{Certificate, LicenseOutcome, ReferenceResult, SkipReason};
pub use counted::{counted, grouped};
pub use dead_letter_code::DeadLetterCode;
pub use event::{
    Assigned, BreakerTripped, Change, CloudEvent, Completion, EVENT_CONTENT_TYPE, EventType, InvitationChange,
    InvitationData, JobStatusData,
};
pub use fault::{Fault, Faults, InvalidRequest};
pub use handover::{CatalogChoice, Drift, HandoverRequest, RequestType};
pub use ids::{InvalidId, JOB_NAMESPACE, JobId, OrgId, RequestId, UserId, event_id, wave_event_id};
pub use named::UnknownName;
pub(crate) use named::named_enum;
pub use principal::{OtherClaim, Principal};
pub use printable::{printable, printable_json, printable_lines};
pub use read::{Json, MAX_REQUEST_BYTES, check_json, parse_json, read_request, read_request_with, read_stored};
pub use reason::{Reason, Subject};
pub use reason_code::{GuardClass, ReasonCode};
pub use reply::{REPLY_CONTENT_TYPE, REPLY_TYPE, Reply, ReplyCode, ReplyOutcome, RequestOutcome};
pub use request::{InviteCommand, JobCommand, Request, RequestHeader, UserCommand, hash_of, hex};
pub use routing_key::{check_routing_key, routing_key};
pub use scope::{OwnerKind, SignInKind, TokenScope};
pub use similar::most_similar;
pub use state::State;
