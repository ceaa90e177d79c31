//! The application layer: one module per use case.
//!
//! Every door (command line, HTTP) calls these functions. A use case takes typed values and returns typed results.
//! It neither parses arguments nor prints.

mod error;
pub mod jobs;
pub mod preview;
pub mod submit;

pub use self::error::{Error, Result};
