//! The reference of commands, from the definition of the command line.

use clap::{Arg, Command};
use handover::cli;

use super::schema_tables::cell;

/// Arguments that every command has. The page mentions them once.
const EVERYWHERE: [&str; 3] = ["help", "version", "config"];

/// Returns a section for each command.
pub fn pages() -> String {
    let mut program = cli::definition();
    program.build();
    let mut sections = Vec::new();
    for command in shown(&program) {
        sections.push(section(command, "##"));
        sections.extend(shown(command).map(|sub| section(sub, "###")));
    }
    sections.iter().map(|section| section.trim()).collect::<Vec<_>>().join("\n\n")
}

fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
}

fn section(command: &Command, heading: &str) -> String {
    let name = command.get_bin_name().unwrap_or_default();
    let usage = command.clone().render_usage().to_string();
    let about = command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default();
    let mut text = format!("{heading} {name}\n\n{}.\n", about.trim().trim_end_matches('.'));
    if command.has_subcommands() {
        return text;
    }
    text.push_str(&format!("\n```text\n{}\n```\n", usage.trim_start_matches("Usage:").trim()));
    let arguments = command
        .get_arguments()
        .filter(|argument| !argument.is_hide_set() && !EVERYWHERE.contains(&argument.get_id().as_str()));
    let rows: Vec<String> = arguments.map(row).collect();
    if !rows.is_empty() {
        text.push_str(&format!("\n| argument | meaning |\n|---|---|\n{}\n", rows.join("\n")));
    }
    if let Some(more) = command.get_after_long_help().or(command.get_after_help()) {
        text.push_str(&format!("\n```text\n{}\n```\n", more.to_string().trim()));
    }
    text
}

fn row(argument: &Arg) -> String {
    let help = argument.get_long_help().or(argument.get_help()).map(ToString::to_string).unwrap_or_default();
    let mut meaning = format!("{}.", cell(&help).trim_end_matches('.'));
    let values = argument.get_possible_values();
    if argument.get_action().takes_values() && !values.is_empty() {
        let values: Vec<String> = values.iter().map(|value| format!("`{}`", value.get_name())).collect();
        meaning.push_str(&format!(" One of {}.", values.join(", ")));
    }
    let defaults: Vec<String> =
        argument.get_default_values().iter().map(|value| format!("`{}`", value.to_string_lossy())).collect();
    if argument.get_action().takes_values() && !defaults.is_empty() {
        meaning.push_str(&format!(" Default: {}.", defaults.join(", ")));
    }
    format!("| `{}` | {meaning} |", cell(&written(argument)))
}

/// Returns an argument as it is written on the command line.
fn written(argument: &Arg) -> String {
    let value = argument.get_value_names().into_iter().flatten().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let value = if argument.get_action().takes_values() { value } else { String::new() };
    let names =
        [argument.get_short().map(|short| format!("-{short}")), argument.get_long().map(|long| format!("--{long}"))];
    let names: Vec<String> = names.into_iter().flatten().collect();
    format!("{} {value}", names.join(", ")).trim().to_owned()
}
