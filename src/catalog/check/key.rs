//! Checks the key of a reference; for a table without a unique key, checks that nothing needs one.

use toml::Spanned;

use super::resolve::Resolver;
use crate::catalog::file::{OneOrMore, ReferenceEntry};
use crate::catalog::guess::key_of;
use crate::catalog::schema::{Column, Family, Table};

/// Returns the columns of a reference's key, and true if they are only the physical address of the row.
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
                "{} has no unique key: rows that are equal in every column cannot be distinguished, a request cannot name them \
                 one by one (`each`), the journal keeps a snapshot of each moved row, and an undo skips rows changed since",
                table.name
            );
            resolver.warn(written.span().start, message);
            if table.row_address.is_none() {
                let message =
                    format!("the rows of {} have no address that a statement can use: add a unique key", table.name);
                resolver.fault(written.span().start, message);
            }
            Some((table.row_address.clone()?, true))
        }
        (Some(written), Some(key)) if written.get_ref().names().is_empty() => {
            let message = format!("the rows of {} have a key: name it, {}", table.name, as_toml(key));
            resolver.fault(written.span().start, message);
            None
        }
        (Some(written), _) => Some((check_key(resolver, table, written)?, false)),
        (None, key) => {
            let message = match key {
                Some(key) => format!("missing field `key`, the unique key of {}: {}", table.name, as_toml(key)),
                None => format!("missing field `key`: {} has no unique key; write key = []", table.name),
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

/// Adds a fault for each field that needs a key: it works on single rows over several statements.
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

/// Returns the columns of a key, which are unique together and never NULL, or adds a fault.
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
    if let Some(untyped) = columns.iter().find(|column| column.family == Family::Any) {
        let hint = key_of(table).map_or("key = []".to_owned(), |key| as_toml(key));
        let message = format!(
            "`{}` of {} has no declared type, so a text cannot name its values: write {hint}",
            untyped.name, table.name
        );
        resolver.fault(byte, message);
        return None;
    }
    Some(columns)
}
