//! The facts of a schema that decide what a statement does, and how the check of a catalog treats each: the list of what
//! Handover knows. A fact that is missing here is unknown to it.

use std::fmt::Write;

use super::disposition::{Disposition, OnConflict};

/// A fact of a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SchemaFact {
    /// The relation is a view.
    View,
    /// The relation is a materialized view.
    MaterializedView,
    /// The relation is a table of another server.
    ForeignTable,
    /// The relation is a virtual table, or a table of one.
    VirtualTable,
    /// The relation is one partition of a table.
    Partition,
    /// The table has partitions.
    Partitioned,
    /// A partition of the table is a table of another server.
    ForeignPartition,
    /// Other tables inherit from the table.
    InheritedFrom,
    /// The table inherits from another.
    Inherits,
    /// A rule rewrites statements on the table.
    Rule,
    /// A trigger waits for inserts.
    InsertTrigger,
    /// A trigger waits for updates of a column that is written.
    UpdateTrigger,
    /// A trigger waits for updates or deletes of rows without a key.
    KeylessTrigger,
    /// A trigger waits for deletes.
    DeleteTrigger,
    /// A foreign key deletes rows that point at a deleted row.
    DeleteCascades,
    /// A foreign key empties columns that point at a deleted row.
    DeleteEmpties,
    /// A foreign key refuses the delete of a row at which others point.
    DeleteRefused,
    /// Rows of the table point at each other.
    Tree,
    /// A foreign key changes columns that point at an updated column.
    UpdateCascades,
    /// A foreign key empties columns that point at an updated column.
    UpdateEmpties,
    /// A foreign key refuses the update of a column at which others point.
    UpdateRefused,
    /// An exclusion constraint compares rows.
    Exclusion,
    /// Row-level security hides rows from the role.
    RowSecurity,
}

/// The work of a catalog on the rows of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Work {
    /// Rows move.
    Move,
    /// Rows move, or are removed where the successor has them.
    MoveOrDrop,
    /// Rows are removed.
    Remove,
    /// Columns take a value.
    Set,
    /// Rows stay.
    Stay,
}

/// The treatment of a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The fact does not matter.
    Idle,
    /// It is handled.
    Handled,
    /// It is handled if `with` names the rows; otherwise it is a fault.
    With,
    /// It is handled if the catalog has a `[session]`; otherwise it is a fault.
    Session,
    /// It is a warning.
    Warned,
    /// It is a fault.
    Refused,
}

impl Work {
    /// Every kind of work.
    pub const ALL: [Work; 5] = [Work::Move, Work::MoveOrDrop, Work::Remove, Work::Set, Work::Stay];

    /// Returns what a disposition does with rows.
    pub fn of(disposition: &Disposition) -> Work {
        let moves = |on_conflict: &OnConflict| match on_conflict {
            OnConflict::Fail => Work::Move,
            OnConflict::Drop | OnConflict::Add { .. } => Work::MoveOrDrop,
        };
        match disposition {
            Disposition::Transfer { on_conflict, .. } => moves(on_conflict),
            Disposition::Block { resolve: true, on_conflict, .. } => moves(on_conflict),
            Disposition::Detach { .. } | Disposition::Purge { .. } => Work::Remove,
            Disposition::Set { .. } => Work::Set,
            Disposition::Block { resolve: false, .. } | Disposition::Keep => Work::Stay,
        }
    }

    /// Returns the dispositions that do it.
    pub fn title(self) -> &'static str {
        match self {
            Work::Move => "`transfer`, `block` with `resolve`",
            Work::MoveOrDrop => "the same with `on_conflict`",
            Work::Remove => "`detach`, `purge`",
            Work::Set => "`set`",
            Work::Stay => "`keep`, `block`",
        }
    }
}

impl SchemaFact {
    /// Every fact.
    pub const ALL: [SchemaFact; 23] = [
        SchemaFact::View,
        SchemaFact::MaterializedView,
        SchemaFact::ForeignTable,
        SchemaFact::VirtualTable,
        SchemaFact::Partition,
        SchemaFact::Partitioned,
        SchemaFact::ForeignPartition,
        SchemaFact::InheritedFrom,
        SchemaFact::Inherits,
        SchemaFact::Rule,
        SchemaFact::InsertTrigger,
        SchemaFact::UpdateTrigger,
        SchemaFact::KeylessTrigger,
        SchemaFact::DeleteTrigger,
        SchemaFact::DeleteCascades,
        SchemaFact::DeleteEmpties,
        SchemaFact::DeleteRefused,
        SchemaFact::Tree,
        SchemaFact::UpdateCascades,
        SchemaFact::UpdateEmpties,
        SchemaFact::UpdateRefused,
        SchemaFact::Exclusion,
        SchemaFact::RowSecurity,
    ];

    /// Returns how the check treats the fact where this work is done.
    pub fn verdict(self, work: Work) -> Verdict {
        use Work::{Move, MoveOrDrop, Remove, Set, Stay};
        let where_ = |works: &[Work], verdict: Verdict| if works.contains(&work) { verdict } else { Verdict::Idle };
        match self {
            SchemaFact::View
            | SchemaFact::MaterializedView
            | SchemaFact::ForeignTable
            | SchemaFact::VirtualTable
            | SchemaFact::Partition
            | SchemaFact::ForeignPartition
            | SchemaFact::InheritedFrom => Verdict::Refused,
            SchemaFact::Partitioned | SchemaFact::Inherits => Verdict::Handled,
            SchemaFact::Rule => where_(&[Move, MoveOrDrop, Remove, Set], Verdict::Refused),
            SchemaFact::KeylessTrigger => where_(&[Move, Remove, Set], Verdict::Warned),
            SchemaFact::InsertTrigger => where_(&[MoveOrDrop, Remove], Verdict::Handled),
            SchemaFact::UpdateTrigger => where_(&[Move, MoveOrDrop, Set], Verdict::Handled),
            SchemaFact::DeleteTrigger => where_(&[MoveOrDrop, Remove], Verdict::Warned),
            SchemaFact::DeleteCascades | SchemaFact::DeleteEmpties | SchemaFact::DeleteRefused | SchemaFact::Tree => {
                where_(&[MoveOrDrop, Remove], Verdict::With)
            }
            SchemaFact::UpdateCascades | SchemaFact::UpdateEmpties | SchemaFact::UpdateRefused => {
                where_(&[Move, MoveOrDrop, Set], Verdict::Refused)
            }
            SchemaFact::Exclusion => where_(&[Move, MoveOrDrop, Remove, Set], Verdict::Handled),
            SchemaFact::RowSecurity => match work {
                Move | MoveOrDrop | Remove | Set | Stay => Verdict::Session,
            },
        }
    }

    /// True if SQLite has such a fact.
    pub fn is_in_sqlite(self) -> bool {
        match self {
            SchemaFact::View
            | SchemaFact::VirtualTable
            | SchemaFact::InsertTrigger
            | SchemaFact::UpdateTrigger
            | SchemaFact::KeylessTrigger
            | SchemaFact::DeleteTrigger
            | SchemaFact::DeleteCascades
            | SchemaFact::DeleteEmpties
            | SchemaFact::DeleteRefused
            | SchemaFact::Tree
            | SchemaFact::UpdateCascades
            | SchemaFact::UpdateEmpties
            | SchemaFact::UpdateRefused => true,
            SchemaFact::MaterializedView
            | SchemaFact::ForeignTable
            | SchemaFact::Partition
            | SchemaFact::Partitioned
            | SchemaFact::ForeignPartition
            | SchemaFact::InheritedFrom
            | SchemaFact::Inherits
            | SchemaFact::Rule
            | SchemaFact::Exclusion
            | SchemaFact::RowSecurity => false,
        }
    }

    /// True if PostgreSQL has such a fact.
    pub fn is_in_postgres(self) -> bool {
        self != SchemaFact::VirtualTable
    }

    /// Returns the fact and its treatment, for the reference page.
    fn lines(self) -> (&'static str, &'static str) {
        match self {
            SchemaFact::View => ("a view", "name the table whose rows it shows"),
            SchemaFact::MaterializedView => ("a materialized view", "name the table that it copies"),
            SchemaFact::ForeignTable => ("a table of another server", "its rows and the ledger cannot commit together"),
            SchemaFact::VirtualTable => ("a virtual table, or a table of one", "name the table that it indexes"),
            SchemaFact::Partition => ("one partition", "name the partitioned table, which has its rows"),
            SchemaFact::Partitioned => (
                "a partitioned table",
                "stands for its partitions: their foreign keys, triggers and rules count as its own, and a new partition changes nothing",
            ),
            SchemaFact::ForeignPartition => ("a partition on another server", "as a table of another server"),
            SchemaFact::InheritedFrom => {
                ("a table from which others inherit", "statements reach the heirs' rows, whose keys may be the same")
            }
            SchemaFact::Inherits => ("a table that inherits", "is a table of its own"),
            SchemaFact::Rule => ("a rule", "it rewrites the statements that the journal relies on: use a trigger"),
            SchemaFact::InsertTrigger => ("a trigger for inserts", "runs when an undo restores rows"),
            SchemaFact::UpdateTrigger => (
                "a trigger for updates",
                "the journal names the user whom the row has afterwards; rows that the trigger keeps are refused, by key",
            ),
            SchemaFact::KeylessTrigger => {
                ("a trigger for rows without a key", "rows that it keeps cannot be told apart: add a key")
            }
            SchemaFact::DeleteTrigger => (
                "a trigger for deletes",
                "rows that the trigger keeps are refused, by key; what it changes elsewhere is in no snapshot",
            ),
            SchemaFact::DeleteCascades => (
                "a foreign key to the table, with `CASCADE` on delete",
                "rows go with a snapshot, and an undo restores them",
            ),
            SchemaFact::DeleteEmpties => (
                "a foreign key to the table, with `SET NULL` or `SET DEFAULT` on delete",
                "old values are kept, and an undo sets them again",
            ),
            SchemaFact::DeleteRefused => (
                "a foreign key to the table, with `NO ACTION` or `RESTRICT` on delete",
                "rows are removed first, with a snapshot, and an undo restores them",
            ),
            SchemaFact::Tree => (
                "a foreign key of the table to itself",
                "the whole branch goes, with rows of other users: name the table itself",
            ),
            SchemaFact::UpdateCascades => (
                "a foreign key to a written column, with `CASCADE` on update",
                "the database would change rows that the journal does not name",
            ),
            SchemaFact::UpdateEmpties => (
                "a foreign key to a written column, with `SET NULL` or `SET DEFAULT` on update",
                "the database would change rows that the journal does not name",
            ),
            SchemaFact::UpdateRefused => (
                "a foreign key to a written column, with `NO ACTION` or `RESTRICT` on update",
                "rows that others point at could not change",
            ),
            SchemaFact::Exclusion => ("an exclusion constraint", "rows that it refuses stay, and are reported by key"),
            SchemaFact::RowSecurity => {
                ("row-level security that applies to the role", "`[session]` sets what the policies read")
            }
        }
    }

    /// Returns the table of the reference page.
    pub fn table() -> String {
        let row = |cells: &[&str]| cells.iter().fold(String::new(), |row, cell| row + " " + cell + " |");
        let mut table = format!("| fact | engines |{} treatment |\n", row(&Work::ALL.map(Work::title)));
        table.push_str("|---|---|---|---|---|---|---|---|\n");
        for fact in SchemaFact::ALL {
            let (what, how) = fact.lines();
            let engines = match (fact.is_in_postgres(), fact.is_in_sqlite()) {
                (true, true) => "both",
                (true, false) => "PostgreSQL",
                (false, _) => "SQLite",
            };
            let verdicts = row(&Work::ALL.map(|work| fact.verdict(work).word()));
            let _ = writeln!(table, "| {what} | {engines} |{verdicts} {how} |");
        }
        table
    }
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Verdict::Idle => "–",
            Verdict::Handled => "handled",
            Verdict::With => "`with`",
            Verdict::Session => "`[session]`",
            Verdict::Warned => "warning",
            Verdict::Refused => "refused",
        }
    }
}
