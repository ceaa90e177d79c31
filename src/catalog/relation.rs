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
    /// The CHECK constraints, except lists of a column's values.
    pub checks: Vec<RowCheck>,
    /// The names of its foreign keys that rows may break already (NOT VALID).
    pub unvalidated_keys: Vec<String>,
    /// The publications that refuse changes of its rows, because it has no replica identity.
    pub publications: Vec<Publication>,
    /// The access method that stores its rows, if it is not the database's own.
    pub access_method: Option<String>,
    /// The conflict clauses of its constraints by which a write deletes other rows, is skipped, or ends the transaction.
    pub conflict_clauses: Vec<String>,
    /// The collations that only the application may define.
    pub collations: Vec<String>,
    /// The columns that the database computes from others.
    pub computed: Vec<ComputedColumn>,
    /// True if the database gives the key of a deleted row to a new one (an INTEGER PRIMARY KEY without AUTOINCREMENT).
    pub reuses_keys: bool,
    /// True if rows have no number besides their key (`WITHOUT ROWID`).
    pub is_without_row_numbers: bool,
}

/// A column that the database computes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComputedColumn {
    /// The name.
    pub name: String,
    /// The columns that it is computed from.
    pub reads: Vec<String>,
}

/// A CHECK constraint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowCheck {
    /// The name, if it has one.
    pub name: Option<String>,
    /// The columns that it reads.
    pub columns: Vec<String>,
    /// True if every row meets it. Otherwise it is NOT VALID.
    pub is_valid: bool,
}

/// A publication of logical replication that refuses changes of rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// The name.
    pub name: String,
    /// True if it publishes, and so refuses, updates.
    pub refuses_updates: bool,
    /// True if it publishes, and so refuses, deletes.
    pub refuses_deletes: bool,
}

/// A trigger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trigger {
    /// The name.
    pub name: String,
    /// The statement that it waits for.
    pub event: TriggerEvent,
    /// True if it runs at the commit (a deferred constraint trigger).
    pub is_deferred: bool,
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
    /// True if one of these runs at the commit.
    pub is_deferred: bool,
}

impl TableFacts {
    /// Returns which statements fire triggers, if updates write these columns.
    pub fn fires(&self, written: &[&str]) -> Fires {
        Fires {
            on_update: self.on_update(written).next().is_some(),
            on_delete: self.on_delete().next().is_some(),
            is_deferred: self.on_update(written).chain(self.on_delete()).any(|trigger| trigger.is_deferred),
        }
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

    /// Lists the triggers that an INSERT fires.
    pub fn on_insert(&self) -> impl Iterator<Item = &Trigger> {
        self.triggers.iter().filter(|trigger| trigger.event == TriggerEvent::Insert)
    }

    /// Lists the triggers that a DELETE fires.
    pub fn on_delete(&self) -> impl Iterator<Item = &Trigger> {
        self.triggers.iter().filter(|trigger| trigger.event == TriggerEvent::Delete)
    }
}
