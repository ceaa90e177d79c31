//! Deals records to successors: a deal is a function from a record's rank to its successor.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::contract::UserId;

/// An allotment with its successors: for each rank, from 0, the successor or nobody.
///
/// A look-up is a binary search over the shares; no list of records is needed.
///
/// ```
/// use handover::contract::UserId;
/// use handover::plan::deal::{Deal, Receiver, Slots};
///
/// let user = |id: &str| UserId::try_from(id.to_owned()).expect("an id");
/// // Five records of each round go to user 11, three to user 12.
/// let deal = Deal::Rounds {
///     shares: vec![
///         Slots { end: 5, to: Receiver::User(user("11")) },
///         Slots { end: 8, to: Receiver::User(user("12")) },
///     ],
///     repeats: true,
/// };
/// assert_eq!(deal.successor(4), Some(&user("11")));
/// assert_eq!(deal.successor(5), Some(&user("12")));
/// assert_eq!(deal.successor(8), Some(&user("11")));
/// assert_eq!(deal.totals(12)[&user("11")], 9);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deal {
    /// Every rank goes to this user.
    Everything(UserId),
    /// Ranks go through the shares, then again from the first share or to nobody.
    Rounds {
        /// The shares: at least one, and none of them empty.
        shares: Vec<Slots>,
        /// True if the shares repeat for extras (`ratio`), false if not (`hardcoded`).
        repeats: bool,
    },
    /// No rank goes to a successor.
    Nobody,
}

/// One share of a round: the ranks `[end of the share before, end)` of each round.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slots {
    /// The first position of the round after this share.
    pub end: u64,
    /// The receiver.
    pub to: Receiver,
}

/// The receiver of a share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Receiver {
    /// A user.
    User(UserId),
    /// The members of a group who can receive records, in turn.
    Turn {
        /// The group.
        group: String,
        /// The members who can receive records, in key order; at least one.
        members: Vec<UserId>,
        /// The member, by position, who gets the group's first slot of the first round.
        start: u64,
        /// The number of the group's slots in each round before this share.
        before: u64,
        /// The number of the group's slots in each round.
        per_round: u64,
    },
}

impl Deal {
    /// Returns the successor of the record with this rank, or nobody.
    pub fn successor(&self, rank: u64) -> Option<&UserId> {
        match self {
            Deal::Everything(user) => Some(user),
            Deal::Nobody => None,
            Deal::Rounds { shares, repeats } => {
                let total = round_length(shares);
                let round = rank / total;
                if round > 0 && !repeats {
                    return None;
                }
                let position = rank % total;
                let index = shares.partition_point(|share| share.end <= position);
                let start = index.checked_sub(1).map_or(0, |before| shares[before].end);
                Some(shares[index].to.member(round, position - start))
            }
        }
    }

    /// Returns the successor who gets every rank, if there is just one.
    pub fn sole(&self) -> Option<&UserId> {
        match self {
            Deal::Everything(user) => Some(user),
            Deal::Rounds { shares, repeats: true } => match shares.as_slice() {
                [Slots { to: Receiver::User(user), .. }] => Some(user),
                _ => None,
            },
            Deal::Rounds { repeats: false, .. } | Deal::Nobody => None,
        }
    }

    /// True if no rank from this one on has a successor: records beyond it are left behind, not late.
    pub fn is_exhausted(&self, rank: u64) -> bool {
        match self {
            Deal::Everything(_) => false,
            Deal::Nobody => true,
            Deal::Rounds { shares, repeats } => !repeats && rank >= round_length(shares),
        }
    }

    /// Counts the records, of `count`, that go to nobody.
    pub fn extras(&self, count: u64) -> u64 {
        match self {
            Deal::Everything(_) => 0,
            Deal::Nobody => count,
            Deal::Rounds { repeats: true, .. } => 0,
            Deal::Rounds { shares, repeats: false } => count.saturating_sub(round_length(shares)),
        }
    }

    /// Counts the records, of `count`, that each successor receives, without a pass over the records.
    pub fn totals(&self, count: u64) -> BTreeMap<UserId, u64> {
        let mut totals = BTreeMap::new();
        match self {
            Deal::Everything(user) => add(&mut totals, user, count),
            Deal::Nobody => {}
            Deal::Rounds { shares, .. } => {
                for (share, received) in self.received(shares, count) {
                    share.to.spread(received, &mut totals);
                }
                self.spread_turns(shares, count, &mut totals);
            }
        }
        totals
    }

    /// Counts the slots of each round-robin group that `count` records use. They move the group's turn on.
    pub fn turns_used(&self, count: u64) -> BTreeMap<String, u64> {
        let mut used = BTreeMap::new();
        if let Deal::Rounds { shares, .. } = self {
            for (share, received) in self.received(shares, count) {
                if let Receiver::Turn { group, .. } = &share.to {
                    *used.entry(group.clone()).or_insert(0) += received;
                }
            }
        }
        used
    }

    /// Lists the round-robin groups of the deal.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        let shares = match self {
            Deal::Rounds { shares, .. } => shares.as_slice(),
            Deal::Everything(_) | Deal::Nobody => &[],
        };
        shares.iter().filter_map(|share| match &share.to {
            Receiver::Turn { group, .. } => Some(group.as_str()),
            Receiver::User(_) => None,
        })
    }

    /// Starts a group's turn after the member served last (the empty text: nobody yet). Returns the member served last after
    /// `count` records, or nobody if the group receives nothing.
    pub fn take_turn(
        &mut self,
        of_group: &str,
        last_served: &str,
        count: u64,
        order: impl Fn(&str, &str) -> Ordering,
    ) -> Option<UserId> {
        let used = self.turns_used(count).remove(of_group).filter(|used| *used > 0);
        let Deal::Rounds { shares, .. } = self else { return None };
        let mut last = None;
        for share in shares {
            if let Receiver::Turn { group, members, start, .. } = &mut share.to
                && group == of_group
            {
                *start = next_turn(members, last_served, &order) as u64;
                last = used.map(|used| members[((*start + used - 1) % members.len() as u64) as usize].clone());
            }
        }
        last
    }

    /// Lists the users who may receive something: each once.
    pub fn successors(&self) -> Vec<&UserId> {
        match self {
            Deal::Everything(user) => vec![user],
            Deal::Nobody => Vec::new(),
            Deal::Rounds { shares, .. } => {
                let mut users: Vec<&UserId> = shares.iter().flat_map(|share| share.to.users()).collect();
                users.sort();
                users.dedup();
                users
            }
        }
    }

    /// Counts the records, of `count`, that each share receives: full rounds, and a part of the last one.
    fn received<'d>(&self, shares: &'d [Slots], count: u64) -> Vec<(&'d Slots, u64)> {
        let total = round_length(shares);
        let count = count - self.extras(count);
        let (rounds, rest) = (count / total, count % total);
        let mut start = 0;
        (shares.iter())
            .map(|share| {
                let last_round = rest.clamp(start, share.end) - start;
                let received = rounds * (share.end - start) + last_round;
                start = share.end;
                (share, received)
            })
            .collect()
    }

    /// Adds each group's slots to its members. A group's slots are one sequence over all its shares, so they are counted together.
    fn spread_turns(&self, shares: &[Slots], count: u64, totals: &mut BTreeMap<UserId, u64>) {
        let used = self.turns_used(count);
        let mut done = Vec::new();
        for share in shares {
            if let Receiver::Turn { group, members, start, .. } = &share.to
                && !done.contains(&group)
            {
                done.push(group);
                let slots = used.get(group).copied().unwrap_or(0);
                let length = members.len() as u64;
                for (index, member) in members.iter().enumerate() {
                    let distance = (index as u64 + length - start % length) % length;
                    add(totals, member, slots / length + u64::from(distance < slots % length));
                }
            }
        }
    }
}

impl Receiver {
    fn member(&self, round: u64, offset: u64) -> &UserId {
        match self {
            Receiver::User(user) => user,
            Receiver::Turn { members, start, before, per_round, .. } => {
                let slot =
                    u128::from(round) * u128::from(*per_round) + u128::from(before + offset) + u128::from(*start);
                &members[(slot % members.len() as u128) as usize]
            }
        }
    }

    fn spread(&self, received: u64, totals: &mut BTreeMap<UserId, u64>) {
        if let Receiver::User(user) = self {
            add(totals, user, received);
        }
    }

    fn users(&self) -> &[UserId] {
        match self {
            Receiver::User(user) => std::slice::from_ref(user),
            Receiver::Turn { members, .. } => members,
        }
    }
}

/// Returns the place of the member whose turn follows that of the member who was served last, who may have left meanwhile.
pub fn next_turn(members: &[UserId], last_served: &str, order: impl Fn(&str, &str) -> Ordering) -> usize {
    let next = members.iter().position(|member| order(member.as_str(), last_served) == Ordering::Greater);
    let place = members.iter().position(|member| member.as_str() == last_served);
    place.map_or(next.unwrap_or(0), |place| (place + 1) % members.len())
}

/// Compares keys: as numbers if both are, otherwise as text.
pub fn key_order(one: &str, other: &str) -> Ordering {
    match (one.parse::<i128>(), other.parse::<i128>()) {
        (Ok(one), Ok(other)) => one.cmp(&other),
        (Ok(_) | Err(_), Ok(_) | Err(_)) => one.cmp(other),
    }
}

fn add(totals: &mut BTreeMap<UserId, u64>, user: &UserId, count: u64) {
    if count > 0 {
        *totals.entry(user.clone()).or_insert(0) += count;
    }
}

/// Returns the number of positions in a round. A deal has at least one slot.
fn round_length(shares: &[Slots]) -> u64 {
    shares.last().map_or(1, |share| share.end)
}

#[cfg(test)]
mod tests;
