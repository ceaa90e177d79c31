//! Checks one reference: its table and columns, and its tests.

use toml::Spanned;

use super::conditions::{check_condition, check_optional_condition, check_tests};
use super::conflict::{indexes_over, moves_rows};
use super::disposition::check_disposition;
use super::key::check_key_of;
use super::resolve::Resolver;
use super::times::check_time_column;
use super::user_column::{UsersKey, check_user_column};
use crate::catalog::condition::When;
use crate::catalog::credentials::looks_like_credentials;
use crate::catalog::file::{DispositionName, ParentEntry, ReferenceEntry, WhenEntry};
use crate::catalog::filter::{Filter, Parent, Test};
use crate::catalog::reference::Reference;
use crate::catalog::relation::Fires;
use crate::catalog::schema::{Column, Family, ForeignKey, Spelling, Table};

/// Checks one `[[reference]]`.
pub fn check_reference(
    resolver: &mut Resolver<'_>,
    users: Option<&Table>,
    users_key: Option<UsersKey<'_>>,
    has_groups: bool,
    entry: &Spanned<ReferenceEntry>,
) -> Option<Reference> {
    let start = entry.span().start;
    let entry = entry.get_ref();
    check_kind(resolver, entry);
    refuse_idle_fields(resolver, entry);
    let table = resolver.table(&entry.table)?;
    let user = check_user_column(resolver, table, &entry.user, users_key);
    if moves_rows(entry) {
        resolver.refuse_generated(table, entry.user.get_ref(), entry.user.span().start);
    }
    if let Some(written) = &entry.version_column {
        resolver.refuse_generated(table, written.get_ref(), written.span().start);
    }
    let key = check_key_of(resolver, table, entry, start);
    let filter = check_filter(resolver, table, entry);
    let when = users.and_then(|users| check_when(resolver, users, entry.when.as_ref()));
    let org = resolver.optional_column(table, entry.org.as_ref());
    let version_column = check_version_column(resolver, table, entry);
    let created = check_created(resolver, table, entry);
    let disposition = check_disposition(resolver, users, has_groups, table, entry, start);
    // A user is the last of a group when the guard is evaluated, so their rows are handed over then.
    let is_handed_over_at_once = entry.sole_in.is_some();
    if let Some(column) = &user {
        warn_of_scans(resolver, table, entry, column);
    }
    let (key, keyless) = key?;
    let has_ordered_index = table.has_ordered_index(entry.user.get_ref(), &key);
    Some(Reference {
        position: 0,
        kind: entry.kind.get_ref().clone(),
        table: table.name.clone(),
        key,
        keyless,
        user: user?,
        has_ordered_index,
        org: org?,
        within: None,
        unique_indexes: indexes_over(table, entry.user.get_ref()),
        columns: table.written_columns().map(Column::from).collect(),
        deferrable: table.deferrable_keys(),
        secured_parents: secured_parents(resolver, table),
        other_user: None,
        filter: filter?,
        claimed: Vec::new(),
        when: when?,
        at_start: entry.at.is_some() || is_handed_over_at_once,
        of_users: users.is_some_and(|users| users.name == table.name),
        version_column: version_column?,
        created: created?,
        own_row: false,
        secret: check_secret(resolver, table, entry),
        fires: Fires::default(),
        disposition: disposition?,
    })
}

/// Returns true if the rows are credentials. Asks for the mark where they look like it.
fn check_secret(resolver: &mut Resolver<'_>, table: &Table, entry: &ReferenceEntry) -> bool {
    let is_removed = matches!(entry.disposition.get_ref(), DispositionName::Detach | DispositionName::Purge);
    let Some(secret) = &entry.secret else {
        if is_removed && looks_like_credentials(table) {
            let message = format!(
                "{} looks like credentials, and removed rows are kept for an undo: `secret = true` removes them without a copy, \
                 and `secret = false` says that they are none",
                table.name
            );
            resolver.warn(entry.table.span().start, message);
        }
        return false;
    };
    let is_secret = *secret.get_ref();
    let restores = entry.restore.as_ref().is_some_and(|restore| *restore.get_ref());
    if is_secret && (restores || entry.keep_copy.is_some()) {
        let message =
            "rows with `secret = true` are removed without a copy: `restore` and `keep_copy` are not possible";
        resolver.fault(secret.span().start, message);
    }
    is_secret
}

/// Checks the column that holds when a row was created.
fn check_created(resolver: &mut Resolver<'_>, table: &Table, entry: &ReferenceEntry) -> Option<Option<Column>> {
    let Some(created) = &entry.created else { return Some(None) };
    let (name, unit) = created.get_ref().parts();
    check_time_column(resolver, table, name, unit, created.span().start).map(Some)
}

/// Returns the foreign keys of a table that point at tables with row-level security.
fn secured_parents(resolver: &Resolver<'_>, table: &Table) -> Vec<ForeignKey> {
    let is_secured = |key: &&ForeignKey| {
        resolver.schema.named(&key.table).is_some_and(|parent| parent.policies.are_enabled || parent.row_security)
    };
    table.foreign_keys.iter().filter(is_secured).cloned().collect()
}

/// Warns if no index finds a user's rows, and says which one would.
fn warn_of_scans(resolver: &mut Resolver<'_>, table: &Table, entry: &ReferenceEntry, user: &Column) {
    let scans = format!("each step scans all of {}", table.name);
    let key = entry.key.iter().flat_map(|key| key.get_ref().names()).filter(|key| **key != user.name);
    let columns: Vec<&str> = std::iter::once(&user.name).chain(key).map(String::as_str).collect();
    let columns = columns.join(", ");
    let message = match (user.spelling, user.family) {
        (Spelling::One, _) if table.has_index_on(&user.name) => return,
        // An index refuses a text of some thousand bytes, so that the host could not insert it any more.
        (Spelling::One, Family::Text) => format!(
            "no index leads with `{}`: {scans}; create one on ({columns}), unless the column also holds long texts",
            user.name
        ),
        (Spelling::One, _) => format!("no index leads with `{}`: {scans}; create one on ({columns})", user.name),
        (Spelling::AnyCase | Spelling::Uuid | Spelling::LeadingZeros, _) => format!(
            "`{}` may write an id in several ways, which no ordinary index finds: {scans}, unless an index serves its `where`",
            user.name
        ),
    };
    resolver.warn(entry.user.span().start, message);
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
        Some(column) => check_condition(resolver, users, column, equals.as_ref(), listed.as_ref()).map(Some),
        None => Some(None),
    };
    let requester = check_optional_condition(resolver, users, requester.as_ref());
    let also = also.as_ref().map(|also| also.get_ref().clone());
    let when = When { leaver: leaver?, requester: requester?, bulk: *bulk, also };
    let dangles = column.is_none() && (equals.is_some() || listed.is_some());
    if when.is_always() || dangles {
        let message = "`when` is { column = \"...\", equals = ... }, \
                       { requester = { ... } }, { bulk = true }, { also = \"...\" }, or several of them";
        resolver.fault(entry.span().start, message);
        return None;
    }
    Some(when)
}

/// Adds a fault for each field that has no effect with the reference's disposition.
fn refuse_idle_fields(resolver: &mut Resolver<'_>, entry: &ReferenceEntry) {
    use DispositionName::{Block, Detach, Purge, Set, Transfer};
    let name = *entry.disposition.get_ref();
    let fields = [
        ("at", entry.at.as_ref().map(Spanned::span), &[Detach, Set, Purge][..]),
        ("required", entry.required.as_ref().map(Spanned::span), &[Transfer][..]),
        ("eligible", entry.eligible.as_ref().map(Spanned::span), &[Transfer, Block][..]),
        ("on_conflict", entry.on_conflict.as_ref().map(Spanned::span), &[Transfer, Block][..]),
        ("touch", entry.touch.as_ref().map(Spanned::span), &[Transfer][..]),
        ("created", entry.created.as_ref().map(Spanned::span), &[Transfer, Block, Set][..]),
        ("version_column", entry.version_column.as_ref().map(Spanned::span), &[Transfer, Set][..]),
        ("sole_in", entry.sole_in.as_ref().map(Spanned::span), &[Block][..]),
        ("resolve", entry.resolve.as_ref().map(Spanned::span), &[Block][..]),
        ("hint", entry.hint.as_ref().map(Spanned::span), &[Block][..]),
        ("restore", entry.restore.as_ref().map(Spanned::span), &[Detach, Set][..]),
        ("secret", entry.secret.as_ref().map(Spanned::span), &[Detach, Purge][..]),
        ("set", entry.set.as_ref().map(Spanned::span), &[Set][..]),
        ("keep_copy", entry.keep_copy.as_ref().map(Spanned::span), &[Purge][..]),
        ("with", entry.with.first().map(Spanned::span), &[Detach, Purge, Transfer, Block][..]),
    ];
    for (field, span, names) in fields {
        if let Some(span) = span
            && !names.contains(&name)
        {
            let with: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            let message = format!("`{field}` is not valid with `{name}`; it applies to {}", with.join(" and "));
            resolver.fault(span.start, message);
        }
    }
}

fn check_version_column(resolver: &mut Resolver<'_>, table: &Table, entry: &ReferenceEntry) -> Option<Option<Column>> {
    let version_column = resolver.optional_column(table, entry.version_column.as_ref())?;
    match (&version_column, &entry.version_column) {
        (Some(column), Some(name)) if !matches!(column.family, Family::Integer { .. } | Family::Number) => {
            resolver.fault(
                name.span().start,
                format!("`version_column` needs a column of numbers, and `{}` holds none", column.name),
            );
            None
        }
        (Some(_), Some(_)) | (Some(_), None) | (None, _) => Some(version_column),
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

/// Checks the parent of a row: the columns that find it, and its tests.
fn check_parent(resolver: &mut Resolver<'_>, table: &Table, entry: &Spanned<ParentEntry>) -> Option<Parent> {
    let byte = entry.span().start;
    let entry = entry.get_ref();
    let above = resolver.table(&entry.table)?;
    if entry.on.is_empty() || entry.filter.is_empty() {
        let example = "parent = { table = \"leads\", on = { lead_id = \"id\" }, where = { status = \"open\" } }";
        resolver.fault(
            byte,
            format!("`parent` needs the columns that find its row (`on`) and tests of it (`where`): {example}"),
        );
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
