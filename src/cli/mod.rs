//! The command line: one file per command. A command parses its arguments, calls a use case of [`app`] and prints the
//! result.
//!
//! Commands that read the ledger, the queues or a request accept `--json`. Commands that change people, records or messages
//! are confirmed (`confirmation`). Exit codes: 0 done, 1 failed, 2 usage, 3 rejected.

mod audit;
pub mod bulk;
mod catalog;
mod confirmation;
mod console;
mod dead;
mod demo;
mod doctor;
mod exit;
mod follow;
mod forget;
mod health;
mod help;
mod init;
mod jobs;
mod job_commands;
mod job_id;
mod list;
mod migrate;
mod open;
mod output;
mod preview;
mod process;
mod question;
mod request_file;
mod run;
mod schema;
mod scim;
mod serve;
mod shell;
mod signals;
mod submit;
mod systemd;
mod time_argument;
mod token;
mod users;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use self::confirmation::Confirmation;
use self::exit::Exit;
use crate::app;
use crate::config::{self, Settings, Variables, WrongVariables};
use crate::contract::{RequestType, printable_lines};
use crate::telemetry;

/// Offboards users: moves what they own to those who stay, while the application keeps running.
#[derive(Debug, Parser)]
#[command(name = "handover", version, about)]
pub struct Cli {
    /// A settings file. It overrides the defaults; the environment (HANDOVER_DATABASE__URL, …) overrides both.
    #[arg(long, global = true, value_name = "FILE", env = "HANDOVER_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show what Handover does, on a temporary database.
    Demo(demo::Arguments),
    /// Write a file of settings, with a comment on each.
    Init(init::Arguments),
    /// Run a worker: all stages, or those that `--stage` names.
    #[command(visible_alias = "worker")]
    Run(run::Arguments),
    /// Serve the HTTP API, without a worker.
    Serve(serve::Arguments),
    /// Create, list and revoke tokens of the HTTP API.
    Token(token::Arguments),
    /// Connect identity providers by SCIM.
    Scim(scim::Arguments),
    /// Sign people in to the web console.
    Console(console::Arguments),
    /// Check whether a worker is ready, for images without a shell.
    Health(health::Arguments),
    /// Create or upgrade the ledger.
    Migrate(migrate::Arguments),
    /// Send requests to the queue.
    Submit(submit::Arguments),
    /// Show what requests would do. Changes nothing.
    #[command(visible_alias = "plan")]
    Preview(preview::Arguments),
    /// Evaluate a file with a leaver per row, and send rows that pass.
    Bulk(bulk::Arguments),
    /// Undo a completed job: records return unless they changed since.
    #[command(visible_alias = "undo")]
    Revert(job_commands::Arguments),
    /// Cancel a job that has not ended, and undo what it did.
    Cancel(job_commands::Arguments),
    /// Stop a job until it is resumed.
    Pause(job_commands::Arguments),
    /// Resume a job that is paused or needs attention.
    Resume(job_commands::ResumeArguments),
    /// Name other successors for what a job has not moved yet.
    Amend(job_commands::AmendArguments),
    /// List jobs, newest first.
    #[command(visible_aliases = ["ls", "list"])]
    Jobs(jobs::ListArguments),
    /// Show a job: its references, chunks and certificate.
    #[command(visible_aliases = ["show", "status"])]
    Job(jobs::ShowArguments),
    /// Follow a job to its end, or all open jobs and the queues.
    #[command(visible_alias = "follow")]
    Watch(watch::Arguments),
    /// Show who asked for what, when, and with which outcome.
    #[command(visible_alias = "history")]
    Audit(audit::Arguments),
    /// Erase what the ledger holds of a person, and keep the counts.
    Forget(forget::Arguments),
    /// List users, what they own, and who holds a license.
    Users(users::Arguments),
    /// Draft, check, show or scan the catalog, or print its grants.
    Catalog(catalog::Arguments),
    /// List dead letters, and replay or drop them.
    #[command(visible_aliases = ["dlq", "dead-letters"])]
    Dead(dead::Arguments),
    /// Check what a worker needs, and say how to fix each fault.
    Doctor(doctor::Arguments),
    /// Print the contract: a JSON Schema, or the AsyncAPI document.
    Schema(schema::Arguments),
    /// Print the completions of a shell.
    Completions(shell::CompletionArguments),
    /// Print a page of the manual, or write all pages.
    Man(shell::ManArguments),
}

impl Command {
    /// Returns the confirmation of a command that changes people, records or messages.
    fn confirmation(&self) -> Option<Confirmation> {
        match self {
            Command::Submit(arguments) => Some(arguments.confirmation),
            Command::Bulk(arguments) => arguments.confirmation(),
            Command::Revert(arguments) | Command::Cancel(arguments) | Command::Pause(arguments) => {
                Some(arguments.confirmation)
            }
            Command::Resume(arguments) => Some(arguments.command.confirmation),
            Command::Amend(arguments) => Some(arguments.command.confirmation),
            Command::Forget(arguments) => Some(arguments.confirmation),
            Command::Dead(arguments) => arguments.confirmation(),
            Command::Scim(arguments) => arguments.confirmation(),
            Command::Catalog(arguments) => arguments.confirmation(),
            Command::Demo(_)
            | Command::Init(_)
            | Command::Run(_)
            | Command::Serve(_)
            | Command::Token(_)
            | Command::Console(_)
            | Command::Health(_)
            | Command::Migrate(_)
            | Command::Preview(_)
            | Command::Jobs(_)
            | Command::Job(_)
            | Command::Watch(_)
            | Command::Audit(_)
            | Command::Users(_)
            | Command::Doctor(_)
            | Command::Schema(_)
            | Command::Completions(_)
            | Command::Man(_) => None,
        }
    }
}

/// Returns the definition of the command line, with groups and examples in its help.
pub fn definition() -> clap::Command {
    help::complete::<Command>(Cli::command())
}

/// Parses the command line. Prints help and faults, and ends the process for them.
pub fn parse() -> Cli {
    let parsed = definition().try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches));
    parsed.unwrap_or_else(|error| error.exit())
}

/// Runs a command and returns its exit code. Prints its error once, with all causes.
pub fn main(cli: Cli) -> ExitCode {
    let is_worker = matches!(cli.command, Command::Run(_) | Command::Serve(_));
    match run_to_end(cli) {
        Ok(exit) => exit.into(),
        // The reader of the output has closed it: `handover jobs | head` is not a failure.
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        // A program reads a worker's log to its last line. Before the log has begun there is none.
        Err(error) if is_worker && telemetry::has_started() => {
            tracing::error!(error = printable_lines(&format!("{error:#}")), "worker failed");
            Exit::Failed.into()
        }
        Err(error) => {
            output::note(format!("handover: {error:#}"));
            if is_usage(&error) { Exit::Usage } else { Exit::Failed }.into()
        }
    }
}

/// Returns true if an error is about the command line or the environment.
fn is_usage(error: &anyhow::Error) -> bool {
    let is_of_app = |error: &app::Error| matches!(error, app::Error::UnknownReason { .. });
    error.is::<WrongVariables>() || error.downcast_ref().is_some_and(is_of_app)
}

fn run_to_end(cli: Cli) -> Result<Exit> {
    if cli.command.confirmation().is_some_and(|confirmation| !confirmation.is_possible()) {
        output::note(format!("handover: {}", confirmation::REQUIRED));
        return Ok(Exit::Usage);
    }
    let is_worker = matches!(cli.command, Command::Run(_) | Command::Serve(_));
    if is_worker && cli.config.as_ref().is_some_and(|file| !file.is_file()) {
        // A pipe can be read only once, and the restart would read it again.
        run::with_deep_stacks();
    }
    let variables = Variables::read(std::env::vars_os())?;
    let settings = config::load(cli.config.as_deref(), &variables)?;
    // A worker logs its progress. Other commands print it, and log only problems.
    telemetry::start(&settings.log, if is_worker { "info" } else { "warn" })?;
    if is_worker && settings.broker.is_external() {
        run::with_deep_stacks();
    }
    warn_of_ignored(&variables.ignored, is_worker);
    let runtime = tokio::runtime::Runtime::new().context("the async runtime cannot be started")?;
    let exit = runtime.block_on(dispatch(cli.command, settings));
    // Do not wait for a blocking read of standard input: it cannot be interrupted.
    runtime.shutdown_background();
    exit
}

/// Warns of variables that look like settings and have no effect.
fn warn_of_ignored(variables: &[String], is_worker: bool) {
    if variables.is_empty() {
        return;
    }
    let variables = variables.join(", ");
    match is_worker {
        true => tracing::warn!(variables, "variables ignored: no setting has these names"),
        false => output::note(format!("handover: ignored, because no setting has this name: {variables}")),
    }
}

async fn dispatch(command: Command, settings: Settings) -> Result<Exit> {
    match command {
        Command::Init(arguments) => init::run(arguments),
        Command::Demo(arguments) => demo::run(arguments, settings).await,
        Command::Run(arguments) => run::run(arguments, settings).await,
        Command::Serve(arguments) => serve::run(arguments, settings).await,
        Command::Token(arguments) => token::run(arguments, settings).await,
        Command::Scim(arguments) => scim::run(arguments, settings).await,
        Command::Console(arguments) => console::run(arguments, settings).await,
        Command::Health(arguments) => health::run(arguments, &settings).await,
        Command::Migrate(arguments) => migrate::run(arguments, settings).await,
        Command::Submit(arguments) => submit::run(arguments, settings).await,
        Command::Preview(arguments) => preview::run(arguments, settings).await,
        Command::Bulk(arguments) => bulk::run(arguments, settings).await,
        Command::Revert(arguments) => job_commands::run(RequestType::Revert, arguments, settings).await,
        Command::Cancel(arguments) => job_commands::run(RequestType::Cancel, arguments, settings).await,
        Command::Pause(arguments) => job_commands::run(RequestType::Pause, arguments, settings).await,
        Command::Resume(arguments) => job_commands::resume(arguments, settings).await,
        Command::Amend(arguments) => job_commands::amend(arguments, settings).await,
        Command::Jobs(arguments) => jobs::list(arguments, settings).await,
        Command::Job(arguments) => jobs::show(arguments, settings).await,
        Command::Watch(arguments) => watch::run(arguments, settings).await,
        Command::Audit(arguments) => audit::run(arguments, settings).await,
        Command::Forget(arguments) => forget::run(arguments, settings).await,
        Command::Users(arguments) => users::run(arguments, settings).await,
        Command::Catalog(arguments) => catalog::run(arguments, settings).await,
        Command::Dead(arguments) => dead::run(arguments, settings).await,
        Command::Doctor(arguments) => doctor::run(arguments, settings).await,
        Command::Schema(arguments) => schema::run(arguments, &settings),
        Command::Completions(arguments) => shell::completions(&arguments, definition()),
        Command::Man(arguments) => shell::man(arguments, definition()),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn command_line_is_consistent() {
        super::definition().debug_assert();
    }
}
