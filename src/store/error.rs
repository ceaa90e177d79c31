//! What can go wrong in the database, as far as somebody decides on it.

use sea_orm::sqlx::error::DatabaseError;
use sea_orm::sqlx::postgres::{PgDatabaseError, PgSeverity};
use sea_orm::{DbErr, RuntimeErr, SqlxError};

/// A failure of the database, with what was being done.
#[derive(Debug, thiserror::Error)]
#[error("{doing}: {cause}")]
pub struct Error {
    /// What was being done.
    pub doing: String,
    /// What happened.
    pub cause: Cause,
}

/// What happened, as far as somebody decides on it.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// Two transactions were in each other's way: do it again, all of it.
    #[error("the database asks to try again ({code}): {message}")]
    Contention {
        /// The SQLSTATE, or SQLite's code.
        code: String,
        /// The database's words.
        message: String,
    },
    /// The connection is gone, or none could be had: the outcome of a commit may be unknown. Do it again once the database is back.
    #[error("the database cannot be reached: {0}")]
    Away(String),
    /// The database said no, and will say it again.
    #[error("the database refused ({code}): {message}")]
    Refused {
        /// The SQLSTATE, or SQLite's code.
        code: String,
        /// The database's words.
        message: String,
    },
    /// What the ledger or the host holds does not make sense to us.
    #[error("{0}")]
    Unexpected(String),
    /// A state was expected that is not there any more: somebody else was here.
    #[error("somebody else was faster")]
    Superseded,
}

/// The result of everything in the store.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Something that does not make sense.
    pub fn unexpected(doing: impl Into<String>, what: impl Into<String>) -> Error {
        Error { doing: doing.into(), cause: Cause::Unexpected(what.into()) }
    }

    /// An update that named the state it expected, and met another.
    pub fn superseded(doing: impl Into<String>) -> Error {
        Error { doing: doing.into(), cause: Cause::Superseded }
    }

    /// SQLite: a trigger of the host made rows stay as they were, without a word of the database's.
    pub(super) fn ignored(doing: &str, changed: u64, told: u64) -> Error {
        let message = format!("a trigger of the table ignores it: {changed} of {told} rows would change");
        // SQLITE_CONSTRAINT_TRIGGER, which a trigger that refuses aloud gives.
        Error { doing: doing.to_owned(), cause: Cause::Refused { code: "1811".to_owned(), message } }
    }

    pub(super) fn of(doing: &str, error: &DbErr) -> Error {
        Error { doing: doing.to_owned(), cause: Cause::of(error) }
    }

    /// Whether doing it again may help: nothing of it was done, or doing it again finds it done.
    pub fn is_transient(&self) -> bool {
        matches!(self.cause, Cause::Contention { .. } | Cause::Away(_))
    }

    /// Whether a statement's time was over, its own or that for which it may wait for a lock.
    pub fn is_out_of_time(&self) -> bool {
        // query_canceled
        self.waited_for_a_lock() || matches!(&self.cause, Cause::Contention { code, .. } if code == "57014")
    }

    /// Whether a statement has waited too long for a lock.
    pub fn waited_for_a_lock(&self) -> bool {
        // lock_not_available
        matches!(&self.cause, Cause::Contention { code, .. } if code == "55P03")
    }

    /// Whether somebody else was faster.
    pub fn is_superseded(&self) -> bool {
        matches!(self.cause, Cause::Superseded)
    }

    /// Whether the database said no to what was asked: of many rows, one may be to blame.
    pub fn is_refused(&self) -> bool {
        matches!(self.cause, Cause::Refused { .. })
    }

    /// Whether the role lacks a right.
    pub fn is_forbidden(&self) -> bool {
        // insufficient_privilege
        matches!(&self.cause, Cause::Refused { code, .. } if code == "42501")
    }

    /// Whether the database is not there.
    pub fn is_away(&self) -> bool {
        matches!(self.cause, Cause::Away(_))
    }
}

impl Cause {
    fn of(error: &DbErr) -> Cause {
        match error {
            // Whoever is turned away at the door, whatever the reason, has not asked for anything yet: a database that
            // takes no connections or is being replaced takes them again, or a person fixes the password.
            DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => match sqlx_error(error).and_then(Cause::of_sqlx) {
                Some(contention @ Cause::Contention { .. }) => contention,
                _ => Cause::Away(words(error)),
            },
            _ => {
                let inner = sqlx_error(error).and_then(Cause::of_sqlx);
                inner.unwrap_or_else(|| Cause::Unexpected(error.to_string()))
            }
        }
    }

    fn of_sqlx(error: &SqlxError) -> Option<Cause> {
        match error {
            SqlxError::Database(inner) => {
                let code = inner.code().unwrap_or_default().into_owned();
                let message = inner.message().to_owned();
                if ends_the_session(inner.as_ref()) {
                    return Some(Cause::Away(message));
                }
                Some(match kind_of_code(&code) {
                    Kind::Contention => Cause::Contention { code, message },
                    Kind::Away => Cause::Away(message),
                    Kind::Refused => Cause::Refused { code, message },
                })
            }
            SqlxError::Io(_)
            | SqlxError::PoolTimedOut
            | SqlxError::PoolClosed
            | SqlxError::WorkerCrashed
            | SqlxError::Tls(_) => Some(Cause::Away(error.to_string())),
            _ => None,
        }
    }
}

/// Why no connection could be had, in the words of whoever refused it.
fn words(error: &DbErr) -> String {
    match sqlx_error(error) {
        Some(SqlxError::Database(inner)) => inner.message().to_owned(),
        Some(SqlxError::Io(inner)) => inner.to_string(),
        Some(inner) => inner.to_string(),
        None => error.to_string(),
    }
}

fn sqlx_error(error: &DbErr) -> Option<&SqlxError> {
    match error {
        DbErr::Exec(RuntimeErr::SqlxError(inner))
        | DbErr::Query(RuntimeErr::SqlxError(inner))
        | DbErr::Conn(RuntimeErr::SqlxError(inner)) => Some(inner),
        _ => None,
    }
}

/// Whether PostgreSQL has ended the session with this error, whatever its code.
fn ends_the_session(error: &dyn DatabaseError) -> bool {
    let error = error.try_downcast_ref::<PgDatabaseError>();
    error.is_some_and(|error| matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic))
}

enum Kind {
    Contention,
    Away,
    Refused,
}

/// SQLSTATEs of PostgreSQL (<https://www.postgresql.org/docs/current/errcodes-appendix.html>) and, shorter and all digits,
/// SQLite's result codes (<https://www.sqlite.org/rescode.html>; an extended code's low byte is its primary code).
fn kind_of_code(code: &str) -> Kind {
    if code.len() < 5 {
        return match code.parse::<u32>().unwrap_or(0) & 0xff {
            // SQLITE_BUSY, SQLITE_LOCKED
            5 | 6 => Kind::Contention,
            // SQLITE_IOERR, SQLITE_FULL, SQLITE_CANTOPEN
            10 | 13 | 14 => Kind::Away,
            _ => Kind::Refused,
        };
    }
    match code {
        // serialization_failure, deadlock_detected, lock_not_available, query_canceled (a statement's time timeout)
        "40001" | "40P01" | "55P03" | "57014" => Kind::Contention,
        // admin_shutdown, crash_shutdown, cannot_connect_now, database_dropped, idle_in_transaction_session_timeout,
        // read_only_sql_transaction (a standby answers while another server takes over)
        "57P01" | "57P02" | "57P03" | "57P04" | "25P03" | "25006" => Kind::Away,
        // connection exceptions, insufficient resources (disk full, too many connections), system errors
        _ if code.starts_with("08") || code.starts_with("53") || code.starts_with("58") => Kind::Away,
        _ => Kind::Refused,
    }
}
