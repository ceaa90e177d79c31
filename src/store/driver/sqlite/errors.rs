//! SQLite's errors, by result code (<https://www.sqlite.org/rescode.html>). An extended code's low byte is its primary
//! code.

use sea_orm::sqlx::error::DatabaseError;
use sea_orm::sqlx::sqlite::SqliteError;

use crate::store::driver::error_class::{ErrorClass, Violation};

/// True if an error says that the schema is not the one that a statement was made for. SQLite has one code for every faulty
/// statement.
pub fn is_about_schema(code: &str, message: &str) -> bool {
    code == "1" && ["no such column", "no such table", "has no column"].iter().any(|what| message.contains(what))
}

/// Returns the constraint that a rejected row violates, if the code names one.
pub fn violation(code: &str) -> Option<Violation> {
    match code {
        // SQLITE_CONSTRAINT_PRIMARYKEY, _UNIQUE, _ROWID
        "1555" | "2067" | "2579" => Some(Violation::Unique),
        // SQLITE_CONSTRAINT_FOREIGNKEY
        "787" => Some(Violation::ForeignKey),
        // SQLITE_CONSTRAINT_NOTNULL
        "1299" => Some(Violation::Column),
        _ => None,
    }
}

/// Classifies an error; nothing if it is not SQLite's.
pub fn classify(error: &dyn DatabaseError) -> Option<ErrorClass> {
    let error = error.try_downcast_ref::<SqliteError>()?;
    Some(of_code(&error.code().unwrap_or_default()))
}

/// True if the code says that another process or connection writes. No SQLSTATE of five characters is so small a number.
pub fn is_busy(code: &str) -> bool {
    code.len() < 5 && matches!(primary(code), BUSY | LOCKED)
}

const BUSY: u32 = 5;
const LOCKED: u32 = 6;

fn primary(code: &str) -> u32 {
    code.parse::<u32>().unwrap_or(0) & 0xff
}

fn of_code(code: &str) -> ErrorClass {
    match primary(code) {
        BUSY | LOCKED => ErrorClass::Contention,
        // SQLITE_IOERR, SQLITE_FULL, SQLITE_CANTOPEN
        10 | 13 | 14 => ErrorClass::Away,
        _ => ErrorClass::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extended_codes_have_their_primary_class() {
        for (code, class) in [
            ("5", ErrorClass::Contention),
            ("517", ErrorClass::Contention),
            ("13", ErrorClass::Away),
            ("1555", ErrorClass::Refused),
            ("1811", ErrorClass::Refused),
        ] {
            assert_eq!(of_code(code), class, "{code}");
        }
    }
}
