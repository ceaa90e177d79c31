//! SCIM: identity providers read users and change them, and Handover moves what those who leave own.

mod audit;
mod breaker;
mod conformance;
mod connections;
mod crashes;
mod deprovisioning;
mod filters;
mod limits;
mod okta;
mod provider;
mod reading;
mod reports;
mod shapes;
mod shapes_of_providers;
mod writing;
