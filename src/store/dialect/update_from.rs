//! The parts of an UPDATE of the rows that others name, which dialects put in different orders.

/// An UPDATE of the rows that others name.
#[derive(Debug, Clone, Copy)]
pub struct UpdateFrom<'u> {
    /// The table that changes.
    pub table: &'u str,
    /// Its alias.
    pub alias: &'u str,
    /// The new values, by columns of the table without an alias.
    pub assignments: &'u str,
    /// The rows that name those to change: one item, or a join.
    pub from: &'u str,
    /// The test of a row of both.
    pub condition: &'u str,
}
