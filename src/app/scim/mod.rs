//! SCIM: the connections of identity providers, and what they do to users.

pub mod breaker;
pub mod connections;
pub mod policy;
pub mod status;
