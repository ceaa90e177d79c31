//! The classes of errors.

/// What an error of the database means for the transaction that met it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// Another transaction was in the way: retry the whole transaction.
    Contention,
    /// The database or the session is gone: retry when it is back.
    Away,
    /// The database rejects the statement, and would reject it again.
    Refused,
}
