//! The house's rule: data flows from top to bottom, and nothing imports upward.

use std::fs;
use std::path::Path;

/// The modules of the crate, in the order in which data flows. Each may use those before it, and itself.
const HOUSE: [&str; 15] = [
    "metrics",
    "retry",
    "trace",
    "contract",
    "catalog",
    "job",
    "plan",
    "store",
    "broker",
    "stages",
    "worker",
    "http",
    "config",
    "telemetry",
    "cli",
];

#[test]
fn nothing_imports_upward() {
    let mut wrong = Vec::new();
    for (place, module) in HOUSE.iter().enumerate() {
        for (file, line) in lines_of(module) {
            for used in used_modules(&line) {
                let used_place = HOUSE.iter().position(|other| *other == used);
                match used_place {
                    Some(used_place) if used_place <= place => {}
                    Some(_) => wrong.push(format!("{file}: `{module}` uses `{used}`, which stands below it")),
                    None => wrong.push(format!("{file}: `{used}` is no module of the house")),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_house_is_complete() {
    let library = fs::read_to_string("src/lib.rs").expect("src/lib.rs");
    let declared: Vec<&str> =
        library.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    assert_eq!(declared, HOUSE, "src/lib.rs lists the modules in the order in which data flows");
}

#[test]
fn only_the_store_writes_sql_and_only_one_folder_knows_lapin() {
    let mut wrong = Vec::new();
    for module in HOUSE {
        for (file, line) in lines_of(module) {
            let code = line.trim_start();
            if code.starts_with("//") {
                continue;
            }
            let is_sql = ["SELECT ", "INSERT INTO ", "UPDATE ", "DELETE FROM "].iter().any(|word| code.contains(word));
            if is_sql && module != "store" {
                wrong.push(format!("{file}: SQL outside the store: {code}"));
            }
            if code.contains("lapin::") && !file.contains("broker/amqp") {
                wrong.push(format!("{file}: lapin outside broker/amqp: {code}"));
            }
            if code.contains("opentelemetry") && module != "trace" && module != "telemetry" {
                wrong.push(format!("{file}: OpenTelemetry outside trace and telemetry: {code}"));
            }
            if code.contains("backoff::") && !file.ends_with("retry.rs") {
                wrong.push(format!("{file}: backoff outside retry.rs: {code}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_plans_does_no_io() {
    for module in ["contract", "catalog", "job", "plan"] {
        for (file, line) in lines_of(module) {
            for forbidden in ["async ", ".await", "std::fs", "std::net", "tokio::", "sea_orm"] {
                assert!(!line.contains(forbidden), "{file}: `{module}` is pure, but says: {line}");
            }
        }
    }
}

fn lines_of(module: &str) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    let file = format!("src/{module}.rs");
    if Path::new(&file).exists() {
        read_into(Path::new(&file), &mut lines);
    }
    walk(Path::new(&format!("src/{module}")), &mut lines);
    assert!(!lines.is_empty(), "the module {module} has no file");
    lines
}

fn walk(folder: &Path, lines: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => walk(&path, lines),
            false => read_into(&path, lines),
        }
    }
}

fn read_into(file: &Path, lines: &mut Vec<(String, String)>) {
    let text = fs::read_to_string(file).expect("a source file");
    lines.extend(text.lines().map(|line| (file.display().to_string(), line.to_owned())));
}

/// The modules that a line names as `crate::module`.
fn used_modules(line: &str) -> Vec<&str> {
    let paths = line.split("crate::").skip(1);
    let name = |path: &'_ str| path.len() - path.trim_start_matches(|c: char| c.is_ascii_lowercase() || c == '_').len();
    paths
        .filter(|path| !path.starts_with("{"))
        .map(|path| &path[..name(path)])
        .filter(|name| !name.is_empty())
        .collect()
}
