//! Facts about relations that decide what a statement on them does.

use super::table_name::TableName;

/// A relation with rows that no catalog can name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// The name.
    pub name: TableName,
    /// True if the bare name finds it.
    pub visible: bool,
    /// The kind.
    pub kind: RelationKind,
}

impl Relation {
    /// Returns why a catalog cannot name it, and how to fix it.
    pub fn refusal(&self) -> String {
        let name = &self.name;
        match &self.kind {
            RelationKind::View => format!("{name} is a view: name the table whose rows it shows"),
            RelationKind::MaterializedView => format!("{name} is a materialized view: name the table that it copies"),
            RelationKind::ForeignTable => format!(
                "{name} is a table of another server: its rows and the ledger cannot commit together; run Handover on that \
                 server's database"
            ),
            RelationKind::Partition(of) => format!("{name} is a partition of {of}: name {of}, which has its rows"),
            RelationKind::VirtualTable => {
                format!(
                    "{name} belongs to a virtual table of SQLite, without keys and locks: name the table that it indexes"
                )
            }
        }
    }
}

/// The kind of a relation that no catalog can name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RelationKind {
    /// A view.
    View,
    /// A materialized view.
    MaterializedView,
    /// A table of another server.
    ForeignTable,
    /// A partition of this table.
    Partition(TableName),
    /// A virtual table of SQLite, or a table in which one keeps its data.
    VirtualTable,
}

/// Facts about a table that decide what a statement on it does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableFacts {
    /// The triggers that are enabled.
    pub triggers: Vec<Trigger>,
    /// The names of the rules that rewrite statements.
    pub rules: Vec<String>,
    /// Tables that inherit from it; partitions do not count.
    pub heirs: Vec<TableName>,
    /// Partitions that are tables of another server.
    pub foreign_partitions: Vec<TableName>,
    /// The columns of each exclusion constraint.
    pub exclusions: Vec<Vec<String>>,
}

/// A trigger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trigger {
    /// The name.
    pub name: String,
    /// The statement that it waits for.
    pub event: TriggerEvent,
}

/// The statement that a trigger waits for. A trigger for several counts once for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TriggerEvent {
    /// An INSERT.
    Insert,
    /// An UPDATE of one of these columns; of any column if there are none.
    Update(Vec<String>),
    /// A DELETE.
    Delete,
}

/// The statements on the rows of a reference that fire triggers: what they do shows only afterwards.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fires {
    /// True if a change of the columns that the reference writes fires one.
    pub on_update: bool,
    /// True if a delete fires one.
    pub on_delete: bool,
}

impl TableFacts {
    /// Returns which statements fire triggers, if updates write these columns.
    pub fn fires(&self, written: &[&str]) -> Fires {
        Fires { on_update: self.on_update(written).next().is_some(), on_delete: self.on_delete().next().is_some() }
    }

    /// Lists the triggers that an UPDATE of these columns fires.
    pub fn on_update<'f>(&'f self, columns: &'f [&str]) -> impl Iterator<Item = &'f Trigger> {
        self.triggers.iter().filter(move |trigger| match &trigger.event {
            TriggerEvent::Update(of) => {
                of.is_empty() || of.iter().any(|name| columns.iter().any(|column| column.eq_ignore_ascii_case(name)))
            }
            TriggerEvent::Insert | TriggerEvent::Delete => false,
        })
    }

    /// Lists the triggers that a DELETE fires.
    pub fn on_delete(&self) -> impl Iterator<Item = &Trigger> {
        self.triggers.iter().filter(|trigger| trigger.event == TriggerEvent::Delete)
    }
}
