//! Records that a successor already has: a unique index refuses to give them the leaver's row.
//!
//! An index decides by what it says: its condition, its expressions, and whether NULLs are equal. The row that would move is
//! tested as it would be then, with its successor as the user.

use super::predicates::row_tests;
use super::user_match::points_at;
use crate::catalog::{IndexPart, IndexValue, Reference, UniqueIndex};
use crate::contract::UserId;
use crate::store::dialect::sql::{ColumnArray, column, quoted, table};
use crate::store::{Result, Session};

/// Tests that the successor `d.successor` has a row that collides with the row `t`.
pub fn collides(reference: &Reference) -> String {
    let any: Vec<String> = reference.unique_indexes.iter().map(|index| collides_by(reference, index)).collect();
    format!("({})", any.join(" OR "))
}

fn collides_by(reference: &Reference, index: &UniqueIndex) -> String {
    let mut tests = vec![points_at(&reference.user, "o", "d.successor")];
    tests.extend(index.parts.iter().filter_map(|part| part_is_equal(reference, index, part)));
    for row in [Row::Other, Row::Moved] {
        tests.extend(index.condition.as_ref().map(|condition| row.evaluate(reference, index, condition)));
    }
    format!("EXISTS (SELECT 1 FROM {} o WHERE {})", table(&reference.table), tests.join(" AND "))
}

/// Tests that a part is equal in both rows; nothing for the user, who is the successor in both.
fn part_is_equal(reference: &Reference, index: &UniqueIndex, part: &IndexPart) -> Option<String> {
    let (theirs, moved) = match &part.value {
        IndexValue::Column(name) if *name == reference.user.name => return None,
        IndexValue::Column(name) => (column("o", name), column("t", name)),
        IndexValue::Expression(text) => {
            (Row::Other.evaluate(reference, index, text), Row::Moved.evaluate(reference, index, text))
        }
    };
    let collation =
        part.collation.as_ref().map_or(String::new(), |collation| format!(" COLLATE {}", quoted(collation)));
    let operator = part.operator.as_deref().unwrap_or("=");
    let equal = format!("{theirs} {operator} {moved}{collation}");
    Some(match index.nulls_are_equal {
        true => format!("({equal} OR ({theirs} IS NULL AND {moved} IS NULL))"),
        false => equal,
    })
}

/// A row of a comparison.
#[derive(Clone, Copy)]
enum Row {
    /// The row `o` that the successor has.
    Other,
    /// The row `t` as it would be after its move.
    Moved,
}

impl Row {
    /// Evaluates an expression of an index for the row. It names columns without an alias: a row of just these columns has them.
    fn evaluate(self, reference: &Reference, index: &UniqueIndex, expression: &str) -> String {
        let value = |name: &String| match self {
            Row::Moved if *name == reference.user.name => format!("d.successor AS {}", quoted(name)),
            Row::Moved => format!("{} AS {}", column("t", name), quoted(name)),
            Row::Other => format!("{} AS {}", column("o", name), quoted(name)),
        };
        let values: Vec<String> = index.mentioned.iter().map(value).collect();
        match values.is_empty() {
            true => format!("({expression})"),
            false => format!("(SELECT ({expression}) FROM (SELECT {}) AS h)", values.join(", ")),
        }
    }
}

/// Counts the leaver's records that at least one of these users has already.
pub async fn count_collisions(
    session: &Session,
    reference: &Reference,
    leaver: &UserId,
    successors: &[&UserId],
) -> Result<u64> {
    if reference.unique_indexes.is_empty() || successors.is_empty() {
        return Ok(0);
    }
    let mut sql = session.sql("");
    let ids = successors.iter().map(|user| user.as_str());
    let successors = sql.small_table("d", vec![ColumnArray::of("successor", &reference.user, ids)]);
    let leaver = sql.host(&reference.user, leaver.as_str());
    let tests = row_tests(&mut sql, reference, "t");
    sql.add(&format!(
        "SELECT count(*) AS n FROM {host} t WHERE {is_theirs}{tests} AND EXISTS (SELECT 1 FROM {successors} WHERE {collides})",
        host = table(&reference.table),
        is_theirs = points_at(&reference.user, "t", &leaver),
        collides = collides(reference),
    ));
    let row = session.one(&format!("comparing {} with those of the successors", reference.kind), sql).await?;
    row.map_or(Ok(0), |row| row.count("n"))
}
