//! Conditions: what a user must have, who may ask for what, and when a reference counts.

use super::filter::{Filter, OrgScope, Test};
use super::schema::{Column, TableName};

/// A condition on a column of the users' table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// The column.
    pub column: Column,
    /// The value that it must hold.
    pub holds: Holds,
}

/// The value that the column of a condition must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holds {
    /// This value, in the column's text form.
    Value(String),
    /// A value that another table lists: for example a role in a table of roles and permissions.
    ListedIn(Listing),
}

/// A table that lists values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The table.
    pub table: TableName,
    /// The column that holds the values.
    pub column: Column,
    /// The rows that count.
    pub filter: Filter,
}

/// A permission to ask for a request type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    /// The condition that the requester must meet.
    pub requester: Condition,
    /// The users they may ask it for; without it, every user of their organization.
    pub of: Option<Condition>,
}

/// The conditions under which a reference counts. Each one that is present must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct When {
    /// The condition that the leaver must meet.
    pub leaver: Option<Condition>,
    /// The condition that the requester must meet.
    pub requester: Option<Condition>,
    /// True if the request must have come in bulk, false if it must not.
    pub bulk: Option<bool>,
    /// The name that the request must list in its `also`.
    pub also: Option<String>,
}

/// Users who meet a condition, with everything that SQL needs to ask for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SomeUsers {
    /// The users' table.
    pub table: TableName,
    /// The users' key.
    pub key: Column,
    /// The condition.
    pub condition: Condition,
    /// The organization of these users.
    pub within: Option<OrgScope>,
}

impl Condition {
    /// True if no user meets both.
    fn excludes(&self, other: &Condition) -> bool {
        match (&self.holds, &other.holds) {
            (Holds::Value(mine), Holds::Value(theirs)) => self.column.name == other.column.name && mine != theirs,
            (Holds::ListedIn(_), _) | (_, Holds::ListedIn(_)) => false,
        }
    }

    /// Describes the condition for people.
    pub fn describe(&self) -> String {
        let column = &self.column.name;
        match &self.holds {
            Holds::Value(value) => format!("`{column}` = {value:?}"),
            Holds::ListedIn(Listing { table, column: listed, filter }) => {
                let tests: Vec<String> = filter.0.iter().map(Test::describe).collect();
                let which = if tests.is_empty() { String::new() } else { format!(" ({})", tests.join(" and ")) };
                format!("`{column}` among `{listed}` of {table}{which}", listed = listed.name)
            }
        }
    }
}

impl When {
    /// True if there is no condition.
    pub fn is_always(&self) -> bool {
        *self == When::default()
    }

    /// True if the reference may count in one job of a leaver and not in another, because it depends on the request.
    pub fn is_of_request(&self) -> bool {
        self.requester.is_some() || self.bulk.is_some() || self.also.is_some()
    }

    /// True if no request for any leaver meets both.
    pub fn excludes(&self, other: &When) -> bool {
        let apart = |mine: &Option<Condition>, theirs: &Option<Condition>| {
            mine.as_ref().zip(theirs.as_ref()).is_some_and(|(mine, theirs)| mine.excludes(theirs))
        };
        apart(&self.leaver, &other.leaver)
            || apart(&self.requester, &other.requester)
            || self.bulk.zip(other.bulk).is_some_and(|(mine, theirs)| mine != theirs)
    }

    /// Lists the conditions on users.
    pub fn conditions(&self) -> impl Iterator<Item = &Condition> {
        self.leaver.iter().chain(&self.requester)
    }
}
