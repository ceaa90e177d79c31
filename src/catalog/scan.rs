//! Finds what a catalog forgot: foreign keys to the users' table that no reference covers.

use serde::Serialize;

use super::model::Catalog;
use super::schema::Schema;

/// A foreign key to the users' table that the catalog says nothing of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Uncovered {
    /// The table that points.
    pub table: String,
    /// Its column.
    pub column: String,
}

/// Lists the foreign keys to the users' table that neither a reference nor `[license]` covers, in the schema's order.
pub fn scan(catalog: &Catalog, schema: &Schema) -> Vec<Uncovered> {
    let mut uncovered = Vec::new();
    for (table, key) in schema.inbound(&catalog.users.table) {
        for column in pointing_columns(key, &catalog.users.key.name) {
            let by_reference = catalog.references.iter().any(|r| r.table == table.name && r.user.name == column);
            let by_license = catalog.license.iter().any(|l| l.table == table.name && l.user.name == column);
            if !by_reference && !by_license {
                uncovered.push(Uncovered { table: table.name.to_string(), column: column.to_owned() });
            }
        }
    }
    uncovered
}

/// The columns of a foreign key that point at the users' key; a composite one points with that column only.
fn pointing_columns<'k>(key: &'k super::ForeignKey, users_key: &str) -> Vec<&'k str> {
    let at_key = key.columns.iter().zip(&key.target).filter(|(_, target)| *target == users_key);
    at_key.map(|(column, _)| column.as_str()).collect()
}
