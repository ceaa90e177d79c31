//! A unit of work: the rows of one leaver, for one job, and who receives them.

use std::collections::BTreeMap;

use time::OffsetDateTime;
use uuid::Uuid;

use crate::contract::UserId;
use crate::store::ledger::journal::Tally;

/// The key of a row: a value for each of the reference's key columns, as text.
pub type Key = Vec<String>;

/// Rows of one leaver, for one job.
#[derive(Debug, Clone)]
pub struct WorkItem {
    /// The job, for the journal.
    pub job: Uuid,
    /// The chunk, for the journal. Work that was not cut has none.
    pub chunk: Option<i32>,
    /// The user whose rows they are.
    pub leaver: UserId,
    /// The rows among the leaver's.
    pub range: RowRange,
    /// The successors of the rows.
    pub assignment: Assignment,
    /// The time of the work, for the journal.
    pub at: OffsetDateTime,
}

/// A selection of a leaver's rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowRange {
    /// All of them.
    Whole,
    /// The rows between two keys, both included, except those that a request names one by one.
    Keys {
        /// The first key.
        first: Key,
        /// The last key.
        last: Key,
    },
    /// Any rows of a table without keys, except those that look like one that is set aside.
    Next {
        /// The number of records.
        rows: u64,
        /// The images of rows that are set aside.
        but: Vec<String>,
    },
    /// One row of a table without keys that looks like this image.
    Like(String),
}

/// The successors of rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Assignment {
    /// Nobody: the rows do not move.
    None,
    /// One successor receives every row.
    Sole(UserId),
    /// The n-th row in key order goes to the n-th successor, or to nobody. Rows after the end of the list stay.
    Dealt {
        /// The successor of the n-th row.
        successors: Vec<Option<UserId>>,
        /// Keys of rows that the request names one by one. They are not counted.
        except: Vec<String>,
    },
    /// Each row goes to the successor whom the request names. The range does not matter.
    Named(BTreeMap<String, UserId>),
}

impl Assignment {
    /// Returns the successor, if it is one for all rows.
    pub fn sole(&self) -> Option<&UserId> {
        match self {
            Assignment::Sole(successor) => Some(successor),
            Assignment::None | Assignment::Dealt { .. } | Assignment::Named(_) => None,
        }
    }

    /// Returns the successors by the rows' positions, if rows are dealt.
    pub fn dealt(&self) -> Option<&[Option<UserId>]> {
        match self {
            Assignment::Dealt { successors, .. } => Some(successors),
            Assignment::None | Assignment::Sole(_) | Assignment::Named(_) => None,
        }
    }

    /// Returns the keys of rows that are not dealt.
    pub fn except(&self) -> &[String] {
        match self {
            Assignment::Dealt { except, .. } => except,
            Assignment::None | Assignment::Sole(_) | Assignment::Named(_) => &[],
        }
    }
}

/// The work that was done for an item.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// Rows moved, removed or set.
    pub rows: u64,
    /// The same rows, as the journal counts them.
    pub tallies: Vec<Tally>,
}
