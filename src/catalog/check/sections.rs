//! Checks the sections of a catalog: users, license, invitations, groups, session and scan.

use toml::Spanned;

use super::conditions::{check_condition, check_optional_condition};
use super::key::check_key;
use super::resolve::Resolver;
use super::times::check_time_column;
use super::user_column::{UsersKey, check_optional_user_column, check_user_column, check_users_key, spelling_of_key};
use super::values::{check_literal, check_new_value, form_by, typed_by};
use crate::catalog::condition::Permission;
use crate::catalog::disposition::SetValue;
use crate::catalog::file::{
    AnyOf, GroupsEntry, InvitationStatusEntry, InvitationsEntry, LicenseEntry, Name, PermissionEntry, Scalar,
    ScanEntry, SessionEntry, SetEntry, StatusEntry, UsersEntry,
};
use crate::catalog::model::{Groups, InvitationStatus, Invitations, License, Status, Users};
use crate::catalog::schema::{Column, Family, SchemaColumn, Spelling, Table, TableName};

/// Checks `[users]`.
pub fn check_users(resolver: &mut Resolver<'_>, table: &Table, entry: &UsersEntry) -> Option<Users> {
    let key = resolver.column(table, &entry.key);
    let found = table.column(entry.key.get_ref()).map(|column| UsersKey { table, column });
    if let Some(found) = found {
        check_users_key(resolver, found, &entry.key);
    }
    let spelling = found.map_or(Spelling::One, |key| spelling_of_key(key.column, resolver.schema.traits));
    let org = resolver.optional_column(table, entry.org.as_ref());
    let written = entry.key.get_ref().as_str();
    let per_org = !table.is_unique(&[written]);
    let with_org = entry.org.as_ref().is_some_and(|org| table.is_unique(&[written, org.get_ref()]));
    if key.is_some() && per_org && !with_org {
        let message = format!("`{written}` is not unique in {}, neither alone nor together with `org`", table.name);
        resolver.fault(entry.key.span().start, message);
    }
    let name = resolver.column(table, &entry.name);
    let email = resolver.column(table, &entry.email);
    let manager = check_optional_user_column(resolver, table, entry.manager.as_ref(), found);
    let status = check_status(resolver, table, entry);
    let required: Vec<_> = entry.required.iter().map(|name| resolver.column(table, name)).collect();
    let new: Vec<_> = (entry.new.iter())
        .map(|(name, value)| {
            let byte = value.span().start;
            let column = resolver.column_at(table, name, byte);
            let column = column.and_then(|column| typed_by(resolver, column, [value.get_ref()], byte));
            let value = check_literal(resolver, table, name, value);
            column.zip(value)
        })
        .collect();
    let may: Vec<_> = entry.may.iter().map(|(kind, any)| Some((*kind, check_may(resolver, table, any)?))).collect();
    Some(Users {
        table: table.name.clone(),
        key: key?,
        spelling,
        org: org?,
        per_org,
        within: None,
        name: name?,
        email: email?,
        manager: manager?,
        status: status?,
        required: required.into_iter().collect::<Option<_>>()?,
        new: new.into_iter().collect::<Option<_>>()?,
        may: may.into_iter().collect::<Option<_>>()?,
    })
}

/// Checks every alternative, so that all faults are reported.
fn check_may(resolver: &mut Resolver<'_>, users: &Table, any: &AnyOf<PermissionEntry>) -> Option<Vec<Permission>> {
    let permissions: Vec<_> = (any.0.iter())
        .map(|entry| {
            let requester =
                check_condition(resolver, users, &entry.column, entry.equals.as_ref(), entry.listed.as_ref());
            let of = check_optional_condition(resolver, users, entry.of.as_ref());
            Some(Permission { requester: requester?, of: of? })
        })
        .collect();
    permissions.into_iter().collect()
}

fn check_status(resolver: &mut Resolver<'_>, table: &Table, entry: &UsersEntry) -> Option<Status> {
    let StatusEntry { column: written, active, inactive, invited } = &entry.status;
    let (name, byte) = (written.get_ref(), written.span().start);
    let literals = [active, inactive].into_iter().filter_map(|value| match value.get_ref() {
        SetEntry::Value(value) => Some(value),
        SetEntry::Null(_) | SetEntry::Now(_) => None,
    });
    let literals: Vec<&Scalar> = literals.chain(invited.as_ref().map(Spanned::get_ref)).collect();
    let column = resolver.column(table, written);
    resolver.refuse_generated(table, name, byte);
    let mut column = match literals.is_empty() {
        true => column,
        false => column.and_then(|column| typed_by(resolver, column, literals, byte)),
    };
    for value in [active, inactive] {
        if matches!(value.get_ref(), SetEntry::Now(_)) {
            let byte = value.span().start;
            column = column.and_then(|column| form_by(resolver, table, column, value.get_ref(), byte));
        }
    }
    let mut new_value =
        |value: &Spanned<SetEntry>| check_new_value(resolver, table, name, value.get_ref(), value.span().start);
    let (active, inactive) = (new_value(active), new_value(inactive));
    let invited = invited.as_ref().map(|value| check_literal(resolver, table, name, value).map(SetValue::Text));
    let texts = active.iter().chain(&inactive).filter_map(|value| match value {
        SetValue::Text(text) => Some(text),
        SetValue::Null | SetValue::Now => None,
    });
    resolver.expect_values(table, column.as_ref(), texts, byte);
    if active.is_some() && active == inactive {
        resolver.fault(byte, "`active` and `inactive` are the same value");
    }
    Some(Status {
        column: column?,
        active: active?,
        inactive: inactive?,
        invited: invited.map_or(Some(None), |value| value.map(Some))?,
    })
}

/// Checks `[license]`.
pub fn check_license(
    resolver: &mut Resolver<'_>,
    users: Option<&Table>,
    users_key: Option<UsersKey<'_>>,
    entry: &LicenseEntry,
) -> Option<License> {
    let table = resolver.table(&entry.table)?;
    let user = check_user_column(resolver, table, &entry.user, users_key);
    resolver.refuse_generated(table, entry.user.get_ref(), entry.user.span().start);
    let free = entry.free.as_ref().map(|free| check_literal(resolver, table, entry.user.get_ref(), free));
    let free = free.map_or(Some(None), |free| free.map(Some));
    if entry.free.is_none() && table.column(entry.user.get_ref()).is_some_and(|column| !column.nullable) {
        let message = format!(
            "`{}` of {} cannot be NULL, so a license cannot be freed: set `free` to the value of a free license",
            entry.user.get_ref(),
            table.name
        );
        resolver.fault(entry.user.span().start, message);
    }
    let key = match &entry.key {
        Some(key) => check_key(resolver, table, key),
        None => default_key(resolver, table, &entry.table),
    };
    let org = resolver.optional_column(table, entry.org.as_ref());
    let of = resolver.optional_column(table, entry.of.as_ref());
    let exempt = check_optional_condition(resolver, users?, entry.exempt.as_ref());
    Some(License {
        table: table.name.clone(),
        key: key?,
        org: org?,
        user: user?,
        of: of?,
        free: free?,
        exempt: exempt?,
        within: None,
    })
}

/// Returns the primary key, or else the first unique index whose columns are never NULL.
fn default_key(resolver: &mut Resolver<'_>, table: &Table, written: &Name) -> Option<Vec<Column>> {
    let is_fit = |column: &SchemaColumn| !column.nullable && column.family != Family::Any;
    let never_null = |name: &String| table.column(name).is_some_and(is_fit);
    match table.uniques.iter().find(|unique| unique.iter().all(never_null)) {
        Some(unique) => unique.iter().map(|name| resolver.column_at(table, name, written.span().start)).collect(),
        None => {
            let message = format!("{} has no primary key: name unique columns, key = [\"...\"]", table.name);
            resolver.fault(written.span().start, message);
            None
        }
    }
}

/// Checks `[invitations]`.
pub fn check_invitations(
    resolver: &mut Resolver<'_>,
    users_key: Option<UsersKey<'_>>,
    entry: &InvitationsEntry,
) -> Option<Invitations> {
    let table = resolver.table(&entry.table)?;
    let key = resolver.column(table, &entry.key);
    let user = check_user_column(resolver, table, &entry.user, users_key);
    let invited_by = check_optional_user_column(resolver, table, entry.invited_by.as_ref(), users_key);
    let [email, org] = [&entry.email, &entry.org].map(|name| resolver.optional_column(table, name.as_ref()));
    let [sent_at, answered_at] = [&entry.sent_at, &entry.answered_at].map(|name| match name {
        Some(name) => check_time_column(resolver, table, name.get_ref(), None, name.span().start).map(Some),
        None => Some(None),
    });
    let status = entry.status.as_ref().map(|status| check_invitation_status(resolver, table, status));
    Some(Invitations {
        table: table.name.clone(),
        key: key?,
        user: user?,
        invited_by: invited_by?,
        email: email?,
        org: org?,
        sent_at: sent_at?,
        answered_at: answered_at?,
        status: status.map_or(Some(None), |status| status.map(Some))?,
    })
}

fn check_invitation_status(
    resolver: &mut Resolver<'_>,
    table: &Table,
    entry: &InvitationStatusEntry,
) -> Option<InvitationStatus> {
    let column = resolver.column(table, &entry.column);
    let values = [&entry.open, &entry.accepted, &entry.cancelled].map(Spanned::get_ref);
    let column = column.and_then(|column| typed_by(resolver, column, values, entry.column.span().start));
    let mut word = |value| check_literal(resolver, table, entry.column.get_ref(), value);
    let (open, accepted, cancelled) = (word(&entry.open), word(&entry.accepted), word(&entry.cancelled));
    Some(InvitationStatus { column: column?, open: open?, accepted: accepted?, cancelled: cancelled? })
}

/// Checks `[groups]`.
pub fn check_groups(
    resolver: &mut Resolver<'_>,
    users_key: Option<UsersKey<'_>>,
    entry: &GroupsEntry,
) -> Option<Groups> {
    let table = resolver.table(&entry.table)?;
    let group = resolver.column(table, &entry.group);
    let user = check_user_column(resolver, table, &entry.user, users_key);
    let org = resolver.optional_column(table, entry.org.as_ref())?;
    Some(Groups { table: table.name.clone(), group: group?, user: user?, org, within: None })
}

/// Returns the columns that a scan ignores, each by its table and its name.
pub fn check_scan(resolver: &mut Resolver<'_>, entry: &ScanEntry) -> Vec<(TableName, String)> {
    let mut ignored = Vec::new();
    for written in &entry.ignore {
        let (name, byte) = (written.get_ref(), written.span().start);
        let Some((table, column)) = name.rsplit_once('.') else {
            resolver.fault(byte, format!("`{name}` has no table: write `table.column`"));
            continue;
        };
        let Some(table) = resolver.schema.table(table) else {
            resolver.fault(byte, format!("the database has no table `{table}`"));
            continue;
        };
        if let Some(column) = resolver.column_at(table, column, byte) {
            ignored.push((table.name.clone(), column.name));
        }
    }
    ignored
}

/// Returns the first name in braces that is not replaced. JSON has braces too, with quotes after them.
fn unknown_placeholder(value: &str) -> Option<&str> {
    let mut rest = value;
    while let Some(start) = rest.find('{') {
        let length = rest[start + 1..].bytes().take_while(|c| c.is_ascii_alphanumeric() || *c == b'_').count();
        let end = start + 1 + length;
        if length > 0 && rest[end..].starts_with('}') && &rest[start..=end] != "{org}" {
            return Some(&rest[start..=end]);
        }
        rest = &rest[start + 1..];
    }
    None
}

/// Checks `[session]`.
pub fn check_session(resolver: &mut Resolver<'_>, users: &UsersEntry, entry: &SessionEntry) -> Vec<(String, String)> {
    for (name, value) in &entry.settings {
        let byte = value.span().start;
        if !resolver.schema.traits.has_session_settings {
            resolver.fault(
                byte,
                "the database has no settings of a transaction and no row-level security: remove [session]",
            );
        } else if !name.contains('.') {
            // A name without a dot is a setting of the database itself.
            resolver.fault(
                byte,
                format!("`{name}` is not a setting of an application: such a name has a dot, as \"app.org_id\" has"),
            );
        }
        if let Some(unknown) = unknown_placeholder(value.get_ref()) {
            let message = format!("`{unknown}` is not known: only `{{org}}`, the organization, is replaced");
            resolver.fault(byte, message);
        }
        if value.get_ref().contains("{org}") && users.org.is_none() {
            resolver.fault(byte, "`{org}` is the organization, but [users] has no column `org`");
        }
    }
    entry.settings.iter().map(|(name, value)| (name.clone(), value.get_ref().clone())).collect()
}
