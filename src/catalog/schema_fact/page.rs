//! The reference page of the facts: `docs/reference/schema-facts.md`.

use std::fmt::Write;

use super::{SchemaFact, Verdict, Work};

impl SchemaFact {
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
            SchemaFact::InsertTrigger => {
                ("a trigger for inserts", "runs when an undo restores rows: it may change them, or write elsewhere")
            }
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
            SchemaFact::Exclusion => (
                "an exclusion constraint that compares the user by `=`",
                "a unique key with other operators: `on_conflict` says what happens to rows that collide; without it they stay",
            ),
            SchemaFact::OtherExclusion => (
                "an exclusion constraint that compares the user by another operator",
                "it refuses rows because of the rows of other users: leave the user out of it",
            ),
            SchemaFact::DeferredUnique => (
                "a unique key over the user that is checked at the commit",
                "a unique key; rows that it refuses are found by halving the chunk",
            ),
            SchemaFact::DeferredTrigger => (
                "a constraint trigger that runs at the commit",
                "runs after the statement instead, so that the journal follows what it does",
            ),
            SchemaFact::RowCheck => (
                "a `CHECK` over the user, or a set column, and other columns",
                "rows for which it refuses the change stay, and are reported by key",
            ),
            SchemaFact::UnvalidatedCheck => (
                "a `CHECK` that is `NOT VALID`",
                "rows that break it already cannot be changed, and could not be restored: validate it",
            ),
            SchemaFact::UnvalidatedKey => (
                "a foreign key of the table that is `NOT VALID`",
                "rows that break it already could not be restored: validate it, or use `secret`",
            ),
            SchemaFact::ComputedColumn => (
                "a written column that the database computes (`GENERATED`, or `ALWAYS AS IDENTITY`)",
                "name the column that it is computed from",
            ),
            SchemaFact::ComputedUnique => (
                "a unique key over a column that is computed from the user",
                "no move can tell which rows collide: make the key over the user itself, or over an expression",
            ),
            SchemaFact::NoReplicaIdentity => (
                "a published table without replica identity",
                "the database refuses its changes: add a primary key, or `REPLICA IDENTITY FULL`",
            ),
            SchemaFact::AccessMethod => {
                ("a table of another access method than `heap`", "what its statements lock and return is unknown")
            }
            SchemaFact::ConflictClause => (
                "a constraint with `ON CONFLICT REPLACE`, `IGNORE` or `ROLLBACK`",
                "a change would delete other rows, be skipped, or end the transaction: make the table without the clause",
            ),
            SchemaFact::ReusedKey => (
                "an `INTEGER PRIMARY KEY` without `AUTOINCREMENT`",
                "an undo may take a new row for the record: name the column that holds when rows were created, `created`",
            ),
            SchemaFact::ReservedName => {
                ("a column called `$left` or `$before`", "snapshots keep other things under these names: rename it")
            }
            SchemaFact::ForeignCollation => (
                "a collation that the application defines",
                "no other program can compare or index such texts: use `NOCASE`, or an index of its own",
            ),
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
