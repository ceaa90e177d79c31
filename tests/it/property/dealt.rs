//! A model of the deal: works out the successor of each record, one by one.

use std::collections::BTreeMap;

use serde_json::Value;

use super::shape::{Kind, Shape};
use super::tables::{Key, Rows};

/// The successor of each record of a kind, if any.
pub type Dealt = BTreeMap<(&'static str, Key), Option<i64>>;

/// The model of the round-robin groups.
pub struct Groups<'g> {
    /// The eligible members of each group, in order.
    pub fit: BTreeMap<&'g str, Vec<i64>>,
    /// The member of each group that was served last; 0 if none.
    pub last: &'g mut BTreeMap<String, i64>,
}

impl Groups<'_> {
    fn next(&mut self, group: &str, only: Option<&[i64]>) -> Option<i64> {
        let members: Vec<i64> =
            self.fit.get(group)?.iter().copied().filter(|user| only.is_none_or(|only| only.contains(user))).collect();
        let last = self.last.get(group).copied().unwrap_or(0);
        let behind = members.iter().copied().find(|user| *user > last);
        let next = behind.or(members.first().copied())?;
        self.last.insert(group.to_owned(), next);
        Some(next)
    }
}

/// Deals a leaver's records by an accepted request. Kinds come in the catalog's order, records in key order.
pub fn deal(shape: &Shape, reassign: &Value, leaver: i64, rows: &Rows, groups: &mut Groups<'_>) -> Dealt {
    let mut dealt = Dealt::new();
    for kind in shape.kinds.iter().filter(|kind| kind.is_transfer()) {
        let Some(allotment) = reassign.get(kind.name) else { continue };
        let west = shape.groups[0].1.as_slice();
        let only = (kind.name == "deal" && shape.deals_go_west).then_some(west);
        let mut records = records_of(kind, leaver, rows);
        if let Some(each) = allotment["each"].as_object() {
            for (key, to) in each {
                let key = vec![key.clone()];
                if records.contains(&key) {
                    dealt.insert((kind.name, key.clone()), Some(user(to)));
                    records.retain(|record| *record != key);
                }
            }
        }
        let rest = if allotment.get("each").is_some() { &allotment["rest"] } else { allotment };
        for (rank, key) in records.into_iter().enumerate() {
            dealt.insert((kind.name, key), successor(rest, rank as u64, only, groups));
        }
    }
    dealt
}

fn user(text: &Value) -> i64 {
    text.as_str().and_then(|text| text.parse().ok()).expect("a user")
}

/// Returns the records of a leaver in key order.
fn records_of(kind: &Kind, leaver: i64, rows: &Rows) -> Vec<Key> {
    let of_kind = rows.iter().filter(|((table, _), row)| *table == kind.table && row.owner == leaver);
    let mut records: Vec<Key> = of_kind
        .filter(|(_, row)| kind.table != "p_chores" || row.is_open() == (kind.name == "chore"))
        .map(|((_, key), _)| key.clone())
        .collect();
    records
        .sort_by_key(|key| key.iter().map(|part| (part.parse::<i64>().unwrap_or(0), part.clone())).collect::<Vec<_>>());
    records
}

/// Returns the successor of the record with a rank. A share of a group takes the group's next turn.
fn successor(allotment: &Value, rank: u64, only: Option<&[i64]>, groups: &mut Groups<'_>) -> Option<i64> {
    if let Some(to) = allotment.get("user") {
        return Some(user(to));
    }
    let shares = allotment["shares"].as_array()?;
    let amount = |share: &Value| share["amount"].as_u64().expect("an amount");
    let total: u64 = shares.iter().map(amount).sum();
    if allotment["logic"] == "hardcoded" && rank >= total {
        return None;
    }
    let mut place = rank % total;
    for share in shares {
        if place < amount(share) {
            return match share["round_robin"].as_str() {
                Some(group) => groups.next(group, only),
                None => Some(user(&share["user"])),
            };
        }
        place -= amount(share);
    }
    None
}
