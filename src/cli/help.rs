//! Completes the help texts of the commands: groups by audience, and examples.

use clap::{Command, Subcommand};

/// The commands by the person who uses them.
const GROUPS: [(&str, &[&str]); 5] = [
    ("Start", &["demo", "init", "doctor", "migrate", "run"]),
    ("Offboard", &["preview", "submit", "bulk", "revert", "cancel", "pause", "resume", "amend"]),
    ("Inspect", &["jobs", "job", "watch", "users", "audit"]),
    ("Operate", &["serve", "token", "scim", "console", "dead", "forget", "health"]),
    ("Set up", &["catalog", "schema", "completions", "man"]),
];

/// Examples of every command.
const EXAMPLES: [(&str, &[&str]); 44] = [
    (
        "demo",
        &[
            "handover demo",
            "handover demo --console",
            "handover demo --serve",
            "handover demo --scim",
            "handover demo --catalog apto --records 1000000 --keep demo.db",
        ],
    ),
    ("init", &["handover init", "handover init /etc/handover/handover.toml --catalog /etc/handover/app.toml"]),
    ("doctor", &["handover doctor", "handover --config handover.toml doctor --json"]),
    ("migrate", &["handover migrate", "handover migrate --reference-crm --seed"]),
    ("run", &["handover run", "handover run --serve", "handover run --stage planner,relay"]),
    ("serve", &["handover serve", "handover serve --wait-for 60s"]),
    (
        "token create",
        &[
            "handover token create --user 1 --org 1 --scopes jobs:read,jobs:write",
            "handover token create --service crm --org 1 --types deactivate,revert --scopes jobs:read,jobs:write",
            "handover token create --operator ops --scopes operator:read",
        ],
    ),
    ("token list", &["handover token list"]),
    ("token revoke", &["handover token revoke 0123456789abcdef"]),
    (
        "scim add",
        &[
            "handover scim add okta --org 1 --policy manager",
            "handover scim add entra --org 1 --policy wait --policy contact=user:7",
        ],
    ),
    ("scim rotate", &["handover scim rotate okta --org 1"]),
    ("scim list", &["handover scim list"]),
    ("scim release", &["handover scim release okta --org 1 --by 1"]),
    (
        "scim rollback",
        &[
            "handover scim rollback okta --org 1 --by 1 --dry-run",
            "handover scim rollback okta --org 1 --by 1 --user 53",
        ],
    ),
    ("scim remove", &["handover scim remove okta --org 1"]),
    ("console login", &["handover console login --user 1 --org 1"]),
    ("preview", &["handover preview request.json", "handover preview requests.jsonl --json"]),
    ("submit", &["handover submit request.json --dry-run", "handover submit request.json --yes --wait"]),
    (
        "bulk",
        &[
            "handover bulk leavers.xlsx --by 1 --org 1 --time-zone Europe/Berlin",
            "handover bulk leavers.xlsx --by 1 --org 1 --time-zone Europe/Berlin --submit",
        ],
    ),
    ("revert", &["handover revert JOB --by 1 --dry-run", "handover revert JOB --by 1 --reason 'came back' --wait"]),
    ("cancel", &["handover cancel JOB --by 1 --wait"]),
    ("pause", &["handover pause JOB --by 1"]),
    ("resume", &["handover resume JOB --by 1 --wait", "handover resume JOB --by 1 --catalog current --wait"]),
    ("amend", &["handover amend JOB --by 1 --reassign successors.json"]),
    ("jobs", &["handover jobs --state needs_attention", "handover jobs --user 53 --since 7d"]),
    ("job", &["handover job JOB", "handover job JOB --json"]),
    ("watch", &["handover watch", "handover watch JOB --timeout 10m"]),
    ("users", &["handover users --org 1", "handover users --status inactive --json"]),
    ("audit", &["handover audit --user 53", "handover audit --action deactivate.rejected --since 2026-11-01"]),
    ("dead list", &["handover dead list", "handover dead list --reason unknown_kind --newer-than 2h"]),
    ("dead show", &["handover dead show --queue requests"]),
    ("dead replay", &["handover dead replay --reason failed --by 1 --dry-run"]),
    ("dead drop", &["handover dead drop --older-than 90d --by 1"]),
    ("forget", &["handover forget 53 --org 1 --by 1 --dry-run"]),
    ("health", &["handover health"]),
    ("catalog check", &["handover catalog check"]),
    ("catalog show", &["handover catalog show --json"]),
    ("catalog scan", &["handover catalog scan"]),
    ("catalog draft", &["handover catalog draft"]),
    ("catalog grants", &["handover catalog grants --role handover_worker"]),
    ("catalog publish", &["handover catalog publish --by 1 --dry-run", "handover catalog publish --by 1"]),
    ("schema", &["handover schema request", "handover schema asyncapi"]),
    ("completions", &["handover completions bash"]),
    ("man", &["handover man submit", "handover man --directory man"]),
];

/// Adds groups and examples to the definitions of the commands.
pub fn complete<S: Subcommand>(command: Command) -> Command {
    let defined = S::augment_subcommands(Command::new(""));
    let groups = GROUPS.map(|(title, names)| group(title, names, &defined)).concat();
    let template = format!("{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{groups}Options:\n{{options}}");
    let command = command.help_template(template).max_term_width(100);
    EXAMPLES.iter().fold(command, |command, (path, examples)| {
        let path: Vec<&str> = path.split(' ').collect();
        with_examples(command, &path, examples)
    })
}

fn group(title: &str, names: &[&str], defined: &Command) -> String {
    let line = |name: &&str| {
        let about = defined.find_subcommand(name).and_then(Command::get_about).map(ToString::to_string);
        format!("  {name:12} {}\n", about.unwrap_or_default())
    };
    format!("{title}:\n{}\n", names.iter().map(line).collect::<String>())
}

fn with_examples(command: Command, path: &[&str], examples: &[&str]) -> Command {
    match path {
        [] => {
            let examples: Vec<String> = examples.iter().map(|example| format!("  {example}")).collect();
            let names: Vec<&str> = command.get_visible_aliases().collect();
            let names = if names.is_empty() { String::new() } else { format!("\n\nOther names: {}", names.join(", ")) };
            command.after_help(format!("Examples:\n{}{names}", examples.join("\n")))
        }
        [first, rest @ ..] => command.mut_subcommand(first, |found| with_examples(found, rest, examples)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::{CommandFactory, Parser};

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn every_command_is_in_one_group_and_fits_the_screen() {
        let command = Cli::command();
        let grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        let defined: BTreeSet<&str> = command.get_subcommands().map(Command::get_name).collect();
        assert_eq!(grouped.iter().copied().collect::<BTreeSet<_>>(), defined);
        assert_eq!(grouped.len(), defined.len());
        for found in command.get_subcommands() {
            let about = found.get_about().expect("a text").to_string();
            assert!(about.chars().count() <= 64, "{}: {about}", found.get_name());
        }
    }

    #[test]
    fn every_command_has_examples_that_parse() {
        let mut leaves = BTreeSet::new();
        for found in Cli::command().get_subcommands() {
            let nested: Vec<&str> = found.get_subcommands().map(Command::get_name).collect();
            match nested.is_empty() {
                true => drop(leaves.insert(found.get_name().to_owned())),
                false => leaves.extend(nested.iter().map(|nested| format!("{} {nested}", found.get_name()))),
            }
        }
        assert_eq!(EXAMPLES.iter().map(|(path, _)| (*path).to_owned()).collect::<BTreeSet<_>>(), leaves);
        for (path, examples) in EXAMPLES {
            for example in examples {
                let (name, _) = path.split_once(' ').unwrap_or((path, ""));
                assert!(example.contains(name), "{example} is no example of {path}");
                let line =
                    example.replace("'came back'", "quoted").replace("JOB", "6b0c0000-0000-5000-8000-000000000000");
                if let Err(error) = Cli::try_parse_from(line.split(' ')) {
                    panic!("{example}: {error}");
                }
            }
        }
    }
}
