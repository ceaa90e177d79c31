use proptest::prelude::*;

use super::*;

fn user(id: usize) -> UserId {
    UserId::try_from(id.to_string()).expect("a good id")
}

fn rounds(amounts: &[u64], repeats: bool) -> Deal {
    let mut end = 0;
    let shares = (amounts.iter().enumerate())
        .map(|(index, amount)| {
            end += amount;
            Slots { end, to: Receiver::User(user(11 + index)) }
        })
        .collect();
    Deal::Rounds { shares, repeats }
}

fn counts(deal: &Deal, count: u64) -> Vec<u64> {
    (11..15).map(|id| deal.totals(count).get(&user(id)).copied().unwrap_or(0)).collect()
}

#[test]
fn deals_match_the_help_page() {
    let ratio = rounds(&[5, 50, 20, 29], true);
    assert_eq!(counts(&ratio, 104), [5, 50, 20, 29]);
    assert_eq!(counts(&ratio, 208), [10, 100, 40, 58]);
    assert_eq!(counts(&ratio, 110), [10, 51, 20, 29]);
    let hardcoded = rounds(&[5, 3], false);
    assert_eq!(counts(&hardcoded, 12), [5, 3, 0, 0]);
    assert_eq!(hardcoded.extras(12), 4);
}

#[test]
fn turn_starts_after_the_member_served_last() {
    let members = vec![user(9), user(10), user(12)];
    let deal = |amount| {
        let to = Receiver::Turn { group: "g".into(), members: members.clone(), start: 0, before: 0, per_round: amount };
        Deal::Rounds { shares: vec![Slots { end: amount, to }], repeats: true }
    };
    let served_last = |last: &str, count| deal(1).take_turn("g", last, count, key_order);
    assert_eq!(served_last("", 1), Some(user(9)));
    assert_eq!(served_last("9", 1), Some(user(10)));
    assert_eq!(served_last("12", 2), Some(user(10)));
    // The member served last has left the group: the next in order follows.
    assert_eq!(served_last("11", 1), Some(user(12)));
    assert_eq!(served_last("9", 0), None);
}

/// Any list of users and groups, in which a group may occur several times.
fn deals() -> impl Strategy<Value = Deal> {
    let share = (1..20u64, prop_oneof![(0..4usize).prop_map(Ok), (0..2usize).prop_map(Err)]);
    (prop::collection::vec(share, 1..7), any::<bool>(), 0..9u64, 1..4usize).prop_map(
        |(shares, repeats, start, size)| {
            let groups: Vec<(u64, &Result<usize, usize>)> = shares.iter().map(|(amount, to)| (*amount, to)).collect();
            let of_group = |group: usize, until: usize| -> u64 {
                groups[..until].iter().filter(|(_, to)| **to == Err(group)).map(|(amount, _)| amount).sum()
            };
            let mut end = 0;
            let slots = (groups.iter().enumerate())
                .map(|(index, (amount, to))| {
                    end += amount;
                    let to = match to {
                        Ok(id) => Receiver::User(user(11 + id)),
                        Err(group) => Receiver::Turn {
                            group: format!("group {group}"),
                            members: (0..size).map(|id| user(100 + 10 * group + id)).collect(),
                            start,
                            before: of_group(*group, index),
                            per_round: of_group(*group, groups.len()),
                        },
                    };
                    Slots { end, to }
                })
                .collect();
            Deal::Rounds { shares: slots, repeats }
        },
    )
}

proptest! {
    #[test]
    fn totals_equal_the_list(deal in deals(), count in 0..300u64) {
        let mut list = BTreeMap::new();
        let mut nobody = 0;
        for rank in 0..count {
            match deal.successor(rank) {
                Some(user) => *list.entry(user.clone()).or_insert(0u64) += 1,
                None => nobody += 1,
            }
        }
        prop_assert_eq!(&list, &deal.totals(count));
        prop_assert_eq!(nobody, deal.extras(count));
        prop_assert_eq!(list.values().sum::<u64>() + nobody, count);
    }

    #[test]
    fn successors_get_at_most_their_amount_a_round(deal in deals(), round in 0..4u64) {
        let Deal::Rounds { shares, repeats } = &deal else { unreachable!("deals() makes rounds") };
        let total = round_length(shares);
        let mut received = BTreeMap::new();
        for rank in round * total..(round + 1) * total {
            if let Some(user) = deal.successor(rank) {
                *received.entry(user.clone()).or_insert(0u64) += 1;
            }
        }
        let mut allowed: BTreeMap<UserId, u64> = BTreeMap::new();
        let mut before = 0;
        for share in shares {
            for user in share.to.users() {
                *allowed.entry(user.clone()).or_insert(0) += share.end - before;
            }
            before = share.end;
        }
        for (user, count) in received {
            prop_assert!(count <= allowed[&user]);
        }
        prop_assert_eq!(deal.is_exhausted(total), !repeats);
    }

    #[test]
    fn turns_go_round(size in 1..5usize, start in 0..9u64, amount in 1..30u64) {
        let members: Vec<UserId> = (0..size).map(user).collect();
        let to = Receiver::Turn { group: "g".into(), members: members.clone(), start, before: 0, per_round: amount };
        let deal = Deal::Rounds { shares: vec![Slots { end: amount, to }], repeats: true };
        for rank in 0..100 {
            let expected = &members[((start + rank) % size as u64) as usize];
            prop_assert_eq!(deal.successor(rank), Some(expected));
        }
    }
}
