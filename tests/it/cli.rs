//! The command line, through the binary: output, replies and exit codes.

mod audit;
mod bulk;
mod commands;
mod confirmation;
mod databases;
mod dead_letters;
mod demo;
mod doctor;
mod health;
mod help;
mod job_history;
mod lists;
mod printed;
mod reading;
mod setup;
mod submit_and_work;
mod unchanged_file;
mod watching;

use clap::CommandFactory;
use handover::cli::Cli;
use jsonschema::Validator;
use serde_json::Value;

use crate::support::process::run;

/// Returns a validator for one of the binary's schemas.
fn schema(of: &str) -> Validator {
    let schema = run(&[], &["schema", of]).expect(0).json();
    jsonschema::meta::validate(&schema).unwrap_or_else(|error| panic!("no JSON Schema: {error}"));
    jsonschema::validator_for(&schema).expect("a schema")
}

/// Returns every command that has no subcommands, by its name: `dead drop`.
fn leaf_commands() -> Vec<(String, clap::Command)> {
    let mut found = Vec::new();
    let mut rest = vec![(String::new(), Cli::command())];
    while let Some((name, command)) = rest.pop() {
        match command.has_subcommands() {
            true => rest.extend(
                command
                    .get_subcommands()
                    .map(|sub| (format!("{name} {}", sub.get_name()).trim().to_owned(), sub.clone())),
            ),
            false => found.push((name, command)),
        }
    }
    found
}

fn assert_valid(schema: &Validator, value: &Value) {
    let faults: Vec<String> =
        schema.iter_errors(value).map(|fault| format!("{}: {fault}", fault.instance_path())).collect();
    assert!(faults.is_empty(), "{faults:?}: {value}");
}
