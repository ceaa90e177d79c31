//! Classifies the errors of the engines.

use sea_orm::sqlx::error::DatabaseError;

pub use super::error_class::{ErrorClass, Violation};
use super::postgres::errors as postgres;
use super::sqlite::errors as sqlite;

/// Classifies an error by the engine that it comes from.
pub fn classify(error: &dyn DatabaseError) -> ErrorClass {
    let class = postgres::classify(error).or_else(|| sqlite::classify(error));
    class.unwrap_or(ErrorClass::Refused)
}

/// True if the code says that a statement's time was over.
pub fn is_statement_timeout(code: &str) -> bool {
    code == postgres::QUERY_CANCELED
}

/// True if the code says that a statement waited too long for a lock.
pub fn is_lock_timeout(code: &str) -> bool {
    code == postgres::LOCK_NOT_AVAILABLE
}

/// True if the code says that the database has ended the transaction to break a deadlock.
pub fn is_deadlock(code: &str) -> bool {
    code == postgres::DEADLOCK_DETECTED
}

/// True if the code says that another process writes, on a database with one writer: nobody else can write meanwhile.
pub fn is_whole_database_locked(code: &str) -> bool {
    sqlite::is_busy(code)
}

/// True if the code says that the role lacks a right.
pub fn is_missing_right(code: &str) -> bool {
    code == postgres::INSUFFICIENT_PRIVILEGE
}

/// Returns the constraint that a rejected row violates, by the code of its error.
pub fn violation(code: &str) -> Violation {
    postgres::violation(code).or_else(|| sqlite::violation(code)).unwrap_or(Violation::Other)
}

/// True if an error says that the schema is not the one that a statement was made for.
pub fn is_about_schema(code: &str, message: &str) -> bool {
    postgres::is_about_schema(code, message) || sqlite::is_about_schema(code, message)
}

/// The code of rows that row-level security hides: PostgreSQL's own code of a right that is missing.
pub const HIDDEN_BY_POLICY: &str = postgres::INSUFFICIENT_PRIVILEGE;
