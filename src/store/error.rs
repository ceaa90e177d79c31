//! The errors of the database, by what a caller can do about them.

use sea_orm::{DbErr, RuntimeErr, SqlxError};

pub use super::driver::errors::Violation;
use super::driver::errors::{self, ErrorClass};
use crate::metrics;

/// An error of the database, with what was being done.
#[derive(Debug, thiserror::Error)]
#[error("{doing}: {cause}")]
pub struct Error {
    /// The operation that failed.
    pub doing: String,
    /// The cause.
    pub cause: Cause,
}

/// The cause of a failure, by what a caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// Two transactions were in each other's way: retry the whole transaction.
    #[error("the database asks to try again ({code}): {message}")]
    Contention {
        /// The SQLSTATE, or SQLite's code.
        code: String,
        /// The database's message.
        message: String,
    },
    /// The connection is gone, or none was available. The outcome of a commit may be unknown: retry when the database is back.
    #[error("the database cannot be reached: {0}")]
    Away(String),
    /// The database rejected a statement, and would reject it again.
    #[error("the database refused ({code}): {message}")]
    Refused {
        /// The SQLSTATE, or SQLite's code.
        code: String,
        /// The database's message.
        message: String,
    },
    /// The ledger or the host holds something that makes no sense.
    #[error("{0}")]
    Unexpected(String),
    /// A row is no longer in the expected state: another process has changed it.
    #[error("another process was faster")]
    Superseded,
}

/// The code of a failure that Handover finds itself, without an error of the database's.
pub(super) const OURS: &str = "handover";

/// The class of a failure, by which the stages choose its retries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureClass {
    /// The database rejects the work, and would reject it again.
    Refused,
    /// Other transactions were in the way, or changed a row first.
    Contended,
    /// A statement took longer than it may.
    TimedOut,
    /// The database serves nobody: everything waits until it does.
    Away,
    /// The ledger or the host holds something that makes no sense.
    Unknown,
}

/// The result of everything in the store.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Returns the error of something that makes no sense.
    pub fn unexpected(doing: impl Into<String>, what: impl Into<String>) -> Error {
        Error { doing: doing.into(), cause: Cause::Unexpected(what.into()) }
    }

    /// Returns the error of a change that another transaction got in the way of: a retry of the whole may help.
    pub fn contention(doing: &str, message: &str) -> Error {
        Error { doing: doing.into(), cause: Cause::Contention { code: OURS.into(), message: message.into() } }
    }

    /// Returns the error of an update that expected another state.
    pub fn superseded(doing: impl Into<String>) -> Error {
        Error { doing: doing.into(), cause: Cause::Superseded }
    }

    /// Returns the error of rows that a trigger of the host kept unchanged, without an error of the database's.
    pub(super) fn ignored(doing: &str, changed: u64, asked: u64) -> Error {
        let message = format!("a trigger of the table ignores it: {changed} of {asked} rows would change");
        Error { doing: doing.to_owned(), cause: Cause::Refused { code: OURS.into(), message } }
    }

    /// Returns the error of rows that row-level security hides although a foreign key of a table proves that they exist.
    pub(super) fn hidden(table: &str, parent: &str) -> Error {
        let message = format!(
            "rows of {table} point at rows of {parent} that row-level security hides: check `[session]` in the catalog, and the policies of {parent}"
        );
        let code = errors::HIDDEN_BY_POLICY.to_owned();
        Error { doing: format!("looking at rows of {table}"), cause: Cause::Refused { code, message } }
    }

    /// Returns the same error as one that a retry may help, if it says that the schema is not as expected.
    pub(super) fn retried(self) -> Error {
        let cause = match self.cause {
            Cause::Refused { code, message } => Cause::Contention { code, message },
            cause @ (Cause::Contention { .. } | Cause::Away(_) | Cause::Unexpected(_) | Cause::Superseded) => cause,
        };
        Error { doing: self.doing, cause }
    }

    /// True if the database says that the schema is not the one that a statement was made for.
    pub(super) fn is_about_schema(&self) -> bool {
        matches!(&self.cause, Cause::Refused { code, message } if errors::is_about_schema(code, message))
    }

    pub(super) fn of(doing: &str, error: &DbErr) -> Error {
        let cause = Cause::of(error);
        if matches!(&cause, Cause::Contention { code, .. } if errors::is_deadlock(code)) {
            metrics::deadlocked();
        }
        Error { doing: doing.to_owned(), cause }
    }

    /// Returns the class of the failure.
    pub fn class(&self) -> FailureClass {
        match &self.cause {
            Cause::Refused { .. } => FailureClass::Refused,
            Cause::Contention { code, .. } if errors::is_statement_timeout(code) => FailureClass::TimedOut,
            Cause::Contention { code, .. } if errors::is_whole_database_locked(code) => FailureClass::Away,
            Cause::Contention { .. } | Cause::Superseded => FailureClass::Contended,
            Cause::Away(_) => FailureClass::Away,
            Cause::Unexpected(_) => FailureClass::Unknown,
        }
    }

    /// True if a retry may help: nothing was done, or the retry finds it done.
    pub fn is_transient(&self) -> bool {
        matches!(self.cause, Cause::Contention { .. } | Cause::Away(_))
    }

    /// True if a statement's time was over: its own, or the time that it may wait for a lock.
    pub fn is_out_of_time(&self) -> bool {
        let is_timeout = |code| errors::is_statement_timeout(code) || errors::is_lock_timeout(code);
        matches!(&self.cause, Cause::Contention { code, .. } if is_timeout(code))
    }

    /// True if a statement has waited too long for a lock.
    pub fn waited_for_a_lock(&self) -> bool {
        matches!(&self.cause, Cause::Contention { code, .. } if errors::is_lock_timeout(code))
    }

    /// True if another process was faster.
    pub fn is_superseded(&self) -> bool {
        matches!(self.cause, Cause::Superseded)
    }

    /// True if the database rejected a statement: of many rows, one may be the cause.
    pub fn is_refused(&self) -> bool {
        matches!(self.cause, Cause::Refused { .. })
    }

    /// Returns the constraint by which the database rejected a row, or nothing if it did not reject one.
    pub fn violation(&self) -> Option<Violation> {
        match &self.cause {
            Cause::Refused { code, .. } => Some(errors::violation(code)),
            Cause::Contention { .. } | Cause::Away(_) | Cause::Unexpected(_) | Cause::Superseded => None,
        }
    }

    /// True if the role lacks a right.
    pub fn is_forbidden(&self) -> bool {
        matches!(&self.cause, Cause::Refused { code, .. } if errors::is_missing_right(code))
    }

    /// True if the database cannot be reached.
    pub fn is_away(&self) -> bool {
        matches!(self.cause, Cause::Away(_))
    }
}

impl Cause {
    fn of(error: &DbErr) -> Cause {
        let inner = sqlx_error(error).and_then(Cause::of_sqlx);
        // A refused connection has not run anything, whatever the reason. A database that takes no connections or is
        // being replaced will take them again, or a person fixes the password.
        if matches!(error, DbErr::ConnectionAcquire(_) | DbErr::Conn(_)) {
            let contention = inner.filter(|cause| matches!(cause, Cause::Contention { .. }));
            return contention.unwrap_or_else(|| Cause::Away(words(error)));
        }
        // Our own words about a value, without sea-orm's before them.
        if let DbErr::Type(message) = error {
            return Cause::Unexpected(message.clone());
        }
        inner.unwrap_or_else(|| Cause::Unexpected(error.to_string()))
    }

    fn of_sqlx(error: &SqlxError) -> Option<Cause> {
        if let SqlxError::Database(inner) = error {
            let code = inner.code().unwrap_or_default().into_owned();
            let message = inner.message().to_owned();
            return Some(match errors::classify(inner.as_ref()) {
                ErrorClass::Contention => Cause::Contention { code, message },
                ErrorClass::Away => Cause::Away(message),
                ErrorClass::Refused => Cause::Refused { code, message },
            });
        }
        let is_away = matches!(
            error,
            SqlxError::Io(_)
                | SqlxError::PoolTimedOut
                | SqlxError::PoolClosed
                | SqlxError::WorkerCrashed
                | SqlxError::Tls(_)
        );
        is_away.then(|| Cause::Away(error.to_string()))
    }
}

/// Returns why there is no connection, in the words of the server or of the system.
fn words(error: &DbErr) -> String {
    match sqlx_error(error) {
        Some(SqlxError::Database(inner)) => inner.message().to_owned(),
        Some(SqlxError::Io(inner)) => inner.to_string(),
        Some(inner) => inner.to_string(),
        None => error.to_string(),
    }
}

fn sqlx_error(error: &DbErr) -> Option<&SqlxError> {
    let (DbErr::Exec(RuntimeErr::SqlxError(inner))
    | DbErr::Query(RuntimeErr::SqlxError(inner))
    | DbErr::Conn(RuntimeErr::SqlxError(inner))) = error
    else {
        return None;
    };
    Some(inner)
}
