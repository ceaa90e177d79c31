//! SCIM: the connections of identity providers, and what they do to users.

pub mod connections;
pub mod policy;
pub mod status;
