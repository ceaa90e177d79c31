//! Conditions: what a user must have, who may ask for what, and when a reference counts.

use super::TableName;
use super::model::{Column, OrgScope};
use super::reference::{Filter, Test};

/// A column of the users' table has a value, or one that another table lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// The column.
    pub column: Column,
    /// What it must hold.
    pub holds: Holds,
}

/// What the column of a condition must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holds {
    /// This value, as the column's text.
    Value(String),
    /// A value that another table lists: a role in a table of roles and permissions.
    ListedIn(Listing),
}

/// A table that lists values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The table.
    pub table: TableName,
    /// The column that holds the values.
    pub column: Column,
    /// Which of its rows count.
    pub filter: Filter,
}

/// Somebody who may ask for a request type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    /// What the requester must have.
    pub requester: Condition,
    /// Whom they may ask it for; everybody of their organization where it is not said.
    pub of: Option<Condition>,
}

/// When a reference counts: all that is said here holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct When {
    /// What the leaver must have.
    pub leaver: Option<Condition>,
    /// What the requester must have.
    pub requester: Option<Condition>,
    /// Whether the request must have come in bulk, or must not.
    pub bulk: Option<bool>,
    /// What the request must list in its `also`.
    pub also: Option<String>,
}

/// Users who meet a condition, with what it takes to ask for it in SQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SomeUsers {
    /// The users' table.
    pub table: TableName,
    /// What users are known by.
    pub key: Column,
    /// The condition.
    pub condition: Condition,
    /// The organization that these users are of.
    pub within: Option<OrgScope>,
}

impl Condition {
    /// Whether no user meets both.
    fn excludes(&self, other: &Condition) -> bool {
        match (&self.holds, &other.holds) {
            (Holds::Value(mine), Holds::Value(theirs)) => self.column.name == other.column.name && mine != theirs,
            _ => false,
        }
    }

    /// What it asks for, for people.
    pub fn describe(&self) -> String {
        let column = &self.column.name;
        match &self.holds {
            Holds::Value(value) => format!("`{column}` = {value:?}"),
            Holds::ListedIn(Listing { table, column: listed, filter }) => {
                let tests: Vec<String> = filter.0.iter().map(describe_test).collect();
                let which = if tests.is_empty() { String::new() } else { format!(" ({})", tests.join(" and ")) };
                format!("`{column}` among `{listed}` of {table}{which}", listed = listed.name)
            }
        }
    }
}

fn describe_test(test: &Test) -> String {
    match test {
        Test::OneOf(column, values) => format!("`{}` = {:?}", column.name, values.join(", ")),
        Test::Null(column, true) => format!("`{}` is empty", column.name),
        Test::Null(column, false) => format!("`{}` is not empty", column.name),
        Test::Parent(parent) => {
            let tests: Vec<String> = parent.filter.0.iter().map(describe_test).collect();
            format!("its row of {} has {}", parent.table, tests.join(" and "))
        }
    }
}

impl When {
    /// Whether it says nothing.
    pub fn is_always(&self) -> bool {
        *self == When::default()
    }

    /// Whether it goes by the request: of two jobs of one leaver the reference may count for one and not for the other.
    pub fn is_of_request(&self) -> bool {
        self.requester.is_some() || self.bulk.is_some() || self.also.is_some()
    }

    /// Whether no request for any leaver meets both.
    pub fn excludes(&self, other: &When) -> bool {
        let apart = |mine: &Option<Condition>, theirs: &Option<Condition>| {
            mine.as_ref().zip(theirs.as_ref()).is_some_and(|(mine, theirs)| mine.excludes(theirs))
        };
        apart(&self.leaver, &other.leaver)
            || apart(&self.requester, &other.requester)
            || self.bulk.zip(other.bulk).is_some_and(|(mine, theirs)| mine != theirs)
    }

    /// Every condition on a user.
    pub fn conditions(&self) -> impl Iterator<Item = &Condition> {
        self.leaver.iter().chain(&self.requester)
    }
}
