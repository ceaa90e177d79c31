//! Tests that say which rows of a table are meant.

use super::schema::{Column, TableName};

/// Tests of a row, all of which it passes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter(pub Vec<Test>);

/// A test of one column, or of the parent row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// The column has one of these values.
    OneOf(Column, Vec<String>),
    /// The column is NULL (`true`), or is not (`false`).
    Null(Column, bool),
    /// A parent row passes tests of its own.
    Parent(Parent),
}

/// The row of another table that a row belongs to, with the tests that it passes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    /// The parent's table.
    pub table: TableName,
    /// The columns that point, each with the parent's column that it points at.
    pub on: Vec<(Column, Column)>,
    /// True if a row has at most one parent.
    pub sole: bool,
    /// The tests.
    pub filter: Filter,
}

/// The organization that bounds a statement, if users are known only together with their organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrgScope {
    /// The column that holds the organization.
    pub column: Column,
    /// The organization.
    pub org: String,
}

impl Filter {
    /// True if no row can pass both filters, because a column would need two values.
    pub fn excludes(&self, other: &Filter) -> bool {
        self.0.iter().any(|mine| other.0.iter().any(|theirs| mine.excludes(theirs)))
    }
}

impl Test {
    fn excludes(&self, other: &Test) -> bool {
        match (self, other) {
            (Test::OneOf(a, mine), Test::OneOf(b, theirs)) => {
                a.name == b.name && mine.iter().all(|value| !theirs.contains(value))
            }
            (Test::Null(a, mine), Test::Null(b, theirs)) => a.name == b.name && mine != theirs,
            (Test::OneOf(a, _), Test::Null(b, null)) | (Test::Null(b, null), Test::OneOf(a, _)) => {
                *null && a.name == b.name
            }
            // If a row can have several parents, one may pass these tests and another those.
            (Test::Parent(mine), Test::Parent(theirs)) => {
                mine.sole && mine.table == theirs.table && mine.on == theirs.on && mine.filter.excludes(&theirs.filter)
            }
            (Test::Parent(_), Test::OneOf(..) | Test::Null(..))
            | (Test::OneOf(..) | Test::Null(..), Test::Parent(_)) => false,
        }
    }

    /// Describes the test for people.
    pub fn describe(&self) -> String {
        match self {
            Test::OneOf(column, values) => format!("`{}` = {:?}", column.name, values.join(", ")),
            Test::Null(column, true) => format!("`{}` is empty", column.name),
            Test::Null(column, false) => format!("`{}` is not empty", column.name),
            Test::Parent(parent) => {
                let tests: Vec<String> = parent.filter.0.iter().map(Test::describe).collect();
                format!("its row of {} has {}", parent.table, tests.join(" and "))
            }
        }
    }
}
