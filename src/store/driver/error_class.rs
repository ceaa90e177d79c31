//! The classes of errors.

/// The constraint that a rejected row violates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Violation {
    /// Another row has its key, or excludes it.
    Unique,
    /// A row that it points at is missing.
    ForeignKey,
    /// A column that must have a value has none, or does not exist.
    Column,
    /// Anything else: a check, a trigger, a missing right.
    Other,
}

/// The meaning of a database error for the transaction that met it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// Another transaction was in the way: retry the whole transaction.
    Contention,
    /// The database or the session is gone: retry when it is back.
    Away,
    /// The database rejects the statement, and would reject it again.
    Refused,
}
