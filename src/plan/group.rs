//! Groups requests that can share a transaction.

use std::collections::HashSet;

use crate::contract::{JobId, UserId};

/// The users, job and organization that a request concerns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parties {
    /// The leaver.
    pub leaver: Option<UserId>,
    /// The users who may receive something: named successors, the manager if asked for, members of round-robin groups.
    pub receivers: HashSet<UserId>,
    /// The job.
    pub job: Option<JobId>,
    /// The organization, if a transaction works for one only: requests of others do not share it.
    pub org: Option<String>,
}

/// Splits requests into groups, in their order.
///
/// Within a group a leaver occurs once, and never among the receivers: the later request goes to a later group, and sees the
/// effect of the earlier one. Requests may share receivers, who are locked in shared mode: whole teams are handed over to one
/// person.
pub fn groups<T>(requests: Vec<T>, most: usize, parties_of: impl Fn(&T) -> Parties) -> Vec<Vec<T>> {
    let mut groups: Vec<(Vec<T>, GroupParties)> = Vec::new();
    for item in requests {
        let parties = parties_of(&item);
        // Never before a group that it collides with, so that requests of one user keep their order.
        let earliest = groups.iter().rposition(|(_, members)| members.collides(&parties)).map_or(0, |last| last + 1);
        let has_room =
            |(group, members): &(Vec<T>, GroupParties)| group.len() < most.max(1) && members.org == parties.org;
        let place = (earliest..groups.len()).find(|place| has_room(&groups[*place]));
        let place = place.unwrap_or_else(|| {
            groups.push((Vec::new(), GroupParties { org: parties.org.clone(), ..GroupParties::default() }));
            groups.len() - 1
        });
        groups[place].0.push(item);
        groups[place].1.add(parties);
    }
    groups.into_iter().map(|(group, _)| group).collect()
}

#[derive(Default)]
struct GroupParties {
    leavers: HashSet<UserId>,
    receivers: HashSet<UserId>,
    jobs: HashSet<JobId>,
    org: Option<String>,
}

impl GroupParties {
    fn collides(&self, parties: &Parties) -> bool {
        let leaver = parties.leaver.as_ref();
        leaver.is_some_and(|leaver| self.leavers.contains(leaver) || self.receivers.contains(leaver))
            || !self.leavers.is_disjoint(&parties.receivers)
            || parties.job.is_some_and(|job| self.jobs.contains(&job))
    }

    fn add(&mut self, parties: Parties) {
        self.leavers.extend(parties.leaver);
        self.receivers.extend(parties.receivers);
        self.jobs.extend(parties.job);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(id: &str) -> UserId {
        UserId::try_from(id.to_owned()).expect("a good id")
    }

    fn split(pairs: &[(&str, &str)]) -> Vec<Vec<String>> {
        let parties = |(leaver, receiver): &(&str, &str)| Parties {
            leaver: Some(user(leaver)),
            receivers: HashSet::from([user(receiver)]),
            ..Parties::default()
        };
        let groups = groups(pairs.to_vec(), 50, parties);
        groups.iter().map(|group| group.iter().map(|(leaver, to)| format!("{leaver}-{to}")).collect()).collect()
    }

    #[test]
    fn leavers_occur_once_and_never_as_receivers() {
        assert_eq!(split(&[("1", "9"), ("2", "9")]), [vec!["1-9", "2-9"]]);
        assert_eq!(split(&[("1", "2"), ("2", "9")]), [vec!["1-2"], vec!["2-9"]]);
        assert_eq!(split(&[("1", "2"), ("2", "1")]), [vec!["1-2"], vec!["2-1"]]);
        assert_eq!(split(&[("1", "9"), ("1", "9"), ("3", "9")]), [vec!["1-9", "3-9"], vec!["1-9"]]);
    }

    #[test]
    fn colliding_requests_keep_their_order() {
        let split = split(&[("1", "2"), ("2", "3"), ("3", "1"), ("4", "9")]);
        assert_eq!(split, [vec!["1-2", "4-9"], vec!["2-3"], vec!["3-1"]]);
    }

    #[test]
    fn isolated_organizations_share_no_group() {
        let parties = |org: &&str| Parties { org: Some((*org).to_owned()), ..Parties::default() };
        assert_eq!(groups(vec!["a", "b", "a", "c", "b"], 50, parties), [vec!["a", "a"], vec!["b", "b"], vec!["c"]]);
    }

    #[test]
    fn groups_have_a_limit() {
        let many: Vec<u32> = (0..7).collect();
        let sizes: Vec<usize> = groups(many, 3, |_| Parties::default()).iter().map(Vec::len).collect();
        assert_eq!(sizes, [3, 3, 1]);
    }
}
