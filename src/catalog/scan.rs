//! Finds references that a catalog lacks: foreign keys to the users' table, and columns whose names suggest users.

use serde::Serialize;

use super::guess::{Candidate, candidates};
use super::model::Catalog;
use super::schema::{ForeignKey, Schema, TableName};

/// A foreign key to the users' table that the catalog does not cover.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Uncovered {
    /// The table that points.
    pub table: String,
    /// The column that points.
    pub column: String,
}

/// Lists the foreign keys to the users' table that neither a reference nor a section covers, in the schema's order.
pub fn scan(catalog: &Catalog, schema: &Schema) -> Vec<Uncovered> {
    let mut uncovered = Vec::new();
    for (table, key) in schema.inbound(&catalog.users.table) {
        for column in pointing_columns(key, &catalog.users.key.name) {
            if !covers(catalog, &table.name, column) {
                uncovered.push(Uncovered { table: table.name.to_string(), column: column.to_owned() });
            }
        }
    }
    uncovered
}

/// Lists columns whose names suggest users and that the catalog does not cover. Only their values show if they hold users.
pub fn scan_names<'s>(catalog: &Catalog, schema: &'s Schema) -> Vec<Candidate<'s>> {
    let users = &catalog.users;
    let key = schema.named(&users.table).and_then(|table| Some((table, table.column(&users.key.name)?)));
    let Some((table, key)) = key else { return Vec::new() };
    let found = candidates(schema, table, key).into_iter();
    found.filter(|candidate| !covers(catalog, &candidate.table.name, &candidate.column.name)).collect()
}

/// Lists the columns of a foreign key that point at the users' key. A composite key points with that column only.
pub fn pointing_columns<'k>(key: &'k ForeignKey, users_key: &str) -> Vec<&'k str> {
    let at_key = key.columns.iter().zip(&key.target).filter(|(_, target)| *target == users_key);
    at_key.map(|(column, _)| column.as_str()).collect()
}

/// True if the catalog mentions a column, even if only to ignore it.
pub fn covers(catalog: &Catalog, table: &TableName, column: &str) -> bool {
    let by_reference = catalog.references.iter().any(|r| r.table == *table && r.user.name == column);
    let by_license = catalog.license.iter().any(|l| l.table == *table && l.user.name == column);
    let by_group = catalog.groups.iter().any(|g| g.table == *table && g.user.name == column);
    let by_manager = catalog.users.table == *table && catalog.users.manager.iter().any(|m| m.name == column);
    let is_ignored = catalog.ignored.iter().any(|(of, name)| of == table && name == column);
    by_reference || by_license || by_group || by_manager || is_ignored
}
