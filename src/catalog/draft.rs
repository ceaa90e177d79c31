//! Writes a first catalog for a schema that nobody has described yet: every guess is marked as one, with its reason, for a
//! person to confirm or to change.

use std::collections::HashSet;
use std::fmt::Write;

use super::guess::{column_like, key_of, status_column, words_of};
use super::schema::{Family, OnDelete, Schema, SchemaColumn, Table, TableName};

/// A place that points at the users, as far as it is known or guessed.
#[derive(Debug, Clone)]
pub struct Pointing<'s> {
    /// The table.
    pub table: &'s Table,
    /// Its column.
    pub column: &'s SchemaColumn,
    /// How it is known.
    pub why: String,
    /// A column beside it that may say what kind of thing it points at.
    pub type_column: Option<&'s str>,
}

/// Writes the draft, or says what is missing for one. `statuses` are values that the status column holds now.
pub fn draft(schema: &Schema, users: &Table, statuses: &[String], pointing: &[Pointing<'_>]) -> Result<String, String> {
    let mut text = String::from(
        "# A first draft. Each line with \"guess\" wants to be looked at: change it where it is wrong, then delete the mark.\n\
         # `handover catalog check` says what does not fit, `handover catalog scan` what is still missing.\n\n",
    );
    write_users(&mut text, users, statuses)?;
    let license = pointing.iter().find(|place| is_license(place) && place.column.nullable);
    if let Some(license) = license {
        let (table, user) = (quoted(&license.table.name.to_string()), quoted(&license.column.name));
        let _ = write!(
            text,
            "# guess: a table called so holds the licenses; a license is free when nobody is in its column.\n\
             [license]\ntable = {table}\nuser = {user}\n\n"
        );
    }
    if let Some(org) = org_column(users).filter(|_| pointing.iter().any(|place| place.table.row_security)) {
        let _ = write!(
            text,
            "# guess: row-level security hides rows from this role. What do the policies look at? (`\\d+` in psql shows them.)\n\
             [session]\nsettings = {{ {} = \"{{org}}\" }}\n\n",
            quoted(&format!("app.{}", org.name))
        );
    }
    let mut kinds = HashSet::new();
    let others = pointing.iter().filter(|place| license.is_none_or(|license| !std::ptr::eq(*place, license)));
    let mut others: Vec<&Pointing<'_>> = others.collect();
    // Access first, then work, then what goes, then what stays: so they are worked, and so a table's work has its name.
    others.sort_by_key(|place| match disposition_of(users, place).0 {
        "transfer" => 1,
        "detach" => 2,
        "keep" => 3,
        _ => 0,
    });
    for place in others {
        write_reference(&mut text, schema, users, place, &mut kinds);
    }
    Ok(text)
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
        "[users]\n# guess: by its name, its columns and what points at it.\ntable = {}\nkey = {}\n",
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
    let (active, inactive) = status_values(status, statuses);
    let held = if statuses.is_empty() { "nothing yet".to_owned() } else { statuses.join(", ") };
    let _ = write!(
        text,
        "# guess: the column holds {}.\nstatus = {{ column = {}, active = {active}, inactive = {inactive} }}\n\n",
        held.replace(['\n', '\r'], " "),
        quoted(&status.name)
    );
    Ok(())
}

/// The values of a status column for who is active and who has left, as TOML writes them.
fn status_values(column: &SchemaColumn, seen: &[String]) -> (String, String) {
    let name = column.name.to_lowercase();
    let says_left = ["disabled", "deactivated", "deleted", "inactive"].iter().any(|word| name.contains(word));
    match column.family {
        Family::Boolean => ((!says_left).to_string(), says_left.to_string()),
        Family::Integer { .. } | Family::Number => (u8::from(!says_left).to_string(), u8::from(says_left).to_string()),
        _ => {
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

/// What the names of a table and a column make of a reference: lines of TOML, and the reason.
fn disposition_of(users: &Table, place: &Pointing<'_>) -> (&'static str, &'static str) {
    let table = words_of(&place.table.name.name);
    let column = words_of(&place.column.name);
    let speaks_of = |words: &[&str]| table.iter().any(|part| words.iter().any(|word| part.starts_with(word)));
    let column_has = |words: &[&str]| column.iter().any(|part| words.contains(&part.as_str()));
    match () {
        () if place.type_column.is_some() => ("keep", "it may point at other things than users"),
        () if column_has(&["by", "author", "creator"]) => {
            ("keep", "who did something has done it, whoever works here now")
        }
        () if place.table.name == users.name => ("transfer", "people who report to the leaver report to somebody else"),
        () if speaks_of(&["session", "token", "device", "login", "credential", "key"]) => {
            ("detach\"\nat = \"start", "this is how somebody gets in: it ends at once")
        }
        () if speaks_of(&["log", "audit", "histor", "event", "activit", "version"]) => {
            ("keep", "what happened has happened")
        }
        () if speaks_of(&[
            "follow", "member", "watch", "subscri", "favo", "share", "team", "like", "notif", "pref", "setting",
            "invit",
        ]) =>
        {
            ("detach", "this is the leaver's own, and nobody needs it afterwards")
        }
        () => ("transfer", "this is work: somebody goes on with it"),
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
        (word, because) = ("keep", "there is one row a user: it says something of them");
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
            "# {} may say what it points at: add `where`, and after this a reference of the same column that keeps the rest.",
            quoted(type_column)
        );
    }
    let keyless = match keys.is_empty() {
        true => "# guess: no unique columns that are never NULL. Is there really nothing that tells its rows apart?\n",
        false => "",
    };
    let _ = write!(
        text,
        "[[reference]]\nkind = {kind}\ntable = {table}\n{keyless}key = {key}\nuser = {column}\n# guess: {because}.\ndisposition = \"{word}\"\n",
        kind = quoted(&kind),
    );
    let with =
        if word.starts_with("detach") && !keys.is_empty() { cascades(schema, &place.table.name) } else { Vec::new() };
    if !with.is_empty() {
        let with: Vec<String> = with.iter().map(|name| quoted(&name.to_string())).collect();
        let _ =
            writeln!(text, "# These rows go with them, and are kept in the journal too.\nwith = [{}]", with.join(", "));
    }
    text.push('\n');
}

/// A name for the reference: the table's in the singular; with the column's where the table has been named already.
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

/// Tables whose rows a delete takes along or changes, parents first.
fn cascades(schema: &Schema, of: &TableName) -> Vec<TableName> {
    let mut found: Vec<TableName> = vec![of.clone()];
    let mut next = 0;
    while let Some(parent) = found.get(next).cloned() {
        for (table, key) in schema.inbound(&parent) {
            if key.on_delete != OnDelete::Refuse && !found.contains(&table.name) {
                found.push(table.name.clone());
            }
        }
        next += 1;
    }
    found.split_off(1)
}
