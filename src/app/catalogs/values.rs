//! Checks a catalog's values against the data: one that no row has may be misspelled.

use crate::app::error::Result;
use crate::catalog::{ExpectedValue, Fault};
use crate::store::{Store, host};

/// Returns a warning for each value that no row has. A column that this role may not read, or that takes too long, tells nothing.
pub async fn values_of_no_row(store: &Store, expected: &[ExpectedValue]) -> Result<Vec<Fault>> {
    let session = store.reader();
    let mut warnings: Vec<Fault> = Vec::new();
    for ExpectedValue { line, table, column, value } in expected {
        let has_row = match host::has_value(&session, table, column, value).await {
            Err(error) if !error.is_transient() => true,
            found => found?,
        };
        let message =
            format!("no row of {table} has {value:?} in `{}`: is it spelled as the column spells it?", column.name);
        let warning = Fault { line: *line, message };
        if !has_row && !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }
    Ok(warnings)
}
