//! Checks a catalog's text against the live schema: the result is a [`Catalog`], or every fault at once.

mod conditions;
mod conflict;
mod disposition;
mod facts;
mod followers;
mod key;
mod reference;
mod resolve;
mod row_security;
mod scim;
mod sections;
mod times;
mod user_column;
mod values;

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;

use serde::Deserialize;
use sha2::{Digest, Sha256};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use self::facts::{check_facts, check_section_facts};
use self::reference::check_reference;
use self::resolve::Resolver;
use self::row_security::check_row_security;
use self::scim::check_scim;
use self::sections::{check_groups, check_invitations, check_license, check_scan, check_session, check_users};
use self::user_column::UsersKey;
use super::condition::{Condition, SomeUsers};
use super::disposition::Disposition;
use super::fault::{ExpectedValue, Fault, Faults};
use super::file::{
    GroupsEntry, InvitationsEntry, LicenseEntry, ReferenceEntry, ScanEntry, ScimEntry, SessionEntry, UsersEntry,
};
use super::model::{Catalog, Users};
use super::reference::{ClaimedRows, Reference};
use super::schema::{Schema, Table};
use super::tables::NamedTables;

/// A catalog without faults, and warnings about it.
#[derive(Debug)]
pub struct Checked {
    /// The catalog.
    pub catalog: Catalog,
    /// Possible mistakes that do not make it unusable: a missing index, rows that no reference covers.
    pub warnings: Vec<Fault>,
    /// The values of tests and statuses, for a check of the data.
    pub expected: Vec<ExpectedValue>,
}

/// Checks a catalog's text against the live schema. All faults are reported at once, each with its line.
///
/// ```
/// use handover::catalog::{Family, Schema, SchemaColumn, SchemaTraits, Table, TableFacts, TableName, check};
///
/// let column = |name: &&str| SchemaColumn {
///     name: (*name).into(),
///     cast: "text".into(),
///     family: Family::Text,
///     holds_many: false,
///     ignores_case: false,
///     generated: false,
///     is_identity: false,
///     nullable: false,
///     values: None,
/// };
/// let table = |name: &str, columns: &[&str]| Table {
///     name: TableName { schema: None, name: name.into() },
///     visible: true,
///     columns: columns.iter().map(column).collect(),
///     uniques: vec![vec!["id".into()]],
///     unique_indexes: Vec::new(),
///     indexes: vec![vec!["owner".into()]],
///     foreign_keys: Vec::new(),
///     row_security: false,
///     policies: Default::default(),
///     row_address: None,
///     facts: TableFacts::default(),
/// };
/// let schema = Schema {
///     traits: SchemaTraits { booleans_are_integers: false, has_session_settings: true, checks_types: true },
///     tables: vec![table("users", &["id", "name", "email", "status"]), table("contacts", &["id", "owner"])],
///     relations: Vec::new(),
/// };
/// let source = r#"
/// [users]
/// table = "users"
/// key = "id"
/// name = "name"
/// email = "email"
/// status = { column = "status", active = "active", inactive = "inactive" }
///
/// [[reference]]
/// kind = "contact"
/// table = "contacts"
/// key = "id"
/// user = "owner"
/// disposition = "transfer"
/// "#;
/// let catalog = check("example", source, &schema).expect("no faults").catalog;
/// assert_eq!(catalog.references[0].kind, "contact");
///
/// let wrong = source.replace("user = \"owner\"", "user = \"boss\"");
/// let faults = check("example", &wrong, &schema).expect_err("a fault");
/// assert_eq!(faults.faults[0].to_string(), "line 13: the table contacts has no column `boss`");
/// ```
pub fn check(name: &str, source: &str, schema: &Schema) -> Result<Checked, Faults> {
    let tables = NamedTables::of(source, schema);
    if tables.are_elsewhere() {
        return Err(Faults::of_elsewhere(name, tables));
    }
    let mut resolver = Resolver::new(source, schema);
    let catalog = read(&mut resolver, name, source);
    let expected = resolver.take_expected();
    let (mut faults, mut warnings) = resolver.into_findings();
    faults.sort();
    warnings.sort();
    match catalog {
        Some(catalog) if faults.is_empty() => Ok(Checked { catalog, warnings, expected }),
        _ => Err(Faults { catalog: name.into(), faults, elsewhere: None }),
    }
}

/// The sections of the file that can be read.
#[derive(Default)]
struct Entries {
    users: Option<UsersEntry>,
    license: Option<LicenseEntry>,
    invitations: Option<InvitationsEntry>,
    groups: Option<GroupsEntry>,
    session: Option<SessionEntry>,
    scim: Option<ScimEntry>,
    scan: Option<ScanEntry>,
    references: Vec<Spanned<ReferenceEntry>>,
}

fn read(resolver: &mut Resolver<'_>, name: &str, source: &str) -> Option<Catalog> {
    let entries = read_entries(resolver, source)?;
    // Without the users nothing else can be checked; the faults so far are reported.
    let users_entry = entries.users?;
    let session = entries.session.as_ref().map_or(Vec::new(), |entry| check_session(resolver, &users_entry, entry));
    let users_table = resolver.table(&users_entry.table);
    let users = users_table.and_then(|table| check_users(resolver, table, &users_entry));
    let key = users_table.and_then(|table| users_key(table, &users_entry));
    let license = entries.license.as_ref().map(|entry| check_license(resolver, users_table, key, entry));
    let invitations = entries.invitations.as_ref().map(|entry| check_invitations(resolver, key, entry));
    let groups = entries.groups.as_ref().map(|entry| check_groups(resolver, key, entry));
    let has_groups = groups.is_some();
    let names_inviter = entries.invitations.as_ref().is_some_and(|entry| entry.invited_by.is_some());
    let scim = entries.scim.as_ref();
    let scim = scim.map(|entry| check_scim(resolver, users_table?, key, &users_entry, entry, names_inviter));
    let ignored = entries.scan.as_ref().map_or(Vec::new(), |entry| check_scan(resolver, entry));
    let mut kinds = HashSet::new();
    let mut references = Vec::new();
    for entry in &entries.references {
        let kind = entry.get_ref().kind.get_ref();
        if !kinds.insert(kind.clone()) {
            resolver.fault(entry.span().start, format!("the kind `{kind}` occurs twice: rename one of them"));
        }
        references.push(check_reference(resolver, users_table, key, has_groups, entry));
    }
    check_row_security(resolver, entries.session.as_ref());
    let mut references: Vec<Reference> = references.into_iter().collect::<Option<_>>()?;
    let users = users?;
    for (entry, reference) in entries.references.iter().zip(&mut references) {
        check_facts(resolver, reference, entry.span().start);
    }
    check_section_facts(resolver, &users_entry, entries.license.as_ref(), entries.invitations.as_ref());
    // A license may belong to an organization although users are known without one.
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
    mark_own_rows(resolver, &entries.references, &mut references, &users);
    claim_overlaps(&mut references, &users);
    link_pairs(&mut references);
    refuse_ambiguous_overlaps(resolver, &references);
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
        scim: scim.map_or(Some(None), |scim| scim.map(Some))?,
        session,
        fingerprints: BTreeMap::new(),
        ignored,
    })
}

/// Returns the users' key. One that is not unique has a fault of its own.
fn users_key<'a>(table: &'a Table, entry: &UsersEntry) -> Option<UsersKey<'a>> {
    let name = entry.key.get_ref().as_str();
    let with_org: Vec<&str> = entry.org.iter().map(|org| org.get_ref().as_str()).chain([name]).collect();
    let is_unique = table.is_unique(&[name]) || table.is_unique(&with_org);
    table.column(name).filter(|_| is_unique).map(|column| UsersKey { table, column })
}

/// Returns the SHA-256 of a catalog's text, in hexadecimal.
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
            "scim" => entries.scim = read_section(resolver, value),
            "scan" => entries.scan = read_section(resolver, value),
            "reference" => entries.references = read_references(resolver, value),
            other => {
                let message = format!(
                    "unknown section `{other}`: a catalog has [users], [license], [invitations], [groups], [session], [scim], [scan] and [[reference]]"
                );
                resolver.fault(key.span().start, message);
            }
        }
    }
    Some(entries)
}

/// Adds a fault for each required section that is missing. A section that cannot be read has a fault of its own.
fn report_missing(resolver: &mut Resolver<'_>, document: &DeTable<'_>) {
    if !document.contains_key("users") {
        resolver.fault(0, "[users] is missing: it names the users' table, its key and its status column");
    }
    let references = document.get("reference").map(Spanned::get_ref);
    if references.is_none_or(|references| references.as_array().is_some_and(|array| array.is_empty())) {
        resolver.fault(0, "there is no [[reference]]: `handover catalog scan` lists the columns that point at users");
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

/// If users are known only together with their organization, every place that points at them needs a column for it.
fn check_orgs(resolver: &mut Resolver<'_>, users: &Users, places: impl Iterator<Item = (usize, String, bool)>) {
    for (byte, what, has_org) in places {
        let message = match (users.per_org, has_org) {
            (true, false) => {
                format!(
                    "`{}` identifies a user only together with the organization: {what} needs `org`, the column that holds it",
                    users.key.name
                )
            }
            (false, true) => format!("`org` has no effect in {what}: `{}` alone identifies a user", users.key.name),
            (true, true) | (false, false) => continue,
        };
        resolver.fault(byte, message);
    }
}

/// Marks references over the key of the users' own table: they concern the leaver's own row, which they can block, or of which
/// they can set columns.
fn mark_own_rows(
    resolver: &mut Resolver<'_>,
    entries: &[Spanned<ReferenceEntry>],
    references: &mut [Reference],
    users: &Users,
) {
    for (entry, reference) in entries.iter().zip(references) {
        reference.own_row = reference.table == users.table && reference.user.name == users.key.name;
        if !reference.own_row {
            continue;
        }
        let kind = &reference.kind;
        let byte = entry.span().start;
        match &reference.disposition {
            Disposition::Block { resolve: false, .. } => {}
            Disposition::Set { values, .. } => {
                let (key, status) = (&users.key.name, &users.status.column.name);
                if let Some((column, _)) = values.iter().find(|(column, _)| [key, status].contains(&&column.name)) {
                    let name = &column.name;
                    resolver.fault(
                        byte,
                        format!("`{kind}` must not set `{name}` of the leaver's own row: [users] rules it"),
                    );
                }
            }
            Disposition::Block { resolve: true, .. }
            | Disposition::Transfer { .. }
            | Disposition::Detach { .. }
            | Disposition::Purge { .. }
            | Disposition::Keep => {
                let message = format!(
                    "`{kind}` is the leaver's own row, which allows only a `set`, or a `block` without `resolve`"
                );
                resolver.fault(byte, message);
            }
        }
    }
}

/// Lets each reference exclude the rows that earlier ones claim: a row belongs to the first reference whose filter it passes.
/// References that cannot overlap need no exclusion, so their statements stay simple.
fn claim_overlaps(references: &mut [Reference], users: &Users) {
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
        this.claimed = (earlier.iter())
            .filter(|other| other.covers_rows() && !other.when.is_of_request() && other.may_overlap(this))
            .map(|other| ClaimedRows { filter: other.filter.clone(), of: other.when.leaver.as_ref().map(of) })
            .collect();
    }
}

/// Links each reference whose rows are restored to the reference that holds the same rows for another user.
fn link_pairs(references: &mut [Reference]) {
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

/// Adds a fault if the owner of a row would depend on the request. Rows that a reference claims in one job and not in another
/// may only be kept by a later one.
fn refuse_ambiguous_overlaps(resolver: &mut Resolver<'_>, references: &[Reference]) {
    for (position, reference) in references.iter().enumerate() {
        if !reference.covers_rows() || !reference.when.is_of_request() {
            continue;
        }
        let stays = |other: &Reference| matches!(other.disposition, Disposition::Keep);
        let ambiguous = references[position + 1..].iter().find(|other| reference.may_overlap(other) && !stays(other));
        if let Some(other) = ambiguous {
            let message = format!(
                "`{}` counts only for some requests, so `{}`, which may claim the same rows, must not be a `{}`: separate \
                 their rows by `where`, or make the later one a `keep`",
                reference.kind,
                other.kind,
                other.disposition.name()
            );
            resolver.fault_of(reference, message);
        }
    }
}

/// Warns about rows that no reference claims. They would be orphans, so no job of such a leaver would complete.
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
