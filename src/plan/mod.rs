//! Planning, without I/O: a request and the facts go in; a plan, or every reason against it, comes out.
//!
//! [`deal`] finds the successor of the n-th record, [`guards`] decides on a request, [`group`] finds requests that can share a
//! transaction, and [`token`] ties a request to its preview.

pub mod deal;
pub mod facts;
pub mod group;
pub mod guards;
mod normalize;
mod planned;
mod requester;
pub mod token;

pub use deal::Deal;
pub use facts::{Count, Facts, LeaverFindings, OpenJob, Services, UserFacts, UserStatus};
pub use guards::{Occasion, Scope, check_guards, check_return, check_successor, is_license_exempt, missing_fields};
pub use normalize::{check_org, normalize, normalize_handover, normalize_user};
pub use planned::{Decision, Plan, Planned};
pub use requester::{AccessQuery, check_requester};
