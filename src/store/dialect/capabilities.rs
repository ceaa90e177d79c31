//! The capabilities of a database, as facts: code branches on a fact, not on a name.

/// The columns that say where a row lies, for tables without a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowAddress {
    /// Each column, with the type its text is cast to.
    pub columns: &'static [(&'static str, &'static str)],
}

/// The database engines. Only a driver is chosen by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// PostgreSQL.
    Postgres,
    /// SQLite.
    Sqlite,
}

/// The facts that decide how a statement or a transaction is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// A WITH list may change rows: one statement journals what another of it has changed.
    pub writable_ctes: bool,
    /// Rows can be locked one by one. Without it, one writer at a time holds the whole database.
    pub row_locks: bool,
    /// A role can lock a row only with the right to update one of its columns.
    pub locks_need_update: bool,
    /// A reader can leave out rows that are locked.
    pub skip_locked: bool,
    /// Numbers can be locked until the end of a transaction, shared or exclusively.
    pub advisory_locks: bool,
    /// A statement can bind an array.
    pub arrays: bool,
    /// The check of a foreign key can wait for the commit, one constraint at a time.
    pub deferrable_constraints: bool,
    /// The physical addresses of rows, for tables without a key. The first whose columns hide no column of the table is used.
    /// Empty if rows have no address.
    pub row_addresses: &'static [RowAddress],
    /// A row keeps its address when it is changed.
    pub stable_row_addresses: bool,
    /// Tables live in schemas.
    pub schemas: bool,
    /// Privileges are granted to roles.
    pub roles: bool,
    /// A transaction can carry settings that row-level security reads.
    pub session_settings: bool,
    /// The database shows the sessions, locks and standbys of others.
    pub sees_activity: bool,
    /// The database runs as a server with a clock of its own, and can become unreachable.
    pub is_server: bool,
    /// Transactions that can write at the same time; any number if absent.
    pub max_concurrent_writers: Option<usize>,
    /// `row_number()` in the order of an index reads only as many rows as the LIMIT asks for.
    pub numbers_rows_lazily: bool,
    /// Sequences number the rows, and do not see ids that a statement gives.
    pub separate_sequences: bool,
    /// Truth values are the integers 0 and 1.
    pub booleans_are_integers: bool,
    /// A column holds only values of its type: a UUID, for example, is no mere text.
    pub checks_types: bool,
}
