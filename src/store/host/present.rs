//! The present time, in the form in which a column of the host takes it.

use crate::catalog::{Column, TableName};
use crate::store::dialect::sql::{column, quoted, table};
use crate::store::dialect::{SharedDialect, Type};

/// Returns the present time for a column of a table. `alias` names the row that takes it; none if the row is new.
pub fn present_time(dialect: SharedDialect, host: &TableName, alias: Option<&str>, of: &Column) -> String {
    let another = format!(
        "(SELECT h.{name} FROM {host} h WHERE h.{name} IS NOT NULL LIMIT 1)",
        name = quoted(&of.name),
        host = table(host)
    );
    let held = match alias {
        Some(alias) => format!("COALESCE({}, {another})", column(alias, &of.name)),
        None => another,
    };
    dialect.now(&Type::of(of), of.time, &held)
}
