//! Checks the fields that a reference's disposition needs.

use std::time::Duration;

use toml::Spanned;

use super::conditions::check_condition;
use super::conflict::check_on_conflict;
use super::resolve::Resolver;
use super::times::check_touch;
use super::values::{check_new_value, form_by};
use crate::catalog::disposition::{Child, Disposition, Eligible, SetValue};
use crate::catalog::file::{DispositionName, EligibleEntry, Name, ReferenceEntry};
use crate::catalog::schema::{Column, OnDelete, Table};

/// The default time for which snapshots of deleted rows are kept.
const KEEP_COPY: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Checks the disposition of a reference.
pub fn check_disposition(
    resolver: &mut Resolver<'_>,
    users: Option<&Table>,
    has_groups: bool,
    table: &Table,
    entry: &ReferenceEntry,
    start: usize,
) -> Option<Disposition> {
    let eligible = match &entry.eligible {
        None => Some(None),
        Some(eligible) => check_eligible(resolver, users, has_groups, eligible).map(Some),
    };
    let restore = entry.restore.as_ref().is_some_and(|restore| *restore.get_ref());
    match entry.disposition.get_ref() {
        DispositionName::Transfer => {
            let touch =
                entry.touch.as_ref().map(|touch| check_touch(resolver, table, touch.get_ref(), touch.span().start));
            let touch = touch.map_or(Some(None), |touch| touch.map(Some));
            let required = entry.required.as_ref().is_none_or(|required| *required.get_ref());
            let on_conflict = check_on_conflict(resolver, table, entry);
            Some(Disposition::Transfer { required, eligible: eligible?, touch: touch?, on_conflict: on_conflict? })
        }
        DispositionName::Detach => {
            Some(Disposition::Detach { restore, with: check_children(resolver, table, entry, start)? })
        }
        DispositionName::Set => Some(Disposition::Set { values: check_set(resolver, table, entry, start)?, restore }),
        DispositionName::Purge => {
            let keep_copy = entry.keep_copy.as_ref().map_or(Some(KEEP_COPY), |text| check_keep_copy(resolver, text));
            let with = check_children(resolver, table, entry, start);
            Some(Disposition::Purge { keep_copy: keep_copy?, with: with? })
        }
        DispositionName::Block => check_block(resolver, table, entry, eligible),
        DispositionName::Keep => Some(Disposition::Keep),
    }
}

fn check_block(
    resolver: &mut Resolver<'_>,
    table: &Table,
    entry: &ReferenceEntry,
    eligible: Option<Option<Eligible>>,
) -> Option<Disposition> {
    let sole_in = resolver.optional_column(table, entry.sole_in.as_ref());
    if let Some(written) = &entry.sole_in
        && table.column(written.get_ref()).is_some_and(|column| column.nullable)
    {
        let message = format!(
            "`{}` of {} may be NULL: each row without a value is a group of its own, so that its user is always the last. Name a \
             column that is never NULL, or test it in `where`",
            written.get_ref(),
            table.name
        );
        resolver.warn(written.span().start, message);
    }
    let resolve = entry.resolve.as_ref().is_some_and(|resolve| *resolve.get_ref());
    let on_conflict = check_on_conflict(resolver, table, entry);
    if let Some(written) = entry.on_conflict.as_ref().filter(|_| !resolve) {
        resolver.fault(written.span().start, "`on_conflict` has no effect without `resolve = true`: no row moves");
    }
    let hint = entry.hint.as_ref().map(|hint| hint.get_ref().clone());
    Some(Disposition::Block { sole_in: sole_in?, resolve, eligible: eligible?, on_conflict: on_conflict?, hint })
}

fn check_eligible(
    resolver: &mut Resolver<'_>,
    users: Option<&Table>,
    has_groups: bool,
    entry: &Spanned<EligibleEntry>,
) -> Option<Eligible> {
    let byte = entry.span().start;
    match entry.get_ref() {
        EligibleEntry { group: Some(group), column: None, equals: None, listed: None } => {
            if !has_groups {
                resolver.fault(byte, "`eligible` names a group, but the catalog has no [groups]");
                return None;
            }
            Some(Eligible::Group(group.clone()))
        }
        EligibleEntry { group: None, column: Some(column), equals, listed } if equals.is_some() != listed.is_some() => {
            check_condition(resolver, users?, column, equals.as_ref(), listed.as_ref()).map(Eligible::Users)
        }
        _ => {
            let message = "`eligible` is { group = \"...\" }, { column = \"...\", equals = ... } or { column = \"...\", in = { ... } }";
            resolver.fault(byte, message);
            None
        }
    }
}

fn check_set(
    resolver: &mut Resolver<'_>,
    table: &Table,
    entry: &ReferenceEntry,
    start: usize,
) -> Option<Vec<(Column, SetValue)>> {
    let Some(set) = entry.set.as_ref().filter(|set| !set.get_ref().is_empty()) else {
        resolver.fault(
            start,
            "a `set` needs its values: set = { access = \"read_only\" }, { frozen_at = { now = true } } or { token = { null = true } }",
        );
        return None;
    };
    let mut values = Vec::new();
    for (name, value) in set.get_ref() {
        let byte = value.span().start;
        let mut column = resolver.column_at(table, name, byte);
        resolver.refuse_generated(table, name, byte);
        column = column.and_then(|column| form_by(resolver, table, column, value.get_ref(), byte));
        let value = check_new_value(resolver, table, name, value.get_ref(), byte);
        values.push(column.zip(value));
    }
    values.into_iter().collect()
}

/// Checks the tables whose rows are removed with the rows. Every foreign key that would delete or change rows must be among
/// them, because the journal would miss those rows.
fn check_children(
    resolver: &mut Resolver<'_>,
    table: &Table,
    entry: &ReferenceEntry,
    start: usize,
) -> Option<Vec<Child>> {
    let mut children: Vec<Child> = Vec::new();
    let mut parents: Vec<(Option<usize>, &Table)> = vec![(None, table)];
    for name in &entry.with {
        let child = resolver.table(name)?;
        let link = parents.iter().find_map(|(parent, above)| {
            child.foreign_keys.iter().find(|key| key.table == above.name).map(|key| (*parent, key))
        });
        let Some((parent, key)) = link else {
            let message =
                format!("{} has no foreign key to {} or to a table before it in `with`", child.name, table.name);
            resolver.fault(name.span().start, message);
            return None;
        };
        parents.push((Some(children.len()), child));
        children.push(Child {
            table: child.name.clone(),
            columns: child.written_columns().map(Column::from).collect(),
            deferrable: child.deferrable_keys(),
            points: key.columns.clone(),
            at: key.target.clone(),
            parent,
        });
    }
    let schema = resolver.schema;
    for (_, deleted) in &parents {
        for (other, key) in schema.inbound(&deleted.name) {
            let listed = parents.iter().any(|(_, parent)| parent.name == other.name);
            if !listed && key.on_delete != OnDelete::Refuse {
                let effect = if key.on_delete == OnDelete::Cascade { "deletes" } else { "changes" };
                let message = format!(
                    "deleting from {} also {effect} rows of {} (foreign key on {}), which the journal would miss: add it to `with`",
                    deleted.name,
                    other.name,
                    key.columns.join(", ")
                );
                resolver.fault(start, message);
            }
        }
    }
    Some(children)
}

/// Reads how long snapshots are kept. More than a hundred years is a slip, and overflows when it is added to a time.
fn check_keep_copy(resolver: &mut Resolver<'_>, text: &Name) -> Option<Duration> {
    const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    let fault = match humantime::parse_duration(text.get_ref()) {
        Ok(time) if time <= LONGEST => return Some(time),
        Ok(_) => "it exceeds a hundred years".to_owned(),
        Err(error) => error.to_string(),
    };
    resolver.fault(text.span().start, format!("`keep_copy` is a length of time such as \"30d\": {fault}"));
    None
}
