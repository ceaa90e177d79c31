//! The command line: one file per command. A command parses its arguments, calls a use case of [`app`] and prints the
//! result.
//!
//! Commands that read the ledger, the queues or a request accept `--json`. Commands that change people, records or messages
//! are confirmed (`confirmation`). Exit codes: 0 done, 1 failed, 2 usage, 3 rejected.

mod audit;
pub mod bulk;
mod catalog;
mod confirmation;
mod dead;
mod demo;
mod doctor;
mod exit;
mod forget;
mod health;
mod jobs;
mod job_commands;
mod job_id;
mod migrate;
mod open;
mod output;
mod preview;
mod question;
mod request_file;
mod run;
mod schema;
mod signals;
mod submit;
mod systemd;
mod users;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

use self::confirmation::Confirmation;
use self::exit::Exit;
use crate::app;
use crate::config::{self, Settings, Variables, WrongVariables};
use crate::contract::{RequestType, printable_lines};
use crate::telemetry;

/// Offboards users: moves everything a user owns to those who stay, in batches, while the application keeps running.
#[derive(Debug, Parser)]
#[command(name = "handover", version, about)]
pub struct Cli {
    /// A settings file. It overrides the defaults; the environment (HANDOVER_DATABASE__URL, …) overrides both.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show what Handover does, on a temporary database: no server, no setup.
    Demo(demo::Arguments),
    /// Run the worker: all stages, or some.
    Run(run::Arguments),
    /// Check whether a worker is ready, for container images without a shell.
    Health(health::Arguments),
    /// Create or upgrade the ledger.
    Migrate(migrate::Arguments),
    /// Send requests to the queue.
    Submit(submit::Arguments),
    /// Show what requests would do. Changes nothing.
    Preview(preview::Arguments),
    /// Evaluate a file with one leaver per row, and send the acceptable rows.
    Bulk(bulk::Arguments),
    /// Undo a completed job: records return unless they changed since.
    Revert(job_commands::Arguments),
    /// Cancel a job that has not ended, and undo what it did.
    Cancel(job_commands::Arguments),
    /// Stop a job until it is resumed.
    Pause(job_commands::Arguments),
    /// Resume a job that is paused or needs attention.
    Resume(job_commands::Arguments),
    /// Name other successors for the records that a job has not moved yet.
    Amend(job_commands::AmendArguments),
    /// List jobs, newest first.
    Jobs(jobs::ListArguments),
    /// Show a job: its references, chunks and certificate.
    Job(jobs::ShowArguments),
    /// Follow a job to its end.
    Watch(watch::Arguments),
    /// Show who asked for what, when, and with which outcome.
    Audit(audit::Arguments),
    /// Erase what the ledger holds of one person, and keep the counts.
    Forget(forget::Arguments),
    /// List users, what they own, and who holds a license.
    Users(users::Arguments),
    /// Draft, check, show or scan the catalog, or print the rights that it needs.
    Catalog(catalog::Arguments),
    /// List dead letters, and replay or drop them.
    Dead(dead::Arguments),
    /// Check everything that a worker needs, and say how to fix each fault.
    Doctor(doctor::Arguments),
    /// Print the contract: the JSON Schema of requests, replies, events or catalogs, or the AsyncAPI document.
    Schema(schema::Arguments),
}

impl Command {
    /// Returns the confirmation of a command that changes people, records or messages.
    fn confirmation(&self) -> Option<Confirmation> {
        match self {
            Command::Submit(arguments) => Some(arguments.confirmation),
            Command::Bulk(arguments) => arguments.confirmation(),
            Command::Revert(arguments)
            | Command::Cancel(arguments)
            | Command::Pause(arguments)
            | Command::Resume(arguments) => Some(arguments.confirmation),
            Command::Amend(arguments) => Some(arguments.command.confirmation),
            Command::Forget(arguments) => Some(arguments.confirmation),
            Command::Dead(arguments) => arguments.confirmation(),
            Command::Demo(_)
            | Command::Run(_)
            | Command::Health(_)
            | Command::Migrate(_)
            | Command::Preview(_)
            | Command::Jobs(_)
            | Command::Job(_)
            | Command::Watch(_)
            | Command::Audit(_)
            | Command::Users(_)
            | Command::Catalog(_)
            | Command::Doctor(_)
            | Command::Schema(_) => None,
        }
    }
}

/// Runs a command and returns its exit code. Prints its error once, with all causes.
pub fn main(cli: Cli) -> ExitCode {
    let is_worker = matches!(cli.command, Command::Run(_));
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
            eprintln!("handover: {}", printable_lines(&format!("{error:#}")));
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
        eprintln!("handover: {}", confirmation::REQUIRED);
        return Ok(Exit::Usage);
    }
    let is_worker = matches!(cli.command, Command::Run(_));
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
        false => eprintln!("handover: ignored, because no setting has this name: {variables}"),
    }
}

async fn dispatch(command: Command, settings: Settings) -> Result<Exit> {
    match command {
        Command::Demo(arguments) => demo::run(arguments, settings).await,
        Command::Run(arguments) => run::run(arguments, settings).await,
        Command::Health(arguments) => health::run(arguments, &settings).await,
        Command::Migrate(arguments) => migrate::run(arguments, settings).await,
        Command::Submit(arguments) => submit::run(arguments, settings).await,
        Command::Preview(arguments) => preview::run(arguments, settings).await,
        Command::Bulk(arguments) => bulk::run(arguments, settings).await,
        Command::Revert(arguments) => job_commands::run(RequestType::Revert, arguments, settings).await,
        Command::Cancel(arguments) => job_commands::run(RequestType::Cancel, arguments, settings).await,
        Command::Pause(arguments) => job_commands::run(RequestType::Pause, arguments, settings).await,
        Command::Resume(arguments) => job_commands::run(RequestType::Resume, arguments, settings).await,
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
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
