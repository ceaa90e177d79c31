//! The settings of every session of ours, whatever the defaults of the server, the database and the role are.

use crate::store::driver::interface::SessionDefault;
use crate::store::driver::settings::Settings;
use crate::store::error::Result;
use crate::store::session::Session;

/// Settings on which correctness rests.
///
/// - Each statement after a lock must see what was committed before the lock was granted: read committed.
/// - With `row_security = off`, a policy that would hide rows makes the statement fail, until `host::enter` allows it: no count
///   may be too small.
/// - The others fix how statements are read and how values are written as text: a snapshot may be read back months later,
///   under other settings of the role.
const FIXED: [(&str, &str); 14] = [
    ("default_transaction_isolation", "read committed"),
    ("default_transaction_read_only", "off"),
    ("default_transaction_deferrable", "off"),
    ("row_security", "off"),
    ("standard_conforming_strings", "on"),
    ("transform_null_equals", "off"),
    ("quote_all_identifiers", "off"),
    ("array_nulls", "on"),
    ("bytea_output", "hex"),
    ("DateStyle", "ISO, MDY"),
    ("IntervalStyle", "postgres"),
    ("xmloption", "content"),
    ("extra_float_digits", "2"),
    ("lc_monetary", "C"),
];

/// Every statement of ours reads a few rows by an index, in tables of any size: a sequential scan is right only if no index
/// serves. PostgreSQL guesses that ten leavers own a good part of a table, and would scan it. It would also compile a
/// statement whose cost looks high, which takes longer than running it.
const BY_INDEX: [(&str, &str); 3] = [("random_page_cost", "1.1"), ("enable_seqscan", "off"), ("jit", "off")];

/// An acknowledged request must survive a crash, so a commit never returns before it is on disk. Triggers and foreign keys of
/// the host apply to us: only a superuser may switch them on again, so the session of another role fails.
const NEVER_OFF: &str = "SELECT set_config('synchronous_commit', 'on', false) \
       WHERE current_setting('synchronous_commit') = 'off'; \
     SELECT set_config('session_replication_role', 'origin', false) \
       WHERE current_setting('session_replication_role') <> 'origin';";

/// Unqualified names are the host's, in its triggers and functions too, so the ledger's schema is never on the search path.
/// PostgreSQL's default path begins with a schema of the role's own name, which is the ledger's for a role called `handover`.
const HOST_SCHEMAS_ONLY: &str = "SELECT set_config('search_path', COALESCE((SELECT string_agg(quote_ident(p.schema), ', ' \
     ORDER BY p.place) FROM unnest(current_schemas(false)) WITH ORDINALITY p(schema, place) WHERE p.schema <> 'handover'), ''), \
     false);";

/// Finds the default of a setting for this role in this database. The client library sends some settings of its own, which hide
/// the defaults.
const ROLE_DEFAULT: &str = "(SELECT substr(w.word, strpos(w.word, '=') + 1) FROM pg_db_role_setting d, unnest(d.setconfig) AS w(word) \
     WHERE lower(split_part(w.word, '=', 1)) = lower({name}) \
     AND d.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database())) \
     AND d.setrole IN (0, (SELECT oid FROM pg_roles WHERE rolname = session_user)) \
     ORDER BY d.setrole <> 0 DESC, d.setdatabase <> 0 DESC LIMIT 1)";

/// The settings of which `doctor` reports defaults that differ. PostgreSQL's own defaults of the others differ from ours.
const REPORTED: [&str; 11] = [
    "default_transaction_isolation",
    "default_transaction_read_only",
    "default_transaction_deferrable",
    "synchronous_commit",
    "session_replication_role",
    "standard_conforming_strings",
    "transform_null_equals",
    "array_nulls",
    "bytea_output",
    "DateStyle",
    "IntervalStyle",
];

/// Returns the statements that every connection runs first. A connection that refuses any of them is not used.
pub fn settings_of(settings: &Settings) -> String {
    let limits = [
        ("lock_timeout", settings.lock_timeout),
        ("statement_timeout", settings.statement_timeout),
        ("idle_in_transaction_session_timeout", settings.idle_in_transaction_timeout),
    ];
    let limits = limits.map(|(name, timeout)| (name, timeout.as_millis().to_string()));
    let all = limits.iter().map(|(name, timeout)| (*name, timeout.as_str())).chain(FIXED).chain(BY_INDEX);
    let set: String = all.map(|(name, value)| format!("SET {name} = '{value}';")).collect();
    format!("{set} {NEVER_OFF} {HOST_SCHEMAS_ONLY} {}", time_zone(&settings.time_zone))
}

/// Sets the time zone: the configured one, or the database's own. Triggers, defaults and columns without a zone then have the
/// time that they have in the application's sessions. The server's own setting is hidden by the client library's; `initdb`
/// writes the same value for both zones of the server.
fn time_zone(configured: &str) -> String {
    let zone = match configured {
        "" => {
            let of_role = ROLE_DEFAULT.replace("{name}", "'TimeZone'");
            format!("COALESCE({of_role}, current_setting('log_timezone'))")
        }
        configured => format!("'{}'", configured.replace('\'', "''")),
    };
    format!("SELECT set_config('TimeZone', {zone}, false);")
}

/// Returns the defaults of server, database and role that differ from what our sessions set.
pub async fn differing_defaults(session: &Session) -> Result<Vec<SessionDefault>> {
    let names = REPORTED.map(|name| format!("'{name}'"));
    let of_role = ROLE_DEFAULT.replace("{name}", "s.name");
    // Only the client library's own settings hide their defaults.
    let default = format!("CASE WHEN s.name = 'DateStyle' THEN COALESCE({of_role}, s.reset_val) ELSE s.reset_val END");
    let sql = session.sql(&format!(
        "SELECT f.name, f.setting, f.by_default FROM (SELECT s.name, s.setting, {default} AS by_default FROM pg_settings s \
         WHERE s.name IN ({})) f WHERE f.setting <> f.by_default ORDER BY f.name",
        names.join(", ")
    ));
    let rows = session.all("reading the defaults of sessions", sql).await?;
    let read = |row: &crate::store::Row| {
        Ok(SessionDefault { name: row.get("name")?, default: row.get("by_default")?, ours: row.get("setting")? })
    };
    rows.iter().map(read).collect()
}
