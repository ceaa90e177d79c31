//! Brings a catalog's text and the live schema together: a [`Catalog`], or every fault at once.

mod reference;
mod resolve;

use std::collections::HashSet;
use std::fmt::Write;

use serde::Deserialize;
use sha2::{Digest, Sha256};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use self::reference::{check_key, check_reference};
use self::resolve::Resolver;
use super::condition::{Condition, Permission, SomeUsers};
use super::fault::{Fault, Faults, line_of};
use super::file::{
    AnyOf, ConditionEntry, GroupsEntry, InvitationStatusEntry, InvitationsEntry, LicenseEntry, Name, PermissionEntry,
    ReferenceEntry, SessionEntry, UsersEntry,
};
use super::model::{
    Catalog, Column, Disposition, Groups, InvitationStatus, Invitations, License, Reference, Status, Taken, Users,
};
use super::schema::{Engine, Schema, Table};

/// A catalog that holds, with what is worth a warning.
#[derive(Debug)]
pub struct Checked {
    /// The catalog.
    pub catalog: Catalog,
    /// What does not stop it and may still be wrong: a missing index, rows that no reference covers.
    pub warnings: Vec<Fault>,
}

/// Checks a catalog's text against the live schema. All faults are reported at once, each with its line.
pub fn check(name: &str, source: &str, schema: &Schema) -> Result<Checked, Faults> {
    let mut resolver = Resolver::new(source, schema);
    let catalog = read(&mut resolver, name, source);
    let (mut faults, mut warnings) = resolver.into_findings();
    faults.sort();
    warnings.sort();
    match catalog {
        Some(catalog) if faults.is_empty() => Ok(Checked { catalog, warnings }),
        _ => Err(Faults { catalog: name.into(), faults }),
    }
}

/// The parts of the file that could be read at all.
#[derive(Default)]
struct Entries {
    users: Option<UsersEntry>,
    license: Option<LicenseEntry>,
    invitations: Option<InvitationsEntry>,
    groups: Option<GroupsEntry>,
    session: Option<SessionEntry>,
    references: Vec<Spanned<ReferenceEntry>>,
}

fn read(resolver: &mut Resolver<'_>, name: &str, source: &str) -> Option<Catalog> {
    let entries = read_entries(resolver, source)?;
    // Without the users nothing else can be checked; what was found so far is reported.
    let users_entry = entries.users?;
    resolver.has_session = entries.session.is_some();
    let session = entries.session.as_ref().map_or(Vec::new(), |entry| check_session(resolver, &users_entry, entry));
    let users_table = resolver.table(&users_entry.table);
    let users = users_table.and_then(|table| check_users(resolver, table, &users_entry));
    let license = entries.license.as_ref().map(|entry| check_license(resolver, users_table, entry));
    let invitations = entries.invitations.as_ref().map(|entry| check_invitations(resolver, entry));
    let groups = entries.groups.as_ref().map(|entry| check_groups(resolver, entry));
    let has_groups = groups.is_some();
    let mut kinds = HashSet::new();
    let mut references = Vec::new();
    for entry in &entries.references {
        let kind = entry.get_ref().kind.get_ref();
        if !kinds.insert(kind.clone()) {
            resolver
                .fault(entry.span().start, format!("the kind `{kind}` is there twice: give one of them another name"));
        }
        references.push(check_reference(resolver, users_table, has_groups, entry));
    }
    let mut references: Vec<Reference> = references.into_iter().collect::<Option<_>>()?;
    let users = users?;
    // A seat may belong to an organization though users are known without it.
    let seats = entries.license.as_ref().filter(|_| users.per_org);
    let sections = [
        seats.map(|entry| (entry.table.span().start, "[license]".to_owned(), entry.org.is_some())),
        entries.groups.as_ref().map(|entry| (entry.table.span().start, "[groups]".to_owned(), entry.org.is_some())),
    ];
    let kinds = entries.references.iter().map(|entry| {
        let (byte, entry) = (entry.span().start, entry.get_ref());
        (byte, format!("the reference `{}`", entry.kind.get_ref()), entry.org.is_some())
    });
    check_orgs(resolver, &users, sections.into_iter().flatten().chain(kinds));
    settle_own_rows(resolver, &entries.references, &mut references, &users);
    settle_overlaps(&mut references, &users);
    settle_pairs(&mut references);
    refuse_doubtful_overlaps(resolver, &references);
    warn_of_uncovered(resolver, &references);
    Some(Catalog {
        name: name.into(),
        hash: hash_of(source),
        source: source.into(),
        users,
        license: license.map_or(Some(None), |license| license.map(Some))?,
        invitations: invitations.map_or(Some(None), |invitations| invitations.map(Some))?,
        groups: groups.map_or(Some(None), |groups| groups.map(Some))?,
        references,
        session,
    })
}

/// SHA-256 of a catalog's text, in hexadecimal.
fn hash_of(source: &str) -> String {
    Sha256::digest(source).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn read_entries(resolver: &mut Resolver<'_>, source: &str) -> Option<Entries> {
    let (document, errors) = DeTable::parse_recoverable(source);
    for error in &errors {
        resolver.fault(error.span().map_or(0, |span| span.start), error.message());
    }
    if !errors.is_empty() {
        return None;
    }
    report_missing(resolver, document.get_ref());
    let mut entries = Entries::default();
    for (key, value) in document.into_inner() {
        match key.get_ref().as_ref() {
            "users" => entries.users = read_section(resolver, value),
            "license" => entries.license = read_section(resolver, value),
            "invitations" => entries.invitations = read_section(resolver, value),
            "groups" => entries.groups = read_section(resolver, value),
            "session" => entries.session = read_section(resolver, value),
            "reference" => entries.references = read_references(resolver, value),
            other => {
                let message = format!(
                    "unknown section `{other}`: a catalog has [users], [license], [invitations], [groups], [session] and [[reference]]"
                );
                resolver.fault(key.span().start, message);
            }
        }
    }
    Some(entries)
}

/// What is there and cannot be read has a fault of its own.
fn report_missing(resolver: &mut Resolver<'_>, document: &DeTable<'_>) {
    if !document.contains_key("users") {
        resolver.fault(0, "[users] is missing: it names the users' table, its key and its status");
    }
    let references = document.get("reference").map(Spanned::get_ref);
    if references.is_none_or(|references| references.as_array().is_some_and(|array| array.is_empty())) {
        resolver.fault(0, "there is no [[reference]]: `handover catalog scan` lists what points at the users");
    }
}

fn read_references<'de>(resolver: &mut Resolver<'_>, value: Spanned<DeValue<'de>>) -> Vec<Spanned<ReferenceEntry>> {
    let span = value.span();
    let DeValue::Array(items) = value.into_inner() else {
        resolver.fault(span.start, "references are written as [[reference]], with two brackets");
        return Vec::new();
    };
    let read_one = |item: Spanned<DeValue<'de>>| {
        let span = item.span();
        Some(Spanned::new(span, read_section(resolver, item)?))
    };
    items.into_iter().filter_map(read_one).collect()
}

fn read_section<'de, T: Deserialize<'de>>(resolver: &mut Resolver<'_>, value: Spanned<DeValue<'de>>) -> Option<T> {
    use serde::de::IntoDeserializer;
    let start = value.span().start;
    let deserializer: toml::de::ValueDeserializer<'de> = value.into_deserializer();
    T::deserialize(deserializer)
        .map_err(|error| resolver.fault(error.span().map_or(start, |span| span.start), error.message()))
        .ok()
}

fn check_users(resolver: &mut Resolver<'_>, table: &Table, entry: &UsersEntry) -> Option<Users> {
    let key = resolver.column(table, &entry.key);
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
    let manager = resolver.optional_column(table, entry.manager.as_ref());
    let status = check_status(resolver, table, entry);
    let required: Vec<_> = entry.required.iter().map(|name| resolver.column(table, name)).collect();
    let new: Vec<_> = (entry.new.iter())
        .map(|(name, value)| {
            let column = resolver.column_at(table, name, value.span().start);
            let value = resolver.literal(table, name, value);
            column.zip(value)
        })
        .collect();
    let may: Vec<_> = entry.may.iter().map(|(kind, any)| Some((*kind, check_may(resolver, table, any)?))).collect();
    Some(Users {
        table: table.name.clone(),
        key: key?,
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

/// Every alternative is looked at, so that all faults are told.
fn check_may(resolver: &mut Resolver<'_>, users: &Table, any: &AnyOf<PermissionEntry>) -> Option<Vec<Permission>> {
    let permissions: Vec<_> = (any.0.iter())
        .map(|entry| {
            let requester = resolver.condition_of(users, &entry.column, entry.equals.as_ref(), entry.listed.as_ref());
            let of = optional_condition(resolver, users, entry.of.as_ref());
            Some(Permission { requester: requester?, of: of? })
        })
        .collect();
    permissions.into_iter().collect()
}

fn check_status(resolver: &mut Resolver<'_>, table: &Table, entry: &UsersEntry) -> Option<Status> {
    let column = resolver.column(table, &entry.status.column);
    let written = &entry.status.column;
    let active = resolver.literal(table, written.get_ref(), &entry.status.active);
    let inactive = resolver.literal(table, written.get_ref(), &entry.status.inactive);
    let invited = entry.status.invited.as_ref().map(|value| resolver.literal(table, written.get_ref(), value));
    if active.is_some() && active == inactive {
        resolver.fault(written.span().start, "`active` and `inactive` are the same value");
    }
    Some(Status {
        column: column?,
        active: active?,
        inactive: inactive?,
        invited: invited.map_or(Some(None), |value| value.map(Some))?,
    })
}

fn check_license(resolver: &mut Resolver<'_>, users: Option<&Table>, entry: &LicenseEntry) -> Option<License> {
    let table = resolver.table(&entry.table)?;
    let user = resolver.column(table, &entry.user);
    let free = entry.free.as_ref().map(|free| resolver.literal(table, entry.user.get_ref(), free));
    let free = free.map_or(Some(None), |free| free.map(Some));
    if entry.free.is_none() && table.column(entry.user.get_ref()).is_some_and(|column| !column.nullable) {
        let message = format!(
            "`{}` of {} may not be NULL, so a license cannot be freed: say with `free` what it holds when nobody has it",
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
    let exempt = optional_condition(resolver, users?, entry.exempt.as_ref());
    Some(License {
        table: table.name.clone(),
        key: key?,
        org: org?,
        user: user?,
        free: free?,
        exempt: exempt?,
        within: None,
    })
}

/// The primary key, or else the first unique index whose columns are never NULL.
fn default_key(resolver: &mut Resolver<'_>, table: &Table, written: &Name) -> Option<Vec<Column>> {
    let never_null = |name: &String| table.column(name).is_some_and(|column| !column.nullable);
    match table.uniques.iter().find(|unique| unique.iter().all(never_null)) {
        Some(unique) => unique.iter().map(|name| resolver.column_at(table, name, written.span().start)).collect(),
        None => {
            let message = format!("{} has no primary key: name unique columns, key = [\"...\"]", table.name);
            resolver.fault(written.span().start, message);
            None
        }
    }
}

fn check_invitations(resolver: &mut Resolver<'_>, entry: &InvitationsEntry) -> Option<Invitations> {
    let table = resolver.table(&entry.table)?;
    let key = resolver.column(table, &entry.key);
    let user = resolver.column(table, &entry.user);
    let optional = [&entry.invited_by, &entry.email, &entry.org, &entry.sent_at, &entry.answered_at];
    let [invited_by, email, org, sent_at, answered_at] =
        optional.map(|name| resolver.optional_column(table, name.as_ref()));
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
    let mut word = |value| resolver.literal(table, entry.column.get_ref(), value);
    let (open, accepted, cancelled) = (word(&entry.open), word(&entry.accepted), word(&entry.cancelled));
    Some(InvitationStatus { column: column?, open: open?, accepted: accepted?, cancelled: cancelled? })
}

fn check_groups(resolver: &mut Resolver<'_>, entry: &GroupsEntry) -> Option<Groups> {
    let table = resolver.table(&entry.table)?;
    let group = resolver.column(table, &entry.group);
    let user = resolver.column(table, &entry.user);
    let org = resolver.optional_column(table, entry.org.as_ref())?;
    Some(Groups { table: table.name.clone(), group: group?, user: user?, org, within: None })
}

fn check_session(resolver: &mut Resolver<'_>, users: &UsersEntry, entry: &SessionEntry) -> Vec<(String, String)> {
    for (name, value) in &entry.settings {
        let byte = value.span().start;
        if resolver.schema.engine == Engine::Sqlite {
            resolver.fault(byte, "SQLite has no settings and no row-level security: leave [session] out");
        } else if !name.contains('.') {
            // Without a dot it is a setting of PostgreSQL's own.
            resolver.fault(
                byte,
                format!("`{name}` is no setting of an application: its name has a dot, as \"app.org_id\""),
            );
        }
        if value.get_ref().contains("{org}") && users.org.is_none() {
            resolver.fault(byte, "`{org}` is the organization, and [users] names no column `org`");
        }
    }
    entry.settings.iter().map(|(name, value)| (name.clone(), value.get_ref().clone())).collect()
}

/// A condition that may be absent: `Some(None)` where it is.
fn optional_condition(
    resolver: &mut Resolver<'_>,
    users: &Table,
    entry: Option<&ConditionEntry>,
) -> Option<Option<Condition>> {
    match entry {
        None => Some(None),
        Some(entry) => resolver.condition(users, entry).map(Some),
    }
}

/// Where users are known only together with their organization, everything that points at them says which it is.
fn check_orgs(resolver: &mut Resolver<'_>, users: &Users, places: impl Iterator<Item = (usize, String, bool)>) {
    for (byte, what, has_org) in places {
        let message = match (users.per_org, has_org) {
            (true, false) => {
                format!(
                    "a user is known by `{}` only together with the organization: {what} needs `org`, the column that holds it",
                    users.key.name
                )
            }
            (false, true) => format!("`org` does nothing in {what}: users are known by `{}` alone", users.key.name),
            _ => continue,
        };
        resolver.fault(byte, message);
    }
}

/// A reference over the key of the users' own table is about the leaver's own row: it may hold them, and do nothing else.
fn settle_own_rows(
    resolver: &mut Resolver<'_>,
    entries: &[Spanned<ReferenceEntry>],
    references: &mut [Reference],
    users: &Users,
) {
    for (entry, reference) in entries.iter().zip(references) {
        reference.own_row = reference.table == users.table && reference.user.name == users.key.name;
        if reference.own_row && !matches!(reference.disposition, Disposition::Block { resolve: false, .. }) {
            let message =
                format!("`{}` is the leaver's own row: only a `block` without `resolve` goes with it", reference.kind);
            resolver.fault(entry.span().start, message);
        }
    }
}

/// A row belongs to the first reference of its user column whose filter it passes: later ones leave it alone.
/// References that never meet need no such exclusion, and their statements stay simple.
fn settle_overlaps(references: &mut [Reference], users: &Users) {
    let of = |condition: &Condition| SomeUsers {
        table: users.table.clone(),
        key: users.key.clone(),
        condition: condition.clone(),
        within: None,
    };
    for position in 0..references.len() {
        let (earlier, rest) = references.split_at_mut(position);
        let this = &mut rest[0];
        this.position = position;
        this.taken = (earlier.iter())
            .filter(|other| other.covers_rows() && !other.when.is_of_request() && other.may_overlap(this))
            .map(|other| Taken { filter: other.filter.clone(), of: other.when.leaver.as_ref().map(of) })
            .collect();
    }
}

/// Tells each reference whose rows come back by themselves of the one that holds the same rows for another user.
fn settle_pairs(references: &mut [Reference]) {
    for position in 0..references.len() {
        let this = &references[position];
        let is_pair = |other: &&Reference| {
            other.table == this.table
                && other.user != this.user
                && matches!(other.disposition, Disposition::Detach { restore: true, .. })
        };
        let other = references.iter().find(is_pair).map(|other| other.user.clone());
        let pairs = matches!(this.disposition, Disposition::Detach { restore: true, .. });
        references[position].other_user = other.filter(|_| pairs);
    }
}

/// Whose rows are meant must not hang on the request: what a reference takes in one job, and leaves alone in another, may
/// only stay then.
fn refuse_doubtful_overlaps(resolver: &mut Resolver<'_>, references: &[Reference]) {
    for (position, reference) in references.iter().enumerate() {
        if !reference.covers_rows() || !reference.when.is_of_request() {
            continue;
        }
        let stays = |other: &Reference| matches!(other.disposition, Disposition::Keep);
        let doubtful = references[position + 1..].iter().find(|other| reference.may_overlap(other) && !stays(other));
        if let Some(other) = doubtful {
            let message = format!(
                "`{}` counts only for some requests, so `{}`, which may have rows of it, must not be a `{}`: tell their rows \
                 apart by `where`, or let the later one be a `keep`",
                reference.kind,
                other.kind,
                other.disposition.name()
            );
            resolver.fault_of(reference, message);
        }
    }
}

/// Warns of rows that no reference takes: they would be orphans, and keep every job of such a leaver from completing.
fn warn_of_uncovered(resolver: &mut Resolver<'_>, references: &[Reference]) {
    let mut seen = HashSet::new();
    for reference in references.iter().filter(|reference| !reference.own_row) {
        if !seen.insert((&reference.table, &reference.user.name)) {
            continue;
        }
        let siblings = references.iter().filter(|other| other.table == reference.table && other.user == reference.user);
        let covering: Vec<_> = siblings.filter(|other| other.covers_rows() && other.when.is_always()).collect();
        if !resolver.filters_cover(&reference.table, &covering) {
            resolver.warn_uncovered(reference);
        }
    }
}

/// The line of a byte, for the resolver.
fn fault_at(source: &str, byte: usize, message: String) -> Fault {
    Fault { line: line_of(source, byte), message }
}
