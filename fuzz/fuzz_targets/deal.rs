//! Evaluates any deal at any rank: it never panics, and its totals equal those of a list.
#![no_main]

use std::collections::BTreeMap;

use arbitrary::Arbitrary;
use handover::contract::UserId;
use handover::plan::Deal;
use handover::plan::deal::{Receiver, Slots, key_order};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
struct Input {
    shares: Vec<(Amount, Option<u8>, u8)>,
    sizes: [u8; 2],
    start: u64,
    repeats: bool,
    count: u16,
    rank: u64,
    last_served: u8,
}

/// Amounts are mostly small, so that a list has several rounds.
#[derive(Debug, Arbitrary)]
enum Amount {
    Small(u8),
    Any(u64),
}

/// Builds a deal, except those that the contract refuses: without a share, or with more records than an `i64` holds.
fn deal(input: &Input) -> Option<Deal> {
    let amounts: Vec<u64> = (input.shares.iter())
        .map(|(amount, ..)| match amount {
            Amount::Small(amount) => u64::from(*amount),
            Amount::Any(amount) => *amount,
        })
        .collect();
    let total = amounts.iter().try_fold(0_u64, |total, amount| total.checked_add(*amount))?;
    i64::try_from(total).ok()?;
    let group_of = |place: usize| input.shares[place].1.map(|group| usize::from(group % 2));
    let of_group = |group: usize, until: usize| -> u64 {
        (0..until).filter(|place| group_of(*place) == Some(group)).map(|place| amounts[place]).sum()
    };
    let mut end = 0;
    let mut slots = Vec::new();
    for place in (0..amounts.len()).filter(|place| amounts[*place] > 0) {
        end += amounts[place];
        let to = match group_of(place) {
            None => Receiver::User(user(input.shares[place].2.into())),
            Some(group) => {
                let size = usize::from(input.sizes[group] % 7) + 1;
                Receiver::Turn {
                    group: format!("group {group}"),
                    members: (0..size).map(|member| user(1000 * (group + 1) + member)).collect(),
                    start: input.start % size as u64,
                    before: of_group(group, place),
                    per_round: of_group(group, amounts.len()),
                }
            }
        };
        slots.push(Slots { end, to });
    }
    (!slots.is_empty()).then_some(Deal::Rounds { shares: slots, repeats: input.repeats })
}

fn user(id: usize) -> UserId {
    UserId::try_from(id.to_string()).expect("an id")
}

fn counted(deal: &Deal, count: u64) -> (BTreeMap<UserId, u64>, u64) {
    let (mut received, mut nobody) = (BTreeMap::new(), 0);
    for rank in 0..count {
        match deal.successor(rank) {
            Some(user) => *received.entry(user.clone()).or_insert(0) += 1,
            None => nobody += 1,
        }
    }
    (received, nobody)
}

fuzz_target!(|input: Input| {
    let Some(mut deal) = deal(&input) else { return };
    let count = u64::from(input.count % 512);
    assert_eq!(counted(&deal, count), (deal.totals(count), deal.extras(count)));
    // The totals add up to any number of records, and a rank has a successor unless the deal is exhausted.
    let records = input.rank >> 1;
    let totals = deal.totals(records).values().map(|count| u128::from(*count)).sum::<u128>();
    assert_eq!(totals + u128::from(deal.extras(records)), u128::from(records));
    assert_eq!(deal.successor(input.rank).is_none(), deal.is_exhausted(input.rank));
    if let Some(sole) = deal.sole() {
        assert_eq!(deal.successor(input.rank), Some(sole));
    }
    let used: u64 = deal.turns_used(records).values().sum();
    assert!(used <= records);
    let served = user(1000 + usize::from(input.last_served) % 9);
    if let Some(last) = deal.take_turn("group 0", served.as_str(), count, key_order) {
        let of_group = |rank: &u64| {
            deal.successor(*rank).is_some_and(|user| matches!(user.as_str().parse::<u32>(), Ok(1000..2000)))
        };
        assert_eq!((0..count).rev().find(of_group).and_then(|rank| deal.successor(rank)), Some(&last));
    }
    let text = format!("{deal:?}");
    assert!(deal.successors().iter().all(|user| text.contains(user.as_str())));
});
