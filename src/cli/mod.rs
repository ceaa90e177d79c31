//! The command line: a file a command, each a thin face on what the library does.
//!
//! What reads the ledger, the queues or a request takes `--json`. Exit codes: 0 done, 1 failed, 2 usage, 3 rejected.

mod audit;
pub mod bulk;
mod catalog;
mod dead;
mod demo;
mod doctor;
mod exit;
mod forget;
mod health;
mod jobs;
mod job_commands;
mod migrate;
mod open;
mod output;
mod preview;
mod revert;
mod run;
mod schema;
mod submit;
mod systemd;
mod users;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

use self::exit::Exit;
use crate::config::{self, Settings};
use crate::contract::{RequestType, printable_lines};
use crate::telemetry;

/// Offboards users: moves everything a user owns to those who stay, in batches, while the application keeps running.
#[derive(Debug, Parser)]
#[command(name = "handover", version, about)]
pub struct Cli {
    /// A file with settings, over the defaults; the environment (HANDOVER_DATABASE__URL, …) goes over both.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show what Handover does, on a throw-away database: no server, no set-up.
    Demo(demo::Arguments),
    /// Run the worker: all stages, or some.
    Run(run::Arguments),
    /// Ask a worker whether it is ready: for health checks of images without a shell.
    Health(health::Arguments),
    /// Bring the ledger up to date.
    Migrate(migrate::Arguments),
    /// Send requests to the queue.
    Submit(submit::Arguments),
    /// Show what requests would do, and change nothing.
    Preview(preview::Arguments),
    /// Judge a file with a leaver on each row, and send those that can be done.
    Bulk(bulk::Arguments),
    /// Undo a completed job: what is still where it was put goes back.
    Revert(revert::Arguments),
    /// Call a job off that has not ended: what it has done is undone.
    Cancel(job_commands::Arguments),
    /// Stop a job until it is resumed.
    Pause(job_commands::Arguments),
    /// Let a job go on that was paused, or that needed attention.
    Resume(job_commands::Arguments),
    /// Name other successors for what a job has not moved yet.
    Amend(job_commands::AmendArguments),
    /// List jobs, newest first.
    Jobs(jobs::ListArguments),
    /// Show a job: its references, chunks and certificate.
    Job(jobs::ShowArguments),
    /// Follow a job to its end.
    Watch(watch::Arguments),
    /// List who asked for what, when, and what became of it.
    Audit(audit::Arguments),
    /// Erase what the ledger holds of one person, and leave the counts.
    Forget(forget::Arguments),
    /// List users, what they own, and who holds a license.
    Users(users::Arguments),
    /// Look at the catalog.
    Catalog(catalog::Arguments),
    /// Look through the messages that were set aside, send them back or drop them.
    Dead(dead::Arguments),
    /// Look at everything that a worker needs, and say what to do about each fault.
    Doctor(doctor::Arguments),
    /// Print the contract: the JSON Schema of requests, replies, events or catalogs, or the AsyncAPI document.
    Schema(schema::Arguments),
}

/// Runs a command to its exit code. The boundary at which an error is told, once, with its whole chain.
pub fn main(cli: Cli) -> ExitCode {
    match run_to_end(cli) {
        Ok(ended) => ended.into(),
        // Whoever reads our output has closed it: `handover jobs | head` is no failure.
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("handover: {}", printable_lines(&format!("{error:#}")));
            ExitCode::from(1)
        }
    }
}

fn run_to_end(cli: Cli) -> Result<Exit> {
    let settings = config::load(cli.config.as_deref())?;
    // A worker tells what it does; other commands tell it by their output, and log only what is wrong.
    let is_worker = matches!(cli.command, Command::Run(_));
    telemetry::start(&settings.log, if is_worker { "info" } else { "warn" })?;
    if is_worker && settings.broker.is_external() {
        run::with_deep_stacks();
    }
    let runtime = tokio::runtime::Runtime::new().context("the runtime could not be started")?;
    let ended = runtime.block_on(dispatch(cli.command, settings));
    // Reading standard input cannot be interrupted: nothing waits for it.
    runtime.shutdown_background();
    ended
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
        Command::Revert(arguments) => revert::run(arguments, settings).await,
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
