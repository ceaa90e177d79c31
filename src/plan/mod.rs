//! Planning, without I/O: what is asked and what was found go in, a plan or every reason against it comes out.
//!
//! [`deal`] says who gets the n-th record, [`mod@judge`] holds the guards, [`group`] says which requests share a
//! transaction, [`token`] what a preview promises.

pub mod deal;
pub mod facts;
mod fit;
pub mod group;
pub mod judge;
pub mod token;

pub use deal::Deal;
pub use facts::{Count, Facts, Found, Standing, UserFacts};
pub use fit::{fit, fit_handover, fit_org};
pub use judge::{Asks, Plan, Planned, Verdict, exempt_from_license, judge, judge_requester, missing_fields};
