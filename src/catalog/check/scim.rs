//! Checks `[scim]`.

use super::conditions::check_optional_condition;
use super::resolve::{Resolver, if_written};
use super::user_column::{UsersKey, check_optional_user_column};
use crate::catalog::file::{Name, ScimEntry, UsersEntry};
use crate::catalog::schema::{Column, Family, IndexValue, Table};
use crate::catalog::scim::{NameColumns, Scim};

/// Checks `[scim]`. `names_inviter`: an invitation has a column for the user who invites.
pub fn check_scim(
    resolver: &mut Resolver<'_>,
    table: &Table,
    key: Option<UsersKey<'_>>,
    users: &UsersEntry,
    entry: &ScimEntry,
    names_inviter: bool,
) -> Option<Scim> {
    let user_name = check_text(resolver, table, &entry.user_name);
    let ignores_case = table.column(entry.user_name.get_ref()).is_some_and(|column| column.ignores_case);
    warn_of_slow_lookup(resolver, table, users, entry);
    let name = check_name(resolver, table, users, entry);
    let email = check_text(resolver, table, entry.email.as_ref().unwrap_or(&users.email));
    let [title, external_id] = [&entry.title, &entry.external_id]
        .map(|written| if_written(written.as_ref(), |written| check_text(resolver, table, written)));
    if let Some(written) = &entry.manager {
        resolver.refuse_generated(table, written.get_ref(), written.span().start);
    }
    let manager = check_optional_user_column(resolver, table, entry.manager.as_ref(), key);
    let create = entry.create.as_ref().filter(|create| *create.get_ref());
    if let Some(create) = create.filter(|_| users.status.invited.is_none()) {
        let message = "`create` invites users, but [users] has no status for them: set `invited` of its `status`, or `create = false`";
        resolver.fault(create.span().start, message);
    }
    if let Some(create) = create.filter(|_| names_inviter) {
        let message = "`create` invites users for an identity provider, which is no user: leave out `invited_by` of [invitations], or set `create = false`";
        resolver.fault(create.span().start, message);
    }
    let protected = check_optional_condition(resolver, table, entry.protected.as_ref());
    Some(Scim {
        user_name: user_name?,
        ignores_case,
        name: name?,
        email: email?,
        title: title?,
        manager: manager?,
        external_id: external_id?,
        create: create.is_some(),
        protected: protected?,
    })
}

fn check_name(
    resolver: &mut Resolver<'_>,
    table: &Table,
    users: &UsersEntry,
    entry: &ScimEntry,
) -> Option<NameColumns> {
    match (&entry.given_name, &entry.family_name) {
        (Some(given), Some(family)) => {
            let (given, family) = (check_text(resolver, table, given), check_text(resolver, table, family));
            Some(NameColumns::Parts { given: given?, family: family? })
        }
        (None, None) => Some(NameColumns::Whole(check_text(resolver, table, &users.name)?)),
        (Some(written), None) | (None, Some(written)) => {
            let message = "`given_name` and `family_name` belong together: name both, or neither if one column has the whole name";
            resolver.fault(written.span().start, message);
            None
        }
    }
}

/// Returns a column of texts that can be written, or adds a fault.
fn check_text(resolver: &mut Resolver<'_>, table: &Table, written: &Name) -> Option<Column> {
    let column = resolver.column(table, written)?;
    resolver.refuse_generated(table, written.get_ref(), written.span().start);
    match column.family {
        Family::Text | Family::Any => Some(column),
        Family::Integer { .. }
        | Family::Number
        | Family::Boolean
        | Family::Uuid
        | Family::Time
        | Family::Other
        | Family::Opaque => {
            let held = column.family.describe();
            let message =
                format!("the column `{}` of {} holds {held}: [scim] needs a column of texts", column.name, table.name);
            resolver.fault(written.span().start, message);
            None
        }
    }
}

/// Warns if each lookup of a user name would read the whole table. Providers look up every user, again and again, and compare
/// in lower case: an index on the organization bounds the work, and one on the name serves it alone where the column ignores case.
fn warn_of_slow_lookup(resolver: &mut Resolver<'_>, table: &Table, users: &UsersEntry, entry: &ScimEntry) {
    let written = entry.user_name.get_ref();
    let Some(column) = table.column(written) else { return };
    let in_lower_case = table.unique_indexes.iter().any(|index| {
        index.condition.is_none()
            && index.parts.iter().any(|part| match &part.value {
                IndexValue::Expression(text) => text.to_lowercase().replace(['(', ')', '"'], " ").contains("lower "),
                IndexValue::Column(_) => false,
            })
            && index.mentioned.contains(written)
    });
    let by_org = users.org.as_ref().is_some_and(|org| table.has_index_on(org.get_ref()));
    if in_lower_case || by_org || (column.ignores_case && table.has_index_on(written)) {
        return;
    }
    let message = format!(
        "no index serves the lookup of `{written}`, which providers repeat for every user: add one, \
         CREATE UNIQUE INDEX ON {} (lower({written}))",
        table.name
    );
    resolver.warn(entry.user_name.span().start, message);
}
