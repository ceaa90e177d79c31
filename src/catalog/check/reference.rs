//! Checks one reference: its table and columns, its tests, and what its disposition needs.

use std::collections::BTreeMap;
use std::time::Duration;

use toml::Spanned;

use super::optional_condition;
use super::resolve::Resolver;
use crate::catalog::condition::When;
use crate::catalog::file::{
    AddEntry, EligibleEntry, NowEntry, OnConflictEntry, OnConflictWord, OneOrMore, ParentEntry, ReferenceEntry,
    SetEntry, TestEntry, WhenEntry, Word,
};
use crate::catalog::guess::key_of;
use crate::catalog::model::{
    Child, Column, Disposition, Eligible, Filter, Occupied, OnConflict, Parent, Reference, SetValue, Test,
};
use crate::catalog::schema::{Family, OnDelete, Table};

/// How long copies of deleted rows are kept where the catalog does not say.
const KEEP_COPY: Duration = Duration::from_secs(30 * 24 * 60 * 60);

pub fn check_reference(
    resolver: &mut Resolver<'_>,
    users: Option<&Table>,
    has_groups: bool,
    entry: &Spanned<ReferenceEntry>,
) -> Option<Reference> {
    let start = entry.span().start;
    let entry = entry.get_ref();
    check_kind(resolver, entry);
    refuse_idle_fields(resolver, entry);
    let table = resolver.table(&entry.table)?;
    let user = resolver.column(table, &entry.user);
    let key = check_key(resolver, table, &entry.key);
    let filter = check_filter(resolver, table, entry);
    let when = users.and_then(|users| check_when(resolver, users, entry.when.as_ref()));
    let org = resolver.optional_column(table, entry.org.as_ref());
    let bump = check_bump(resolver, table, entry);
    let disposition = check_disposition(resolver, users, has_groups, table, entry, start);
    // Who is the last of a group is the last at the moment the guard is asked: that is when what is theirs is handed on.
    let is_handed_on_at_once = entry.sole_in.is_some();
    if !table.has_index_on(entry.user.get_ref()) {
        let columns = format!("{}, {}", entry.user.get_ref(), entry.key.get_ref().names().join(", "));
        let message = format!(
            "no index leads with `{}`: each step scans all of {}; create one on ({columns})",
            entry.user.get_ref(),
            table.name
        );
        resolver.warn(entry.user.span().start, message);
    }
    Some(Reference {
        position: 0,
        kind: entry.kind.get_ref().clone(),
        table: table.name.clone(),
        key: key?,
        user: user?,
        org: org?,
        within: None,
        columns: table.written_columns(),
        other_user: None,
        filter: filter?,
        taken: Vec::new(),
        when: when?,
        at_start: entry.at.is_some() || is_handed_on_at_once,
        of_users: users.is_some_and(|users| users.name == table.name),
        bump: bump?,
        own_row: false,
        disposition: disposition?,
    })
}

fn check_kind(resolver: &mut Resolver<'_>, entry: &ReferenceEntry) {
    let kind = entry.kind.get_ref();
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if kind.is_empty() || kind.len() > 60 || !kind.chars().all(good) {
        let message = format!(
            "the kind `{kind}` is not a plain name: use lower-case letters, digits and underscores, at most 60"
        );
        resolver.fault(entry.kind.span().start, message);
    }
}

fn check_when(resolver: &mut Resolver<'_>, users: &Table, entry: Option<&Spanned<WhenEntry>>) -> Option<When> {
    let Some(entry) = entry else { return Some(When::default()) };
    let WhenEntry { column, equals, listed, requester, bulk, also } = entry.get_ref();
    let leaver = match column {
        Some(column) => resolver.condition_of(users, column, equals.as_ref(), listed.as_ref()).map(Some),
        None => Some(None),
    };
    let requester = optional_condition(resolver, users, requester.as_ref());
    let also = also.as_ref().map(|also| also.get_ref().clone());
    let when = When { leaver: leaver?, requester: requester?, bulk: *bulk, also };
    let dangles = column.is_none() && (equals.is_some() || listed.is_some());
    if when.is_always() || dangles {
        let message = "`when` says for whom the reference counts: { column = \"...\", equals = ... }, \
                       { requester = { ... } }, { bulk = true }, { also = \"...\" }, or several of them";
        resolver.fault(entry.span().start, message);
        return None;
    }
    Some(when)
}

/// A field that does nothing with the reference's disposition is a misunderstanding, and a fault.
fn refuse_idle_fields(resolver: &mut Resolver<'_>, entry: &ReferenceEntry) {
    use Word::{Block, Detach, Purge, Set, Transfer};
    let word = *entry.disposition.get_ref();
    let fields = [
        ("at", entry.at.as_ref().map(Spanned::span), &[Detach, Set, Purge][..]),
        ("required", entry.required.as_ref().map(Spanned::span), &[Transfer][..]),
        ("eligible", entry.eligible.as_ref().map(Spanned::span), &[Transfer, Block][..]),
        ("on_conflict", entry.on_conflict.as_ref().map(Spanned::span), &[Transfer, Block][..]),
        ("touch", entry.touch.as_ref().map(Spanned::span), &[Transfer][..]),
        ("bump", entry.bump.as_ref().map(Spanned::span), &[Transfer, Set][..]),
        ("sole_in", entry.sole_in.as_ref().map(Spanned::span), &[Block][..]),
        ("resolve", entry.resolve.as_ref().map(Spanned::span), &[Block][..]),
        ("mend", entry.mend.as_ref().map(Spanned::span), &[Block][..]),
        ("restore", entry.restore.as_ref().map(Spanned::span), &[Detach, Set][..]),
        ("set", entry.set.as_ref().map(Spanned::span), &[Set][..]),
        ("keep_copy", entry.keep_copy.as_ref().map(Spanned::span), &[Purge][..]),
        ("with", entry.with.first().map(Spanned::span), &[Detach, Purge][..]),
    ];
    for (field, span, words) in fields {
        if let Some(span) = span
            && !words.contains(&word)
        {
            let with: Vec<String> = words.iter().map(|word| format!("{word:?}").to_lowercase()).collect();
            let message = format!("`{field}` does nothing here: it goes with the disposition {}", with.join(" or "));
            resolver.fault(span.start, message);
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
        // A row that cannot be told from another cannot be journaled, nor come back.
        let message = match key_of(table) {
            None => format!(
                "{} has no unique index over columns that are never NULL: add one, and name its columns",
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

fn check_bump(resolver: &mut Resolver<'_>, table: &Table, entry: &ReferenceEntry) -> Option<Option<Column>> {
    let bump = resolver.optional_column(table, entry.bump.as_ref())?;
    match (&bump, &entry.bump) {
        (Some(column), Some(name)) if !matches!(column.family, Family::Integer { .. } | Family::Number) => {
            resolver
                .fault(name.span().start, format!("`bump` counts a column up, and `{}` holds no numbers", column.name));
            None
        }
        _ => Some(bump),
    }
}

fn check_filter(resolver: &mut Resolver<'_>, table: &Table, entry: &ReferenceEntry) -> Option<Filter> {
    let filter = check_tests(resolver, table, &entry.filter);
    let parent = entry.parent.as_ref().map(|parent| check_parent(resolver, table, parent));
    let parent = parent.map_or(Some(None), |parent| parent.map(Some));
    let (mut filter, parent) = filter.zip(parent)?;
    filter.0.extend(parent.map(Test::Parent));
    Some(filter)
}

/// The tests of a row's own columns.
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
                let value = resolver.literal_at(table, name, value, byte);
                column.zip(value).map(|(column, value)| Test::OneOf(column, vec![value]))
            }
            TestEntry::OneOf(values) => {
                let values: Vec<_> = values.iter().map(|value| resolver.literal_at(table, name, value, byte)).collect();
                let values: Option<Vec<String>> = values.into_iter().collect();
                column.zip(values).map(|(column, values)| Test::OneOf(column, values))
            }
            TestEntry::Null(entry) => column.map(|column| Test::Null(column, entry.null)),
        });
    }
    tests.into_iter().collect::<Option<_>>().map(Filter)
}

/// The row that a row belongs to: how it is found, and its tests.
fn check_parent(resolver: &mut Resolver<'_>, table: &Table, entry: &Spanned<ParentEntry>) -> Option<Parent> {
    let byte = entry.span().start;
    let entry = entry.get_ref();
    let above = resolver.table(&entry.table)?;
    if entry.on.is_empty() || entry.filter.is_empty() {
        let example = "parent = { table = \"leads\", on = { lead_id = \"id\" }, where = { status = \"open\" } }";
        resolver.fault(byte, format!("`parent` says how its row is found and what it must be like: {example}"));
        return None;
    }
    let mut on = Vec::new();
    for (name, target) in &entry.on {
        let points = resolver.column_at(table, name, target.span().start);
        let target = resolver.column(above, target);
        on.push(points.zip(target));
    }
    let filter = check_tests(resolver, above, &entry.filter);
    let on: Vec<(Column, Column)> = on.into_iter().collect::<Option<_>>()?;
    let targets: Vec<&str> = on.iter().map(|(_, target)| target.name.as_str()).collect();
    let sole = above.is_unique(&targets);
    Some(Parent { table: above.name.clone(), on, sole, filter: filter? })
}

fn check_disposition(
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
        Word::Transfer => {
            let touch = resolver.optional_column(table, entry.touch.as_ref());
            let required = entry.required.as_ref().is_none_or(|required| *required.get_ref());
            let on_conflict = check_on_conflict(resolver, table, entry);
            Some(Disposition::Transfer { required, eligible: eligible?, touch: touch?, on_conflict: on_conflict? })
        }
        Word::Detach => Some(Disposition::Detach { restore, with: check_children(resolver, table, entry, start)? }),
        Word::Set => Some(Disposition::Set { values: check_set(resolver, table, entry, start)?, restore }),
        Word::Purge => {
            let keep_copy = match &entry.keep_copy {
                None => Some(KEEP_COPY),
                Some(text) => humantime::parse_duration(text.get_ref())
                    .map_err(|error| {
                        resolver.fault(
                            text.span().start,
                            format!("`keep_copy` is a length of time such as \"30d\": {error}"),
                        )
                    })
                    .ok(),
            };
            let with = check_children(resolver, table, entry, start);
            Some(Disposition::Purge { keep_copy: keep_copy?, with: with? })
        }
        Word::Block => check_block(resolver, table, entry, eligible),
        Word::Keep => Some(Disposition::Keep),
    }
}

fn check_block(
    resolver: &mut Resolver<'_>,
    table: &Table,
    entry: &ReferenceEntry,
    eligible: Option<Option<Eligible>>,
) -> Option<Disposition> {
    let sole_in = resolver.optional_column(table, entry.sole_in.as_ref());
    let resolve = entry.resolve.as_ref().is_some_and(|resolve| *resolve.get_ref());
    let on_conflict = check_on_conflict(resolver, table, entry);
    if let Some(written) = entry.on_conflict.as_ref().filter(|_| !resolve) {
        resolver.fault(written.span().start, "`on_conflict` does nothing here: nothing moves without `resolve = true`");
    }
    let mend = entry.mend.as_ref().map(|mend| mend.get_ref().clone());
    Some(Disposition::Block { sole_in: sole_in?, resolve, eligible: eligible?, on_conflict: on_conflict?, mend })
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
            resolver.condition_of(users?, column, equals.as_ref(), listed.as_ref()).map(Eligible::Users)
        }
        _ => {
            let message = "`eligible` is { group = \"...\" }, { column = \"...\", equals = ... } or { column = \"...\", in = { ... } }";
            resolver.fault(byte, message);
            None
        }
    }
}

fn check_on_conflict(resolver: &mut Resolver<'_>, table: &Table, entry: &ReferenceEntry) -> Option<OnConflict> {
    let Some(written) = &entry.on_conflict else { return Some(OnConflict::Fail) };
    let byte = written.span().start;
    let mut occupied = occupied(table, entry.user.get_ref());
    let AddEntry { add } = match written.get_ref() {
        // Without an index that a plain look can ask, what is there already shows only when the database refuses.
        OnConflictEntry::Word(OnConflictWord::Drop) if occupied.is_empty() => return Some(OnConflict::Fail),
        OnConflictEntry::Word(OnConflictWord::Drop) => return Some(OnConflict::Drop(occupied)),
        OnConflictEntry::Add(add) => add,
    };
    let columns: Vec<_> = add.iter().map(|name| resolver.column_at(table, name, byte)).collect();
    let columns: Vec<Column> = columns.into_iter().collect::<Option<_>>()?;
    let adds_up = |column: &Column| matches!(column.family, Family::Integer { .. } | Family::Number);
    if columns.is_empty() || !columns.iter().all(adds_up) {
        resolver.fault(byte, "`on_conflict` adds up columns that hold numbers: { add = [\"percentage\"] }");
        return None;
    }
    match (occupied.pop(), occupied.is_empty()) {
        (Some(occupied), true) => Some(OnConflict::Add { occupied, columns }),
        _ => {
            let message = format!(
                "{} needs exactly one unique index over `{}`, which tells the row that is added to",
                table.name,
                entry.user.get_ref()
            );
            resolver.fault(byte, message);
            None
        }
    }
}

/// Unique indexes over the user column: where the successor has a row with the same other columns, theirs is the record.
fn occupied(table: &Table, user: &str) -> Vec<Occupied> {
    let over_user = table.uniques.iter().filter(|unique| unique.iter().any(|column| column == user));
    let others = |unique: &Vec<String>| unique.iter().filter(|column| *column != user).cloned().collect();
    let mut occupied: Vec<Occupied> = Vec::new();
    for other in over_user.map(|unique| Occupied(others(unique))) {
        // An engine may tell of one key twice: as such, and as the index behind it.
        if !occupied.contains(&other) {
            occupied.push(other);
        }
    }
    occupied
}

fn check_set(
    resolver: &mut Resolver<'_>,
    table: &Table,
    entry: &ReferenceEntry,
    start: usize,
) -> Option<Vec<(Column, SetValue)>> {
    let Some(set) = entry.set.as_ref().filter(|set| !set.get_ref().is_empty()) else {
        resolver.fault(start, "a `set` says what: set = { access = \"read_only\" }, or { frozen_at = { now = true } }");
        return None;
    };
    let mut values = Vec::new();
    for (name, value) in set.get_ref() {
        let byte = value.span().start;
        let column = resolver.column_at(table, name, byte);
        let value = match value.get_ref() {
            SetEntry::Value(value) => resolver.literal_at(table, name, value, byte).map(SetValue::Text),
            SetEntry::Now(NowEntry { now: true }) => Some(SetValue::Now),
            SetEntry::Now(NowEntry { now: false }) => {
                resolver.fault(byte, "`now` is true or absent");
                None
            }
        };
        values.push(column.zip(value));
    }
    values.into_iter().collect()
}

/// The tables that go with deleted rows. A foreign key that would delete or forget rows behind our back must be among them.
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
            columns: child.written_columns(),
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
                let fate = if key.on_delete == OnDelete::Cascade { "deletes" } else { "changes" };
                let message = format!(
                    "deleting from {} also {fate} rows of {} (foreign key on {}), unseen by the journal: add it to `with`",
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
