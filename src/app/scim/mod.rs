//! SCIM: the connections of identity providers, and what they do to users.

pub mod attributes;
pub mod breaker;
pub mod connections;
pub mod error;
pub mod policy;
pub mod provision;
pub mod read;
pub mod status;
