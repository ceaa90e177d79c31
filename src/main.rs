//! The binary: parses the command line, loads the settings, calls a command.

use std::process::ExitCode;

use clap::Parser;
use handover::cli::{self, Cli};

fn main() -> ExitCode {
    cli::main(Cli::parse())
}
