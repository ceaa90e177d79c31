//! Checks `[session]` against the policies of row-level security that the database really has.

use std::collections::BTreeSet;

use super::resolve::Resolver;
use crate::catalog::file::SessionEntry;
use crate::catalog::schema::Table;

/// Checks that nothing is hidden that must be seen: without `[session]` no policy may apply to the role; with it, it must set what the
/// policies read, and nothing else.
pub fn check_row_security(resolver: &mut Resolver<'_>, session: Option<&SessionEntry>) {
    let mut secured: Vec<(&Table, usize)> = resolver.named_tables().to_vec();
    secured.retain(|(table, _)| table.policies.are_enabled || table.row_security);
    secured.sort_by_key(|(_, byte)| *byte);
    let settings: BTreeSet<&str> =
        secured.iter().flat_map(|(table, _)| &table.policies.settings).map(String::as_str).collect();
    match session {
        None => refuse_hidden(resolver, &secured, &settings),
        Some(session) => check_settings(resolver, session, &secured, &settings),
    }
    warn_of_bypass(resolver, &secured);
}

/// Adds one fault for all tables whose rows are hidden from the role.
fn refuse_hidden(resolver: &mut Resolver<'_>, secured: &[(&Table, usize)], settings: &BTreeSet<&str>) {
    let hidden: Vec<&(&Table, usize)> = secured.iter().filter(|(table, _)| table.row_security).collect();
    let Some((_, byte)) = hidden.first() else { return };
    let names = listed(hidden.iter().map(|(table, _)| table.name.to_string()));
    let settings = if settings.is_empty() { BTreeSet::from(["app.org_id"]) } else { settings.clone() };
    let settings = listed(settings.into_iter().map(|name| format!("\"{name}\" = \"{{org}}\"")));
    let message = format!(
        "row-level security hides rows of {names} from this role, so nothing can be proved about them: give the role BYPASSRLS, or \
         set what the policies read: [session] settings = {{ {settings} }}"
    );
    resolver.fault(*byte, message);
}

fn check_settings(
    resolver: &mut Resolver<'_>,
    session: &SessionEntry,
    secured: &[(&Table, usize)],
    settings: &BTreeSet<&str>,
) {
    let place = session.settings.values().map(|value| value.span().start).min().unwrap_or(0);
    for missing in settings.iter().filter(|name| !session.settings.contains_key(**name)) {
        let readers = secured.iter().filter(|(table, _)| table.policies.settings.contains(*missing));
        let readers = listed(readers.map(|(table, _)| table.name.to_string()));
        let message =
            format!("row-level security of {readers} reads the setting `{missing}`: add it to [session] settings");
        resolver.fault(place, message);
    }
    // A policy of which no setting is known may read any.
    if settings.is_empty() || secured.iter().any(|(table, _)| table.policies.is_any_opaque) {
        return;
    }
    for (name, value) in session.settings.iter().filter(|(name, _)| !settings.contains(name.as_str())) {
        let known = listed(settings.iter().map(|name| format!("`{name}`")));
        let message = format!("no policy of row-level security reads `{name}`: they read {known}");
        resolver.fault(value.span().start, message);
    }
}

/// Warns if policies do not apply to the role that runs the check: they may hide rows from the worker's role.
fn warn_of_bypass(resolver: &mut Resolver<'_>, secured: &[(&Table, usize)]) {
    let bypassed: Vec<&(&Table, usize)> = secured.iter().filter(|(table, _)| !table.row_security).collect();
    let Some((_, byte)) = bypassed.first() else { return };
    let names = listed(bypassed.iter().map(|(table, _)| table.name.to_string()));
    let message = format!(
        "this role sees all rows of {names}, although they have row-level security (a superuser, BYPASSRLS, or the owner without \
         FORCE): if the worker has another role, check the catalog as that role"
    );
    resolver.warn(*byte, message);
}

fn listed(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}
