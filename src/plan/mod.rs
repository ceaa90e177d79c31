//! Planning, without I/O: what is asked and what was found go in, a plan or every reason against it comes out.
//!
//! [`deal`] says who gets the n-th record, [`mod@guards`] holds the guards, [`group`] says which requests share a
//! transaction, [`token`] what a preview promises.

pub mod deal;
pub mod facts;
mod normalize;
pub mod group;
pub mod guards;
pub mod token;

pub use deal::Deal;
pub use facts::{Count, Facts, LeaverFindings, UserFacts, UserStatus};
pub use guards::{
    AccessQuery, Decision, Plan, Planned, check_guards, check_requester, is_license_exempt, missing_fields,
};
pub use normalize::{check_org, normalize, normalize_handover};
