//! Checks conditions on users, and tests of rows.

use std::collections::BTreeMap;

use toml::Spanned;

use super::resolve::{Resolver, if_written};
use super::values::{check_literal, check_literal_at, typed_by};
use crate::catalog::condition::{Condition, Holds, Listing};
use crate::catalog::file::{ConditionEntry, ListingEntry, Name, Scalar, TestEntry};
use crate::catalog::filter::{Filter, Test};
use crate::catalog::schema::Table;

/// Checks a condition that may be absent: the result is `Some(None)` if it is.
pub fn check_optional_condition(
    resolver: &mut Resolver<'_>,
    users: &Table,
    entry: Option<&ConditionEntry>,
) -> Option<Option<Condition>> {
    if_written(entry, |ConditionEntry { column, equals, listed }| {
        check_condition(resolver, users, column, equals.as_ref(), listed.as_ref())
    })
}

/// Checks a condition on a column of the users' table.
pub fn check_condition(
    resolver: &mut Resolver<'_>,
    users: &Table,
    column: &Name,
    equals: Option<&Spanned<Scalar>>,
    listed: Option<&ListingEntry>,
) -> Option<Condition> {
    let resolved = resolver.column(users, column);
    let byte = column.span().start;
    let resolved = match equals {
        Some(equals) => resolved.and_then(|column| typed_by(resolver, column, [equals.get_ref()], byte)),
        None => resolved,
    };
    let holds = match (equals, listed) {
        (Some(equals), None) => check_literal(resolver, users, column.get_ref(), equals).map(Holds::Value),
        (None, Some(listed)) => check_listing(resolver, listed).map(Holds::ListedIn),
        (Some(_), Some(_)) | (None, None) => {
            let message = "a condition is { column = \"...\", equals = ... }, or \
                           { column = \"...\", in = { table = \"...\", column = \"...\", where = { ... } } }";
            resolver.fault(byte, message);
            None
        }
    };
    Some(Condition { column: resolved?, holds: holds? })
}

/// Checks the tests of a row's own columns.
pub fn check_tests(
    resolver: &mut Resolver<'_>,
    table: &Table,
    entries: &BTreeMap<String, Spanned<TestEntry>>,
) -> Option<Filter> {
    let mut tests = Vec::new();
    for (name, test) in entries {
        let byte = test.span().start;
        let column = resolver.column_at(table, name, byte);
        tests.push(match test.get_ref() {
            TestEntry::One(value) => {
                let column = column.and_then(|column| typed_by(resolver, column, [value], byte));
                let value = check_literal_at(resolver, table, name, value, byte);
                resolver.expect_values(table, column.as_ref(), value.iter(), byte);
                column.zip(value).map(|(column, value)| Test::OneOf(column, vec![value]))
            }
            TestEntry::OneOf(values) if values.is_empty() => {
                resolver.fault(byte, format!("the list of `{name}` is empty, so that no row passes: list values"));
                None
            }
            TestEntry::OneOf(values) => {
                let column = column.and_then(|column| typed_by(resolver, column, values, byte));
                let values: Vec<_> =
                    values.iter().map(|value| check_literal_at(resolver, table, name, value, byte)).collect();
                let values: Option<Vec<String>> = values.into_iter().collect();
                resolver.expect_values(table, column.as_ref(), values.iter().flatten(), byte);
                column.zip(values).map(|(column, values)| Test::OneOf(column, values))
            }
            TestEntry::Null(entry) => column.map(|column| Test::Null(column, entry.null)),
        });
    }
    tests.into_iter().collect::<Option<_>>().map(Filter)
}

fn check_listing(resolver: &mut Resolver<'_>, entry: &ListingEntry) -> Option<Listing> {
    let table = resolver.table(&entry.table)?;
    let column = resolver.column(table, &entry.column);
    let filter = check_tests(resolver, table, &entry.filter);
    Some(Listing { table: table.name.clone(), column: column?, filter: filter? })
}
