//! Handover's own bookkeeping, in the host's database: a move and its record commit together.
//!
//! [`entity`] holds what each table has; beside it a file for each idea: a handful of named queries, and nothing else
//! touches the table.

mod bulk_insert;
pub mod batch;
pub mod audit;
pub mod catalogs;
pub mod chunks;
pub mod row_snapshots;
pub mod entity;
pub mod forget;
pub mod jobs;
pub mod journal;
pub mod outbox;
pub mod references;
pub mod requests;
pub mod round_robin;

use sea_orm::DbErr;

use super::error::Error;

/// Puts what was being done to sea-orm's error.
fn failed(doing: &'static str) -> impl Fn(DbErr) -> Error {
    move |error| Error::of(doing, &error)
}
