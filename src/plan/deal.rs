//! Who gets the n-th record.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::contract::UserId;

/// An allotment worked out: for each rank, from 0, its successor or nobody. Found by binary search over the shares, without a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deal {
    /// Every rank goes to this user.
    Everything(UserId),
    /// Ranks go through the shares; then again from the first, or to nobody.
    Rounds {
        /// The shares, none of them empty, at least one.
        shares: Vec<Slots>,
        /// Whether the shares repeat for extras (`ratio`) or not (`hardcoded`).
        repeats: bool,
    },
    /// No rank goes to anybody.
    Nobody,
}

/// One share of a round: the ranks `[end of the share before, end)` of each round.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slots {
    /// The first position of the round that is not this share's.
    pub end: u64,
    /// Who receives it.
    pub to: Receiver,
}

/// Who receives a share, worked out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Receiver {
    /// A user.
    User(UserId),
    /// A group's fit members in turn.
    Turn {
        /// The group.
        group: String,
        /// Its fit members, in the order of their keys; at least one.
        members: Vec<UserId>,
        /// Which member the group's first slot of the first round goes to.
        start: u64,
        /// How many slots of each round the group has in shares before this one.
        before: u64,
        /// How many slots of each round the group has in all.
        per_round: u64,
    },
}

impl Deal {
    /// The successor of the record with this rank, or nobody.
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

    /// The one successor whom every rank from here on goes to, where there is just one.
    pub fn sole(&self) -> Option<&UserId> {
        match self {
            Deal::Everything(user) => Some(user),
            Deal::Rounds { shares, repeats: true } => match shares.as_slice() {
                [Slots { to: Receiver::User(user), .. }] => Some(user),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether no rank from this one on goes to anybody: what is left then is left behind, not late.
    pub fn is_exhausted(&self, rank: u64) -> bool {
        match self {
            Deal::Everything(_) => false,
            Deal::Nobody => true,
            Deal::Rounds { shares, repeats } => !repeats && rank >= round_length(shares),
        }
    }

    /// How many of `count` records go to nobody.
    pub fn extras(&self, count: u64) -> u64 {
        match self {
            Deal::Everything(_) => 0,
            Deal::Nobody => count,
            Deal::Rounds { repeats: true, .. } => 0,
            Deal::Rounds { shares, repeats: false } => count.saturating_sub(round_length(shares)),
        }
    }

    /// How many of `count` records each successor receives, worked out without going through them.
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

    /// How many slots of each round-robin group `count` records use: where the group's turn stands afterwards.
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

    /// The round-robin groups that take part.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        let shares = match self {
            Deal::Rounds { shares, .. } => shares.as_slice(),
            _ => &[],
        };
        shares.iter().filter_map(|share| match &share.to {
            Receiver::Turn { group, .. } => Some(group.as_str()),
            Receiver::User(_) => None,
        })
    }

    /// Begins a group's turn behind the member served last (the empty text: nobody yet), and tells who is the last one
    /// served when `count` records have been dealt; nobody, where the group takes no part or receives nothing.
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
                let behind = members.iter().position(|member| order(member.as_str(), last_served) == Ordering::Greater);
                let place = members.iter().position(|member| member.as_str() == last_served);
                let first = place.map_or(behind.unwrap_or(0), |place| (place + 1) % members.len());
                *start = first as u64;
                last = used.map(|used| members[((*start + used - 1) % members.len() as u64) as usize].clone());
            }
        }
        last
    }

    /// Everybody who may receive something.
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

    /// What each share receives of `count` records: full rounds, and its part of the last one.
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

    /// Gives each group's slots to its members: a group's slots are one sequence over all its shares, so they are counted together.
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

/// The order of keys: as numbers where they are, else as text.
pub fn key_order(one: &str, other: &str) -> Ordering {
    match (one.parse::<i128>(), other.parse::<i128>()) {
        (Ok(one), Ok(other)) => one.cmp(&other),
        _ => one.cmp(other),
    }
}

fn add(totals: &mut BTreeMap<UserId, u64>, user: &UserId, count: u64) {
    if count > 0 {
        *totals.entry(user.clone()).or_insert(0) += count;
    }
}

/// Positions in a round; a deal is built with at least one slot.
fn round_length(shares: &[Slots]) -> u64 {
    shares.last().map_or(1, |share| share.end)
}

#[cfg(test)]
mod tests;
