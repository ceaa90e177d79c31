//! The rows that a statement works on, as a table `x`: item, leaver, successor, and the row's key as `k0`, `k1` and so on.
//!
//! Every statement that changes the host begins with it, so that moving, removing and setting differ only in what they do.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::collisions::collides;
use super::item::{Key, RowRange, WorkItem};
use super::keyless;
use super::predicates::{after, between, has_key, key_columns, keys_as, picked_keys, row_tests};
use super::user_match::points_at;
use crate::catalog::Reference;
use crate::contract::UserId;
use crate::store::dialect::Type;
use crate::store::dialect::sql::{ColumnArray, MATERIALIZED, Sql, array_cast, array_text, column, table};

/// A selection among the items' rows.
#[derive(Debug, Clone)]
pub enum Selected {
    /// Every row.
    All,
    /// Every row that somebody receives, by its position in key order.
    Dealt,
    /// Rows of a single item, named one by one.
    Pairs(Arc<BTreeMap<Key, UserId>>),
    /// Those of such rows that collide with a row of their successor.
    OccupiedPairs(Arc<BTreeMap<Key, UserId>>),
}

/// Returns the WITH list that ends in `item` and `x`.
pub fn selection(sql: &mut Sql, reference: &Reference, items: &[&WorkItem], selected: &Selected) -> String {
    let item_rows = item_table(sql, reference, items);
    match selected {
        Selected::All => {
            let Source { picked, rows } = source(sql, reference, items);
            let keys = keys_as(reference, "t");
            format!(
                "{item_rows}{picked}, x AS (SELECT i.item, i.leaver, NULL AS successor, {keys} FROM item i JOIN {rows})"
            )
        }
        Selected::Dealt => dealt_rows(sql, reference, items, &item_rows),
        Selected::Pairs(pairs) => named_rows(sql, reference, &item_rows, pairs, ""),
        Selected::OccupiedPairs(pairs) => {
            named_rows(sql, reference, &item_rows, pairs, &format!(" AND {}", collides(reference)))
        }
    }
}

/// Returns the items as a table `item` of the WITH list, each with its successor if one receives all of its rows.
pub fn item_table(sql: &mut Sql, reference: &Reference, items: &[&WorkItem]) -> String {
    let sole = items.iter().map(|item| item.assignment.sole().map(UserId::to_string));
    let arrays = vec![
        ColumnArray::new(Type::Int64, "item", (0..items.len()).map(Some)),
        ColumnArray::new(Type::Uuid, "job", items.iter().map(|item| Some(item.job))),
        ColumnArray::new(Type::Int32, "chunk", items.iter().map(|item| item.chunk)),
        ColumnArray::of("leaver", &reference.user, items.iter().map(|item| item.leaver.as_str())),
        ColumnArray::of_some("sole", &reference.user, sole),
    ];
    format!("item AS {MATERIALIZED}(SELECT * FROM {})", sql.small_table("i", arrays))
}

/// Numbers each item's rows in key order, and gives the n-th row to the n-th successor.
fn dealt_rows(sql: &mut Sql, reference: &Reference, items: &[&WorkItem], item_rows: &str) -> String {
    let Source { picked, rows } = source(sql, reference, items);
    let except = match items {
        [item] => not_excepted(sql, reference, item.assignment.except()),
        _ => String::new(),
    };
    let keys = keys_as(reference, "t");
    let order = key_columns(reference, "t");
    let Deal { dealt, joined, successor } = deal(sql, reference, items);
    let chosen = picked_keys(reference, "r");
    format!(
        "{item_rows}{picked}, deal AS {MATERIALIZED}({dealt}), \
         r AS (SELECT i.item, i.leaver, i.sole, {keys}, row_number() OVER (PARTITION BY i.item ORDER BY {order}) AS n \
           FROM item i JOIN {rows}{except}), \
         x AS (SELECT r.item, r.leaver, COALESCE(r.sole, {successor}) AS successor, {chosen} \
           FROM r LEFT JOIN deal d ON {joined} WHERE COALESCE(r.sole, {successor}) IS NOT NULL)"
    )
}

/// Finds rows by their keys. Rows that are not the leaver's any more are left out.
fn named_rows(
    sql: &mut Sql,
    reference: &Reference,
    item_rows: &str,
    pairs: &BTreeMap<Key, UserId>,
    occupied: &str,
) -> String {
    let pair = pair_table(sql, reference, pairs);
    let tests = row_tests(sql, reference, "t");
    format!(
        "{item_rows}, x AS (SELECT i.item, i.leaver, d.successor, {picked} \
         FROM item i CROSS JOIN {pair} JOIN {host} t ON {matches} AND {is_theirs}{tests}{occupied})",
        picked = picked_keys(reference, "d"),
        host = table(&reference.table),
        matches = has_key(reference, "t", "d"),
        is_theirs = points_at(&reference.user, "t", "i.leaver"),
    )
}

/// The successors of the items' rows.
struct Deal {
    /// The query of the table that holds them.
    dealt: String,
    /// The join of a row `r` with its part of that table.
    joined: &'static str,
    /// The successor of that row.
    successor: &'static str,
}

/// Binds an item's successors as an array, of which a row takes the element at its position.
///
/// A join with a row for each position would run as a loop within a loop: the planner does not know their number, and
/// assumes a few. Databases without arrays get the rows.
fn deal(sql: &mut Sql, reference: &Reference, items: &[&WorkItem]) -> Deal {
    if !sql.capabilities().arrays {
        let dealt = format!("SELECT * FROM {}", deal_table(sql, reference, items));
        return Deal { dealt, joined: "d.item = r.item AND d.n = r.n", successor: "d.successor" };
    }
    let dealt = items.iter().enumerate().filter_map(|(place, item)| Some((place, item.assignment.dealt()?)));
    let (places, successors): (Vec<_>, Vec<_>) = dealt
        .map(|(place, dealt)| {
            let texts: Vec<Option<String>> = dealt.iter().map(|user| user.as_ref().map(UserId::to_string)).collect();
            (Some(place), Some(array_text(&texts)))
        })
        .unzip();
    let arrays =
        vec![ColumnArray::new(Type::Int64, "item", places), ColumnArray::new(Type::Text, "successors", successors)];
    let table = sql.small_table("d", arrays);
    let array = array_cast("d.successors", &reference.user.cast);
    let dealt = format!("SELECT d.item, {array} AS successors FROM {table}");
    Deal { dealt, joined: "d.item = r.item", successor: "d.successors[r.n]" }
}

/// Returns a table with a row for each position that somebody receives.
fn deal_table(sql: &mut Sql, reference: &Reference, items: &[&WorkItem]) -> String {
    let (mut item_array, mut position_array, mut successors) = (Vec::new(), Vec::new(), Vec::new());
    for (place, item) in items.iter().enumerate() {
        for (index, successor) in item.assignment.dealt().into_iter().flatten().enumerate() {
            if let Some(successor) = successor {
                item_array.push(Some(place));
                position_array.push(Some(index + 1));
                successors.push(Some(successor.to_string()));
            }
        }
    }
    let arrays = vec![
        ColumnArray::new(Type::Int64, "item", item_array),
        ColumnArray::new(Type::Int64, "n", position_array),
        ColumnArray::of_some("successor", &reference.user, successors),
    ];
    sql.table("d", arrays)
}

fn pair_table(sql: &mut Sql, reference: &Reference, pairs: &BTreeMap<Key, UserId>) -> String {
    let mut arrays = vec![ColumnArray::of("successor", &reference.user, pairs.values().map(UserId::as_str))];
    for (index, key) in reference.key.iter().enumerate() {
        let values = pairs.keys().map(|values| values.get(index).cloned());
        arrays.push(ColumnArray::of_some(&format!("k{index}"), key, values));
    }
    sql.table("d", arrays)
}

/// The source of the items' rows: a table to pick before, and the join with `item`.
struct Source {
    picked: String,
    rows: String,
}

/// Items with all their rows share one statement. A range is of a single item.
fn source(sql: &mut Sql, reference: &Reference, items: &[&WorkItem]) -> Source {
    let tests = row_tests(sql, reference, "t");
    if let [item] = items
        && let Some(picked) = keyless::picked(sql, reference, item, &tests)
    {
        return Source { picked: format!(", {picked}"), rows: "picked t ON TRUE".to_owned() };
    }
    let range = match items {
        [item] => range_test(sql, reference, &item.range),
        _ => String::new(),
    };
    let (host, is_theirs) = (table(&reference.table), points_at(&reference.user, "t", "i.leaver"));
    Source { picked: String::new(), rows: format!("{host} t ON {is_theirs}{range}{tests}") }
}

/// Tests that a row lies in a range of keys. Rows without keys are picked instead.
pub fn range_test(sql: &mut Sql, reference: &Reference, range: &RowRange) -> String {
    match range {
        RowRange::Keys { first, last } => between(sql, reference, "t", first, last),
        RowRange::Whole | RowRange::Next { .. } | RowRange::Like(_) => String::new(),
    }
}

/// Tests that a row is an item's: the leaver's, in the item's range, and of the reference.
pub fn item_test(sql: &mut Sql, reference: &Reference, item: &WorkItem) -> String {
    let leaver = sql.host(&reference.user, item.leaver.as_str());
    let range = range_test(sql, reference, &item.range);
    let is_theirs = points_at(&reference.user, "t", &leaver);
    format!("{is_theirs}{range}{}", row_tests(sql, reference, "t"))
}

/// Tests that a row comes after a key, and is none of the excepted ones.
pub fn rest_test(sql: &mut Sql, reference: &Reference, start: Option<&Key>, except: &[String]) -> String {
    let mut tests = row_tests(sql, reference, "t");
    if let Some(start) = start {
        tests.push_str(&after(sql, reference, "t", start));
    }
    tests + &not_excepted(sql, reference, except)
}

/// Tests that a row is none of those that a request names one by one. Only references with a key of one column have some.
pub fn not_excepted(sql: &mut Sql, reference: &Reference, except: &[String]) -> String {
    match reference.key.as_slice() {
        [key] if !except.is_empty() => {
            let list = sql.host_list(key, except.iter().map(String::as_str));
            format!(" AND {} NOT IN {list}", column("t", &key.name))
        }
        _ => String::new(),
    }
}
