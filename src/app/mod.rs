//! The application layer: one module per use case.
//!
//! Every door (command line, HTTP) calls these functions. A use case takes typed values and returns typed results.
//! It neither parses arguments nor prints.

pub mod access;
pub mod audit;
pub mod bulk;
pub mod catalogs;
pub mod dead_letters;
pub mod doctor;
mod error;
pub mod forget;
pub mod groups;
pub mod jobs;
pub mod open;
pub mod organizations;
pub mod overview;
pub mod preview;
pub mod reference_crm;
pub mod scim;
mod secret;
pub mod set_aside;
pub mod sign_in;
pub mod submit;
pub mod successors;
pub mod tokens;
pub mod uploads;
pub mod users;
pub mod workers;

pub use self::error::{DatabaseUnavailable, Error, Result};
