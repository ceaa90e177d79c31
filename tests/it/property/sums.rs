//! A model of merging rows in integers, independent of the statements under test.

use super::tables::{AMOUNT, LEVEL, Row};
use crate::support::Engine;

/// The columns that are added up, and how many units make one.
const ADDED: [(usize, i64); 2] = [(LEVEL, 1), (AMOUNT, 100)];

fn read(text: &str, units: i64) -> Option<i64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let sign = if whole.starts_with('-') { -1 } else { 1 };
    let whole: i64 = whole.parse().ok()?;
    let part: i64 = format!("{part:0<2}").parse().expect("digits");
    Some(whole * units + if units > 1 { sign * part } else { 0 })
}

fn spell(engine: Engine, number: Option<i64>, units: i64) -> String {
    let Some(number) = number else { return "NULL".into() };
    let sign = if number < 0 { "-" } else { "" };
    let (whole, part) = (number.abs() / units, number.abs() % units);
    match (engine, units) {
        (_, 1) => number.to_string(),
        (Engine::Postgres, _) => format!("{sign}{whole}.{part:02}"),
        (Engine::Sqlite, _) if part == 0 => format!("{sign}{whole}"),
        (Engine::Sqlite, _) => format!("{sign}{whole}.{part:02}").trim_end_matches('0').to_owned(),
    }
}

/// Adds a row to a user's row. Returns which columns of that row were empty.
pub fn add(engine: Engine, held: &mut Row, added: &Row) -> Vec<bool> {
    let mut empty = Vec::new();
    for (column, units) in ADDED {
        let (own, more) = (read(&held.columns[column], units), read(&added.columns[column], units));
        let sum = own.map_or(more, |own| Some(own + more.unwrap_or(0)));
        held.columns[column] = spell(engine, sum, units);
        empty.push(own.is_none());
    }
    empty
}

/// Subtracts an added row. A column that was empty becomes empty again if nothing else was added.
pub fn take_out(engine: Engine, held: &mut Row, added: &Row, empty: &[bool]) {
    for ((column, units), was_empty) in ADDED.into_iter().zip(empty) {
        let Some(more) = read(&added.columns[column], units) else { continue };
        let now = read(&held.columns[column], units);
        let left = now.map(|now| now - more).filter(|left| *left != 0 || !was_empty);
        held.columns[column] = spell(engine, left, units);
    }
}
