//! Checks what happens to a record that its successor already has, against the unique indexes over the user column.

use super::resolve::Resolver;
use crate::catalog::disposition::{Occupied, OnConflict};
use crate::catalog::file::{AddEntry, DispositionName, OnConflictEntry, OnConflictWord, ReferenceEntry};
use crate::catalog::schema::{Column, Family, Table, UniqueIndex};

/// True if records can move, which writes the user column.
pub fn moves_rows(entry: &ReferenceEntry) -> bool {
    match entry.disposition.get_ref() {
        DispositionName::Transfer => true,
        DispositionName::Block => entry.resolve.as_ref().is_some_and(|resolve| *resolve.get_ref()),
        DispositionName::Detach | DispositionName::Set | DispositionName::Purge | DispositionName::Keep => false,
    }
}

/// Returns the unique indexes in which a move may collide: those over the user column, each once.
pub fn indexes_over(table: &Table, user: &str) -> Vec<UniqueIndex> {
    let mut indexes: Vec<UniqueIndex> = Vec::new();
    for index in table.unique_indexes.iter().filter(|index| index.is_over(user)) {
        // A database may report one index twice: as a constraint and as its index.
        if !indexes.contains(index) {
            indexes.push(index.clone());
        }
    }
    indexes
}

/// Checks `on_conflict`. Warns if it is absent although a successor may have a record already.
pub fn check_on_conflict(resolver: &mut Resolver<'_>, table: &Table, entry: &ReferenceEntry) -> Option<OnConflict> {
    let user = entry.user.get_ref();
    let indexes = indexes_over(table, user);
    let Some(written) = &entry.on_conflict else {
        // The last of a group has nobody beside them who could have the record.
        let may_collide = moves_rows(entry) && entry.sole_in.is_none();
        if let Some(index) = indexes.first().filter(|_| may_collide) {
            let message = format!(
                "a successor may have a record of {} already: its unique index over {} then refuses the move. Say what happens, \
                 such as on_conflict = \"drop\"",
                table.name,
                index.describe()
            );
            resolver.warn(entry.user.span().start, message);
        }
        return Some(OnConflict::Fail);
    };
    let byte = written.span().start;
    if indexes.is_empty() {
        let message = format!(
            "`on_conflict` has no effect: {} has no unique index over `{user}`, so a successor may get a record twice. Create one, \
             or remove `on_conflict`",
            table.name
        );
        resolver.fault(byte, message);
        return None;
    }
    match written.get_ref() {
        OnConflictEntry::Word(OnConflictWord::Drop) => Some(OnConflict::Drop),
        OnConflictEntry::Add(add) => check_add(resolver, table, (user, byte), add, &indexes),
    }
}

/// Checks the columns that are added, and that one index identifies the row that they are added to.
fn check_add(
    resolver: &mut Resolver<'_>,
    table: &Table,
    (user, byte): (&str, usize),
    AddEntry { add }: &AddEntry,
    indexes: &[UniqueIndex],
) -> Option<OnConflict> {
    let columns: Vec<_> = add.iter().map(|name| resolver.column_at(table, name, byte)).collect();
    let columns: Vec<Column> = columns.into_iter().collect::<Option<_>>()?;
    add.iter().for_each(|name| resolver.refuse_generated(table, name, byte));
    let adds_up = |column: &Column| matches!(column.family, Family::Integer { .. } | Family::Number);
    if columns.is_empty() || !columns.iter().all(adds_up) {
        resolver.fault(byte, "`on_conflict` adds columns that hold numbers: { add = [\"percentage\"] }");
        return None;
    }
    let plain = indexes.first().and_then(|index| index.plain_columns(user)).filter(|_| indexes.len() == 1);
    if plain.is_none() {
        let message = format!(
            "{} needs exactly one unique index over `{user}`, of columns alone and without a condition: it identifies the row that \
             is added to",
            table.name
        );
        resolver.fault(byte, message);
    }
    Some(OnConflict::Add { occupied: Occupied(plain?), columns })
}
