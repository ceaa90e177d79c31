//! Checks the fields that a reference's disposition needs.

use std::time::Duration;

use toml::Spanned;

use super::conditions::check_condition;
use super::conflict::check_on_conflict;
use super::followers::check_followers;
use super::resolve::Resolver;
use super::times::check_touch;
use super::values::{check_new_value, form_by};
use crate::catalog::disposition::{Disposition, Eligible, OnConflict, SetValue};
use crate::catalog::file::{DispositionName, EligibleEntry, Name, ReferenceEntry};
use crate::catalog::followers::Followers;
use crate::catalog::schema::{Column, Table};

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
            let with = check_dropped(resolver, table, entry, on_conflict.as_ref(), start);
            let (on_conflict, with) = (on_conflict?, with?);
            Some(Disposition::Transfer { required, eligible: eligible?, touch: touch?, on_conflict, with })
        }
        DispositionName::Detach => {
            Some(Disposition::Detach { restore, with: check_followers(resolver, table, entry, start)? })
        }
        DispositionName::Set => Some(Disposition::Set { values: check_set(resolver, table, entry, start)?, restore }),
        DispositionName::Purge => {
            let keep_copy = entry.keep_copy.as_ref().map_or(Some(KEEP_COPY), |text| check_keep_copy(resolver, text));
            let with = check_followers(resolver, table, entry, start);
            Some(Disposition::Purge { keep_copy: keep_copy?, with: with? })
        }
        DispositionName::Block => check_block(resolver, table, entry, eligible, start),
        DispositionName::Keep => Some(Disposition::Keep),
    }
}

fn check_block(
    resolver: &mut Resolver<'_>,
    table: &Table,
    entry: &ReferenceEntry,
    eligible: Option<Option<Eligible>>,
    start: usize,
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
    let with = check_dropped(resolver, table, entry, on_conflict.as_ref(), start);
    let (on_conflict, with) = (on_conflict?, with?);
    Some(Disposition::Block { sole_in: sole_in?, resolve, eligible: eligible?, on_conflict, hint, with })
}

/// Checks what follows rows that a move removes because the successor has them already.
fn check_dropped(
    resolver: &mut Resolver<'_>,
    table: &Table,
    entry: &ReferenceEntry,
    on_conflict: Option<&OnConflict>,
    start: usize,
) -> Option<Followers> {
    match (on_conflict, entry.with.first()) {
        (Some(OnConflict::Fail), None) | (None, _) => Some(Followers::default()),
        (Some(OnConflict::Fail), Some(written)) => {
            let message = "`with` has no effect without `on_conflict`: a move removes no row";
            resolver.fault(written.span().start, message);
            None
        }
        (Some(OnConflict::Drop | OnConflict::Add { .. }), _) => check_followers(resolver, table, entry, start),
    }
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
