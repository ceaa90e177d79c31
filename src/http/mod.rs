//! The HTTP servers of a worker: a module each.

pub mod ops;
