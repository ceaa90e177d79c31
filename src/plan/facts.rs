//! The facts about users and records that the guards evaluate, read from the host and the ledger.

use std::collections::HashMap;

use crate::catalog::Condition;
use crate::contract::{JobId, UserId};

/// The facts for a group of requests.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The users whom the requests concern and who exist, by id.
    pub users: HashMap<String, UserFacts>,
    /// The members of the groups that the requests or the catalog name, in key order.
    pub groups: HashMap<String, Vec<UserId>>,
}

/// A user, as recorded in the host and the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserFacts {
    /// The id, in the host's own text form.
    pub id: UserId,
    /// The organization; empty if the host has none.
    pub org: String,
    /// The status.
    pub status: UserStatus,
    /// The manager.
    pub manager: Option<UserId>,
    /// The columns that a complete profile fills, by name.
    pub columns: HashMap<String, Option<String>>,
    /// The conditions of rules that the user meets.
    pub met: Vec<Condition>,
    /// The user's job that has not ended, and does not wait for another one.
    pub running_job: Option<OpenJob>,
    /// The user's job that waits for another one to end.
    pub waiting_job: Option<OpenJob>,
    /// A job under way that gives the user records. They cannot leave before it ends.
    pub receives_from: Option<JobId>,
}

/// A user's job that has not ended. A user has at most one that runs, and one that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenJob {
    /// The job.
    pub id: JobId,
    /// True if the user leaves by it, now or later.
    pub leaves: bool,
    /// True if it has changed something: an end of access, a moved record.
    pub has_begun: bool,
    /// True if it has ended the user's access.
    pub has_ended_access: bool,
}

/// The status of a user, in the catalog's terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserStatus {
    /// The user is active.
    Active,
    /// The user has left.
    Inactive,
    /// The user is invited and has not accepted yet.
    Invited,
    /// A status that the catalog does not name.
    Other(String),
}

/// The facts about one leaver's records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeaverFindings {
    /// The number of rows of each reference, by its position.
    pub counts: HashMap<usize, Count>,
    /// The keys of the first few rows that block the leaver, by position.
    pub blocking: HashMap<usize, Vec<String>>,
    /// Records that an `each` names and that do not belong to the leaver, by position.
    pub not_owned: HashMap<usize, Vec<String>>,
    /// For each successor below the leaver in the hierarchy: the leaver's direct report above them, or they themselves.
    pub reports_above: HashMap<UserId, String>,
}

/// A count that may stop at a limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// The number of rows counted.
    pub rows: u64,
    /// True if there are no more.
    pub exact: bool,
}

impl UserFacts {
    /// Returns the user's open job, if it is not this one: the running one rather than the waiting one.
    pub fn other_open_job(&self, own: JobId) -> Option<OpenJob> {
        [self.running_job, self.waiting_job].into_iter().flatten().find(|job| job.id != own)
    }

    /// Returns the open job by which the user leaves, now or later.
    pub fn leaving(&self) -> Option<JobId> {
        let open = [self.running_job, self.waiting_job].into_iter().flatten();
        open.filter(|job| job.leaves).map(|job| job.id).next()
    }

    /// True if this open job has ended the user's access.
    pub fn is_locked_out_by(&self, job: JobId) -> bool {
        let open = [self.running_job, self.waiting_job].into_iter().flatten();
        open.filter(|open| open.has_ended_access).any(|open| open.id == job)
    }

    /// True if another open job has ended the user's access.
    pub fn is_locked_out_by_another(&self, own: JobId) -> bool {
        let open = [self.running_job, self.waiting_job].into_iter().flatten();
        open.filter(|open| open.has_ended_access).any(|open| open.id != own)
    }

    /// True if the user meets a condition.
    pub fn meets(&self, condition: &Condition) -> bool {
        self.met.contains(condition)
    }
}

impl Facts {
    /// True if a user is a member of a group.
    pub fn is_member(&self, group: &str, user: &UserId) -> bool {
        self.groups.get(group).is_some_and(|members| members.contains(user))
    }
}
