//! What was found in the host and the ledger: what the guards look at.

use std::collections::HashMap;

use crate::catalog::{Condition, Holds};
use crate::contract::{JobId, UserId};

/// Everything found for a group of requests.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Everybody whom the requests concern and who exists, by id.
    pub users: HashMap<String, UserFacts>,
    /// Members of the groups that the requests or the catalog name, in the order of their keys.
    pub groups: HashMap<String, Vec<UserId>>,
}

/// A user, as the host and the ledger have them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserFacts {
    /// The id, in the host's own text form.
    pub id: UserId,
    /// The organization; empty where the host has none.
    pub org: String,
    /// Whether they are active.
    pub status: UserStatus,
    /// Their manager.
    pub manager: Option<UserId>,
    /// The columns that rules ask for, by name.
    pub columns: HashMap<String, Option<String>>,
    /// The conditions they meet of those that look at other tables.
    pub listed: Vec<Condition>,
    /// The job about them that has not ended.
    pub under_way: Option<JobId>,
    /// That job, if by it they are leaving or wait to.
    pub leaving: Option<JobId>,
    /// That job, if it has ended their access already.
    pub locked_out_by: Option<JobId>,
    /// A job under way that gives them records: who receives may not leave before it ends.
    pub receives_from: Option<JobId>,
}

/// A user's status, as the catalog reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserStatus {
    /// Active.
    Active,
    /// Has left.
    Inactive,
    /// Invited, and has not come yet.
    Invited,
    /// A status that the catalog does not name.
    Other(String),
}

/// What was found of one leaver's records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeaverFindings {
    /// How many rows each reference has, by its position.
    pub counts: HashMap<usize, Count>,
    /// Keys of the first few rows that hold the leaver back, by position.
    pub blocking: HashMap<usize, Vec<String>>,
    /// Records that an `each` names and that are not the leaver's, by position.
    pub not_owned: HashMap<usize, Vec<String>>,
    /// Of successors below the leaver in the hierarchy: the leaver's direct report above them (or they themselves).
    pub reports_above: HashMap<UserId, String>,
}

/// A count that may have been stopped at a limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// How many.
    pub rows: u64,
    /// Whether there are no more.
    pub exact: bool,
}

impl UserFacts {
    /// Whether they meet a condition.
    pub fn meets(&self, condition: &Condition) -> bool {
        match &condition.holds {
            Holds::Value(value) => {
                self.columns.get(&condition.column.name).and_then(Option::as_deref) == Some(value.as_str())
            }
            Holds::ListedIn(_) => self.listed.contains(condition),
        }
    }
}

impl Facts {
    /// Whether a user is in a group.
    pub fn is_member(&self, group: &str, user: &UserId) -> bool {
        self.groups.get(group).is_some_and(|members| members.contains(user))
    }
}
