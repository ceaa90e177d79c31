//! Handover's own tables, in the host's database: a move and its record commit together.
//!
//! [`entity`] holds the rows of each table. Each other module holds the named queries of one idea; nothing else touches
//! its table.

pub mod audit;
pub mod batch;
mod bulk_insert;
pub mod catalogs;
pub mod chunks;
pub mod codes;
pub mod entity;
pub mod forget;
pub mod job_filter;
pub mod jobs;
pub mod journal;
pub mod outbox;
mod query;
pub mod references;
pub mod requests;
pub mod round_robin;
pub mod row_snapshots;
pub mod scim;
pub mod scim_links;
pub mod services;
pub mod sign_ins;
pub mod tokens;
pub mod uploads;
