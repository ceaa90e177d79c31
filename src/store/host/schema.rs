//! Reads what the database has: tables, columns, types, unique indexes, indexes, foreign keys.

mod postgres;
mod sqlite;

use crate::catalog::{Column, Engine, Family, Schema, SchemaTraits, Table};
use crate::store::dialect::Capabilities;
use crate::store::{Result, Session};

/// Reads the live schema, except the ledger's tables.
pub async fn read_schema(session: &Session) -> Result<Schema> {
    let mut tables = match session.engine() {
        Engine::Postgres => postgres::read_tables(session).await?,
        Engine::Sqlite => sqlite::read_tables(session).await?,
    };
    let capabilities = session.capabilities();
    for table in &mut tables {
        table.row_address = row_address(capabilities, table);
    }
    let traits = SchemaTraits {
        booleans_are_integers: capabilities.booleans_are_integers,
        has_session_settings: capabilities.session_settings,
    };
    Ok(Schema { traits, tables })
}

/// Returns the first address of rows whose columns hide no column of the table.
fn row_address(capabilities: &Capabilities, table: &Table) -> Option<Vec<Column>> {
    let hides = |name: &str| table.columns.iter().any(|column| column.name.eq_ignore_ascii_case(name));
    let mut addresses = capabilities.row_addresses.iter();
    let address = addresses.find(|address| address.columns.iter().all(|(name, _)| !hides(name)))?;
    let column = |(name, cast): &(&str, &str)| Column {
        name: (*name).to_owned(),
        cast: (*cast).to_owned(),
        family: Family::Other,
    };
    Some(address.columns.iter().map(column).collect())
}

/// The texts that a check on a list allows: `CHECK (status IN ('a', 'b'))`, or PostgreSQL's rendering of it. Nothing
/// where the check says anything else.
fn listed_values(check: &str) -> Option<Vec<String>> {
    let upper = check.to_uppercase();
    let is_list = upper.contains(" IN (") || upper.contains("= ANY (ARRAY[") || upper.contains("= ANY ((ARRAY[");
    if !is_list || upper.contains(" OR ") || upper.contains(" AND ") || upper.contains("NOT ") {
        return None;
    }
    // Texts stand between single quotes; every other piece is one.
    let values: Vec<String> = check.split('\'').skip(1).step_by(2).map(str::to_owned).collect();
    (!values.is_empty()).then_some(values)
}

#[cfg(test)]
mod tests {
    use super::listed_values;

    #[test]
    fn a_check_on_a_list_tells_every_value() {
        let both = Some(vec!["pending".to_owned(), "completed".to_owned()]);
        assert_eq!(listed_values("CHECK ((status = ANY (ARRAY['pending'::text, 'completed'::text])))"), both);
        assert_eq!(listed_values("(\"status\" IN ('pending', 'completed'))"), both);
        assert_eq!(listed_values("(status IN ('a') OR x > 1)"), None);
        assert_eq!(listed_values("(amount > 0)"), None);
    }
}
