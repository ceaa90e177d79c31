//! The result of planning: what a job does, or why its request is refused.

use std::collections::BTreeMap;

use super::deal::Deal;
use super::facts::Count;
use crate::catalog::Reference;
use crate::contract::{JobId, Reason, UserId};

/// The decision on a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The request is accepted, with this plan.
    Accepted(Plan),
    /// The request is refused: every reason, up to a thousand.
    Rejected(Vec<Reason>),
    /// The request asks for a lock-out, and only guards of the handover fail: the plan, and every reason, up to a thousand.
    LockedOut(Plan, Vec<Reason>),
}

impl Decision {
    /// Refuses the request for one more reason, if there is one.
    pub fn refused_for(self, reason: Option<Reason>) -> Decision {
        let Some(reason) = reason else { return self };
        match self {
            Decision::Accepted(_) => Decision::Rejected(vec![reason]),
            Decision::Rejected(mut reasons) | Decision::LockedOut(_, mut reasons) => {
                reasons.push(reason);
                Decision::Rejected(reasons)
            }
        }
    }
}

/// The plan for one leaver.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The references that count for this leaver, in the catalog's order.
    pub references: Vec<Planned>,
    /// True if the leaver needs no license.
    pub license_exempt: bool,
    /// Kinds for which the request names successors without effect: they do not count for this leaver, or have no record.
    pub without_effect: Vec<String>,
    /// The job that this one waits for: one under way that gives the leaver records or, with a lock-out, another job of the leaver.
    pub wait_for: Option<JobId>,
    /// A job of the leaver that has changed nothing yet. The lock-out takes its place.
    pub supersedes: Option<JobId>,
}

/// The plan for one reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The reference's position in the catalog.
    pub position: usize,
    /// The number of rows.
    pub count: Count,
    /// The successor for each rank. Nobody, if the reference is not transferred.
    pub deal: Deal,
    /// Records that the request gives to a successor by key. They take no rank.
    pub named: BTreeMap<String, UserId>,
    /// True if records move to successors. The records of a `block` move only if the request resolves it.
    pub transfers: bool,
}

impl Plan {
    /// True if the leaver has rows of a reference that give access.
    pub fn ends_access(&self, reference: &Reference) -> bool {
        let has_rows = |planned: &Planned| planned.position == reference.position && planned.count.rows > 0;
        reference.ends_access() && self.references.iter().any(has_rows)
    }

    /// Lists the users who may receive something: each once.
    pub fn successors(&self) -> Vec<&UserId> {
        let dealt = self.references.iter().flat_map(|planned| planned.deal.successors());
        let named = self.references.iter().flat_map(|planned| planned.named.values());
        let mut users: Vec<&UserId> = dealt.chain(named).collect();
        users.sort();
        users.dedup();
        users
    }
}

impl Planned {
    /// Counts the records that take a rank of the deal.
    pub fn ranked(&self) -> u64 {
        self.count.rows.saturating_sub(self.named.len() as u64)
    }

    /// Counts the records that each successor receives.
    pub fn totals(&self) -> BTreeMap<UserId, u64> {
        let mut totals = self.deal.totals(self.ranked());
        for user in self.named.values() {
            *totals.entry(user.clone()).or_insert(0) += 1;
        }
        totals
    }
}
