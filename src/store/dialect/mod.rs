//! The SQL dialects: how a statement is composed, and what the databases write differently.

pub mod sql;
