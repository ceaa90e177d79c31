//! The rows that a statement works on, as a table `x`: part, leaver, who receives the row, and its key as `k0`, `k1` …
//!
//! Every statement that changes the host begins with it, so that moving, removing and setting differ only in what they do.

use std::collections::BTreeMap;

use super::apply::{Assignment, RowRange, WorkItem};
use super::keyless;
use super::predicates::{between, has_key, key_columns, keys_as, tests, user_column};
use crate::catalog::{Engine, Occupied, Reference};
use crate::contract::UserId;
use crate::store::dialect::Type;
use crate::store::dialect::sql::{ColumnArray, Sql, array_cast, array_text, column, table};

/// Which of the parts' rows.
pub enum Selected<'a> {
    /// Every row.
    All,
    /// Rows that somebody receives, by their place in key order.
    Dealt,
    /// Rows named one by one, of a single part.
    Pairs(&'a BTreeMap<Vec<String>, UserId>),
    /// Of such rows, those whose successor has a row already with the same values in one of these lists of columns.
    OccupiedPairs(&'a BTreeMap<Vec<String>, UserId>, &'a [Occupied]),
}

/// The WITH list that ends in `part` and `x`.
pub fn selection(sql: &mut Sql, reference: &Reference, parts: &[&WorkItem], selected: &Selected<'_>) -> String {
    let part_rows = part_table(sql, reference, parts);
    let tests = tests(sql, reference, "t");
    let host = table(&reference.table);
    let user = user_column(reference);
    match selected {
        Selected::All => {
            let Source { picked, rows } = source(sql, reference, parts, &tests);
            let keys = keys_as(reference, "t");
            format!(
                "{part_rows}{picked}, x AS (SELECT p.part, p.leaver, NULL AS successor, {keys} FROM part p JOIN {rows})"
            )
        }
        Selected::Dealt => {
            let Source { picked, rows } = source(sql, reference, parts, &tests);
            let except = except_test(sql, reference, parts);
            let keys = keys_as(reference, "t");
            let order = key_columns(reference, "t");
            let Deal { dealt, joined, successor } = deal(sql, reference, parts);
            let chosen = picked_keys(reference, "r");
            format!(
                "{part_rows}{picked}, deal AS MATERIALIZED ({dealt}), \
                 r AS (SELECT p.part, p.leaver, p.sole, {keys}, row_number() OVER (PARTITION BY p.part ORDER BY {order}) AS n \
                   FROM part p JOIN {rows}{except}), \
                 x AS (SELECT r.part, r.leaver, COALESCE(r.sole, {successor}) AS successor, {chosen} \
                   FROM r LEFT JOIN deal d ON {joined} WHERE COALESCE(r.sole, {successor}) IS NOT NULL)"
            )
        }
        Selected::Pairs(pairs) | Selected::OccupiedPairs(pairs, _) => {
            let pair = pair_table(sql, reference, pairs);
            let matches = has_key(reference, "t", "d");
            let picked = picked_keys(reference, "d");
            let occupied = match selected {
                Selected::OccupiedPairs(_, occupied) => occupied_test(reference, occupied),
                _ => String::new(),
            };
            format!(
                "{part_rows}, x AS (SELECT p.part, p.leaver, d.successor, {picked} \
                 FROM part p CROSS JOIN {pair} JOIN {host} t ON {matches} AND t.{user} = p.leaver{tests}{occupied})"
            )
        }
    }
}

/// Who leaves, and to whom their rows go where that is one, as a table `part` of the WITH list.
pub fn part_table(sql: &mut Sql, reference: &Reference, parts: &[&WorkItem]) -> String {
    let sole = parts.iter().map(|part| match &part.assignment {
        Assignment::Sole(successor) => Some(successor.to_string()),
        _ => None,
    });
    let arrays = vec![
        ColumnArray::new(Type::Int64, "part", (0..parts.len()).map(Some)),
        ColumnArray::new(Type::Uuid, "job", parts.iter().map(|part| Some(part.job))),
        ColumnArray::new(Type::Int32, "chunk", parts.iter().map(|part| part.chunk)),
        ColumnArray::of("leaver", &reference.user, parts.iter().map(|part| part.leaver.as_str())),
        ColumnArray::of_some("sole", &reference.user, sole),
    ];
    format!("part AS MATERIALIZED (SELECT * FROM {})", sql.small_table("p", arrays))
}

/// Who receives which of the parts' rows.
struct Deal {
    /// The table that holds it.
    dealt: String,
    /// How a row `r` finds its part of it.
    joined: &'static str,
    /// Who receives that row.
    successor: &'static str,
}

/// PostgreSQL gets a part's successors as an array, and a row takes its own by its place. A join with a row for each place it
/// would run as a loop within a loop: it knows no number of them when it plans, and takes them to be few.
fn deal(sql: &mut Sql, reference: &Reference, parts: &[&WorkItem]) -> Deal {
    if sql.engine() == Engine::Sqlite {
        let dealt = format!("SELECT * FROM {}", deal_table(sql, reference, parts));
        return Deal { dealt, joined: "d.part = r.part AND d.n = r.n", successor: "d.successor" };
    }
    let dealt = parts.iter().enumerate().filter_map(|(place, part)| Some((place, dealt_of(part)?)));
    let (places, successors): (Vec<_>, Vec<_>) = dealt
        .map(|(place, dealt)| {
            let texts: Vec<Option<String>> = dealt.iter().map(|user| user.as_ref().map(UserId::to_string)).collect();
            (Some(place), Some(array_text(&texts)))
        })
        .unzip();
    let arrays =
        vec![ColumnArray::new(Type::Int64, "part", places), ColumnArray::new(Type::Text, "successors", successors)];
    let table = sql.small_table("d", arrays);
    let array = array_cast("d.successors", &reference.user.cast);
    let dealt = format!("SELECT d.part, {array} AS successors FROM {table}");
    Deal { dealt, joined: "d.part = r.part", successor: "d.successors[r.n]" }
}

fn dealt_of(part: &WorkItem) -> Option<&[Option<UserId>]> {
    match &part.assignment {
        Assignment::Dealt { successors, .. } => Some(successors),
        _ => None,
    }
}

/// SQLite: a row for each place that somebody receives.
fn deal_table(sql: &mut Sql, reference: &Reference, parts: &[&WorkItem]) -> String {
    let (mut part_array, mut place_array, mut successors) = (Vec::new(), Vec::new(), Vec::new());
    for (place, part) in parts.iter().enumerate() {
        for (index, successor) in dealt_of(part).into_iter().flatten().enumerate() {
            if let Some(successor) = successor {
                part_array.push(Some(place));
                place_array.push(Some(index + 1));
                successors.push(Some(successor.to_string()));
            }
        }
    }
    let arrays = vec![
        ColumnArray::new(Type::Int64, "part", part_array),
        ColumnArray::new(Type::Int64, "n", place_array),
        ColumnArray::of_some("successor", &reference.user, successors),
    ];
    sql.table("d", arrays)
}

fn pair_table(sql: &mut Sql, reference: &Reference, pairs: &BTreeMap<Vec<String>, UserId>) -> String {
    let mut arrays = vec![ColumnArray::of("successor", &reference.user, pairs.values().map(UserId::as_str))];
    for (index, key) in reference.key.iter().enumerate() {
        let values = pairs.keys().map(|values| values.get(index).cloned());
        arrays.push(ColumnArray::of_some(&format!("k{index}"), key, values));
    }
    sql.table("d", arrays)
}

/// Where the parts' rows come from: what has to be picked before, and what is joined to `part`.
struct Source {
    picked: String,
    rows: String,
}

/// Parts that are whole share one statement; a range is of a single part.
fn source(sql: &mut Sql, reference: &Reference, parts: &[&WorkItem], tests: &str) -> Source {
    if let [part] = parts
        && let Some(picked) = keyless::picked(sql, reference, part, tests)
    {
        return Source { picked: format!(", {picked}"), rows: "picked t ON TRUE".to_owned() };
    }
    let range = match parts {
        [part] => range_test(sql, reference, &part.range),
        _ => String::new(),
    };
    let (host, user) = (table(&reference.table), user_column(reference));
    Source { picked: String::new(), rows: format!("{host} t ON t.{user} = p.leaver{range}{tests}") }
}

/// That a row lies in a range of keys. Rows without keys are picked instead.
pub fn range_test(sql: &mut Sql, reference: &Reference, range: &RowRange) -> String {
    match range {
        RowRange::Keys { first, last } => between(sql, reference, "t", first, last),
        RowRange::Whole | RowRange::Next { .. } | RowRange::Like(_) => String::new(),
    }
}

/// Rows of a single part that go another way and take no place.
fn except_test(sql: &mut Sql, reference: &Reference, parts: &[&WorkItem]) -> String {
    match (parts, reference.key.as_slice()) {
        ([WorkItem { assignment: Assignment::Dealt { except, .. }, .. }], [key]) if !except.is_empty() => {
            let list = sql.host_list(key, except.iter().map(String::as_str));
            format!(" AND {} NOT IN {list}", column("t", &key.name))
        }
        _ => String::new(),
    }
}

fn occupied_test(reference: &Reference, occupied: &[Occupied]) -> String {
    let any: Vec<String> = (occupied.iter())
        .map(|Occupied(columns)| {
            let same: String =
                columns.iter().map(|name| format!(" AND {} = {}", column("o", name), column("t", name))).collect();
            let (host, user) = (table(&reference.table), user_column(reference));
            format!("EXISTS (SELECT 1 FROM {host} o WHERE o.{user} = d.successor{same})")
        })
        .collect();
    format!(" AND ({})", any.join(" OR "))
}

/// The keys that `alias` holds as `k0`, `k1` …
pub fn picked_keys(reference: &Reference, alias: &str) -> String {
    let picked: Vec<String> = (0..reference.key.len()).map(|index| format!("{alias}.k{index}")).collect();
    picked.join(", ")
}
