//! What documents mention, compared with the project: files, headings, settings and command lines.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use clap::Parser;
use clap::error::ErrorKind;
use handover::cli::Cli;
use handover::config;

use super::{AT_THE_ROOT, documents, read, texts_in};

/// Returns every file that people read or that deploys Handover, with its text.
fn written() -> Vec<(PathBuf, String)> {
    let at_the_root = AT_THE_ROOT.into_iter().chain(["Makefile"]).map(PathBuf::from);
    let at_the_root = at_the_root.map(|file| (file.clone(), read(&file)));
    at_the_root.chain(texts_in(&["docs", "deploy", "config"])).collect()
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
    for (file, text) in documents() {
        let missing = text.split('`').filter(is_path).filter(|path| !Path::new(path).exists());
        faults.extend(missing.map(|path| format!("{}: there is no {path}", file.display())));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// A link within the project: the file that it leads to, and the heading.
fn links(file: &Path, text: &str) -> Vec<(PathBuf, String)> {
    let folder = file.parent().unwrap_or(Path::new(""));
    let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let links = links.filter(|link| !link.contains(':') && !link.is_empty());
    let link = |link: &str| {
        let (path, heading) = link.split_once('#').unwrap_or((link, ""));
        let target = if path.is_empty() { file.to_path_buf() } else { without_dots(&folder.join(path)) };
        (target, heading.to_owned())
    };
    links.map(link).collect()
}

/// Returns a path without `..`, as links resolve it.
fn without_dots(path: &Path) -> PathBuf {
    let mut found = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                found.pop();
            }
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => found.push(part),
        }
    }
    found
}

/// Returns the headings of a document in the form that links use.
fn headings(text: &str) -> BTreeSet<String> {
    let slug = |heading: &str| -> String {
        let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.collect::<String>().to_lowercase().replace(' ', "-")
    };
    let outside_of_code = text.split("```").step_by(2).collect::<String>();
    let headings = outside_of_code.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| slug(line.trim_start_matches('#'))).collect()
}

#[test]
fn links_lead_to_files_and_headings() {
    let (mut faults, mut seen) = (Vec::new(), 0);
    for (file, text) in documents() {
        for (target, heading) in links(&file, &text) {
            seen += 1;
            let has_heading = || heading.is_empty() || headings(&read(&target)).contains(&heading);
            if !target.exists() || !has_heading() {
                faults.push(format!("{}: there is no {}#{heading}", file.display(), target.display()));
            }
        }
    }
    assert!(seen > 100, "only {seen} were found");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn table_of_contents_lists_every_page() {
    let summary = PathBuf::from("docs/SUMMARY.md");
    let listed: BTreeSet<PathBuf> = links(&summary, &read(&summary)).into_iter().map(|(page, _)| page).collect();
    let pages = documents().into_iter().map(|(file, _)| file).filter(|file| file.starts_with("docs"));
    let missing: Vec<PathBuf> = pages.filter(|page| *page != summary && !listed.contains(page)).collect();
    assert!(missing.is_empty(), "docs/SUMMARY.md does not list {missing:?}");
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
                let line = line.replace(" 2>", " >");
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
        "ID" | "JOB" | "$JOB" => "6b0c0000-0000-5000-8000-000000000000",
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
    // The reference of commands is generated, and shows how they are written, not how they are used.
    let is_used = |(file, _): &(PathBuf, String)| !file.ends_with("reference/commands.md");
    for (file, text) in written().into_iter().filter(is_used) {
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
