//! PostgreSQL's errors, by SQLSTATE (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).

use sea_orm::sqlx::error::DatabaseError;
use sea_orm::sqlx::postgres::{PgDatabaseError, PgSeverity};

use crate::store::driver::error_class::{ErrorClass, Violation};

pub const QUERY_CANCELED: &str = "57014";
pub const DEADLOCK_DETECTED: &str = "40P01";
pub const LOCK_NOT_AVAILABLE: &str = "55P03";
pub const INSUFFICIENT_PRIVILEGE: &str = "42501";

/// True if an error says that the schema is not the one that a statement was made for.
pub fn is_about_schema(code: &str, message: &str) -> bool {
    match code {
        // undefined_column, undefined_table, undefined_function, datatype_mismatch
        "42703" | "42P01" | "42883" | "42804" => true,
        // feature_not_supported: the type of a prepared statement's result has changed
        "0A000" => message.contains("cached plan"),
        _ => false,
    }
}

/// Returns the constraint that a rejected row violates, if the code names one.
pub fn violation(code: &str) -> Option<Violation> {
    match code {
        // unique_violation, exclusion_violation
        "23505" | "23P01" => Some(Violation::Unique),
        // foreign_key_violation
        "23503" => Some(Violation::ForeignKey),
        // not_null_violation, undefined_column
        "23502" | "42703" => Some(Violation::Column),
        _ => None,
    }
}

/// Classifies an error; nothing if it is not PostgreSQL's.
pub fn classify(error: &dyn DatabaseError) -> Option<ErrorClass> {
    let error = error.try_downcast_ref::<PgDatabaseError>()?;
    // Such an error ends the session, whatever its code.
    if matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic) {
        return Some(ErrorClass::Away);
    }
    Some(of_sqlstate(error.code()))
}

fn of_sqlstate(code: &str) -> ErrorClass {
    match code {
        // serialization_failure
        "40001" | DEADLOCK_DETECTED | LOCK_NOT_AVAILABLE | QUERY_CANCELED => ErrorClass::Contention,
        // out_of_memory: the lock table is full, or a statement needs too much. The server serves others.
        "53200" => ErrorClass::Contention,
        // configuration_limit_exceeded: a statement needs more than it may
        "53400" => ErrorClass::Refused,
        // admin_shutdown, crash_shutdown, cannot_connect_now, database_dropped, idle_in_transaction_session_timeout,
        // read_only_sql_transaction (a standby answers while another server takes over)
        "57P01" | "57P02" | "57P03" | "57P04" | "25P03" | "25006" => ErrorClass::Away,
        // connection exceptions, other insufficient resources (disk full, too many connections), system errors
        _ if code.starts_with("08") || code.starts_with("53") || code.starts_with("58") => ErrorClass::Away,
        _ => ErrorClass::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlstates_have_classes() {
        for (code, class) in [
            ("40P01", ErrorClass::Contention),
            ("55P03", ErrorClass::Contention),
            ("53100", ErrorClass::Away),
            ("53200", ErrorClass::Contention),
            ("53400", ErrorClass::Refused),
            ("25006", ErrorClass::Away),
            ("23505", ErrorClass::Refused),
        ] {
            assert_eq!(of_sqlstate(code), class, "{code}");
        }
    }
}
