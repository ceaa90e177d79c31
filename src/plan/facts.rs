//! The facts about users and records that the guards evaluate, read from the host and the ledger.

use std::collections::{BTreeSet, HashMap};

use crate::catalog::Condition;
use crate::contract::{JobId, RequestType, UserId};

/// The facts for a group of requests.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The users whom the requests concern and who exist, by id.
    pub users: HashMap<String, UserFacts>,
    /// The members of the groups that the requests or the catalog name, in key order.
    pub groups: HashMap<String, Vec<UserId>>,
    /// The request types that each service among the requesters may send, by organization and name.
    pub services: Services,
}

/// The request types that services may send, by organization and name.
pub type Services = HashMap<(String, String), BTreeSet<RequestType>>;

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
    /// The user's jobs that have not ended: the one that runs first, then those that wait, in the order of their requests.
    pub open_jobs: Vec<OpenJob>,
    /// A job under way that gives the user records. They cannot leave before it ends.
    pub receives_from: Option<JobId>,
}

/// A user's job that has not ended. The open jobs of a user form a chain: one runs, and each other one waits for the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenJob {
    /// The job.
    pub id: JobId,
    /// The job that it waits for, of this user or of another.
    pub wait_for: Option<JobId>,
    /// The job that it undoes, whose place in the chain it has.
    pub undoes: Option<JobId>,
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
    /// Returns an open job of the user, if it is not this one: the running one rather than a waiting one.
    pub fn other_open_job(&self, own: JobId) -> Option<OpenJob> {
        self.open_jobs.iter().copied().find(|job| job.id != own)
    }

    /// Returns one of the user's open jobs.
    pub fn open_job(&self, id: JobId) -> Option<OpenJob> {
        self.open_jobs.iter().copied().find(|job| job.id == id)
    }

    /// Returns the open job that a job comes after: the one that it waits for, else the last of those that do not wait for it.
    pub fn job_before(&self, own: JobId) -> Option<OpenJob> {
        let others = self.open_jobs.iter().copied().filter(|job| job.id != own);
        let earlier: Vec<OpenJob> = others.filter(|job| !self.waits_for(*job, own)).collect();
        let awaited = self.open_job(own).and_then(|job| self.in_place_of(job.wait_for?));
        if let Some(awaited) = awaited.filter(|awaited| earlier.contains(awaited)) {
            return Some(awaited);
        }
        let is_awaited = |job: &OpenJob| {
            earlier.iter().filter_map(|later| self.in_place_of(later.wait_for?)).any(|found| found.id == job.id)
        };
        earlier.iter().copied().rfind(|job| !is_awaited(job))
    }

    /// Returns the open job with this id, or the one that undoes that job.
    fn in_place_of(&self, id: JobId) -> Option<OpenJob> {
        self.open_jobs.iter().copied().find(|job| job.id == id || job.undoes == Some(id))
    }

    /// True if an open job waits for another one, directly or not.
    fn waits_for(&self, job: OpenJob, other: JobId) -> bool {
        let mut next = job;
        for _ in &self.open_jobs {
            match next.wait_for.and_then(|id| self.in_place_of(id)) {
                Some(found) if found.id == other => return true,
                Some(found) => next = found,
                None => return false,
            }
        }
        false
    }

    /// Returns the open job by which the user leaves, now or later.
    pub fn leaving(&self) -> Option<JobId> {
        self.open_jobs.iter().find(|job| job.leaves).map(|job| job.id)
    }

    /// True if this open job has ended the user's access.
    pub fn is_locked_out_by(&self, job: JobId) -> bool {
        self.open_job(job).is_some_and(|open| open.has_ended_access)
    }

    /// True if another open job has ended the user's access.
    pub fn is_locked_out_by_another(&self, own: JobId) -> bool {
        self.open_jobs.iter().any(|open| open.has_ended_access && open.id != own)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> JobId {
        JobId(uuid::Uuid::new_v5(&uuid::Uuid::nil(), name.as_bytes()))
    }

    /// Describes open jobs, each as `name`, or `name>waits for`, or `name=undoes`, or `name=undoes>waits for`.
    fn user(jobs: &[&str]) -> UserFacts {
        let open = |text: &&str| {
            let (own, wait_for) = text.split_once('>').map_or((*text, None), |(own, other)| (own, Some(id(other))));
            let (name, undoes) = own.split_once('=').map_or((own, None), |(name, other)| (name, Some(id(other))));
            OpenJob { id: id(name), wait_for, undoes, leaves: true, has_begun: true, has_ended_access: false }
        };
        UserFacts {
            id: UserId::try_from("9".to_owned()).expect("an id"),
            org: String::new(),
            status: UserStatus::Active,
            manager: None,
            columns: HashMap::new(),
            met: Vec::new(),
            open_jobs: jobs.iter().map(open).collect(),
            receives_from: None,
        }
    }

    #[test]
    fn new_jobs_come_after_the_last_one() {
        for (open, own, before) in [
            (&[][..], "new", None),
            (&["a"], "new", Some("a")),
            (&["a", "b>a"], "new", Some("b")),
            (&["a", "u=b>a", "c>u"], "new", Some("c")),
            // Of a chain that has been left, nothing is before what runs.
            (&["a", "b>a"], "a", None),
            (&["a", "b>a", "c>b"], "b", Some("a")),
            // The lock-out `c` waits for `b`, which `u` undoes.
            (&["u=b", "c>b"], "u", None),
            (&["u=b", "c>b"], "new", Some("c")),
            // Another user's job is no part of the chain.
            (&["a>other"], "new", Some("a")),
        ] {
            assert_eq!(user(open).job_before(id(own)).map(|job| job.id), before.map(id), "{own} among {open:?}");
        }
    }
}
