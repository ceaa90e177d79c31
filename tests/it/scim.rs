//! SCIM: identity providers read users and change them, and Handover moves what those who leave own.

mod connections;
mod filters;
mod shapes;
