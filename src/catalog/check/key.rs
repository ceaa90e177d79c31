//! Checks what a reference's rows are known by; or, where nothing tells them from each other, that nothing needs it.

use toml::Spanned;

use super::resolve::Resolver;
use crate::catalog::file::{OneOrMore, ReferenceEntry};
use crate::catalog::guess::key_of;
use crate::catalog::model::Column;
use crate::catalog::schema::{Engine, Family, Table};

/// The columns of a reference's key, and whether they are only where the database keeps the row.
pub fn check_key_of(
    resolver: &mut Resolver<'_>,
    table: &Table,
    entry: &ReferenceEntry,
    start: usize,
) -> Option<(Vec<Column>, bool)> {
    match (&entry.key, key_of(table)) {
        (Some(written), None) if written.get_ref().names().is_empty() => {
            refuse_what_needs_a_key(resolver, entry);
            let message = format!(
                "{} has no unique key: rows that are equal in every column cannot be told apart, a request cannot name them one \
                 by one (`each`), each one moved is kept in the journal whole, and an undo leaves alone what was changed since",
                table.name
            );
            resolver.warn(written.span().start, message);
            let place = place_of(resolver.schema.engine, table);
            if place.is_none() {
                let message = format!("the columns of {} hide where its rows are kept: add a unique key", table.name);
                resolver.fault(written.span().start, message);
            }
            Some((place?, true))
        }
        (Some(written), Some(key)) if written.get_ref().names().is_empty() => {
            let message = format!("the rows of {} have a key: name it, {}", table.name, as_toml(key));
            resolver.fault(written.span().start, message);
            None
        }
        (Some(written), _) => Some((check_key(resolver, table, written)?, false)),
        (None, key) => {
            let message = match key {
                Some(key) => format!("missing field `key`, what a row of {} is known by: {}", table.name, as_toml(key)),
                None => format!("missing field `key`: {} has no unique key, which is written as key = []", table.name),
            };
            resolver.fault(start, message);
            None
        }
    }
}

fn as_toml(key: &[String]) -> String {
    match key {
        [one] => format!("key = \"{one}\""),
        many => format!("key = [\"{}\"]", many.join("\", \"")),
    }
}

/// What works on rows one by one, over several statements, or finds others by them.
fn refuse_what_needs_a_key(resolver: &mut Resolver<'_>, entry: &ReferenceEntry) {
    let hands_on_the_last = entry.sole_in.as_ref().filter(|_| entry.resolve.is_some());
    let fields = [
        ("on_conflict", entry.on_conflict.as_ref().map(Spanned::span)),
        ("with", entry.with.first().map(Spanned::span)),
        ("sole_in` with `resolve", hands_on_the_last.map(Spanned::span)),
    ];
    for (field, span) in fields {
        if let Some(span) = span {
            resolver.fault(span.start, format!("`{field}` needs a table whose rows have a key"));
        }
    }
}

/// Where the database keeps a row. A partitioned table has the same places in each of its parts.
fn place_of(engine: Engine, table: &Table) -> Option<Vec<Column>> {
    let column = |name: &str, cast: &str| Column { name: name.into(), cast: cast.into(), family: Family::Other };
    match engine {
        Engine::Postgres => Some(vec![column("tableoid", "oid"), column("ctid", "tid")]),
        Engine::Sqlite => {
            let is_taken = |name: &&str| table.columns.iter().any(|taken| taken.name.eq_ignore_ascii_case(name));
            let name = ["rowid", "_rowid_", "oid"].into_iter().find(|name| !is_taken(name))?;
            Some(vec![column(name, "INTEGER")])
        }
    }
}

/// The columns of a key: unique together, and never NULL.
pub fn check_key(resolver: &mut Resolver<'_>, table: &Table, entry: &Spanned<OneOrMore>) -> Option<Vec<Column>> {
    let names = entry.get_ref().names();
    let byte = entry.span().start;
    let columns: Vec<_> = names.iter().map(|name| resolver.column_at(table, name, byte)).collect();
    let columns: Vec<Column> = columns.into_iter().collect::<Option<_>>()?;
    let written: Vec<&str> = names.iter().map(String::as_str).collect();
    if written.is_empty() || !table.is_unique(&written) {
        let message = match key_of(table) {
            None => format!(
                "{} has no unique index over columns that are never NULL: add one and name its columns, or say that there is \
                 none, key = []",
                table.name
            ),
            Some(key) => format!(
                "({}) is not unique in {}: name the primary key, or a unique index's columns, such as ({})",
                written.join(", "),
                table.name,
                key.join(", ")
            ),
        };
        resolver.fault(byte, message);
        return None;
    }
    let null = names.iter().find(|name| table.column(name).is_some_and(|column| column.nullable));
    if let Some(null) = null {
        resolver.fault(byte, format!("`{null}` may be NULL in {}, so it cannot be part of a key", table.name));
        return None;
    }
    Some(columns)
}
