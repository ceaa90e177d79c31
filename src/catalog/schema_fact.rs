//! The facts of a schema that decide what a statement does, and how the check of a catalog treats each: the list of what
//! Handover knows. A fact that is missing here is unknown to it.

mod page;

use super::disposition::{Disposition, OnConflict};

/// The names under which snapshots keep other things than columns.
pub const RESERVED_NAMES: [&str; 2] = ["$left", "$before"];

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
    /// An exclusion constraint compares the users of rows for equality.
    Exclusion,
    /// An exclusion constraint compares the users of rows by another operator.
    OtherExclusion,
    /// A unique key or an exclusion constraint over the user is checked at the commit.
    DeferredUnique,
    /// A trigger for updates or deletes runs at the commit.
    DeferredTrigger,
    /// A CHECK reads the user or a set column together with other columns.
    RowCheck,
    /// Rows may break a CHECK already (NOT VALID).
    UnvalidatedCheck,
    /// Rows may break a foreign key of the table already (NOT VALID).
    UnvalidatedKey,
    /// A written column is computed or numbered by the database.
    ComputedColumn,
    /// A unique key is over a column that the database computes from the user.
    ComputedUnique,
    /// A publication publishes the table, which has no replica identity.
    NoReplicaIdentity,
    /// An access method other than the database's own stores the rows.
    AccessMethod,
    /// A constraint has an ON CONFLICT clause other than ABORT and FAIL.
    ConflictClause,
    /// The database gives the key of a deleted row to a new one.
    ReusedKey,
    /// A column has one of the [`RESERVED_NAMES`].
    ReservedName,
    /// A column or an index has a collation that the application defines.
    ForeignCollation,
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
    pub const ALL: [SchemaFact; 37] = [
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
        SchemaFact::OtherExclusion,
        SchemaFact::DeferredUnique,
        SchemaFact::DeferredTrigger,
        SchemaFact::RowCheck,
        SchemaFact::UnvalidatedCheck,
        SchemaFact::UnvalidatedKey,
        SchemaFact::ComputedColumn,
        SchemaFact::ComputedUnique,
        SchemaFact::NoReplicaIdentity,
        SchemaFact::AccessMethod,
        SchemaFact::ConflictClause,
        SchemaFact::ReusedKey,
        SchemaFact::ReservedName,
        SchemaFact::ForeignCollation,
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
            | SchemaFact::InheritedFrom
            | SchemaFact::ForeignCollation => Verdict::Refused,
            SchemaFact::Partitioned | SchemaFact::Inherits => Verdict::Handled,
            SchemaFact::Rule
            | SchemaFact::NoReplicaIdentity
            | SchemaFact::AccessMethod
            | SchemaFact::ConflictClause => where_(&[Move, MoveOrDrop, Remove, Set], Verdict::Refused),
            SchemaFact::KeylessTrigger => where_(&[Move, Remove, Set], Verdict::Warned),
            SchemaFact::InsertTrigger => where_(&[MoveOrDrop, Remove], Verdict::Warned),
            SchemaFact::DeferredTrigger => where_(&[Move, MoveOrDrop, Remove, Set], Verdict::Handled),
            SchemaFact::UpdateTrigger => where_(&[Move, MoveOrDrop, Set], Verdict::Handled),
            SchemaFact::DeleteTrigger => where_(&[MoveOrDrop, Remove], Verdict::Warned),
            SchemaFact::DeleteCascades | SchemaFact::DeleteEmpties | SchemaFact::DeleteRefused | SchemaFact::Tree => {
                where_(&[MoveOrDrop, Remove], Verdict::With)
            }
            SchemaFact::UpdateCascades
            | SchemaFact::UpdateEmpties
            | SchemaFact::UpdateRefused
            | SchemaFact::ComputedColumn => where_(&[Move, MoveOrDrop, Set], Verdict::Refused),
            SchemaFact::Exclusion | SchemaFact::DeferredUnique => match work {
                Move => Verdict::Warned,
                MoveOrDrop => Verdict::Handled,
                Remove | Set | Stay => Verdict::Idle,
            },
            SchemaFact::OtherExclusion | SchemaFact::ComputedUnique => where_(&[Move, MoveOrDrop], Verdict::Refused),
            SchemaFact::RowCheck | SchemaFact::ReusedKey => where_(&[Move, MoveOrDrop, Set], Verdict::Warned),
            SchemaFact::UnvalidatedCheck => match work {
                Move | Set => Verdict::Warned,
                MoveOrDrop | Remove => Verdict::Refused,
                Stay => Verdict::Idle,
            },
            SchemaFact::ReservedName => where_(&[MoveOrDrop, Remove, Set], Verdict::Refused),
            SchemaFact::UnvalidatedKey => where_(&[MoveOrDrop, Remove], Verdict::Refused),
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
            | SchemaFact::UpdateRefused
            | SchemaFact::RowCheck
            | SchemaFact::ComputedColumn
            | SchemaFact::ComputedUnique
            | SchemaFact::ConflictClause
            | SchemaFact::ReusedKey
            | SchemaFact::ReservedName
            | SchemaFact::ForeignCollation => true,
            SchemaFact::MaterializedView
            | SchemaFact::ForeignTable
            | SchemaFact::Partition
            | SchemaFact::Partitioned
            | SchemaFact::ForeignPartition
            | SchemaFact::InheritedFrom
            | SchemaFact::Inherits
            | SchemaFact::Rule
            | SchemaFact::Exclusion
            | SchemaFact::OtherExclusion
            | SchemaFact::DeferredUnique
            | SchemaFact::DeferredTrigger
            | SchemaFact::UnvalidatedCheck
            | SchemaFact::UnvalidatedKey
            | SchemaFact::NoReplicaIdentity
            | SchemaFact::AccessMethod
            | SchemaFact::RowSecurity => false,
        }
    }

    /// True if PostgreSQL has such a fact.
    pub fn is_in_postgres(self) -> bool {
        let of_sqlite =
            [SchemaFact::VirtualTable, SchemaFact::ConflictClause, SchemaFact::ReusedKey, SchemaFact::ForeignCollation];
        !of_sqlite.contains(&self)
    }
}
