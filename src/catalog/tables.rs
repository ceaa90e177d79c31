//! The tables that a catalog names, as far as a database has them.

use std::collections::{BTreeMap, BTreeSet};

use super::schema::Schema;

/// The fewest tables whose absence shows that the database is another one. Those of a smaller catalog may be misspelled.
const FEWEST: usize = 4;

/// The number of a catalog's tables that a database has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedTables {
    /// The number of tables that the catalog names.
    pub named: usize,
    /// Those that the database has.
    pub found: Vec<String>,
    /// A schema off the search path that has most of them.
    pub elsewhere: Option<String>,
}

impl NamedTables {
    /// Looks up every table that a catalog's text names. A text that is no TOML names none.
    pub fn of(source: &str, schema: &Schema) -> NamedTables {
        let mut names = BTreeSet::new();
        if let Ok(document) = toml::from_str::<toml::Table>(source) {
            collect(&document, &mut names);
        }
        let found: Vec<String> = names.iter().filter(|name| schema.table(name).is_some()).cloned().collect();
        let elsewhere = elsewhere(&names, schema);
        NamedTables { named: names.len(), found, elsewhere }
    }

    /// Returns true if the database has none of them, or hardly any.
    pub fn are_elsewhere(&self) -> bool {
        self.named >= FEWEST && self.found.len() * 10 <= self.named
    }

    /// Returns what is wrong and how to fix it.
    pub fn message(&self, catalog: &str, database: &str) -> String {
        let named = self.named;
        let found = match self.found.as_slice() {
            [] => format!("none of the {named} tables of the catalog {catalog} is in {database}"),
            found => {
                format!("of the {named} tables of the catalog {catalog} only {} is in {database}", found.join(", "))
            }
        };
        match &self.elsewhere {
            Some(schema) => format!(
                "{found}: its schema `{schema}` has such tables, so add it to the role's search path, or write \
                 `{schema}.TABLE` in the catalog"
            ),
            None => format!("{found}: it is the wrong database (`database.url`) or the wrong catalog (`catalog`)"),
        }
    }
}

/// Collects the values of every `table`, and of every `with`, which lists tables.
fn collect(section: &toml::Table, names: &mut BTreeSet<String>) {
    for (key, value) in section {
        for value in value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice) {
            if let Some(section) = value.as_table() {
                collect(section, names);
            } else if let Some(name) = value.as_str().filter(|_| key == "table" || key == "with") {
                names.insert(name.to_owned());
            }
        }
    }
}

/// Returns the schema off the search path that has most of these tables, if it has at least half of them.
fn elsewhere(names: &BTreeSet<String>, schema: &Schema) -> Option<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for table in schema.tables.iter().filter(|table| !table.visible && names.contains(&table.name.name)) {
        if let Some(schema) = &table.name.schema {
            *counts.entry(schema).or_default() += 1;
        }
    }
    let (schema, count) = counts.into_iter().max_by_key(|(_, count)| *count)?;
    (count * 2 >= names.len()).then(|| schema.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{EMBEDDED, Policies, SchemaTraits, Table, TableName};

    fn schema(tables: &[(&str, &str, bool)]) -> Schema {
        let table = |(schema, name, visible): &(&str, &str, bool)| Table {
            name: TableName { schema: Some((*schema).into()), name: (*name).into() },
            visible: *visible,
            columns: Vec::new(),
            uniques: Vec::new(),
            unique_indexes: Vec::new(),
            indexes: Vec::new(),
            foreign_keys: Vec::new(),
            row_security: false,
            policies: Policies::default(),
            row_address: None,
            facts: crate::catalog::TableFacts::default(),
        };
        let traits = SchemaTraits { booleans_are_integers: false, has_session_settings: true, checks_types: true };
        Schema { traits, tables: tables.iter().map(table).collect(), relations: Vec::new() }
    }

    #[test]
    fn foreign_database_is_recognized_by_its_tables() {
        let keap = EMBEDDED[0].1;
        let nothing = NamedTables::of(keap, &schema(&[("public", "orders", true)]));
        assert!(nothing.are_elsewhere() && nothing.named > 15, "{nothing:?}");
        let message = nothing.message("keap", "SQLite x.db");
        assert!(
            message.starts_with("none of the ") && message.contains("is in SQLite x.db: it is the wrong database"),
            "{message}"
        );
        let hardly = NamedTables::of(keap, &schema(&[("public", "users", true)]));
        assert!(
            hardly.are_elsewhere() && hardly.message("keap", "x").contains("keap only users is in x"),
            "{hardly:?}"
        );
        let some = [("public", "users", true), ("public", "contacts", true), ("public", "tasks", true)];
        assert!(!NamedTables::of(keap, &schema(&some)).are_elsewhere());
        let small = "[users]\ntable = \"a\"\n[[reference]]\ntable = \"b\"\nwith = [\"c\"]\n";
        let small = NamedTables::of(small, &schema(&[]));
        assert!(small.named == 3 && !small.are_elsewhere(), "a small catalog may have three wrong names");
    }

    #[test]
    fn tables_off_the_search_path_are_named() {
        let source: String = ["a", "b", "c", "d"].map(|table| format!("[[reference]]\ntable = \"{table}\"\n")).concat();
        let hidden = ["a", "b", "c"].map(|table| ("crm", table, false));
        let found = NamedTables::of(&source, &schema(&hidden));
        assert_eq!((found.are_elsewhere(), found.elsewhere.as_deref()), (true, Some("crm")));
        assert!(found.message("x", "y").contains("write `crm.TABLE` in the catalog"), "{found:?}");
    }
}
