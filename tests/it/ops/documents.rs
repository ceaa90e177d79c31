//! Documentation for operators, compared with the code.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Parser;
use clap::error::ErrorKind;
use handover::cli::Cli;
use handover::{config, metrics};

#[test]
fn docs_metrics_md_matches_the_metrics() {
    let file = "docs/metrics.md";
    let kept = std::fs::read_to_string(file).unwrap_or_default();
    let head = kept.split("| metric |").next().unwrap_or_default();
    let wanted = format!("{head}{}", metrics::table());
    if kept != wanted {
        let fresh = Path::new(env!("CARGO_TARGET_TMPDIR")).join("metrics.md");
        std::fs::write(&fresh, wanted).expect("a file");
        panic!("{file} is stale; as it should be: cp {} {file}", fresh.display());
    }
}

/// The documents at the root of the project.
const DOCUMENTS: [&str; 5] = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"];

/// Returns every file that people read or that deploys Handover, with its text.
fn written() -> Vec<(PathBuf, String)> {
    let mut files: Vec<PathBuf> = DOCUMENTS.into_iter().chain(["Makefile"]).map(PathBuf::from).collect();
    let mut folders: Vec<PathBuf> = ["docs", "deploy", "config"].map(PathBuf::from).into();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            match entry.is_dir() {
                true => folders.push(entry),
                false => files.push(entry),
            }
        }
    }
    // Some files below deploy/ may be binary.
    files.into_iter().filter_map(|file| Some((file.clone(), std::fs::read_to_string(file).ok()?))).collect()
}

#[test]
fn documented_files_exist() {
    let folders = ["src", "tests", "docs", "deploy", "config", "migrations", "benches", "fuzz", ".github"];
    let is_path = |quoted: &&str| {
        let characters = quoted.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c));
        // Names in capitals stand for what is still to be named.
        let is_placeholder = quoted.contains("NAME");
        characters && !is_placeholder && quoted.split_once('/').is_some_and(|(folder, _)| folders.contains(&folder))
    };
    let mut faults = Vec::new();
    for (file, text) in written() {
        if file.extension().is_none_or(|kind| kind != "md") {
            continue;
        }
        let quoted = text.split('`').filter(is_path).map(PathBuf::from);
        let folder = file.parent().unwrap_or(Path::new(""));
        let links = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
        let links = links.filter(|link| !link.contains(':') && !link.is_empty()).map(|link| folder.join(link));
        let missing = quoted.chain(links).filter(|path| !path.exists());
        faults.extend(missing.map(|path| format!("{}: there is no {}", file.display(), path.display())));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn documented_settings_exist() {
    let settings: BTreeSet<String> = config::names().into_iter().collect();
    assert!(["database.url", "broker.ca_file", "telemetry.otlp.endpoint"].iter().all(|name| settings.contains(*name)));
    let sections: BTreeSet<&str> = settings.iter().filter_map(|name| Some(name.split_once('.')?.0)).collect();
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut faults = Vec::new();
    let mut seen = 0;
    for (file, text) in written() {
        let variables = text.split(|c: char| !is_word(c)).filter_map(|word| word.strip_prefix("HANDOVER_"));
        let variables = variables.filter(|name| name.contains("__") && !name.ends_with('_'));
        let variables = variables.map(|name| name.to_lowercase().replace("__", "."));
        let quoted = text.split('`').filter(|quoted| {
            let is_name = quoted.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c == '.');
            // A file name can follow a section name, too.
            is_name && quoted.split_once('.').is_some_and(|(section, name)| sections.contains(section) && name != "rs")
        });
        for name in variables.chain(quoted.map(str::to_owned)) {
            seen += 1;
            if !settings.contains(&name) {
                faults.push(format!("{}: there is no setting `{name}`", file.display()));
            }
        }
    }
    assert!(seen > 30, "only {seen} were found");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Returns the command lines of a document: complete ones in code blocks, and inline ones, which may omit the
/// requester.
fn command_lines(text: &str) -> Vec<(bool, String)> {
    let mut found = Vec::new();
    let mut prose = String::new();
    for (place, part) in text.split("```").enumerate() {
        if place % 2 == 0 {
            prose.push_str(part);
            continue;
        }
        for line in part.lines().map(str::trim) {
            let line = line.strip_prefix("$ ").unwrap_or(line);
            let program = line.split(' ').next().unwrap_or_default();
            if program == "handover" || program.ends_with("/handover") {
                let line = line.split(" #").next().unwrap_or_default();
                let line = line.split(['|', '>', '<', '&', ';']).next().unwrap_or_default();
                found.push((true, line.trim_end_matches(['\\', ' ']).to_owned()));
            }
        }
    }
    let quoted = prose.split('`').filter(|quoted| quoted.starts_with("handover ") && !quoted.contains(['{', '…']));
    found.extend(quoted.map(|quoted| (false, quoted.split(['|', '\n']).next().unwrap_or_default().to_owned())));
    found
}

/// Returns the command lines that run Handover: images, Kubernetes, Compose, systemd.
fn started(file: &Path, text: &str) -> Vec<(bool, String)> {
    let lists = text.lines().filter_map(|line| {
        let line = line.trim();
        let begins = ["args: [", "command: [", "CMD [", "HEALTHCHECK"].iter().any(|begin| line.starts_with(begin));
        let (_, list) = line.split_once('[').filter(|_| begins)?;
        let words: Vec<&str> = list.trim_end_matches(']').split(", ").map(|word| word.trim_matches('"')).collect();
        let words = words.join(" ").replace("/usr/local/bin/handover ", "");
        // Compose also starts a server.
        (!words.starts_with("postgres")).then(|| format!("handover {words}"))
    });
    let unit = text.lines().filter_map(|line| line.strip_prefix("ExecStart="));
    let is_deployed = file.starts_with("deploy") && file.extension().is_none_or(|kind| kind != "md" && kind != "json");
    let all = lists.chain(unit.map(str::to_owned));
    if is_deployed && !file.ends_with("services.yaml") { all.map(|line| (true, line)).collect() } else { Vec::new() }
}

/// Returns the fault of a command line. An inline one may be incomplete.
fn fault(line: &str, is_whole: bool) -> Option<String> {
    // A quoted text is one word.
    let unquoted: String = (line.split('"').enumerate())
        .map(|(place, part)| if place % 2 == 0 { part.to_owned() } else { "quoted".to_owned() })
        .collect();
    let words = unquoted.split_whitespace();
    // Names in capitals are placeholders.
    let words = words.map(|word| match word {
        "ID" | "JOB" => "6b0c0000-0000-5000-8000-000000000000",
        word => word,
    });
    let error = Cli::try_parse_from(words.collect::<Vec<_>>()).err()?;
    let is_short = matches!(
        error.kind(),
        ErrorKind::MissingRequiredArgument
            | ErrorKind::MissingSubcommand
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
            | ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
    ) || (error.kind() == ErrorKind::InvalidValue && line.ends_with("--stage"));
    (is_whole || !is_short).then(|| error.to_string())
}

#[test]
fn documented_command_lines_parse() {
    let mut faults = Vec::new();
    let mut whole = 0;
    for (file, text) in written() {
        for (is_whole, line) in command_lines(&text).into_iter().chain(started(&file, &text)) {
            whole += usize::from(is_whole);
            if let Some(what) = fault(&line, is_whole) {
                faults.push(format!("{}: {line}\n{what}", file.display()));
            }
        }
    }
    assert!(whole > 30, "only {whole} were found");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(fault("handover jobs --colour", false).is_some() && fault("handover forget USER", false).is_none());
}
