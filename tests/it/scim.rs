//! SCIM: identity providers deprovision users, and Handover moves what they own.

mod connections;
