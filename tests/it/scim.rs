//! SCIM: identity providers read users and change them, and Handover moves what those who leave own.

mod breaker;
mod connections;
mod deprovisioning;
mod filters;
mod idp;
mod provider;
mod reading;
mod shapes;
mod writing;
