//! Row-level security: which tables have it, and which settings of a session its policies read.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::Policies;
use crate::store::error::Result;
use crate::store::session::Session;

/// The policies of each table that has row-level security, with the definitions of the functions that they call. Built-in
/// functions have no dependencies. Policies for other roles do not count; a superuser has every role.
const POLICIES: &str = "SELECT n.nspname::text AS schema, c.relname::text AS table, \
       concat_ws(' ', pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)) AS expression, \
       (SELECT string_agg(pg_get_functiondef(f.oid), ' ') FROM pg_depend d JOIN pg_proc f ON f.oid = d.refobjid \
         WHERE d.classid = 'pg_policy'::regclass AND d.objid = p.oid AND d.refclassid = 'pg_proc'::regclass AND f.prokind = 'f') \
         AS functions \
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
     LEFT JOIN pg_policy p ON p.polrelid = c.oid AND (0 = ANY (p.polroles) OR EXISTS (SELECT 1 FROM unnest(p.polroles) r(role) \
       WHERE pg_has_role(r.role, 'USAGE') AND NOT (SELECT u.rolsuper FROM pg_roles u WHERE u.rolname = current_user))) \
     WHERE c.relrowsecurity";

/// Reads the policies of each table that has row-level security, by schema and name.
pub async fn read(session: &Session) -> Result<BTreeMap<(String, String), Policies>> {
    let mut tables: BTreeMap<(String, String), Policies> = BTreeMap::new();
    for row in session.all("reading row-level security", session.sql(POLICIES)).await? {
        let policies = tables.entry((row.get("schema")?, row.get("table")?)).or_default();
        policies.are_enabled = true;
        let expression: String = row.get("expression")?;
        let functions: Option<String> = row.get("functions")?;
        let settings = settings_in(&format!("{expression} {}", functions.as_deref().unwrap_or_default()));
        policies.is_any_opaque |= settings.is_empty() && functions.is_some();
        policies.settings.extend(settings);
    }
    Ok(tables)
}

/// Returns the application's settings that an expression or a function reads. A name without a dot is a setting of the database.
fn settings_in(text: &str) -> BTreeSet<String> {
    let name_of = |call: &str| {
        let argument = call.trim_start().strip_prefix('(')?.trim_start().strip_prefix('\'')?;
        let (name, _) = argument.split_once('\'')?;
        name.contains('.').then(|| name.to_owned())
    };
    let folded = text.to_lowercase();
    let calls = folded.match_indices("current_setting");
    // Lower case keeps the length of ASCII; a text in which it does not is not cut within a character.
    calls.filter_map(|(at, call)| name_of(text.get(at + call.len()..)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::settings_in;

    #[test]
    fn settings_are_found_in_expressions_and_functions() {
        for (text, settings) in [
            ("(org = current_setting('app.org'::text, true))", vec!["app.org"]),
            ("BEGIN RETURN Current_Setting ( 'app.tenant' ); END current_setting('a.b')", vec!["a.b", "app.tenant"]),
            ("(owner = CURRENT_USER)", vec![]),
            ("current_setting('role') = 'x'", vec![]),
            ("current_setting(name)", vec![]),
        ] {
            assert_eq!(settings_in(text).into_iter().collect::<Vec<_>>(), settings, "{text}");
        }
    }
}
