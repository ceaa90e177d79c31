//! The generated parts of the book. `INSTA_UPDATE=always` writes them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use handover::catalog::SchemaFact;
use handover::contract::{EventType, GuardClass, ReasonCode, SkipReason};
use handover::{config, metrics};
use serde_json::{Value, json};

use super::schema_tables::{SchemaTables, cell};
use super::{commands, read};
use crate::support::process::run;

/// The end of every generated part.
const END: &str = "<!-- end -->";

#[test]
fn generated_parts_are_current() {
    let updates = std::env::var("INSTA_UPDATE").is_ok_and(|how| how == "always");
    let mut pages: BTreeMap<&str, String> = BTreeMap::new();
    for (page, part, text) in parts() {
        let kept = pages.remove(page).unwrap_or_else(|| read(Path::new(page)));
        pages.insert(page, replace_part(page, &kept, part, &text));
    }
    let mut stale = Vec::new();
    for (page, wanted) in pages {
        if read(Path::new(page)) == wanted {
            continue;
        }
        match updates {
            true => std::fs::write(page, wanted).expect("a page"),
            false => stale.push(page),
        }
    }
    assert!(stale.is_empty(), "stale pages: {stale:?}. To write them: INSTA_UPDATE=always, with this test");
}

/// Returns each generated part: its page, its name there, and its text.
fn parts() -> Vec<(&'static str, &'static str, String)> {
    let schema = |of: &str| run(&[], &["schema", of]).expect(0).json();
    let (request, event, reply) = (schema("request"), schema("event"), schema("reply"));
    vec![
        ("docs/SUMMARY.md", "decisions", table_of_contents()),
        ("docs/decisions/README.md", "decisions", table_of_decisions()),
        ("docs/reference/commands.md", "commands", commands::pages()),
        ("docs/reference/settings.md", "settings", settings()),
        ("docs/reference/catalog.md", "catalog", SchemaTables::new(&schema("catalog")).all()),
        ("docs/reference/requests.md", "request", SchemaTables::new(&request).all()),
        ("docs/reference/events.md", "event-types", event_types()),
        ("docs/reference/events.md", "event", SchemaTables::new(&event).all()),
        ("docs/reference/reason-codes.md", "reasons", reasons(&reply)),
        ("docs/reference/reason-codes.md", "dead-letters", SchemaTables::new(&reply).values("DeadLetterCode", "code")),
        ("docs/reference/reason-codes.md", "skip-reasons", skip_reasons()),
        ("docs/reference/metrics.md", "metrics", metrics::table()),
        ("docs/reference/schema-facts.md", "schema-facts", SchemaFact::table()),
    ]
}

/// Returns the page with this text between the part's marker and the next end.
fn replace_part(page: &str, kept: &str, part: &str, text: &str) -> String {
    let begin = format!("<!-- generated: {part} -->\n");
    let (before, rest) = kept.split_once(&begin).unwrap_or_else(|| panic!("{page} has no part {part}"));
    let (_, after) = rest.split_once(END).unwrap_or_else(|| panic!("{page}: the part {part} has no end"));
    format!("{before}{begin}\n{}\n\n{END}{after}", text.trim_matches('\n'))
}

/// Returns each decision: its file, its number and its title.
fn decisions() -> Vec<(String, String, String)> {
    let files = std::fs::read_dir("docs/decisions").expect("decisions").map(|file| file.expect("a file").path());
    let mut files: Vec<_> = files.filter(|file| !file.ends_with("README.md")).collect();
    files.sort();
    let decision = |file: &PathBuf| {
        let text = read(file);
        let heading = text.lines().next().unwrap_or_default().trim_start_matches("# ");
        let (number, title) = heading.split_once(": ").unwrap_or_else(|| panic!("{}: {heading}", file.display()));
        let name = file.file_name().expect("a name").to_string_lossy().into_owned();
        (name, number.to_owned(), title.to_owned())
    };
    let decisions: Vec<_> = files.iter().map(decision).collect();
    let numbers: BTreeSet<&str> = decisions.iter().map(|(_, number, _)| number.as_str()).collect();
    assert_eq!(numbers.len(), decisions.len(), "two decisions have the same number: {decisions:?}");
    decisions
}

fn table_of_contents() -> String {
    let entry = |(file, number, title): (String, String, String)| format!("  - [{number}: {title}](decisions/{file})");
    decisions().into_iter().map(entry).collect::<Vec<_>>().join("\n")
}

fn table_of_decisions() -> String {
    let row = |(file, number, title): (String, String, String)| format!("| [{number}]({file}) | {title} |");
    let rows = decisions().into_iter().map(row).collect::<Vec<_>>().join("\n");
    format!("| number | decision |\n|---|---|\n{rows}")
}

/// Returns a table of settings for each section of the documented defaults.
fn settings() -> String {
    let known = config::names();
    let (mut section, mut comment, mut last) = (String::new(), Vec::new(), String::new());
    let mut text = String::from("## Without a section\n\n| setting, variable | default | meaning |\n|---|---|---|\n");
    // The first comment is about the file.
    let (_, defaults) = config::DEFAULTS.split_once("\n\n").expect("a first comment");
    for line in defaults.lines() {
        if let Some(begun) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = format!("{begun}.");
            text.push_str(&format!("\n## [{begun}]\n\n| setting, variable | default | meaning |\n|---|---|---|\n"));
            continue;
        }
        let bare = line.trim_start_matches("# ");
        let setting = bare.split_once(" = ").filter(|(name, _)| known.contains(&format!("{section}{name}")));
        let Some((name, value)) = setting else {
            if let Some(part) = line.strip_prefix('#') {
                comment.push(part.trim());
            }
            continue;
        };
        // Settings that belong together share the comment of the first.
        if !comment.is_empty() {
            last = std::mem::take(&mut comment).join(" ");
        }
        let variable = format!("HANDOVER_{}", format!("{section}{name}").replace('.', "__").to_uppercase());
        let default = if line.starts_with('#') { format!("none; for example `{value}`") } else { format!("`{value}`") };
        // A table cannot be set by a variable.
        let variable = if last.ends_with("Only in a file.") { String::new() } else { format!("<br>`{variable}`") };
        text.push_str(&format!("| `{name}`{variable} | {} | {} |\n", cell(&default), cell(&last)));
    }
    text
}

fn event_types() -> String {
    let names = EventType::all().into_iter().map(|kind| format!("- `{}`", kind.name()));
    names.collect::<Vec<_>>().join("\n")
}

/// Returns the table of reasons for which an undo skips a record. They are the keys of a map, which has no definition of them.
fn skip_reasons() -> String {
    let schema = schemars::schema_for!(SkipReason).to_value();
    SchemaTables::new(&json!({ "$defs": { "SkipReason": schema } })).values("SkipReason", "reason")
}

/// Returns the table of reason codes with their classes.
fn reasons(reply: &Value) -> String {
    let meanings = SchemaTables::new(reply).meanings("ReasonCode");
    let row = |code: ReasonCode| {
        let class = match code.guard_class() {
            GuardClass::Access => "access",
            GuardClass::Handover => "handover",
        };
        format!("| `{code}` | {} | {class} |", cell(&meanings[code.name()]))
    };
    let rows = ReasonCode::ALL.map(row).join("\n");
    format!("| code | meaning | class |\n|---|---|---|\n{rows}")
}
