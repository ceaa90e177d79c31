//! Further effects of deleting a row or updating a column, by the foreign keys that point at the row.
//!
//! Pure: the driver has folded partitions into their tables, and spelled names as the tables spell them.

use super::schema::{ForeignKey, KeyAction, Schema, Table, TableName};

/// Rows that point at changed rows, and the effect on them.
#[derive(Debug, Clone, Copy)]
pub struct Consequence<'s> {
    /// The table of the rows that point.
    pub table: &'s Table,
    /// The foreign key by which they point.
    pub key: &'s ForeignKey,
    /// The effect on them.
    pub action: KeyAction,
}

/// Lists what else happens when a row of a table is deleted.
pub fn of_delete<'s>(schema: &'s Schema, name: &'s TableName) -> Vec<Consequence<'s>> {
    schema.inbound(name).map(|(table, key)| Consequence { table, key, action: key.on_delete }).collect()
}

/// Lists what else happens when these columns of a row take other values.
pub fn of_update<'s>(schema: &'s Schema, name: &'s TableName, columns: &[&str]) -> Vec<Consequence<'s>> {
    let is_pointed_at = |key: &ForeignKey| key.target.iter().any(|target| columns.contains(&target.as_str()));
    let keys = schema.inbound(name).filter(|(_, key)| is_pointed_at(key));
    keys.map(|(table, key)| Consequence { table, key, action: key.on_update }).collect()
}

/// Lists the tables whose rows a delete deletes, changes or is refused by, through any number of foreign keys, each once. The
/// table itself is among them if its rows point at each other.
pub fn reach<'s>(schema: &'s Schema, name: &'s TableName) -> Vec<&'s TableName> {
    let mut found: Vec<&TableName> = Vec::new();
    let mut open = vec![name];
    while let Some(deleted) = open.pop() {
        for consequence in of_delete(schema, deleted) {
            let table = &consequence.table.name;
            if !found.contains(&table) {
                found.push(table);
                // Rows that are emptied stay, and so do the rows that point at them.
                open.extend((consequence.action != KeyAction::Empty).then_some(table));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::SchemaTraits;

    fn table(name: &str, keys: Vec<ForeignKey>) -> Table {
        Table {
            name: TableName { schema: None, name: name.into() },
            visible: true,
            columns: Vec::new(),
            uniques: Vec::new(),
            unique_indexes: Vec::new(),
            indexes: Vec::new(),
            foreign_keys: keys,
            row_security: false,
            policies: crate::catalog::Policies::default(),
            row_address: None,
            facts: crate::catalog::TableFacts::default(),
        }
    }

    fn key(column: &str, table: &str, target: &[&str], on_delete: KeyAction, on_update: KeyAction) -> ForeignKey {
        ForeignKey {
            name: None,
            columns: vec![column.into()],
            table: TableName { schema: None, name: table.into() },
            target: target.iter().map(|name| (*name).into()).collect(),
            on_delete,
            on_update,
            is_deferrable: false,
        }
    }

    fn schema() -> Schema {
        use KeyAction::{Cascade, Empty, Refuse};
        let tables = vec![
            table("people", Vec::new()),
            table(
                "tasks",
                vec![key("owner", "people", &["id"], Refuse, Refuse), key("up", "tasks", &["id"], Cascade, Refuse)],
            ),
            table(
                "links",
                vec![key("a", "tasks", &["id"], Cascade, Refuse), key("b", "tasks", &["id"], Refuse, Refuse)],
            ),
            table("notes", vec![key("task", "tasks", &["id", "owner"], Empty, Cascade)]),
            table("marks", vec![key("link", "links", &["id"], Cascade, Refuse)]),
            table("stamps", vec![key("note", "notes", &["id"], Cascade, Refuse)]),
        ];
        let traits = SchemaTraits { booleans_are_integers: false, has_session_settings: true, checks_types: true };
        Schema { traits, tables, relations: Vec::new() }
    }

    #[test]
    fn each_foreign_key_is_a_consequence_of_a_delete() {
        let schema = schema();
        let tasks = TableName { schema: None, name: "tasks".into() };
        let found = of_delete(&schema, &tasks);
        let found: Vec<_> =
            found.iter().map(|one| (one.table.name.name.as_str(), one.key.columns[0].as_str())).collect();
        assert_eq!(found, [("tasks", "up"), ("links", "a"), ("links", "b"), ("notes", "task")]);
    }

    #[test]
    fn update_concerns_keys_that_hold_the_column() {
        let schema = schema();
        let tasks = TableName { schema: None, name: "tasks".into() };
        let found = of_update(&schema, &tasks, &["owner"]);
        assert_eq!(found.iter().map(|one| one.action).collect::<Vec<_>>(), [KeyAction::Cascade]);
        assert!(of_update(&schema, &tasks, &["note"]).is_empty());
    }

    #[test]
    fn reach_ends_at_emptied_rows() {
        let schema = schema();
        let tasks = TableName { schema: None, name: "tasks".into() };
        let mut found: Vec<_> = reach(&schema, &tasks).iter().map(|table| table.name.as_str()).collect();
        found.sort_unstable();
        assert_eq!(found, ["links", "marks", "notes", "tasks"]);
    }
}
