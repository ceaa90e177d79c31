//! Writes a first catalog for an unknown schema. Every guess is marked, with its reason, for a person to confirm or change.

use std::collections::{BTreeSet, HashSet};
use std::fmt::Write;

use super::credentials::looks_like_credentials;
use super::effects::reach;
use super::guess::{column_like, creation_column, end_column, key_of, status_column, words_of};
use super::schema::{Family, Schema, SchemaColumn, Table};

/// A column that points at the users, or probably does.
#[derive(Debug, Clone)]
pub struct Pointing<'s> {
    /// The table.
    pub table: &'s Table,
    /// The column.
    pub column: &'s SchemaColumn,
    /// Why it is listed.
    pub why: String,
    /// A column of the same table that may hold the type of what it points at.
    pub type_column: Option<&'s str>,
}

/// Writes the draft, or returns what is missing for one. `statuses` are the current values of the status column.
pub fn draft(schema: &Schema, users: &Table, statuses: &[String], pointing: &[Pointing<'_>]) -> Result<String, String> {
    let mut text = String::from(
        "# A first draft. Review each line marked \"guess\": correct it if it is wrong, then delete the mark.\n\
         # `handover catalog check` lists faults, `handover catalog scan` lists missing references.\n\n",
    );
    write_users(&mut text, users, statuses)?;
    let license = pointing.iter().find(|place| is_license(place) && place.column.nullable);
    if let Some(license) = license {
        let (table, user) = (quoted(&license.table.name.to_string()), quoted(&license.column.name));
        let _ = write!(
            text,
            "# guess: the table's name suggests licenses; a license is free when its column is NULL.\n\
             [license]\ntable = {table}\nuser = {user}\n\n"
        );
    }
    write_session(&mut text, users, pointing);
    let mut kinds = HashSet::new();
    let others = pointing.iter().filter(|place| license.is_none_or(|license| !std::ptr::eq(*place, license)));
    let mut others: Vec<&Pointing<'_>> = others.collect();
    // The order of work: access, transfers, removals, rows that stay. So the first reference of a table gets its name.
    others.sort_by_key(|place| match disposition_of(users, place).0 {
        "transfer" => 1,
        "detach" => 2,
        "keep" => 3,
        _at_start => 0,
    });
    for place in others {
        write_reference(&mut text, schema, users, place, &mut kinds);
    }
    Ok(text)
}

/// Writes `[session]` if tables have row-level security: with the settings that their policies read, or a guess.
fn write_session(text: &mut String, users: &Table, pointing: &[Pointing<'_>]) {
    let tables = || pointing.iter().map(|place| place.table).chain([users]);
    let is_secured = tables().any(|table| table.row_security || table.policies.are_enabled);
    let Some(org) = org_column(users).filter(|_| is_secured) else { return };
    let mut settings: BTreeSet<String> = tables().flat_map(|table| table.policies.settings.clone()).collect();
    let why = match settings.is_empty() {
        true => "which setting do the policies of row-level security read? (`\\d+` in psql shows them.)",
        false => "the policies of row-level security read these settings; does each hold the organization?",
    };
    if settings.is_empty() {
        settings.insert(format!("app.{}", org.name));
    }
    let settings: Vec<String> = settings.iter().map(|name| format!("{} = \"{{org}}\"", quoted(name))).collect();
    let _ = write!(text, "# guess: {why}\n[session]\nsettings = {{ {} }}\n\n", settings.join(", "));
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn is_license(place: &Pointing<'_>) -> bool {
    words_of(&place.table.name.name).iter().any(|word| word.starts_with("licen") || word.starts_with("seat"))
}

fn org_column(users: &Table) -> Option<&SchemaColumn> {
    let names =
        ["org_id", "organization_id", "organisation_id", "tenant_id", "company_id", "workspace_id", "account_id"];
    names.iter().find_map(|name| users.column(name))
}

fn write_users(text: &mut String, users: &Table, statuses: &[String]) -> Result<(), String> {
    let missing = |what: &str| format!("the table {} has no {what}: say with --users where the users are", users.name);
    let key = key_of(users).and_then(|key| key.first()).ok_or_else(|| missing("unique key of one column"))?;
    let names = ["name", "full_name", "display_name", "username", "login", "first_name"];
    let written = users.columns.iter().find(|column| column.family == Family::Text && column.name != *key);
    let name = column_like(users, &names).or(written).ok_or_else(|| missing("column with a name"))?;
    let email = column_like(users, &["email", "mail"]).unwrap_or(name);
    let status = status_column(users).ok_or_else(|| missing("column that says whether a user is active"))?;
    let _ = write!(
        text,
        "[users]\n# guess: by its name, its columns and its references.\ntable = {}\nkey = {}\n",
        quoted(&users.name.to_string()),
        quoted(key)
    );
    if let Some(org) = org_column(users) {
        let _ =
            writeln!(text, "# guess: the organization; a request then never leaves it.\norg = {}", quoted(&org.name));
    }
    let _ = writeln!(text, "name = {}\nemail = {}", quoted(&name.name), quoted(&email.name));
    let managers = ["manager_id", "manager", "supervisor_id", "boss_id", "reports_to", "reports_to_id"];
    if let Some(manager) = managers.iter().find_map(|name| users.column(name)) {
        let _ = writeln!(
            text,
            "# guess: a request may then say `{{\"manager\": true}}`.\nmanager = {}",
            quoted(&manager.name)
        );
    }
    let is_end = end_column(users).is_some_and(|end| end.name == status.name);
    let (active, inactive) = match is_end {
        true => ("{ null = true }".to_owned(), "{ now = true }".to_owned()),
        false => status_values(status, statuses),
    };
    let held = if statuses.is_empty() { "nothing yet".to_owned() } else { statuses.join(", ") };
    let _ = write!(
        text,
        "# guess: the column holds {}.\nstatus = {{ column = {}, active = {active}, inactive = {inactive} }}\n\n",
        held.replace(['\n', '\r'], " "),
        quoted(&status.name)
    );
    Ok(())
}

/// Returns the status values of active users and of users who have left, in TOML.
fn status_values(column: &SchemaColumn, seen: &[String]) -> (String, String) {
    let name = column.name.to_lowercase();
    let says_left = ["disabled", "deactivated", "deleted", "inactive"].iter().any(|word| name.contains(word));
    match column.family {
        Family::Boolean => ((!says_left).to_string(), says_left.to_string()),
        Family::Integer { .. } | Family::Number => (u8::from(!says_left).to_string(), u8::from(says_left).to_string()),
        Family::Text | Family::Uuid | Family::Time | Family::Any | Family::Other | Family::Opaque => {
            let all: Vec<&String> = column.values.iter().flatten().chain(seen).collect();
            let pick = |words: &[&str]| {
                words
                    .iter()
                    .find_map(|word| all.iter().find(|value| value.to_lowercase() == *word))
                    .map(|value| quoted(value))
            };
            let left = pick(&[
                "inactive",
                "disabled",
                "deactivated",
                "suspended",
                "terminated",
                "left",
                "archived",
                "blocked",
                "i",
                "n",
            ]);
            let active = pick(&["active", "enabled", "current", "employed", "on", "a", "y"]);
            let other =
                |not: &Option<String>| all.iter().map(|value| quoted(value)).find(|value| Some(value) != not.as_ref());
            let active = active.or_else(|| other(&left)).unwrap_or_else(|| quoted("active"));
            let left = left.or_else(|| column.values.as_ref().and_then(|_| other(&Some(active.clone()))));
            (active, left.unwrap_or_else(|| quoted("inactive")))
        }
    }
}

/// Guesses a disposition from the names of a table and a column: TOML, and the reason.
fn disposition_of(users: &Table, place: &Pointing<'_>) -> (&'static str, &'static str) {
    let table = words_of(&place.table.name.name);
    let column = words_of(&place.column.name);
    let suggests = |words: &[&str]| table.iter().any(|part| words.iter().any(|word| part.starts_with(word)));
    let column_has = |words: &[&str]| column.iter().any(|part| words.contains(&part.as_str()));
    match () {
        () if place.type_column.is_some() => ("keep", "it may point at other things than users"),
        () if column_has(&["by", "author", "creator"]) => {
            ("keep", "it records who did something, which does not change")
        }
        () if place.table.name == users.name => ("transfer", "direct reports get another manager"),
        () if suggests(&["session", "token", "device", "login", "credential", "key"]) => {
            ("detach\"\nat = \"start", "this gives access, which ends at once")
        }
        () if suggests(&["log", "audit", "histor", "event", "activit", "version"]) => {
            ("keep", "this is history, which does not change")
        }
        () if suggests(&[
            "follow", "member", "watch", "subscri", "favo", "share", "team", "like", "notif", "pref", "setting",
            "invit",
        ]) =>
        {
            ("detach", "this belongs to the leaver alone, and nobody else needs it")
        }
        () => ("transfer", "this is work that another user continues"),
    }
}

fn write_reference(
    text: &mut String,
    schema: &Schema,
    users: &Table,
    place: &Pointing<'_>,
    kinds: &mut HashSet<String>,
) {
    let (table, column) = (quoted(&place.table.name.to_string()), quoted(&place.column.name));
    let key = key_of(place.table).map_or(&[][..], Vec::as_slice);
    let (mut word, mut because) = disposition_of(users, place);
    if word == "transfer" && matches!(key, [only] if *only == place.column.name) {
        (word, because) = ("keep", "there is one row for each user, which describes them");
    }
    let kind = kind_of(users, place, kinds);
    let keys: Vec<String> = key.iter().map(|name| quoted(name)).collect();
    let key = match keys.as_slice() {
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    };
    let why = place.why.replace(['\n', '\r'], " ");
    let _ = writeln!(text, "# {why}");
    if let Some(type_column) = place.type_column {
        let _ = writeln!(
            text,
            "# {} may hold the type of what it points at: add `where` here, and a second reference of this column that keeps the rest.",
            quoted(type_column)
        );
    }
    let keyless = match keys.is_empty() {
        true => "# guess: no unique columns that are never NULL. Does nothing else identify its rows?\n",
        false => "",
    };
    let _ = write!(
        text,
        "[[reference]]\nkind = {kind}\ntable = {table}\n{keyless}key = {key}\nuser = {column}\n# guess: {because}.\ndisposition = \"{word}\"\n",
        kind = quoted(&kind),
    );
    if let Some(created) = creation_column(place.table).filter(|_| word == "transfer") {
        let _ = writeln!(text, "# guess: it holds when a row was created.\ncreated = {}", quoted(&created.name));
    }
    let with =
        if word.starts_with("detach") && !keys.is_empty() { reach(schema, &place.table.name) } else { Vec::new() };
    if !with.is_empty() {
        let with: Vec<String> = with.iter().map(|name| quoted(&name.to_string())).collect();
        let _ = writeln!(text, "# Rows that follow them: a snapshot keeps them, too.\nwith = [{}]", with.join(", "));
    }
    if word.starts_with("detach") && looks_like_credentials(place.table) {
        let _ = writeln!(
            text,
            "# guess: credentials. They are removed without a copy, and no undo restores them.\nsecret = true"
        );
    }
    text.push('\n');
}

/// Returns a kind for the reference: the table's name in the singular, with the column's name if that kind is taken.
fn kind_of(users: &Table, place: &Pointing<'_>, kinds: &mut HashSet<String>) -> String {
    let plain = |words: Vec<String>| {
        let text = words.join("_");
        text.chars().filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '_').take(40).collect::<String>()
    };
    let table = plain(words_of(&place.table.name.name));
    let one = match table.strip_suffix("ies") {
        Some(stem) => format!("{stem}y"),
        None => table.strip_suffix('s').unwrap_or(&table).to_owned(),
    };
    let one = if one.is_empty() { "record".to_owned() } else { one };
    let one = if place.table.name == users.name { "direct_report".to_owned() } else { one };
    let with_column = format!("{one}_{}", plain(words_of(&place.column.name)).trim_end_matches("_id"));
    let numbered = (2..).map(|number| format!("{one}_{number}"));
    let mut names = [one.clone(), with_column.chars().take(56).collect()].into_iter().chain(numbered);
    let name = names.find(|name| !kinds.contains(name)).unwrap_or(one);
    kinds.insert(name.clone());
    name
}
