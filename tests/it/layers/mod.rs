//! Checks the architecture: data flows from top to bottom, nothing imports upward, and no files import each other.
//!
//! These files need nothing but the standard library, so they also run alone, in a second:
//! `rustc --edition 2024 --test tests/it/layers/mod.rs -o target/layers && target/layers`.

mod circles;
mod imports;
mod source;

use std::fs;
use std::path::Path;

use circles::{circles, reachable, show};
use imports::imports;
use source::{File, Token, read_crate, tokens};

/// The modules of the crate, in the order in which data flows. Each may use those before it, and itself.
const LAYERS: [&str; 17] = [
    "metrics",
    "retry",
    "trace",
    "contract",
    "scim",
    "catalog",
    "job",
    "plan",
    "store",
    "broker",
    "stages",
    "app",
    "worker",
    "http",
    "config",
    "telemetry",
    "cli",
];

/// The modules that do no I/O.
const PURE: [&str; 5] = ["contract", "scim", "catalog", "job", "plan"];

/// The stages, in `src/stages`: each runs when a message or the clock says so. Other files there are shared by stages.
const STAGES: [&str; 9] = [
    "commands/mod.rs",
    "forget.rs",
    "handover/cutter.rs",
    "handover/finalizer.rs",
    "handover/mover.rs",
    "handover/planner.rs",
    "handover/scheduled.rs",
    "relay.rs",
    "sweeper.rs",
];

#[test]
fn nothing_imports_upward() {
    let place = |file: &str| {
        let module = module_of(file);
        let place = LAYERS.iter().position(|layer| *layer == module);
        place.unwrap_or_else(|| panic!("{file}: `{module}` is not listed in LAYERS"))
    };
    let mut wrong = Vec::new();
    for (from, used) in imports(&source_files()) {
        for (to, names) in used.iter().filter(|(to, _)| *to != "src/lib.rs") {
            if place(to) > place(&from) {
                wrong.push(format!("{from} uses {to} ({names:?}), which is in a layer below it"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn lib_lists_modules_in_layer_order() {
    let library = fs::read_to_string("src/lib.rs").expect("src/lib.rs");
    let declared: Vec<&str> =
        library.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    assert_eq!(declared, LAYERS, "src/lib.rs lists the modules in the order in which data flows");
}

#[test]
fn no_files_import_each_other() {
    let imports = imports(&source_files());
    let circles = circles(&imports);
    assert!(circles.is_empty(), "{} circles of files:\n{}", circles.len(), show(&imports, &circles));
}

#[test]
fn stages_never_call_each_other() {
    let imports = imports(&source_files());
    let mut calls = Vec::new();
    for stage in STAGES.map(|stage| format!("src/stages/{stage}")) {
        assert!(Path::new(&stage).exists(), "there is no {stage}");
        let reached = reachable(&imports, &stage);
        let others = STAGES.map(|other| format!("src/stages/{other}"));
        let others = others.into_iter().filter(|other| *other != stage && reached.contains(other));
        calls.extend(others.map(|other| format!("{stage} reaches {other}")));
    }
    assert!(calls.is_empty(), "stages call each other: {calls:#?}");
}

/// A job's row, its audit entry and its messages are written together, so that no stage can forget one.
#[test]
fn stages_change_jobs_in_one_place() {
    let writes = [("jobs", "insert"), ("jobs", "update"), ("outbox", "insert"), ("audit", "append")];
    let mut wrong = Vec::new();
    for File { path, tokens, .. } in source_files().into_iter().filter(|file| file.path.starts_with("src/stages/")) {
        for (module, function) in writes {
            let call = self::tokens(&format!("{module}::{function}("));
            if path != "src/stages/changes.rs" && tokens.windows(call.len()).any(|window| window == call) {
                wrong.push(format!("{path} calls {module}::{function}: change a job by stages::lifecycle"));
            }
        }
        let is_lifecycle = ["src/stages/lifecycle.rs", "src/stages/new_job.rs"].contains(&path.as_str());
        let sets_state = self::tokens("job.state =");
        let mut assigns = tokens.windows(sets_state.len() + 1);
        if !is_lifecycle
            && assigns.any(|window| window.starts_with(&sets_state) && !window.ends_with(&[Token::Sign('=')]))
        {
            wrong.push(format!("{path} sets a job's state: use a transition of stages::lifecycle"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn engines_are_named_only_in_the_store() {
    let mut found = Vec::new();
    for file in source_files() {
        if file.path.starts_with("src/store/dialect") || file.path.starts_with("src/store/driver") {
            continue;
        }
        let named = file.tokens.windows(2).filter(|pair| pair[0].word() == Some("Engine") && pair[1] == Token::Path);
        found.extend(named.map(|_| file.path.clone()));
    }
    found.dedup();
    assert!(found.is_empty(), "`Engine::` is named outside dialect and driver: {found:#?}");
}

#[test]
fn each_technique_stays_in_its_module() {
    let mut wrong = Vec::new();
    let mut check = |file: &str, what: &str, is_found: bool, homes: &[&str]| {
        if is_found && !homes.iter().any(|home| file.starts_with(home)) {
            wrong.push(format!("{file}: {what} outside {}", homes.join(", ")));
        }
    };
    for File { path, tokens, .. } in source_files() {
        let is_used = |name: &str| tokens.windows(2).any(|pair| pair[0].word() == Some(name) && pair[1] == Token::Path);
        check(&path, "lapin", is_used("lapin"), &["src/broker/amqp"]);
        check(&path, "backoff", is_used("backoff"), &["src/retry.rs"]);
        for library in ["opentelemetry", "opentelemetry_sdk", "opentelemetry_otlp", "opentelemetry_http"] {
            check(&path, library, is_used(library), &["src/trace", "src/telemetry"]);
        }
        let has_sql = has_code(&path, |line| {
            ["SELECT ", "INSERT INTO ", "UPDATE ", "DELETE FROM "].iter().any(|word| line.contains(word))
        });
        check(&path, "SQL", has_sql, &["src/store"]);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What engines write differently is asked of the dialect. Statements for databases with writable CTEs are PostgreSQL's.
#[test]
fn statements_hold_no_dialect_words() {
    let words = [
        " AS bigint",
        " AS text)",
        " AS integer",
        "::text",
        "IS DISTINCT FROM",
        "AS MATERIALIZED",
        "ON CONFLICT",
        "RETURNING ",
        "USING ",
        "set_config",
        " -> ",
        " ->> ",
        "jsonb_",
        "pg_",
    ];
    let mut wrong = Vec::new();
    for File { path, .. } in source_files() {
        let is_free = ["src/store/dialect/", "src/store/driver/", "src/store/host/strategy/single_statement.rs"];
        if !path.starts_with("src/store/") || is_free.iter().any(|free| path.starts_with(free)) {
            continue;
        }
        for word in words {
            if has_code(&path, |line| quoted(line).contains(word)) {
                wrong.push(format!("{path} writes `{word}`: ask the dialect"));
            }
        }
        if has_code(&path, |line| quoted(line).contains("UPDATE ") && quoted(line).contains(" FROM ")) {
            wrong.push(format!("{path} writes an UPDATE with a FROM: ask the dialect"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Returns true if a line that is not a comment passes a test.
fn has_code(file: &str, passes: impl Fn(&str) -> bool) -> bool {
    let text = fs::read_to_string(file).expect("a source file");
    text.lines().map(str::trim_start).filter(|line| !line.starts_with("//")).any(passes)
}

/// Returns what a line holds between its first and its last quotation mark; all of a line in the middle of a text.
fn quoted(line: &str) -> &str {
    match (line.find('"'), line.rfind('"')) {
        (Some(first), Some(last)) if first < last => &line[first..last],
        _ if line.ends_with('\\') || line.contains('"') => line,
        _ => "",
    }
}

#[test]
fn pure_modules_do_no_io() {
    let mut wrong = Vec::new();
    for File { path, tokens, .. } in source_files() {
        if !PURE.contains(&module_of(&path)) {
            continue;
        }
        for forbidden in ["async", "await", "tokio", "sea_orm", "std::fs", "std::net", "std::process"] {
            let forbidden = self::tokens(forbidden);
            if tokens.windows(forbidden.len()).any(|window| window == forbidden) {
                wrong.push(format!("{path}: its module does no I/O, but it says {forbidden:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn braces_parents_and_aliases_are_followed() {
    let file = |path: &str, text: &str| {
        let module = path.trim_start_matches("src/").trim_end_matches(".rs");
        let module = module.split('/').filter(|name| *name != "lib").map(str::to_owned).collect();
        File { path: path.into(), module, tokens: tokens(text) }
    };
    let files = [
        file("src/lib.rs", "mod a; mod b; mod c; mod d;"),
        file("src/a.rs", "use crate::{b::{self, Deep as Other}, d}; fn f() { b::g(); d::inner::h(); }"),
        file("src/b.rs", "pub use super::c::Deep; pub fn g() {}"),
        file("src/c.rs", "pub struct Deep; // use crate::a::f;\nconst TEXT: &str = r#\"use crate::a::f;\"#;"),
        file("src/d.rs", "pub mod inner { pub fn h<'a>(_: &'a str) { super::super::a::f(); } }"),
    ];
    let imports = imports(&files);
    let used = |from: &str| imports.get(from).into_iter().flat_map(|used| used.keys()).cloned().collect::<Vec<_>>();
    assert_eq!(used("src/a.rs"), ["src/b.rs", "src/c.rs", "src/d.rs"]);
    assert_eq!(used("src/b.rs"), [""; 0], "a re-export alone uses nothing");
    assert_eq!(used("src/c.rs"), [""; 0], "comments and texts are not code");
    assert_eq!(used("src/d.rs"), ["src/a.rs"]);
    let found = circles(&imports);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].iter().collect::<Vec<_>>(), ["src/a.rs", "src/d.rs"]);
    assert!(reachable(&imports, "src/d.rs").contains("src/c.rs"));
}

fn source_files() -> Vec<File> {
    let files = read_crate("src");
    assert!(files.len() > 100, "the sources are in src/");
    files
}

/// The layer that a file is in, such as `store` for `src/store/session.rs`.
fn module_of(file: &str) -> &str {
    let path = file.trim_start_matches("src/");
    path.split(['/', '.']).next().unwrap_or(path)
}
